//! From a file to a gateway that is ready to serve, for the verbs that need one.

use std::path::Path;
use std::sync::Arc;

use super::{logs, terminal};
use crate::assembly::{Assembly, BUNDLED, Process, Progress, Purpose};
use crate::config::{self, Config, Problems};
use crate::observe::{Counter, LogWriter, Metrics};

/// A gateway that is ready to serve, and what it stands on.
pub(crate) struct Built {
    pub(crate) assembly: Assembly,
    pub(super) process: Arc<Process>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Arc<LogWriter>,
}

pub(crate) fn read(path: &Path) -> Result<Config, String> {
    config::load(path, &BUNDLED).map_err(|problems| refused(&problems))
}

/// All that is wrong, and how much that is.
fn refused(problems: &Problems) -> String {
    let (errors, warnings) = (problems.problems.len(), problems.warnings.len());
    let mut said = problems.to_string();
    if errors + warnings > 1 {
        said.push_str(&format!(
            "{}: {}",
            problems.source.file.display(),
            counted(errors, "error")
        ));
        if warnings > 0 {
            said.push_str(&format!(", {}", counted(warnings, "warning")));
        }
    }
    said
}

/// So many of these: "1 policy", "2 policies".
pub(super) fn counted(number: usize, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}

/// Builds everything that a configuration names. The counter is that of the gateway's own log.
pub(crate) fn build(
    config: &Config,
    log_lines_lost: Counter,
    purpose: Purpose,
) -> Result<Built, String> {
    raise_descriptor_limit();
    let metrics = Metrics::new(log_lines_lost);
    let log = logs::start_access_log(metrics.access_log_lines_lost.clone())
        .map_err(|error| format!("error: the access log cannot start: {error}"))?;
    let process = Process::start(config, Arc::clone(&metrics), Arc::clone(&log), purpose)
        .map_err(|error| format!("error: {error}"))?;
    let progress = Arc::new(Progress::default());
    let shown = terminal::Shown::start(&progress);
    let built = Assembly::build(config, &process, None, &progress);
    drop(shown);
    process.tidy();
    let assembly = built.map_err(|problems| {
        let warnings = config.warnings.clone();
        refused(&problems.with_warnings(warnings))
    })?;
    Ok(Built {
        assembly,
        process,
        metrics,
        log,
    })
}

/// Each snapshot takes a descriptor, and each connection one or two.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
}
