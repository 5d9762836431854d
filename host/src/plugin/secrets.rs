//! The secrets granted to one plugin, read once when the configuration is loaded.

use std::collections::BTreeMap;

use super::key::CodeKey;
use crate::quote::quoted;

/// Values never appear in logs, dumps or errors.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, Vec<u8>>);

impl Secrets {
    pub fn new(values: BTreeMap<String, Vec<u8>>) -> Self {
        Secrets(values)
    }

    /// # Errors
    /// In words for the operator: which line to add.
    pub fn get(&self, name: &str) -> Result<&[u8], String> {
        self.0.get(name).map(Vec::as_slice).ok_or_else(|| {
            let name = quoted(name);
            format!(
                "secret {name} is not granted to this plugin; add `grant = {{ secrets = [\"{}\"] }}` to it",
                name.trim_matches('`')
            )
        })
    }

    /// Of names and values: what read them is another with others.
    pub fn digest(&self) -> CodeKey {
        let pairs = self.0.iter();
        let parts: Vec<&[u8]> = pairs
            .flat_map(|(name, value)| [name.as_bytes(), value])
            .collect();
        CodeKey::of(&parts)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
