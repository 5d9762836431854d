//! Bodies: stored ones, those that still grow while they are read, and what drives them.

pub mod body;
pub mod growing;
pub mod object;
pub mod pump;
