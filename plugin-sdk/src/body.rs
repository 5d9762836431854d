#[cfg(target_family = "wasm")]
use crate::bindings::imports::tollgate::plugin as backing;
#[cfg(not(target_family = "wasm"))]
use crate::testing::backing;

/// Why a body could not be read or replaced.
///
/// `?` makes a fault of it, which the client sees as a 5xx; on the way in, a body that is too large is then
/// answered 413, and one that the client broke off ends the request. On the way out, a body that is too large
/// passes unchanged unless the plugin replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    /// The body is larger than the operator's grant, which is given in bytes.
    TooLarge(u64),
    /// The peer broke off, or the encoding cannot be undone; the text says which.
    Failed(String),
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BodyError::TooLarge(limit) => {
                write!(f, "the body is larger than the {limit} bytes granted")
            }
            BodyError::Failed(reason) => write!(f, "the body could not be read: {reason}"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<backing::bodies::BodyError> for BodyError {
    fn from(error: backing::bodies::BodyError) -> Self {
        match error {
            backing::bodies::BodyError::TooLarge(limit) => BodyError::TooLarge(limit),
            backing::bodies::BodyError::Failed(reason) => BodyError::Failed(reason),
        }
    }
}
