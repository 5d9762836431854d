//! The mechanisms behind what plugins say: which limits are met, what is cached, what was decided
//! before, which keys verify. A plugin decides; these do.

pub mod cache;
pub mod decisions;
pub mod key_sets;
pub mod limit;
