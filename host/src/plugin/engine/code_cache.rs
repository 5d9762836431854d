//! Compiled code that is in use, by what it was compiled from. Policies that are configured alike share
//! it, and what a reload finds as it was is neither compiled nor configured again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use wasmtime::component::Component;

use crate::plugin::key::CodeKey;

/// Held weakly: code goes with the last plugin or policy that has it.
#[derive(Default)]
pub struct CodeCache(Mutex<HashMap<CodeKey, Weak<Code>>>);

/// A component, once it is compiled.
#[derive(Default)]
pub struct Code {
    component: Mutex<Option<Component>>,
    /// The same, compiled for taking snapshots: once for all configurations.
    pub instrumented: OnceLock<Component>,
}

impl CodeCache {
    /// The code under this key, which may still have to be compiled.
    pub fn code(&self, key: CodeKey) -> Arc<Code> {
        let mut by_key = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = by_key.get(&key).and_then(Weak::upgrade) {
            return code;
        }
        let code = Arc::new(Code::default());
        by_key.insert(key, Arc::downgrade(&code));
        code
    }

    /// Drops the keys of what is gone.
    pub fn tidy(&self) {
        let mut by_key = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.retain(|_, code| code.strong_count() > 0);
        by_key.shrink_to_fit();
    }
}

impl Code {
    /// What is compiled, or what `make` compiles now. Others that want the same wait for it.
    pub fn component<E>(
        &self,
        make: impl FnOnce() -> Result<Component, E>,
    ) -> Result<Component, E> {
        let mut component = self
            .component
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = &*component {
            return Ok(component.clone());
        }
        let made = make()?;
        *component = Some(made.clone());
        Ok(made)
    }
}
