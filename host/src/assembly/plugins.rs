//! Loads the plugins and policies of a configuration: off the request threads, in parallel, with half
//! the cores, and with every problem at its place in the file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::files::{code, secrets};
use super::loading::loading_threads;
use super::{Process, Progress, Upstreams};
use crate::config::{self, Config, PluginCode, Position, Problem};
use crate::observe::PluginInstances;
use crate::plugin::{
    Grants, Hooks, Instances, LoadError, Plugin, PluginSpec, Policy, Secrets, UNKNOWN_KEY,
};
use crate::policy::key_sets::KeySets;
use crate::quote::clear;

/// What all plugins of one gateway share, each in so far as it was granted.
pub struct Shared<'s> {
    pub key_sets: &'s Arc<KeySets>,
    pub process: &'s Process,
    /// Those that any plugin may ask.
    pub upstreams: &'s Upstreams,
}

/// What is loaded of a configuration.
pub struct Loaded {
    pub policies: BTreeMap<String, Arc<Policy>>,
    plugins: BTreeMap<String, Ready>,
}

/// A plugin, and how many calls of it there may be at once.
#[derive(Clone)]
struct Ready {
    plugin: Arc<Plugin>,
    permits: Arc<Semaphore>,
}

impl Loaded {
    /// Whether everything here is the other's.
    pub fn is_same(&self, other: &Loaded) -> bool {
        let plugins = self.plugins.iter().zip(&other.plugins);
        let mut plugins = plugins.map(|(ours, others)| {
            ours.0 == others.0 && Arc::ptr_eq(&ours.1.plugin, &others.1.plugin)
        });
        let kept = self.kept(other);
        self.plugins.len() == other.plugins.len()
            && plugins.all(|same| same)
            && kept == (other.policies.len(), other.policies.len())
    }

    /// How many policies are those of the other, and how many there are.
    pub fn kept(&self, other: &Loaded) -> (usize, usize) {
        let kept = self.policies.values().filter(|policy| other.has(policy));
        (kept.count(), self.policies.len())
    }

    /// Retires the policies of the other that are not here too.
    pub fn retire_others(&self, other: &Loaded) {
        let gone = other.policies.values().filter(|policy| !self.has(policy));
        gone.for_each(|policy| policy.retire());
    }

    /// How the instances of each plugin stand now.
    pub fn instances(&self) -> impl Iterator<Item = (String, PluginInstances)> {
        self.plugins.iter().map(|(name, ready)| {
            let of_plugin = |policy: &&Arc<Policy>| *policy.identity.plugin == **name;
            let policies = self.policies.values().filter(of_plugin);
            let now = PluginInstances {
                at_work: ready.plugin.spec().concurrency - ready.permits.available_permits(),
                waiting: policies.map(|policy| policy.waiting_instances()).sum(),
                calls_waiting: ready.plugin.calls_waiting(),
            };
            (name.clone(), now)
        })
    }

    /// What this plugin does, if it loaded.
    pub fn hooks(&self, plugin: &str) -> Option<Hooks> {
        Some(self.plugins.get(plugin)?.plugin.shape.hooks)
    }

    pub fn has(&self, policy: &Arc<Policy>) -> bool {
        let ours = self.policies.get(&*policy.identity.policy);
        ours.is_some_and(|ours| Arc::ptr_eq(ours, policy))
    }
}

