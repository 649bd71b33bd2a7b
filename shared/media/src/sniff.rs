//! What kind of file an upload is, by its first bytes and never by its name.
//!
//! The answer names the one demuxer that may open the file; ffmpeg's own guessing, which would also find playlists that
//! name other files, is never used. Pure. It sees only the beginning, so a file that passes may still be refused by
//! [`crate::probe`], and one that is refused here is never shown to ffmpeg.

mod boxes;
mod jpeg;
mod signatures;
mod text;

use toktik_events::{Rejection, RejectionCode};

/// How much of a file [`sniff`] should be given; more is of no use. Three JPEG pictures of a large camera fit.
pub const HEAD: usize = 4 << 20;
/// Where everything else shows.
const NEAR: usize = 64 << 10;

/// A format that can hold a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// MP4, MOV, M4V, 3GP; fragmented or not.
    Mp4,
    /// Matroska and `WebM`.
    Matroska,
    Avi,
    /// 188-byte packets or the 192-byte ones of AVCHD.
    MpegTs,
    MpegPs,
    Flv,
    Ogg,
    Gif,
    /// Animated PNG.
    Apng,
    Asf,
    Mxf,
    Nut,
    Ivf,
    RealMedia,
    Dv,
    Y4m,
    /// Bare streams, without a container and times.
    H264,
    Hevc,
    MpegVideo,
    Mpeg4,
    Mjpeg,
}

/// Demuxers of formats without times.
pub(crate) const BARE: [&str; 5] = ["h264", "hevc", "mpegvideo", "m4v", "mjpeg"];

impl Container {
    /// ffmpeg's name of the demuxer.
    pub fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mov",
            Self::Matroska => "matroska",
            Self::Avi => "avi",
            Self::MpegTs => "mpegts",
            Self::MpegPs => "mpeg",
            Self::Flv => "flv",
            Self::Ogg => "ogg",
            Self::Gif => "gif",
            Self::Apng => "apng",
            Self::Asf => "asf",
            Self::Mxf => "mxf",
            Self::Nut => "nut",
            Self::Ivf => "ivf",
            Self::RealMedia => "rm",
            Self::Dv => "dv",
            Self::Y4m => "yuv4mpegpipe",
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::MpegVideo => "mpegvideo",
            Self::Mpeg4 => "m4v",
            Self::Mjpeg => "mjpeg",
        }
    }

    /// Formats of which a file with one frame is a picture and not a short video.
    pub fn is_picture_format(self) -> bool {
        matches!(self, Self::Gif | Self::Apng)
    }

    /// Formats without times: frames simply follow each other.
    pub fn is_bare(self) -> bool {
        BARE.contains(&self.demuxer())
    }

    /// Formats whose times may jump where recordings were joined.
    pub fn may_jump(self) -> bool {
        matches!(self, Self::MpegTs | Self::MpegPs)
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Video(Container),
    Picture,
    Sound,
    Text,
    Page,
    /// Names other files to play.
    Playlist,
    /// A video whose data lies in other files.
    References,
    Encrypted,
    Unknown,
}

/// Decides by the first [`HEAD`] bytes of a file of `size` bytes.
pub fn sniff(head: &[u8], size: u64) -> Result<Container, Rejection> {
    if size == 0 || head.is_empty() {
        return Err(Rejection::new(RejectionCode::Empty, "The file is empty."));
    }
    match kind(head) {
        Kind::Video(container) => Ok(container),
        refused => Err(refused.rejection()),
    }
}

fn kind(head: &[u8]) -> Kind {
    if let Some(kind) = jpeg::kind(&head[..head.len().min(HEAD)]) {
        return kind;
    }
    let head = &head[..head.len().min(NEAR)];
    signatures::by_signature(head)
        .or_else(|| boxes::kind(head))
        .or_else(|| signatures::transport_stream(head))
        .or_else(|| signatures::bare_stream(head))
        .or_else(|| text::kind(head))
        .or_else(|| signatures::sound_frame(head))
        .unwrap_or(Kind::Unknown)
}

impl Kind {
    fn rejection(self) -> Rejection {
        use RejectionCode::{Encrypted, ForbiddenFormat, NoVideoStream, NotAVideo};
        let (code, message) = match self {
            Self::Picture => (NotAVideo, "This is a still picture, not a video."),
            Self::Sound => (NoVideoStream, "This file has sound but no picture."),
            Self::Text => (NotAVideo, "This is text, not a video."),
            Self::Page => (NotAVideo, "This is a web page, not a video."),
            Self::Playlist => (
                ForbiddenFormat,
                "This is a playlist, which only points to other files; upload the video itself.",
            ),
            Self::References => (
                ForbiddenFormat,
                "This file points to other files; export it as a self-contained video.",
            ),
            Self::Encrypted => (Encrypted, "This video is copy-protected and cannot be read."),
            Self::Unknown | Self::Video(_) => (NotAVideo, "This is not a video in any format we know."),
        };
        Rejection::new(code, message)
    }
}

/// Whether `needle` occurs anywhere.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests;
