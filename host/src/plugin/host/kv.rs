//! The contract's `kv`: state that a plugin's calls share, in a namespace of its own.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::kv;
use super::reads::Dependence;
use super::state::State;
use crate::store::memory::Kv;

type Returned<T> = Result<std::result::Result<T, String>>;

impl State {
    fn store(&mut self, import: &str, bytes: usize) -> Result<(Arc<Kv>, Arc<str>)> {
        self.only_in_calls(import)?;
        self.works(bytes)?;
        self.depends_on(Dependence::Kv);
        match &self.grants.kv {
            Some(kv) => Ok((Arc::clone(kv), Arc::clone(&self.identity.plugin))),
            None => bail!("`kv` is not granted to this plugin"),
        }
    }
}

fn ttl(ms: Option<u64>) -> Option<Duration> {
    ms.map(Duration::from_millis)
}

impl kv::Host for State {
    fn get(&mut self, key: String) -> Returned<Option<Vec<u8>>> {
        let (kv, plugin) = self.store("kv.get", key.len())?;
        let value = kv.get(&plugin, &key);
        self.works(
            value
                .as_ref()
                .map_or(0, |v| v.as_ref().map_or(0, |v| v.len())),
        )?;
        Ok(value.map(|value| value.map(|value| value.to_vec())))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Returned<()> {
        let (kv, plugin) = self.store("kv.set", key.len() + value.len())?;
        Ok(kv.set(&plugin, &key, value, ttl(ttl_ms)))
    }

    fn delete(&mut self, key: String) -> Returned<()> {
        let (kv, plugin) = self.store("kv.delete", key.len())?;
        Ok(kv.delete(&plugin, &key))
    }

    fn add(&mut self, key: String, delta: i64, ttl_ms: Option<u64>) -> Returned<i64> {
        let (kv, plugin) = self.store("kv.add", key.len())?;
        Ok(kv.add(&plugin, &key, delta, ttl(ttl_ms)))
    }

    fn replace(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Returned<bool> {
        let bytes = key.len() + value.len() + expected.as_ref().map_or(0, Vec::len);
        let (kv, plugin) = self.store("kv.replace", bytes)?;
        Ok(kv.replace(&plugin, &key, expected.as_deref(), value, ttl(ttl_ms)))
    }
}
