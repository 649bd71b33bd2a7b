//! Errors as the SDKs know them.

use http::StatusCode;

use crate::store;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("The specified queue does not exist.")]
    NonExistentQueue,
    #[error("A queue already exists with the same name and a different value for attribute {0}")]
    QueueNameExists(String),
    #[error("The input receipt handle is invalid.")]
    ReceiptHandleIsInvalid,
    #[error("The message is not in flight.")]
    MessageNotInflight,
    #[error("There should be at least one entry in the request.")]
    EmptyBatchRequest,
    #[error("Maximum number of entries per request are 10.")]
    TooManyEntriesInBatchRequest,
    #[error("Two or more batch entries in the request have the same Id.")]
    BatchEntryIdsNotDistinct,
    #[error("Batch requests cannot be longer than {0} bytes.")]
    BatchRequestTooLong(usize),
    #[error("Unknown Attribute {0}.")]
    InvalidAttributeName(String),
    #[error("Value {value} for parameter {name} is invalid.")]
    InvalidAttributeValue { name: String, value: String },
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("The operation {0:?} is not supported.")]
    UnsupportedOperation(String),
    #[error("The request cannot be read: {0}")]
    Unreadable(serde_json::Error),
    #[error("a stored row cannot be read: {0}")]
    Row(#[from] serde_json::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Error::Store(error.into())
    }
}

impl Error {
    /// The shape's name in the JSON protocol.
    pub(crate) fn shape(&self) -> &'static str {
        match self {
            Error::NonExistentQueue => "QueueDoesNotExist",
            Error::QueueNameExists(_) => "QueueNameExists",
            Error::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Error::MessageNotInflight => "MessageNotInflight",
            Error::EmptyBatchRequest => "EmptyBatchRequest",
            Error::TooManyEntriesInBatchRequest => "TooManyEntriesInBatchRequest",
            Error::BatchEntryIdsNotDistinct => "BatchEntryIdsNotDistinct",
            Error::BatchRequestTooLong(_) => "BatchRequestTooLong",
            Error::InvalidAttributeName(_) => "InvalidAttributeName",
            Error::InvalidAttributeValue { .. } => "InvalidAttributeValue",
            Error::InvalidParameterValue(_) => "InvalidParameterValueException",
            Error::UnsupportedOperation(_) => "UnsupportedOperation",
            Error::Unreadable(_) => "SerializationException",
            Error::Store(error) if error.may_pass() => "ServiceUnavailable",
            Error::Row(_) | Error::Store(_) => "InternalError",
        }
    }

    /// The older query protocol's code, from which the SDKs still type errors.
    pub(crate) fn query_code(&self) -> &'static str {
        match self {
            Error::NonExistentQueue => "AWS.SimpleQueueService.NonExistentQueue",
            Error::QueueNameExists(_) => "QueueAlreadyExists",
            Error::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Error::EmptyBatchRequest => "AWS.SimpleQueueService.EmptyBatchRequest",
            Error::TooManyEntriesInBatchRequest => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            Error::BatchEntryIdsNotDistinct => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            Error::BatchRequestTooLong(_) => "AWS.SimpleQueueService.BatchRequestTooLong",
            Error::InvalidParameterValue(_) => "InvalidParameterValue",
            Error::UnsupportedOperation(_) => "AWS.SimpleQueueService.UnsupportedOperation",
            _ => self.shape(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // Which the SDKs try again, unlike 507.
            Error::Store(error) if error.may_pass() => StatusCode::SERVICE_UNAVAILABLE,
            Error::Row(_) | Error::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn is_senders_fault(&self) -> bool {
        self.status() == StatusCode::BAD_REQUEST
    }

    /// Without what only concerns this side.
    pub(crate) fn public_message(&self) -> String {
        if self.is_senders_fault() {
            return self.to_string();
        }
        tracing::error!(error = %self, "an SQS operation failed");
        "The request could not be processed.".to_owned()
    }
}
