//! What goes wrong in a plugin, as opposed to what a plugin decides.

use std::fmt;

/// A call that did not answer. It is the plugin's fault, never the client's.
#[derive(Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// In one line, for the operator: the text of the panic, the plugin's own error, or the bound.
    pub summary: String,
    /// The guest's backtrace, where there is one.
    pub backtrace: String,
}

/// Kinds are labels of a metric: few, and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest trapped: a panic, an unreachable, an access out of bounds, a stack overflow.
    Trap,
    /// The processor-time budget of the call is spent.
    Cpu,
    /// The call took longer than its wall-time budget.
    Wall,
    /// The guest trapped after it was refused memory.
    Memory,
    /// The hook answered an error.
    Error,
    /// The hook answered what is not HTTP, or more than the bounds allow.
    BadReply,
    /// No instance could be made.
    Instantiate,
    /// All of the plugin's, or all of the process's, calls are taken, and none came free in time.
    Busy,
}

impl FaultKind {
    pub const ALL: [FaultKind; 8] = [
        FaultKind::Trap,
        FaultKind::Cpu,
        FaultKind::Wall,
        FaultKind::Memory,
        FaultKind::Error,
        FaultKind::BadReply,
        FaultKind::Instantiate,
        FaultKind::Busy,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            FaultKind::Trap => "trap",
            FaultKind::Cpu => "cpu",
            FaultKind::Wall => "wall",
            FaultKind::Memory => "memory",
            FaultKind::Error => "error",
            FaultKind::BadReply => "bad-reply",
            FaultKind::Instantiate => "instantiate",
            FaultKind::Busy => "busy",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Fault {
    pub fn new(kind: FaultKind, summary: impl Into<String>) -> Self {
        Fault {
            kind,
            summary: summary.into(),
            backtrace: String::new(),
        }
    }
}
