//! The two logs: what the gateway says, on standard error, and its access log, on standard output.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::terminal;
use crate::limits;
use crate::observe::{Counter, LogSettings, LogState, LogWriter};

/// Lines to standard error; `TOLLGATE_LOG` chooses which, as `RUST_LOG` does elsewhere.
///
/// # Errors
/// If there is no thread for it.
pub fn start() -> std::io::Result<Arc<LogWriter>> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TOLLGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let settings = LogSettings {
        thread: "log",
        bytes_max: limits::logs::LOG_BYTES_MAX,
        delay: Duration::ZERO,
        tell: tell_of_log,
    };
    let log = LogWriter::start(terminal::Lines, Counter::default(), settings)?;
    let lines = Arc::clone(&log);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Event(Arc::clone(&lines)))
        .with_ansi(false)
        .init();
    Ok(log)
}

/// A line to standard output for each request.
///
/// # Errors
/// If there is no thread for it.
pub fn start_access_log(lost: Counter) -> std::io::Result<Arc<LogWriter>> {
    // Not by the standard library's own, which keeps back what could not be written.
    let output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let settings = LogSettings {
        thread: "access-log",
        bytes_max: limits::logs::ACCESS_LOG_BYTES_MAX,
        delay: limits::logs::ACCESS_LOG_DELAY,
        tell: tell_of_access_log,
    };
    LogWriter::start(output, lost, settings)
}

fn tell_of_access_log(state: &LogState<'_>) {
    match state {
        LogState::Losing(why) => tracing::error!(
            "lines of the access log are lost: {why} \
             (`tollgate_access_log_lines_dropped_total` counts them)"
        ),
        LogState::Written { lost } => {
            tracing::warn!("the access log is written again; lines lost: {lost}");
        }
        LogState::Closed { lost } => tracing::error!(
            "standard output takes no more lines; lines of the access log lost at the end: {lost}"
        ),
    }
}

/// That lines are lost can be said only once lines are written again.
fn tell_of_log(state: &LogState<'_>) {
    if let LogState::Written { lost } = state {
        tracing::warn!("this log is written again; lines lost: {lost}");
    }
}

/// One event of the log, which is formatted whole and ends in a line feed.
struct Event(Arc<LogWriter>);

impl Write for Event {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes.strip_suffix(b"\n").unwrap_or(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
