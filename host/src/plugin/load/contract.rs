//! Which interfaces of the contract this release runs: read from a component's own exports and
//! imports, so that no manifest can disagree with the binary.

use super::outline::{Handles, Names};
use crate::limits;
use crate::plugin::call::hooks::Hooks;
use crate::plugin::grants::Interfaces;
use crate::quote::quoted;

const PREFIX: &str = "tollgate:plugin/";
/// Versions of the contract that this release links.
const VERSION: &str = "0.1.";

/// What the host must do for a component, and what it says about itself by its type alone.
#[derive(Debug, Default)]
pub struct Shape {
    pub hooks: Hooks,
    pub imports_wasi: bool,
    pub imports_bodies: bool,
    pub imports_signatures: bool,
    pub handles: Handles,
}

/// Reads what a component exports and imports.
///
/// # Errors
/// What the gateway cannot serve, in words for the operator.
pub fn read(names: &Names, handles: Handles, granted: Interfaces) -> Result<Shape, Vec<String>> {
    let mut shape = Shape {
        handles,
        ..Shape::default()
    };
    let mut problems = Vec::new();
    read_exports(names, granted, &mut shape, &mut problems);
    read_imports(names, granted, &mut shape, &mut problems);
    problems.truncate(limits::config::CONFIG_PROBLEMS_SHOWN);
    if problems.is_empty() {
        Ok(shape)
    } else {
        Err(problems)
    }
}

fn read_exports(names: &Names, granted: Interfaces, shape: &mut Shape, problems: &mut Vec<String>) {
    let mut lifecycle = false;
    for name in &names.exports {
        let Some(interface) = interface(name, problems) else {
            continue;
        };
        let hooks = &mut shape.hooks;
        match interface {
            "lifecycle" => lifecycle = true,
            "authorizer" => hooks.authorizer = true,
            "limiter" => hooks.limiter = true,
            "limiter-settle" => hooks.limiter_settle = true,
            "cache-lookup" => hooks.cache_lookup = true,
            "cache-store" => hooks.cache_store = true,
            "request-transformer" => hooks.request_transformer = true,
            "response-transformer" => hooks.response_transformer = true,
            "request-stream" => hooks.request_stream = true,
            "response-stream" => hooks.response_stream = true,
            other => problems.push(format!(
                "it exports {}, which is no hook of the contract {VERSION}x",
                quoted(other)
            )),
        }
    }
    check_hooks(shape.hooks, lifecycle, granted, problems);
}

/// Whether what is exported makes a plugin that may run.
fn check_hooks(hooks: Hooks, lifecycle: bool, granted: Interfaces, problems: &mut Vec<String>) {
    if !lifecycle {
        problems.push(format!(
            "it does not export `{PREFIX}lifecycle`: it is no Tollgate plugin (with the Rust SDK, \
             `export!` makes one)"
        ));
    } else if hooks == Hooks::default() && problems.is_empty() {
        problems.push("it exports no hook, so there is nothing to run".to_owned());
    }
    for (second, first, has_second, has_first) in [
        (
            "limiter-settle",
            "limiter",
            hooks.limiter_settle,
            hooks.limiter,
        ),
        (
            "cache-store",
            "cache-lookup",
            hooks.cache_store,
            hooks.cache_lookup,
        ),
    ] {
        if has_second && !has_first {
            problems.push(format!(
                "it exports `{second}` without `{first}`, so it would never be called"
            ));
        }
    }
    for (interface, exported) in [
        ("request-stream", hooks.request_stream),
        ("response-stream", hooks.response_stream),
    ] {
        if exported && !granted.streams {
            problems.push(ungranted("exports", interface, "streams = true"));
        }
    }
}

fn read_imports(names: &Names, granted: Interfaces, shape: &mut Shape, problems: &mut Vec<String>) {
    for name in &names.imports {
        if name.starts_with("wasi:") {
            shape.imports_wasi = true;
            continue;
        }
        if !name.starts_with(PREFIX) {
            problems.push(format!(
                "it imports {}, which the gateway does not offer",
                quoted(name)
            ));
            continue;
        }
        let Some(interface) = interface(name, problems) else {
            continue;
        };
        let (granted, line) = match interface {
            "http" | "log" | "clock" | "random" | "crypto" | "metrics" | "decisions" => continue,
            "signatures" => {
                shape.imports_signatures = true;
                continue;
            }
            "secrets" => (granted.secrets, "secrets = [\"NAME\"]"),
            "bodies" => (granted.bodies, "bodies = \"64KiB\""),
            "fetch" => (granted.fetch, "fetch = [\"UPSTREAM\"]"),
            "kv" => (granted.kv, "kv = true"),
            other => {
                problems.push(format!(
                    "it imports {}, which is not in the contract {VERSION}x",
                    quoted(other)
                ));
                continue;
            }
        };
        shape.imports_bodies |= interface == "bodies";
        if !granted {
            problems.push(ungranted("imports", interface, line));
        }
    }
}

fn ungranted(verb: &str, interface: &str, line: &str) -> String {
    format!(
        "it {verb} `{interface}`, which is not granted; add `grant = {{ {line} }}` to the plugin"
    )
}

/// The interface's own name, if this is one of the contract in a version that is linked.
fn interface<'a>(name: &'a str, problems: &mut Vec<String>) -> Option<&'a str> {
    let (interface, version) = name.strip_prefix(PREFIX)?.split_once('@')?;
    if version.starts_with(VERSION) {
        return Some(interface);
    }
    problems.push(format!(
        "it was built against {}, and this gateway runs version {VERSION}x of the contract",
        quoted(name)
    ));
    None
}
