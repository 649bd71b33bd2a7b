use std::time::Duration;

use toktik_runtime::settings::signed_lifetime;

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Largest upload, bytes
    #[arg(long, env = "TOKTIK_MAX_UPLOAD_BYTES", default_value_t = 1 << 30)]
    pub max_upload_bytes: u64,
    /// Uploads above this are sent in parts, bytes
    #[arg(long, env = "TOKTIK_MULTIPART_THRESHOLD", default_value_t = 16 << 20)]
    pub multipart_threshold: u64,
    /// Size of a part, bytes; at least 5 MiB, which S3 asks for
    #[arg(long, env = "TOKTIK_PART_SIZE", default_value_t = 8 << 20, value_parser = clap::value_parser!(u64).range(5 << 20..))]
    pub part_size: u64,
    /// How long a signed upload URL is good, seconds
    #[arg(long, env = "TOKTIK_UPLOAD_EXPIRY", default_value = "3600", value_parser = signed_lifetime)]
    pub upload_expiry: Duration,
}

/// S3 takes no more parts than this.
const MAX_PARTS: u64 = 10_000;

impl Settings {
    /// The size of each part but the last, and how many there are. None for an upload that goes in one piece.
    pub(crate) fn parts(&self, size: u64) -> Option<(u64, u32)> {
        if size <= self.multipart_threshold {
            return None;
        }
        let part_size = self.part_size.max(size.div_ceil(MAX_PARTS));
        let count = u32::try_from(size.div_ceil(part_size)).unwrap_or(u32::MAX);
        Some((part_size, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(part_size: u64) -> Settings {
        Settings {
            max_upload_bytes: u64::MAX,
            multipart_threshold: 16 << 20,
            part_size,
            upload_expiry: Duration::from_secs(1),
        }
    }

    #[test]
    fn parts_cover_the_whole_and_are_never_too_many() {
        let settings = settings(8 << 20);
        assert_eq!(settings.parts(16 << 20), None);
        assert_eq!(settings.parts((16 << 20) + 1), Some((8 << 20, 3)));
        let (part_size, count) = settings.parts(1 << 40).expect("is large");
        assert!(count <= 10_000 && part_size * u64::from(count) >= 1 << 40);
    }
}
