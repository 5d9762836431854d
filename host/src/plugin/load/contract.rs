//! Which interfaces of the contract this release runs: read from a component's own exports and
//! imports, so that no manifest can disagree with the binary.

use super::outline::{Handles, Names};
use crate::limits;
use crate::shown::quoted;

const PREFIX: &str = "tollgate:plugin/";
/// Versions of the contract that this release links.
const VERSION: &str = "0.1.";

/// What a component exports of the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hooks {
    pub authorizer: bool,
    pub limiter: bool,
    pub limiter_settle: bool,
    pub cache_lookup: bool,
    pub cache_store: bool,
    pub request_transformer: bool,
    pub response_transformer: bool,
    pub request_stream: bool,
    pub response_stream: bool,
}

impl Hooks {
    /// Whether a visit may begin with a hook that is handed the request alone, and go on with one that is
    /// handed more.
    pub fn hand_one_then_more(self) -> bool {
        (self.authorizer || self.limiter) && self.request_transformer
    }

    /// Whether the entry calls its plugin on the way in, whatever the request's body is.
    pub fn on_way_in(self) -> bool {
        self.authorizer || self.limiter || self.cache_lookup || self.request_transformer
    }

    /// Whether the entry does anything on the way out, with its plugin or by a mechanism.
    pub fn on_way_out(self) -> bool {
        self.limiter || self.cache_lookup || self.response_transformer || self.response_stream
    }
}

/// Which of the granted interfaces a plugin may import, or export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grants {
    pub secrets: bool,
    pub bodies: bool,
    pub fetch: bool,
    pub kv: bool,
    pub streams: bool,
}

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
pub fn read(names: &Names, handles: Handles, grants: Grants) -> Result<Shape, Vec<String>> {
    let mut shape = Shape {
        handles,
        ..Shape::default()
    };
    let mut problems = Vec::new();
    read_exports(names, grants, &mut shape, &mut problems);
    read_imports(names, grants, &mut shape, &mut problems);
    problems.truncate(limits::CONFIG_PROBLEMS_SHOWN);
    if problems.is_empty() {
        Ok(shape)
    } else {
        Err(problems)
    }
}

fn read_exports(names: &Names, grants: Grants, shape: &mut Shape, problems: &mut Vec<String>) {
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
    check_hooks(shape.hooks, lifecycle, grants, problems);
}

/// Whether what is exported makes a plugin that may run.
fn check_hooks(hooks: Hooks, lifecycle: bool, grants: Grants, problems: &mut Vec<String>) {
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
        if exported && !grants.streams {
            problems.push(ungranted("exports", interface, "streams = true"));
        }
    }
}

fn read_imports(names: &Names, grants: Grants, shape: &mut Shape, problems: &mut Vec<String>) {
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
            "secrets" => (grants.secrets, "secrets = [\"NAME\"]"),
            "bodies" => (grants.bodies, "bodies = \"64KiB\""),
            "fetch" => (grants.fetch, "fetch = [\"UPSTREAM\"]"),
            "kv" => (grants.kv, "kv = true"),
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
