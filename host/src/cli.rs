//! Arguments and verbs, one file per verb.

mod check;
mod logs;
mod plugin_build;
mod reload;
mod run;
mod terminal;
mod unsupported;
mod watch;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, Problems};
use crate::gateway::{
    BUNDLED, COMPILER_VERB, Gateway, Process, Progress, Purpose, serve_as_compiler,
};
use crate::observe::{Counter, LogWriter, Metrics};

#[derive(Parser)]
#[command(
    name = "tollgate",
    version,
    about = "A programmable API gateway",
    after_help = "Exit codes: 0 if all is well, 1 if something was refused or failed, 2 if the arguments \
                  are wrong.\nTOLLGATE_LOG chooses what is logged (info, warn, debug, ...); \
                  TOLLGATE_PLUGINS names the folder of the bundled plugins."
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve requests until SIGTERM or SIGINT. SIGHUP reloads the configuration, and so does a change of
    /// its files.
    Run {
        /// The configuration file (TOML).
        config: PathBuf,
    },
    /// Check a configuration and load its plugins, without serving. Prints every error and warning.
    Check {
        /// The configuration file (TOML).
        config: PathBuf,
    },
    /// Build plugins.
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Compile for the process that started this, over standard input and output.
    #[command(name = COMPILER_VERB, hide = true)]
    CompilePlugins,
}

#[derive(Subcommand)]
enum PluginVerb {
    /// Compile plugin crates to WebAssembly, and print where each .wasm file is.
    Build {
        /// Folders of plugin crates.
        #[arg(required = true)]
        crates: Vec<PathBuf>,
        /// Also copy the .wasm files into this folder.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Runs the program; the verb decides the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = match logs::start() {
        Ok(log) => log,
        Err(error) => {
            // There is nothing else to say it with.
            let _ = writeln!(std::io::stderr(), "error: the log cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = match arguments.verb {
        Verb::Run { config } => run::run(&config, &log),
        Verb::Check { config } => check::check(&config, &log),
        Verb::CompilePlugins => serve_as_compiler(),
        Verb::Plugin(PluginVerb::Build { crates, out }) => {
            plugin_build::build(&crates, out.as_deref())
        }
    };
    // Why it ended is the last that it says, after all lines of the log.
    if let Err(text) = &result {
        log.write(text.trim_end().as_bytes());
    }
    log.close();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A gateway that is ready to serve, and what it stands on.
pub(crate) struct Built {
    pub(crate) gateway: Gateway,
    process: Arc<Process>,
    metrics: Arc<Metrics>,
    log: Arc<LogWriter>,
}

pub(crate) fn read(path: &std::path::Path) -> Result<Config, String> {
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
fn counted(number: usize, what: &str) -> String {
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
    let built = Gateway::build(config, &process, None, &progress);
    drop(shown);
    process.tidy();
    let gateway = built.map_err(|problems| {
        let warnings = config.warnings.clone();
        refused(&problems.with_warnings(warnings))
    })?;
    Ok(Built {
        gateway,
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
