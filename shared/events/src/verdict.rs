//! Why a clip was refused: a closed list, each with the sentence a person reads.

use serde::{Deserialize, Serialize};

/// A reason for refusing an upload. The list is closed and part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    Empty,
    TooLarge,
    TooLong,
    NotAVideo,
    NoVideoStream,
    ForbiddenFormat,
    UnsupportedCodec,
    DimensionsOutOfRange,
    Corrupt,
    Encrypted,
    UploadExpired,
}

impl RejectionCode {
    pub const ALL: [Self; 11] = [
        Self::Empty,
        Self::TooLarge,
        Self::TooLong,
        Self::NotAVideo,
        Self::NoVideoStream,
        Self::ForbiddenFormat,
        Self::UnsupportedCodec,
        Self::DimensionsOutOfRange,
        Self::Corrupt,
        Self::Encrypted,
        Self::UploadExpired,
    ];

    /// As it appears in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::TooLong => "too_long",
            Self::NotAVideo => "not_a_video",
            Self::NoVideoStream => "no_video_stream",
            Self::ForbiddenFormat => "forbidden_format",
            Self::UnsupportedCodec => "unsupported_codec",
            Self::DimensionsOutOfRange => "dimensions_out_of_range",
            Self::Corrupt => "corrupt",
            Self::Encrypted => "encrypted",
            Self::UploadExpired => "upload_expired",
        }
    }
}

/// A refusal: the code for programs, the sentence for the person who uploaded the clip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    pub code: RejectionCode,
    pub message: String,
}

impl Rejection {
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
