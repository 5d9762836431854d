//! The way of an exchange that an entry was called on.

use serde::Serialize;

/// The way in, or the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    In,
    Out,
}
