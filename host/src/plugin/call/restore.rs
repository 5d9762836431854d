//! Makes an instance fresh again: what its last visit left in it is put back to what `configure` had
//! left there.
//!
//! To make and drop an instance costs some five times what an ordinary call does. What a guest can
//! change is its linear memory and its mutable globals; tables, element and data segments it cannot,
//! since components that try have no snapshot. So the pages that were written are copied from the
//! snapshot, which the kernel knows (`pages.rs`), and globals are read: an instance in which one has
//! another value than the snapshot, or whose memory has grown, is dropped like any other. So is one that
//! asked WASI for anything, since it may hold handles. The handles of the contract are borrows, which
//! end with the call; what their numbers could tell, `checked_borrow.rs` sees to. A component that makes resources
//! of its own, or runs code in a component within it, has handles that nobody sees (`outline.rs`): it is
//! not put back.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc, Val, WasmList};
use wasmtime::{Result, Store, bail};

use super::wasmtime_internal::with_memory::GuestMemory;
use crate::limits;
use crate::plugin::engine::pages::{PAGE_BYTES, PageScan};
use crate::plugin::host::state::State;

/// What `Wizer::instrument_component` exports its accessors under.
const ACCESS: &str = "wasmtime:wizer/access";

type Page = [u8; PAGE_BYTES];

/// A configured instance before its first visit.
pub struct Pristine {
    /// The pages of its memory; none: zeros.
    pages: Box<[Option<Box<Page>>]>,
    globals: Vec<(ComponentExportIndex, Value)>,
    calls: Calls,
}

/// How its accessors are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// As a function is: they end at once, and need no stack of their own.
    Here,
    /// wasmtime insists on a stack where an import of the component may wait.
    OnAStack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    I32(i32),
    I64(i64),
}

impl Pristine {
    /// Reads an instance that no hook was called in, and that is not used any more: its memory grows by
    /// a page. None: such instances cannot be put back.
    pub async fn read(
        component: &Component,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<Option<Pristine>> {
        let Some((memory, globals)) = accessors(component, store) else {
            return Ok(None);
        };
        let mut values = Vec::with_capacity(globals.len());
        let mut calls = Calls::Here;
        for index in globals {
            let Some(function) = instance.get_func(&mut *store, index) else {
                bail!("an accessor is missing");
            };
            let mut value = [Val::Bool(false)];
            if function.call(&mut *store, &[], &mut value).is_err() {
                calls = Calls::OnAStack;
                function.call_async(&mut *store, &[], &mut value).await?;
            }
            let value = match value {
                [Val::S32(value)] => Value::I32(value),
                [Val::S64(value)] => Value::I64(value),
                _ => return Ok(None),
            };
            values.push((index, value));
        }
        let memory = instance.get_typed_func::<(), (WasmList<u8>,)>(&mut *store, &memory)?;
        let (contents,) = memory.call_async(&mut *store, ()).await?;
        let (pages, rest) = contents.as_le_slice(&*store).as_chunks::<PAGE_BYTES>();
        if !rest.is_empty() {
            return Ok(None);
        }
        let page = |page: &Page| (*page != [0; PAGE_BYTES]).then(|| Box::new(*page));
        Ok(Some(Pristine {
            pages: pages.iter().map(page).collect(),
            globals: values,
            calls,
        }))
    }

    /// Puts an instance back whose visit has ended well. If this answers false it must be dropped.
    pub async fn restore(
        &self,
        scan: &PageScan,
        store: &mut Store<State>,
        instance: &Instance,
        memory: GuestMemory,
    ) -> bool {
        let bytes = self.pages.len() * PAGE_BYTES;
        let state = store.data();
        if state.memory.used != bytes || memory.bytes != bytes || state.wasi.is_some() {
            return false;
        }
        // The accessors are a few instructions, and are no part of any call's bounds.
        store.set_epoch_deadline(u64::MAX / 2);
        for (index, value) in &self.globals {
            if global(store, instance, index, *value, self.calls).await != Some(*value) {
                return false;
            }
        }
        let mut written = 0;
        let whole = scan.written(memory.base..memory.base + bytes, |range| {
            written += range.len();
            if written > limits::pool::RESTORED_BYTES_MAX {
                return false;
            }
            for at in range.step_by(PAGE_BYTES) {
                let page = std::ptr::with_exposed_provenance_mut::<Page>(at);
                // SAFETY: the page lies in the linear memory of an instance whose Store is borrowed
                // here, so that nobody else looks at it. The memory is as large as it was made: it never
                // shrinks, and it has not grown.
                match &self.pages[(at - memory.base) / PAGE_BYTES] {
                    Some(pristine) => unsafe {
                        page.copy_from_nonoverlapping(&raw const **pristine, 1)
                    },
                    None => unsafe { page.write_bytes(0, 1) },
                }
            }
            true
        });
        matches!(whole, Ok(true))
    }
}

/// Reads a global that has the type of `like`.
async fn global(
    store: &mut Store<State>,
    instance: &Instance,
    index: &ComponentExportIndex,
    like: Value,
    calls: Calls,
) -> Option<Value> {
    /// Calls it as a function that answers this type.
    macro_rules! read {
        ($type:ty, $function:ident) => {{
            // SAFETY: `Pristine::read` found the accessor to answer a value of this type.
            let function = unsafe { TypedFunc::<(), ($type,)>::new_unchecked($function) };
            let answered = match calls {
                Calls::Here => function.call(store, ()),
                Calls::OnAStack => function.call_async(store, ()).await,
            };
            answered.ok()?.0
        }};
    }
    let function = instance.get_func(&mut *store, index)?;
    Some(match like {
        Value::I32(_) => Value::I32(read!(i32, function)),
        Value::I64(_) => Value::I64(read!(i64, function)),
    })
}

/// The accessors of its one memory and of its globals, if it has them and no more than are looked at.
fn accessors(
    component: &Component,
    store: &Store<State>,
) -> Option<(ComponentExportIndex, Vec<ComponentExportIndex>)> {
    let engine = store.engine();
    let access = component.get_export_index(None, ACCESS)?;
    let ty = component.component_type();
    let ComponentItem::ComponentInstance(accessors) = ty.get_export(engine, ACCESS)?.ty else {
        return None;
    };
    let (mut memory, mut globals) = (None, Vec::new());
    for (name, _) in accessors.exports(engine) {
        let index = component.get_export_index(Some(&access), name)?;
        if name.starts_with("memory") {
            if memory.replace(index).is_some() {
                return None;
            }
        } else {
            globals.push(index);
        }
    }
    (globals.len() <= limits::pool::RESTORED_GLOBALS_MAX).then_some((memory?, globals))
}
