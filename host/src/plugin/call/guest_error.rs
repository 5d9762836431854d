//! Why a call did not answer, and whose fault that is.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use rustix::io::Errno;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::limits;
use crate::plugin::fault::{Fault, FaultKind};
use crate::plugin::host::state::{MissedBody, State};
use crate::quote::one_line;
use crate::shortage;

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
    if waiting && state.grants.bodies.is_some() {
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
/// every line is cleaned, and indented: none can look like a line of ours. They are made readable here and
/// not by the runtime: in C++'s way of writing them, a name of 500 bytes can stand for one of terabytes.
fn backtrace(error: &wasmtime::Error) -> String {
    let mut text = format!("{error:?}");
    // A name with a line feed in it would be two lines, of which the second says what it likes.
    let trace = error.downcast_ref::<WasmBacktrace>();
    let frames = trace.map(WasmBacktrace::frames).unwrap_or_default();
    for name in frames.iter().filter_map(|frame| frame.func_name()) {
        if name.contains(['\n', '\r']) {
            text = text.replace(name, &one_line(name));
        }
    }
    let lines: Vec<String> = text
        .lines()
        .take(limits::plugin::BACKTRACE_LINES_MAX)
        .map(|line| {
            let line = readable(line);
            let end = line.floor_char_boundary(limits::plugin::BACKTRACE_LINE_BYTES_MAX);
            one_line(&line[..end])
        })
        .collect();
    lines.join("\n")
}

/// A line of a backtrace, which ends in `MODULE!FUNCTION`, with the function as Rust's sources have it.
fn readable(line: &str) -> Cow<'_, str> {
    let Some((before, name)) = line.rsplit_once('!') else {
        return line.into();
    };
    let Ok(name) = rustc_demangle::try_demangle(name) else {
        return line.into();
    };
    let mut text = Bounded(format!("{before}!"));
    // What is beyond the bound is left out.
    let _ = write!(text, "{name:#}");
    text.0.into()
}

/// Takes no more than a line has room for.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = limits::plugin::BACKTRACE_LINE_BYTES_MAX.saturating_sub(self.0.len());
        let fits = text.floor_char_boundary(room);
        self.0.push_str(&text[..fits]);
        if fits < text.len() {
            return Err(std::fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_bounded() {
        let line = "    0:   0x10 - <unknown>!_ZN5guest3act17h0123456789abcdefE";
        assert_eq!(readable(line), "    0:   0x10 - <unknown>!guest::act");
        for raw in [
            "Caused by:",
            "  0: a!plain",
            "  0: a!_Z1f1BI1AS0_ES_IS1_S1_E",
        ] {
            assert_eq!(readable(raw), raw);
        }
        let long = format!("a!_ZN2000{}17h0123456789abcdefE", "b".repeat(2_000));
        let shown = readable(&long);
        assert!(shown.starts_with("a!bbb"), "{shown}");
        assert_eq!(shown.len(), limits::plugin::BACKTRACE_LINE_BYTES_MAX);
    }
}
