//! What one plugin may reach beyond its message: capabilities that the operator granted to it, and the
//! host's mechanisms that are always there.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::secrets::Secrets;
use crate::http::body_budget::HeldBodies;
use crate::observe::PluginMetrics;
use crate::policy::key_sets::KeySets;
use crate::store::memory::Kv;
use crate::upstream::Upstream;

/// Which of the granted interfaces a plugin may import, or export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interfaces {
    pub secrets: bool,
    pub bodies: bool,
    pub fetch: bool,
    pub kv: bool,
    pub streams: bool,
}

#[derive(Clone)]
pub struct Grants {
    pub secrets: Secrets,
    /// Whether it may import `secrets` at all.
    pub imports_secrets: bool,
    /// The largest body that is held for it, in bytes.
    pub bodies: Option<usize>,
    /// The upstreams that it may ask, by name. They have connections of their own.
    pub fetch: BTreeMap<String, Arc<Upstream>>,
    pub kv: Option<Arc<Kv>>,
    /// Whether bodies may go through it.
    pub streams: bool,
    /// Only for plugins that can ask for them: others are the same whatever the sets are.
    pub key_sets: Option<Arc<KeySets>>,
    pub metrics: Arc<PluginMetrics>,
    /// One permit for each call, of whatever plugin, that waits for a peer.
    pub waiting: Arc<Semaphore>,
    /// One permit for each body that goes through a plugin, whichever.
    pub streaming: Arc<Semaphore>,
    /// For bodies that are held whole, of whatever plugin.
    pub held_bodies: Arc<HeldBodies>,
}

impl Grants {
    pub fn interfaces(&self) -> Interfaces {
        Interfaces {
            secrets: self.imports_secrets,
            bodies: self.bodies.is_some(),
            fetch: !self.fetch.is_empty(),
            kv: self.kv.is_some(),
            streams: self.streams,
        }
    }
}

/// What is shared is the same only if it is one. Every field is named, so that none can be added that a
/// reload does not look at: what would be left out here could not be taken back from a plugin.
impl PartialEq for Grants {
    fn eq(&self, other: &Grants) -> bool {
        let Grants {
            secrets,
            imports_secrets,
            bodies,
            fetch,
            kv,
            streams,
            key_sets,
            metrics,
            waiting,
            streaming,
            held_bodies,
        } = self;
        let mut upstreams = fetch.iter().zip(&other.fetch);
        let same_upstreams = fetch.len() == other.fetch.len()
            && upstreams.all(|(ours, others)| ours.0 == others.0 && Arc::ptr_eq(ours.1, others.1));
        *secrets == other.secrets
            && *imports_secrets == other.imports_secrets
            && *bodies == other.bodies
            && same_upstreams
            && are_one(kv.as_ref(), other.kv.as_ref())
            && *streams == other.streams
            && are_one(key_sets.as_ref(), other.key_sets.as_ref())
            && Arc::ptr_eq(metrics, &other.metrics)
            && Arc::ptr_eq(waiting, &other.waiting)
            && Arc::ptr_eq(streaming, &other.streaming)
            && Arc::ptr_eq(held_bodies, &other.held_bodies)
    }
}

fn are_one<T>(ours: Option<&Arc<T>>, others: Option<&Arc<T>>) -> bool {
    match (ours, others) {
        (Some(ours), Some(others)) => Arc::ptr_eq(ours, others),
        (None, None) => true,
        _ => false,
    }
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grants")
            .field("interfaces", &self.interfaces())
            .finish_non_exhaustive()
    }
}