/// Loads everything that can be loaded, and says what cannot. What would be the same as in `previous` is
/// taken from there.
pub fn load(
    config: &Config,
    shared: &Shared<'_>,
    previous: Option<&Loaded>,
    progress: &Progress,
) -> (Loaded, Vec<Problem>) {
    progress.begin(config.plugins.len() + config.policies.len());
    let mut problems = Vec::new();
    let loaded = in_parallel(config.plugins.values(), |plugin| {
        let before = previous.and_then(|previous| previous.plugins.get(&plugin.name));
        let ready = load_plugin(config, shared, before, plugin);
        progress.step();
        (plugin, ready)
    });
    let mut plugins = BTreeMap::new();
    for (written, result) in loaded {
        match result {
            Ok(ready) => {
                plugins.insert(written.name.clone(), ready);
            }
            Err(texts) => problems.extend(
                texts
                    .into_iter()
                    .map(|(at, text)| plugin_problem(written, at, &text)),
            ),
        }
    }

    // A policy of a plugin that did not load has nothing of its own to say.
    let ready = config
        .policies
        .values()
        .filter_map(|policy| Some((policy, plugins.get(&policy.plugin)?)));
    let loaded = in_parallel(ready, |(policy, ready)| {
        let before = previous.and_then(|previous| previous.policies.get(&policy.name));
        let loaded = load_policy(policy, ready, before);
        progress.step();
        (policy, loaded)
    });
    let mut policies = BTreeMap::new();
    for (written, result) in loaded {
        match result {
            Ok(policy) => {
                policies.insert(written.name.clone(), policy);
            }
            Err(error) => problems.extend(policy_problems(written, error)),
        }
    }
    (Loaded { policies, plugins }, problems)
}

fn load_policy(
    written: &config::Policy,
    ready: &Ready,
    before: Option<&Arc<Policy>>,
) -> Result<Arc<Policy>, LoadError> {
    // All of it is named: a key that were not could not be changed by a reload.
    let config::Policy {
        name,
        plugin: _,
        config,
        instances,
        // The entry's, which every gateway makes anew.
        on_fault: _,
        on_fault_position: _,
        remember_at_most: _,
        position: _,
    } = written;
    let instances = Instances {
        calls: match instances {
            config::Instances::Fresh => 1,
            config::Instances::Reused { calls } => *calls,
        },
    };
    let (plugin, config) = (&ready.plugin, &config.json);
    if let Some(before) = before.filter(|before| before.is_of(plugin, config, instances)) {
        return Ok(Arc::clone(before));
    }
    let name: Arc<str> = name.as_str().into();
    let permits = Arc::clone(&ready.permits);
    Policy::load(plugin, &name, config, instances, permits).map(Arc::new)
}

