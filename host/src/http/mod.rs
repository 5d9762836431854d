//! Pure: what HTTP says about messages, without I/O.

pub mod body;
pub mod exchange;
pub mod facts;
pub mod fields;
pub mod forwarded;
mod gathered;
mod upload;
