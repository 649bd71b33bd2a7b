//! The checksums a client may send along in a header or in a trailer, and the ones kept with an object.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::dto;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithms a request announces: by a value, by a trailer to come, or by name alone.
    pub(crate) fn announced(headers: &HeaderMap) -> Vec<Algorithm> {
        let named = text(headers, "x-amz-sdk-checksum-algorithm").and_then(Algorithm::named);
        let trailers = text(headers, "x-amz-trailer").unwrap_or_default();
        let announces = |algorithm: &Algorithm| {
            Some(*algorithm) == named
                || headers.contains_key(algorithm.header())
                || trailers
                    .split(',')
                    .any(|trailer| trailer.trim().eq_ignore_ascii_case(algorithm.header()))
        };
        Algorithm::ALL.into_iter().filter(announces).collect()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(crate) fn hasher(algorithms: &[Algorithm]) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    for algorithm in algorithms {
        match algorithm {
            Algorithm::Crc32 => hasher.crc32 = Some(s3s::crypto::Crc32::default()),
            Algorithm::Crc32c => hasher.crc32c = Some(s3s::crypto::Crc32c::default()),
            Algorithm::Crc64Nvme => hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::default()),
            Algorithm::Sha1 => hasher.sha1 = Some(s3s::crypto::Sha1::default()),
            Algorithm::Sha256 => hasher.sha256 = Some(s3s::crypto::Sha256::default()),
        }
    }
    hasher
}

/// Base64, as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksums(BTreeMap<Algorithm, String>);

impl Checksums {
    /// What the headers, or after the body the trailers, say.
    pub(crate) fn claimed(headers: &HeaderMap) -> Checksums {
        let claim = |algorithm: Algorithm| Some((algorithm, text(headers, algorithm.header())?.to_owned()));
        Checksums(Algorithm::ALL.into_iter().filter_map(claim).collect())
    }

    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<String> {
        self.0.get(&algorithm).cloned()
    }

    /// Whether every claim is about a checksum in `self` and equal to it.
    pub(crate) fn bear_out(&self, claims: &Checksums) -> bool {
        claims
            .0
            .iter()
            .all(|(algorithm, claim)| self.0.get(algorithm) == Some(claim))
    }

    /// The checksum of the parts' checksums, which is what AWS gives a multipart object for all but CRC64NVME.
    pub(crate) fn composite<'a>(
        algorithm: Algorithm,
        parts: impl ExactSizeIterator<Item = &'a Checksums>,
    ) -> Checksums {
        let count = parts.len();
        let mut hasher = hasher(&[algorithm]);
        for part in parts {
            let Some(digest) = part.0.get(&algorithm).and_then(|digest| BASE64.decode(digest).ok()) else {
                return Checksums::default();
            };
            hasher.update(&digest);
        }
        let whole = Checksums::from(hasher.finalize());
        Checksums(
            whole
                .0
                .into_iter()
                .map(|(algorithm, digest)| (algorithm, format!("{digest}-{count}")))
                .collect(),
        )
    }
}

impl From<dto::Checksum> for Checksums {
    fn from(found: dto::Checksum) -> Self {
        let values = [
            (Algorithm::Crc32, found.checksum_crc32),
            (Algorithm::Crc32c, found.checksum_crc32c),
            (Algorithm::Crc64Nvme, found.checksum_crc64nvme),
            (Algorithm::Sha1, found.checksum_sha1),
            (Algorithm::Sha256, found.checksum_sha256),
        ];
        Checksums(
            values
                .into_iter()
                .filter_map(|(algorithm, value)| Some((algorithm, value?)))
                .collect(),
        )
    }
}

impl From<&dto::CompletedPart> for Checksums {
    fn from(part: &dto::CompletedPart) -> Self {
        Checksums::from(dto::Checksum {
            checksum_crc32: part.checksum_crc32.clone(),
            checksum_crc32c: part.checksum_crc32c.clone(),
            checksum_crc64nvme: part.checksum_crc64nvme.clone(),
            checksum_sha1: part.checksum_sha1.clone(),
            checksum_sha256: part.checksum_sha256.clone(),
            checksum_type: None,
        })
    }
}

/// Writes checksums into the five fields that each output type has for them.
macro_rules! fill_checksums {
    ($output:expr, $checksums:expr) => {{
        use $crate::s3::checksums::Algorithm;
        $output.checksum_crc32 = $checksums.get(Algorithm::Crc32);
        $output.checksum_crc32c = $checksums.get(Algorithm::Crc32c);
        $output.checksum_crc64nvme = $checksums.get(Algorithm::Crc64Nvme);
        $output.checksum_sha1 = $checksums.get(Algorithm::Sha1);
        $output.checksum_sha256 = $checksums.get(Algorithm::Sha256);
    }};
}
pub(crate) use fill_checksums;
