//! Arguments and verbs, one file per verb.

mod build;
mod check;
mod logs;
mod plugin_build;
mod run;
mod terminal;
mod unsupported;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::assembly::{COMPILER_VERB, serve_as_compiler};

#[cfg(feature = "bench")]
pub(crate) use build::{build, read};

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
