//! Replaces the gateway while it serves: because the operator asks (SIGHUP, the admin listener), and because a file
//! that it was built from has changed.

mod candidate;
mod current;
mod looks;
mod reloader;

pub use candidate::Outcome;
pub use current::Current;
pub use looks::Looks;
pub use reloader::{Reloader, Wanted, start, warn};
