//! Which interfaces of the contract this release runs: read from a component's own exports and
//! imports, so that no manifest can disagree with the binary.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

const PREFIX: &str = "tollgate:plugin/";
/// Versions of the contract that this release links.
const VERSION: &str = "0.1.";

/// What a component exports of the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hooks {
    pub authorizer: bool,
    pub request_transformer: bool,
    pub response_transformer: bool,
}

impl Hooks {
    /// Whether the entry does anything on the way out.
    pub fn on_way_out(self) -> bool {
        self.response_transformer
    }
}

/// What the host must do for a component, and what it says about itself by its type alone.
#[derive(Debug, Default)]
pub struct Shape {
    pub hooks: Hooks,
    pub imports_wasi: bool,
    pub exports_resources: bool,
}

/// Reads a component's type.
///
/// # Errors
/// Every export and import that the gateway cannot serve, in words for the operator.
pub fn read(
    engine: &Engine,
    component: &Component,
    granted_secrets: bool,
) -> Result<Shape, Vec<String>> {
    let mut shape = Shape::default();
    let mut problems = Vec::new();
    let mut lifecycle = false;
    let ty = component.component_type();

    for (name, export) in ty.exports(engine) {
        if let ComponentItem::ComponentInstance(instance) = &export.ty {
            shape.exports_resources |= instance.exports(engine).any(|(_, item)| {
                matches!(item.ty, ComponentItem::Resource(_)) && !name.starts_with(PREFIX)
            });
        }
        let Some(interface) = interface(name, &mut problems) else {
            continue;
        };
        match interface {
            "lifecycle" => lifecycle = true,
            "authorizer" => shape.hooks.authorizer = true,
            "request-transformer" => shape.hooks.request_transformer = true,
            "response-transformer" => shape.hooks.response_transformer = true,
            "limiter" | "limiter-settle" | "cache-lookup" | "cache-store" => problems.push(format!(
                "it exports `{interface}`, a hook that this release of the gateway does not run yet"
            )),
            other => problems.push(format!(
                "it exports `{other}`, which is no hook of the contract {VERSION}x"
            )),
        }
    }
    if !lifecycle {
        problems.push(format!(
            "it does not export `{PREFIX}lifecycle`: it is no Tollgate plugin (with the Rust SDK, \
             `export!` makes one)"
        ));
    } else if shape.hooks == Hooks::default() && problems.is_empty() {
        problems.push("it exports no hook, so there is nothing to run".to_owned());
    }

    for (name, _) in ty.imports(engine) {
        if name.starts_with("wasi:") {
            shape.imports_wasi = true;
            continue;
        }
        if !name.starts_with(PREFIX) {
            problems.push(format!(
                "it imports `{name}`, which the gateway does not offer"
            ));
            continue;
        }
        match interface(name, &mut problems) {
            None | Some("http" | "log" | "clock" | "random" | "crypto") => {}
            Some("secrets") if granted_secrets => {}
            Some("secrets") => problems.push(
                "it imports `secrets`, which is not granted; add `grant = { secrets = [\"NAME\"] }` \
                 to the plugin"
                    .to_owned(),
            ),
            Some(known @ ("signatures" | "metrics" | "bodies" | "fetch" | "kv")) => {
                problems.push(format!(
                    "it imports `{known}`, which this release of the gateway does not offer yet"
                ));
            }
            Some(other) => problems.push(format!(
                "it imports `{other}`, which is not in the contract {VERSION}x"
            )),
        }
    }

    if problems.is_empty() {
        Ok(shape)
    } else {
        Err(problems)
    }
}

/// The interface's own name, if this is one of the contract in a version that is linked.
fn interface<'a>(name: &'a str, problems: &mut Vec<String>) -> Option<&'a str> {
    let (interface, version) = name.strip_prefix(PREFIX)?.split_once('@')?;
    if version.starts_with(VERSION) {
        return Some(interface);
    }
    problems.push(format!(
        "it was built against `{name}`, and this gateway runs version {VERSION}x of the contract"
    ));
    None
}