/// Runs `work` over all items with the loading threads; answers in no particular order.
fn in_parallel<I, T, R>(items: I, work: impl Fn(T) -> R + Sync) -> Vec<R>
where
    I: Iterator<Item = T>,
    T: Send,
    R: Send,
{
    let queue: Mutex<Vec<T>> = Mutex::new(items.collect());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(item) = next else { break };
                let result = work(item);
                done.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(result);
            }
        };
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work);
        // Where the system has no thread, this one does it.
        if (0..loading_threads())
            .filter_map(|number| spawn(number).ok())
            .count()
            == 0
        {
            work();
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn load_plugin(
    config: &Config,
    shared: &Shared<'_>,
    before: Option<&Ready>,
    written: &config::Plugin,
) -> Result<Ready, Vec<(Position, String)>> {
    let bytes = code(written).map_err(|text| vec![(written.code_position, text)])?;
    let here = |texts: Vec<String>| -> Vec<_> {
        let texts = texts.into_iter();
        texts.map(|text| (written.position, text)).collect()
    };
    let secrets = secrets(config, written).map_err(here)?;
    // All of it is named, here and of the grant: what is not in the specification is not looked at when
    // a reload asks whether the plugin is as it was.
    let config::Plugin {
        name,
        // Compared as bytes.
        code: _,
        code_position: _,
        is_written: _,
        grant: _,
        limits,
        snapshot,
        large,
        position: _,
    } = written;
    let config::PluginLimits {
        memory,
        cpu,
        wall,
        concurrency,
    } = *limits;
    let spec = PluginSpec {
        name: name.as_str().into(),
        memory: usize::try_from(memory).unwrap_or(usize::MAX),
        cpu,
        wall,
        concurrency,
        grants: Arc::new(grants(shared, written, secrets)),
        snapshot: *snapshot,
        large: *large,
    };
    if let Some(before) = before.filter(|before| before.plugin.is_of(&spec, &bytes)) {
        return Ok(before.clone());
    }
    match Plugin::load(&shared.process.runtime, spec, bytes) {
        Ok(plugin) => Ok(Ready {
            plugin: Arc::new(plugin),
            permits: Arc::new(Semaphore::new(concurrency)),
        }),
        Err(LoadError::Plugin(texts)) => Err(here(texts)),
        Err(LoadError::Config(texts)) => {
            Err(here(texts.into_iter().map(|(_, text)| text).collect()))
        }
    }
}

fn grants(shared: &Shared<'_>, written: &config::Plugin, secrets: Secrets) -> Grants {
    let process = shared.process;
    let config::Grant {
        secrets: secret_names,
        bodies,
        fetch,
        kv,
        streams,
    } = &written.grant;
    let fetch = fetch.iter();
    let fetch = fetch.filter_map(|name| Some((name.clone(), shared.upstreams.get(name)?)));
    Grants {
        secrets,
        // What a bundled plugin imports is known, and without names the grant gives nothing.
        imports_secrets: !secret_names.is_empty() || written.code == PluginCode::Bundled,
        bodies: bodies.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        fetch: fetch.collect(),
        kv: kv.then(|| Arc::clone(&process.kv)),
        streams: *streams,
        key_sets: Some(Arc::clone(shared.key_sets)),
        metrics: Arc::clone(&process.metrics.plugins),
        waiting: Arc::clone(&process.waiting),
        streaming: Arc::clone(&process.streaming),
        held_bodies: Arc::clone(&process.held_bodies),
    }
}

fn plugin_problem(written: &config::Plugin, at: Position, text: &str) -> Problem {
    let message = format!(
        "plugin `{}` does not load: {}",
        written.name,
        printable(text)
    );
    let problem = Problem::new(at, message);
    // A bundled plugin has no section to add the grant to.
    let grant = text.split_once("add `grant = ");
    let grant = grant.and_then(|(_, rest)| rest.split_once('`'));
    match grant {
        Some((grant, _)) if !written.is_written => problem.with_help(format!(
            "add these two lines:\n    [plugins.{}]\n    grant = {grant}",
            written.name
        )),
        _ => problem,
    }
}

/// The problems of a policy, each where the configuration has it.
fn policy_problems(written: &config::Policy, error: LoadError) -> Vec<Problem> {
    let name = &written.name;
    match error {
        LoadError::Plugin(texts) => texts
            .into_iter()
            .map(|text| {
                let message = format!("policy `{name}` does not load: {}", printable(&text));
                Problem::new(Some(written.position), message)
            })
            .collect(),
        LoadError::Config(texts) => texts
            .into_iter()
            .map(|(pointer, text)| {
                let place = pointer.replace('/', ".");
                let message = format!("policy `{name}`: config{place}: {}", printable(&text));
                let key = written.config.keys.get(&pointer);
                let key = key.filter(|_| text.starts_with(UNKNOWN_KEY));
                let at = key.copied().unwrap_or_else(|| position(written, &pointer));
                Problem::new(at, message)
            })
            .collect(),
    }
}

/// A text that may come from a plugin, for a terminal: without control characters, and with its later
/// lines indented, so that none can look like a line of ours.
fn printable(text: &str) -> String {
    let cleared = |character: char| match character {
        '\n' => '\n',
        character => clear(character),
    };
    let text: String = text.chars().map(cleared).collect();
    text.replace('\n', "\n    ")
}

/// Where a JSON pointer stands in the file, or the nearest that encloses it.
fn position(written: &config::Policy, pointer: &str) -> config::Position {
    let mut pointer = pointer;
    loop {
        if let Some(position) = written.config.positions.get(pointer) {
            return *position;
        }
        match pointer.rfind('/') {
            Some(end) => pointer = &pointer[..end],
            None => return written.position,
        }
    }
}
