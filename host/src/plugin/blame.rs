//! Why a call did not answer, and whose fault that is.

use crate::shown::one_line;
use std::time::Duration;

use wasmtime::Trap;

use super::fault::{Fault, FaultKind};
use super::load;
use super::state::{MissedBody, State};

/// Whether it was the client's body that kept the plugin from answering.
pub fn missed(state: &State) -> Option<FaultKind> {
    match state.missed? {
        MissedBody::TooLarge => Some(FaultKind::BodyTooLarge),
        MissedBody::Broken => Some(FaultKind::BodyBroken),
        MissedBody::Encoding => Some(FaultKind::BodyEncoding),
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
        backtrace: load::backtrace(error),
    }
}
