//! Loads the key sets of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::files::secret;
use crate::config::{Config, KeySource, Problem};
use crate::policy::key_sets::{KeySets, KeysFrom};

/// Reads every key set that can be read, and says what cannot. A set that is written as it was is taken
/// over with the keys that it has.
pub fn load(config: &Config, previous: Option<&Arc<KeySets>>) -> (Arc<KeySets>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut sources = BTreeMap::new();
    for (name, set) in &config.key_sets {
        let source = match &set.source {
            KeySource::Inline(keys) => KeysFrom::Inline(serde_json::Value::from(keys.clone())),
            KeySource::File { path, reload } => KeysFrom::File {
                path: path.clone(),
                reload: *reload,
            },
            KeySource::Secret(source) => match secret(source) {
                Ok(value) => KeysFrom::Secret(value),
                Err(text) => {
                    let message = format!("key set `{name}`: {text}");
                    problems.push(Problem::new(Some(set.position), message));
                    continue;
                }
            },
        };
        sources.insert(name.clone(), source);
    }
    let before = previous.map(|previous| &**previous);
    match KeySets::load_after(before, sources, Instant::now()) {
        Ok((sets, warnings)) => {
            for warning in warnings {
                tracing::warn!(key_set = warning.set, "{}", warning.text);
            }
            let same = previous.filter(|previous| sets.is_same(previous));
            (same.cloned().unwrap_or_else(|| Arc::new(sets)), problems)
        }
        Err(notices) => {
            problems.extend(notices.into_iter().map(|notice| {
                let position = config.key_sets.get(&notice.set).map(|set| set.position);
                Problem::new(
                    position,
                    format!("key set `{}`: {}", notice.set, notice.text),
                )
            }));
            (Arc::default(), problems)
        }
    }
}
