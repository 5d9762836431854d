//! HTTP's rules for messages, as pure code without I/O.

pub mod body;
pub mod body_budget;
mod body_part;
pub mod cause;
mod content;
pub mod exchange;
pub mod facts;
pub mod families;
pub mod fields;
pub mod forwarded;
pub mod hops;
pub mod inflate;
pub mod owned;
pub mod peer;
pub mod pieces;
pub mod representation;
pub mod side;
mod source;
pub mod target;
mod upload;
