//! What goes wrong in a plugin, as opposed to what a plugin decides.

pub use crate::error::FaultKind;

/// A call that did not answer. Mostly it is the plugin's fault; two kinds are the client's.
#[derive(Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// In one line, for the operator: the text of the panic, the plugin's own error, or the bound.
    pub summary: String,
    /// The guest's backtrace, where there is one.
    pub backtrace: String,
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
