//! The kinds of work that a compiler does, and what each may take.

use std::time::Duration;

use crate::limits;

/// What a compiler is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// A component becomes code for this machine.
    Compile,
    /// The same of one that the operator said is large.
    CompileLarge,
    /// A core module becomes a component.
    Componentize,
    /// A schema, and perhaps a configuration: see `schema.rs`.
    CheckSchema,
}

impl Job {
    pub fn compile(large: bool) -> Job {
        if large {
            Job::CompileLarge
        } else {
            Job::Compile
        }
    }

    pub fn bounds(self) -> Bounds {
        match self {
            Job::Compile | Job::Componentize => Bounds {
                memory: limits::loading::COMPILE_MEMORY_BYTES,
                cpu: limits::loading::COMPILE_CPU,
                wall: limits::loading::COMPILE_WALL,
            },
            Job::CompileLarge => Bounds {
                memory: limits::loading::COMPILE_LARGE_MEMORY_BYTES,
                cpu: limits::loading::COMPILE_LARGE_CPU,
                wall: limits::loading::COMPILE_LARGE_WALL,
            },
            Job::CheckSchema => Bounds {
                memory: limits::loading::COMPILE_MEMORY_BYTES,
                cpu: limits::loading::SCHEMA_CPU,
                wall: limits::loading::LOADING_WALL,
            },
        }
    }

    /// What it is, in words for the operator.
    pub fn name(self) -> &'static str {
        match self {
            Job::Compile | Job::CompileLarge => "compiling it",
            Job::Componentize => "making the core module a component",
            Job::CheckSchema => "checking a configuration against its schema",
        }
    }
}

/// What one job may take.
pub struct Bounds {
    /// In bytes, of addresses.
    pub memory: u64,
    pub cpu: Duration,
    pub wall: Duration,
}
