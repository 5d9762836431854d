//! The mechanisms behind policies: limits, cache, remembered decisions, key sets. A plugin decides; these
//! carry it out.

pub mod cache;
pub mod decisions;
pub mod key_sets;
pub mod limit;
