//! What lenient servers may take a request's path and query for.
//!
//! RFC 3986 leaves little open, but servers differ all the same: what one reads as `/admin%2Fusers` is
//! `/admin/users` to another. A policy that guards `/admin/users` must hold for both, so the gateway's
//! router, the conditions of its chains and plugins with conditions of their own ask here, and all get
//! the same answer.

mod path;
mod query;

pub use path::{Readings, TooMany, is_plain, paths};
pub use query::{Piece, is_ambiguous, pieces};
