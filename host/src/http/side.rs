//! The two sides of an exchange.

use serde::Serialize;

/// Which message of an exchange: the request is on the way in, the response on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    #[serde(rename = "in")]
    Request,
    #[serde(rename = "out")]
    Response,
}
