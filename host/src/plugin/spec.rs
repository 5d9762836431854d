//! What the operator wrote of a plugin, and the names that its guests go by.

use std::sync::Arc;
use std::time::Duration;

use super::grants::Grants;

/// What the operator wrote of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSpec {
    pub name: Arc<str>,
    /// In bytes.
    pub memory: usize,
    pub cpu: Duration,
    pub wall: Duration,
    /// Calls at once.
    pub concurrency: usize,
    pub grants: Arc<Grants>,
    pub snapshot: bool,
    /// Whether a component above [`limits::loading::PLUGIN_SNAPSHOT_BYTES_MAX`] is meant.
    pub large: bool,
}

/// Who a guest is, for what it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// The policy's name in the configuration.
    pub policy: Arc<str>,
}
