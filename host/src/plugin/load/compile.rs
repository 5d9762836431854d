//! From bytes to code: made a component and compiled by a process of its own (`compiler_process.rs`), or taken from
//! the disk cache; linked.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker, ResourceType};

use super::contract::Shape;
use super::outline::Names;
use crate::plugin::call::guest_error;
use crate::plugin::engine::compilers::job::Job;
use crate::plugin::engine::runtime::Runtime;
use crate::plugin::host::state::State;
use crate::plugin::key::CodeKey;

/// Makes a core module a component; leaves a component as it is. `file` is what it was loaded from.
pub(in crate::plugin) fn componentize(
    runtime: &Runtime,
    file: CodeKey,
    bytes: Vec<u8>,
) -> Result<Vec<u8>, String> {
    if wasmparser::Parser::is_component(&bytes) {
        return Ok(bytes);
    }
    if !wasmparser::Parser::is_core_wasm(&bytes) {
        return Err("it is neither a WebAssembly component nor a core module".to_owned());
    }
    let key = release_key(CodeKey::of(&[b"core module", &file.0]));
    if let Some(component) = runtime.artefacts.get(key) {
        return Ok(component);
    }
    let component = runtime.compilers.ask(Job::Componentize, &bytes)?;
    runtime.artefacts.put(key, &component);
    Ok(component)
}

/// What a compiler does for `componentize`.
pub(in crate::plugin) fn encoded(module: &[u8]) -> Result<Vec<u8>, String> {
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(
                adapter,
                wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| {
        format!(
            "the core module cannot be made a component: {error:#}; build it with the SDK's \
             `export!`, or pass a component"
        )
    })
}

/// Where compiled code is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum Keep {
    OnDisk,
    /// It holds a secret, or is of no use to the next start.
    InMemory,
}

/// Compiles, or takes what was compiled before.
pub(in crate::plugin) fn compile(
    runtime: &Runtime,
    key: CodeKey,
    bytes: &[u8],
    keep: Keep,
    large: bool,
) -> Result<Component, String> {
    if let Some(component) = compiled(runtime, key) {
        return Ok(component);
    }
    let (component, code) = made(runtime, bytes, large)?;
    if keep == Keep::OnDisk {
        runtime.artefacts.put(engine_key(runtime, key), &code);
    }
    Ok(component)
}

/// Compiles what is used only now.
pub(in crate::plugin) fn once(
    runtime: &Runtime,
    bytes: &[u8],
    large: bool,
) -> Result<Component, String> {
    made(runtime, bytes, large).map(|(component, _)| component)
}

fn made(runtime: &Runtime, bytes: &[u8], large: bool) -> Result<(Component, Vec<u8>), String> {
    let code = runtime.compilers.ask(Job::compile(large), bytes)?;
    // SAFETY: a process of this very program compiled it, with the same settings, and nobody else has its
    // socket; wasmtime checks that its version and settings fit.
    let component = unsafe { Component::deserialize(&runtime.engine, &code) };
    let component = component.map_err(|error| {
        guest_error::note_shortage(&error);
        format!("it cannot be loaded: {error:?}")
    })?;
    Ok((component, code))
}

/// What was compiled before under this key, without knowing its bytes.
pub(in crate::plugin) fn compiled(runtime: &Runtime, key: CodeKey) -> Option<Component> {
    let code = runtime.artefacts.get(engine_key(runtime, key))?;
    // SAFETY: `Artefacts` answers only bytes that this user's gateway wrote, checked against their hash;
    // wasmtime checks that its version and settings fit.
    match unsafe { Component::deserialize(&runtime.engine, code) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::debug!(%error, "a compiled plugin is rebuilt");
            None
        }
    }
}

/// What a component takes and offers, as it is linked.
pub(in crate::plugin) fn names(runtime: &Runtime, component: &Component) -> Names {
    let ty = component.component_type();
    let imports = ty.imports(&runtime.engine);
    let exports = ty.exports(&runtime.engine);
    Names {
        imports: imports.map(|(name, _)| name.to_owned()).collect(),
        exports: exports.map(|(name, _)| name.to_owned()).collect(),
    }
}

/// Another release may make something else of the same.
pub(in crate::plugin) fn release_key(key: CodeKey) -> CodeKey {
    CodeKey::of(&[&key.0, env!("CARGO_PKG_VERSION").as_bytes()])
}

/// The same content compiles to something else under another engine or release.
fn engine_key(runtime: &Runtime, key: CodeKey) -> CodeKey {
    struct Bytes(Vec<u8>);
    impl std::hash::Hasher for Bytes {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    let mut engine = Bytes(Vec::new());
    std::hash::Hash::hash(&runtime.engine.precompile_compatibility_hash(), &mut engine);
    CodeKey::of(&[&key.0, &engine.0, env!("CARGO_PKG_VERSION").as_bytes()])
}

/// Resolves a component's imports.
pub(in crate::plugin) fn link(
    runtime: &Runtime,
    shape: &Shape,
    component: &Component,
) -> Result<InstancePre<State>, String> {
    let linked = if shape.imports_wasi {
        let mut linker: Linker<State> = runtime.wasi_linker.clone();
        trap_further_wasi(&mut linker, runtime, component)
            .and_then(|()| linker.instantiate_pre(component))
    } else {
        runtime.linker.instantiate_pre(component)
    };
    linked.map_err(|error| {
        guest_error::note_shortage(&error);
        format!("its imports are not those of the contract: {error:?}")
    })
}

/// Lets every call of a WASI world trap that the gateway does not have, such as wasi:http: tool chains
/// import them by habit. What is not WASI was refused before.
fn trap_further_wasi(
    linker: &mut Linker<State>,
    runtime: &Runtime,
    component: &Component,
) -> wasmtime::Result<()> {
    const LINKED: [&str; 6] = [
        "wasi:cli/",
        "wasi:clocks/",
        "wasi:filesystem/",
        "wasi:io/",
        "wasi:random/",
        "wasi:sockets/",
    ];
    let ty = component.component_type();
    for (name, import) in ty.imports(&runtime.engine) {
        let linked = LINKED.iter().any(|package| name.starts_with(package));
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            continue;
        };
        if linked || !name.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (item, ty) in interface.exports(&runtime.engine) {
            let full = format!("{name}#{item}");
            match ty.ty {
                ComponentItem::ComponentFunc(_) => instance.func_new(item, move |_, _, _, _| {
                    wasmtime::bail!("`{full}` was called, which this gateway does not have")
                })?,
                ComponentItem::Resource(_) => {
                    instance.resource(item, ResourceType::host::<()>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}
