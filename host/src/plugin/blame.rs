//! Why a call did not answer, and whose fault that is.

use std::time::Duration;

use rustix::io::Errno;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::fault::{Fault, FaultKind};
use super::state::{MissedBody, State};
use crate::limits;
use crate::shortage;
use crate::shown::one_line;

/// Whether it was the client's body that kept the plugin from answering.
pub fn missed(state: &State) -> Option<FaultKind> {
    match state.missed? {
        MissedBody::TooLarge => Some(FaultKind::BodyTooLarge),
        MissedBody::Broken => Some(FaultKind::BodyBroken),
        MissedBody::Encoding => Some(FaultKind::BodyEncoding),
        MissedBody::NoRoom => Some(FaultKind::BodiesFull),
    }
}

/// Whose fault it is that the time is over: the client's, where its body was being waited for.
pub fn late(state: &State) -> FaultKind {
    let exchange = state.exchange.as_ref();
    let waiting = exchange.is_some_and(|exchange| {
        exchange.response.is_none() && exchange.request_body.upload().is_waiting()
    });
    if waiting && state.granted.bodies.is_some() {
        return FaultKind::BodyBroken;
    }
    FaultKind::Wall
}

pub fn report_dropped_log(state: &State) {
    if state.log.dropped > 0 {
        tracing::warn!(
            plugin = &*state.identity.plugin,
            policy = &*state.identity.policy,
            bytes = state.log.dropped,
            "a call logged more than its bound; the rest was dropped"
        );
    }
}

/// Why a guest ended before it answered.
pub fn fault_of(error: &wasmtime::Error, state: &mut State, cpu: Duration) -> Fault {
    report_dropped_log(state);
    let cause = match state.log.last_error.take() {
        // The SDK logs a panic, with its place, before it traps.
        Some(panic) => panic,
        None => one_line(&error.root_cause().to_string()),
    };
    let (kind, summary) = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => (
            FaultKind::Cpu,
            format!("the call used more than {cpu:?} of processor time (`limits.cpu`)"),
        ),
        _ if state.memory.refused => (
            FaultKind::Memory,
            format!(
                "it was refused more than {} bytes (`limits.memory`): {cause}",
                state.memory.max
            ),
        ),
        _ => (FaultKind::Trap, cause),
    };
    Fault {
        kind,
        summary,
        backtrace: backtrace(error),
    }
}

/// Notes what the system refused for now, if that is why something could not be loaded.
pub fn note_shortage(error: &wasmtime::Error) {
    let is_one = |error: &(dyn std::error::Error + 'static)| {
        let errno = error.downcast_ref::<Errno>().copied();
        let of_io = || Errno::from_io_error(error.downcast_ref()?);
        errno.or_else(of_io).is_some_and(shortage::is_one)
    };
    if error.chain().any(is_one) || error.is::<PoolConcurrencyLimitError>() {
        shortage::note();
    }
}

/// Says why a guest ended while it was loaded, for the operator.
pub fn explain(error: &wasmtime::Error, state: &State) -> String {
    note_shortage(error);
    let mut text = String::new();
    if matches!(error.downcast_ref(), Some(Trap::Interrupt)) {
        text.push_str("its processor time is spent: ");
    } else if state.memory.refused {
        text.push_str(&format!(
            "it was refused more than {} bytes of memory: ",
            state.memory.max
        ));
    }
    if let Some(panic) = &state.log.last_error {
        text.push_str(panic);
        text.push_str(": ");
    }
    text.push_str(&backtrace(error));
    text
}

/// An error of the runtime with the guest's backtrace. Names of functions are the guest's own text, so
/// every line is cleaned, and indented: none can look like a line of ours.
fn backtrace(error: &wasmtime::Error) -> String {
    let text = format!("{error:?}");
    let lines: Vec<String> = text
        .lines()
        .take(limits::BACKTRACE_LINES_MAX)
        .map(|line| {
            let end = line.floor_char_boundary(limits::BACKTRACE_LINE_BYTES_MAX);
            one_line(&line[..end])
        })
        .collect();
    lines.join("\n")
}
