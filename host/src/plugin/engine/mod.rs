//! The one engine of the process: its settings, its pool, its clock, and the code that was compiled for it.

pub mod artefacts;
pub mod clock;
pub mod code_cache;
pub mod compilers;
pub mod pages;
pub mod pool;
pub mod runtime;
