//! Bodies: stored ones, growing ones that are read while they arrive, and the pump that fills those.

pub mod body;
pub mod growing;
pub mod object;
pub mod pump;
