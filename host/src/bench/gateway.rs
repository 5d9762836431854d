//! The gateway whose parts are measured: 10,000 routes, of which some have a chain.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use crate::assembly::Purpose;
use crate::cli;
use crate::gateway::Gateway;

pub const ROUTES: usize = 10_000;
/// The first routes have a fresh policy each, and each policy a configuration of its own.
pub const CONFIGURATIONS: usize = 100;
/// The route whose policy reuses its instances.
pub const REUSED: usize = CONFIGURATIONS;

fn template(number: usize) -> String {
    format!("/api-{}/items-{number}/{{id}}/parts", number % 50)
}

/// A path of the route of this number.
pub fn path(number: usize) -> String {
    template(number).replace("{id}", "7")
}

pub fn build(folder: &Path, filter: &Path) -> Result<Arc<Gateway>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(failed)?;
    let file = folder.join("gateway.toml");
    fs::write(&file, configuration(filter)).map_err(failed)?;
    Ok(
        cli::build(&cli::read(&file)?, Default::default(), Purpose::Serve)?
            .assembly
            .gateway,
    )
}

fn configuration(filter: &Path) -> String {
    let mut text = format!(
        "[runtime]\nworkers = 2\nplugin-cache = \".\"\n\
         [listeners.main]\naddress = \"127.0.0.1:0\"\n\
         [plugins.filter]\nwasm = \"{}\"\n",
        filter.display()
    );
    for number in 0..ROUTES {
        let path = template(number);
        let chain = match number <= REUSED {
            true => format!("chain = [\"p{number}\"]\n"),
            false => String::new(),
        };
        // Memory is all that it can run out of.
        let _ = write!(
            text,
            "[routes.r{number}]\nmatch = \"GET {path}\"\n{chain}respond = {{ status = 204 }}\n"
        );
    }
    for number in 0..=REUSED {
        let instances = match number {
            REUSED => "{ calls = 1000000 }",
            _ => "\"fresh\"",
        };
        let _ = write!(
            text,
            "[policies.p{number}]\nplugin = \"filter\"\ninstances = {instances}\nconfig.tag = \"t{number}\"\n"
        );
    }
    text
}
