//! Arguments and verbs, one file per verb.

mod check;
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

use crate::config::{self, Config};
use crate::gateway::{
    BUNDLED, COMPILER_VERB, Gateway, Process, Progress, Purpose, serve_as_compiler,
};
use crate::limits;
use crate::observe::{AccessLog, Metrics};

#[derive(Parser)]
#[command(name = "tollgate", version, about = "A programmable API gateway")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve what the configuration says, until SIGTERM or SIGINT; on SIGHUP, and when a file changes,
    /// what it says then.
    Run {
        /// The configuration, in TOML.
        config: PathBuf,
    },
    /// Say everything that `run` would refuse, and load every plugin, without serving.
    Check {
        /// The configuration, in TOML.
        config: PathBuf,
    },
    /// Work on plugins.
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Compile for the process that started this, over standard input and output.
    #[command(name = COMPILER_VERB, hide = true)]
    CompilePlugins,
}

#[derive(Subcommand)]
enum PluginVerb {
    /// Build plugin crates for WebAssembly, with whatever compiler this machine has for it.
    Build {
        /// Folders of plugin crates.
        #[arg(required = true)]
        crates: Vec<PathBuf>,
        /// Copy the .wasm files into this folder.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Runs the program; the verb decides the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = start_log();
    let result = match arguments.verb {
        Verb::Run { config } => run::run(&config),
        Verb::Check { config } => check::check(&config),
        Verb::CompilePlugins => serve_as_compiler(),
        Verb::Plugin(PluginVerb::Build { crates, out }) => {
            plugin_build::build(&crates, out.as_deref())
        }
    };
    // Why it ended is the last that it says, after all lines of the log.
    drop(log);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // A closed pipe has nobody to tell.
            let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Lines to standard error; `TOLLGATE_LOG` chooses which, as `RUST_LOG` does elsewhere. A thread of
/// its own writes them, so that no request waits for a terminal; dropping the guard writes the rest.
fn start_log() -> tracing_appender::non_blocking::WorkerGuard {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TOLLGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(limits::LOG_LINES_MAX)
        .finish(terminal::Lines);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .init();
    guard
}

/// A gateway that is ready to serve, and what it stands on.
pub(crate) struct Built {
    pub(crate) gateway: Gateway,
    process: Arc<Process>,
    metrics: Arc<Metrics>,
    log: Arc<AccessLog>,
}

pub(crate) fn read(path: &std::path::Path) -> Result<Config, String> {
    config::load(path, &BUNDLED).map_err(|problems| problems.to_string())
}

/// Builds everything that a configuration names.
pub(crate) fn build(config: &Config, purpose: Purpose) -> Result<Built, String> {
    raise_descriptor_limit();
    let metrics = Metrics::new();
    let log = AccessLog::start(std::io::stdout(), metrics.log_lines_dropped.clone())
        .map_err(|error| format!("the access log cannot start: {error}"))?;
    let process = Process::start(config, Arc::clone(&metrics), Arc::clone(&log), purpose)?;
    let progress = Arc::new(Progress::default());
    let shown = terminal::Shown::start(&progress);
    let built = Gateway::build(config, &process, None, &progress);
    drop(shown);
    process.tidy();
    let gateway = built.map_err(|problems| problems.to_string())?;
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
