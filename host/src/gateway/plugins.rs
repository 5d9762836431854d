//! Loads the plugins and policies of a configuration: off the request threads, in parallel, with half
//! the cores, and with every problem at its place in the file.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::config::{self, Config, PluginCache, PluginCode, Problem, SecretSource};
use crate::limits;
use crate::observe::PluginMetrics;
use crate::plugin::{
    Artefacts, Granted, Instances, LoadError, Plugin, PluginSpec, Policy, PoolSize, Runtime,
    Secrets, hex, quiet_caught_panics,
};
use crate::policy::key_sets::KeySets;
use crate::store::memory::Kv;
use crate::upstream::Upstream;

/// The plugins that come with the gateway.
pub const BUNDLED: [&str; 14] = [
    "api-key",
    "basic-auth",
    "concurrency-limit",
    "cors",
    "ext-auth",
    "headers",
    "http-cache",
    "ip-allow",
    "json-body",
    "jwt",
    "mock",
    "rate-limit",
    "redact",
    "rewrite",
];

/// Names the folder of the bundled plugins, where they are not beside the program.
const BUNDLED_FOLDER_VARIABLE: &str = "TOLLGATE_PLUGINS";

fn loading_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).max(1)
}

/// Starts the plugin runtime that a configuration needs.
///
/// # Errors
/// If the pool's address space cannot be had, in words for the operator.
pub fn start_runtime(config: &Config) -> Result<Arc<Runtime>, String> {
    quiet_caught_panics();
    let artefacts = match cache_folder(&config.runtime.plugin_cache) {
        None => Artefacts::none(),
        Some(folder) => Artefacts::open(&folder).unwrap_or_else(|reason| {
            tracing::warn!("compiled plugins are not kept: {reason}");
            Artefacts::none()
        }),
    };
    let size = PoolSize {
        calls: config.runtime.plugin_calls,
        // As many as can run at once without one of them waiting.
        idle_per_policy: config.runtime.workers.min(limits::IDLE_INSTANCES_MAX),
        policies: config.policies.len(),
        threads: config.runtime.workers + loading_threads(),
    };
    Runtime::new(size, artefacts).map_err(|error| {
        format!(
            "the pool of {} plugin instances cannot be made: {error:?}; lower \
             `runtime.plugin-calls`, or allow the process more address space",
            size.calls
        )
    })
}

fn cache_folder(written: &PluginCache) -> Option<PathBuf> {
    match written {
        PluginCache::Off => None,
        PluginCache::Folder(folder) => Some(folder.clone()),
        PluginCache::Default => {
            let base = std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))?;
            Some(base.join("tollgate"))
        }
    }
}

/// What all plugins of one gateway share, each in so far as it was granted.
pub struct Shared {
    pub key_sets: Arc<KeySets>,
    pub kv: Arc<Kv>,
    pub metrics: Arc<PluginMetrics>,
    /// For calls that wait for peers.
    pub waiting: Arc<Semaphore>,
    /// For bodies that go through plugins.
    pub streaming: Arc<Semaphore>,
    /// Those that any plugin may ask.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
}

/// Loads everything that can be loaded, and says what cannot.
pub fn load(
    config: &Config,
    runtime: &Arc<Runtime>,
    shared: &Shared,
) -> (BTreeMap<String, Arc<Policy>>, Vec<Problem>) {
    let mut problems = Vec::new();
    let loaded = in_parallel(config.plugins.values(), |plugin| {
        let loaded = load_plugin(config, runtime, shared, plugin);
        (
            plugin,
            loaded.map(|loaded| (Arc::new(loaded), plugin.limits.concurrency)),
        )
    });
    let mut plugins = BTreeMap::new();
    for (written, result) in loaded {
        match result {
            Ok((plugin, concurrency)) => {
                plugins.insert(
                    &written.name,
                    (plugin, Arc::new(Semaphore::new(concurrency))),
                );
            }
            Err(texts) => problems.extend(texts.into_iter().map(|text| {
                let message = format!(
                    "plugin `{}` does not load: {}",
                    written.name,
                    printable(&text)
                );
                Problem::new(Some(written.position), message)
            })),
        }
    }

    // A policy of a plugin that did not load has nothing of its own to say.
    let ready = config.policies.values().filter_map(|policy| {
        let (plugin, permits) = plugins.get(&policy.plugin)?;
        Some((policy, plugin, permits))
    });
    let loaded = in_parallel(ready, |(policy, plugin, permits)| {
        let instances = Instances {
            calls: match policy.instances {
                config::Instances::Fresh => 1,
                config::Instances::Reused { calls } => calls,
            },
        };
        let name: Arc<str> = policy.name.as_str().into();
        let permits = Arc::clone(permits);
        let loaded = Policy::load(plugin, &name, &policy.config.json, instances, permits);
        (policy, loaded)
    });
    let mut policies = BTreeMap::new();
    for (written, result) in loaded {
        match result {
            Ok(policy) => {
                policies.insert(written.name.clone(), Arc::new(policy));
            }
            Err(error) => problems.extend(policy_problems(written, error)),
        }
    }
    (policies, problems)
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
        for _ in 0..loading_threads() {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(item) = next else { break };
                    let result = work(item);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn load_plugin(
    config: &Config,
    runtime: &Arc<Runtime>,
    shared: &Shared,
    written: &config::Plugin,
) -> Result<Plugin, Vec<String>> {
    let bytes = code(written).map_err(|text| vec![text])?;
    let secrets = secrets(config, written)?;
    let memory = usize::try_from(written.limits.memory).unwrap_or(usize::MAX);
    let spec = PluginSpec {
        name: written.name.as_str().into(),
        memory,
        cpu: written.limits.cpu,
        wall: written.limits.wall,
        concurrency: written.limits.concurrency,
        granted: Arc::new(granted(shared, written, secrets)),
        snapshot: written.snapshot,
        large: written.large,
    };
    Plugin::load(runtime, spec, bytes).map_err(|error| match error {
        LoadError::Plugin(texts) => texts,
        LoadError::Config(texts) => texts.into_iter().map(|(_, text)| text).collect(),
    })
}

fn granted(shared: &Shared, written: &config::Plugin, secrets: Secrets) -> Granted {
    let grant = &written.grant;
    let fetch = grant.fetch.iter().filter_map(|name| {
        let upstream = shared.upstreams.get(name)?;
        Some((name.clone(), Arc::clone(upstream)))
    });
    Granted {
        secrets,
        // What a bundled plugin imports is known, and without names the grant gives nothing.
        imports_secrets: !grant.secrets.is_empty() || written.code == PluginCode::Bundled,
        bodies: grant
            .bodies
            .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        fetch: fetch.collect(),
        kv: grant.kv.then(|| Arc::clone(&shared.kv)),
        streams: grant.streams,
        key_sets: Arc::clone(&shared.key_sets),
        metrics: Arc::clone(&shared.metrics),
        waiting: Arc::clone(&shared.waiting),
        streaming: Arc::clone(&shared.streaming),
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
                Problem::new(Some(position(written, &pointer)), message)
            })
            .collect(),
    }
}

/// A text that may come from a plugin, for a terminal: without control characters, and with its later
/// lines indented, so that none can look like a line of ours.
fn printable(text: &str) -> String {
    let clean = |character: char| match character {
        '\n' => '\n',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    };
    let text: String = text.chars().map(clean).collect();
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

/// Reads a plugin's file.
fn code(written: &config::Plugin) -> Result<Vec<u8>, String> {
    let (path, pin) = match &written.code {
        PluginCode::Bundled => (bundled(&written.name)?, None),
        PluginCode::File { path, sha256 } => (path.clone(), *sha256),
    };
    let bytes = read_bounded(&path, limits::PLUGIN_FILE_BYTES_MAX)?;
    if let Some(pin) = pin {
        let found = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        if found.as_ref() != pin {
            return Err(format!(
                "`{}` has SHA-256 {}, not the one that `sha256` pins",
                path.display(),
                hex(found.as_ref())
            ));
        }
    }
    Ok(bytes)
}

/// Where a bundled plugin's file is.
fn bundled(name: &str) -> Result<PathBuf, String> {
    let file = format!("{}.wasm", name.replace('-', "_"));
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("plugins"));
    let folder = std::env::var_os(BUNDLED_FOLDER_VARIABLE)
        .map(PathBuf::from)
        .or_else(beside);
    let path = folder.unwrap_or_default().join(file);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "the bundled plugin's file is not at `{}`; build it with `make plugins`, or name the folder \
         it is in with the environment variable {BUNDLED_FOLDER_VARIABLE}",
        path.display()
    ))
}

fn read_bounded(path: &Path, bound: u64) -> Result<Vec<u8>, String> {
    // A pipe would be waited for, for ever.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(format!(
            "`{}` cannot be read: it is not a file",
            path.display()
        ));
    }
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(bound + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("`{}` cannot be read: {error}", path.display())),
        Ok(_) if bytes.len() as u64 > bound => {
            Err(format!("`{}` has more than {bound} bytes", path.display()))
        }
        Ok(_) => Ok(bytes),
    }
}

/// Reads the secrets that a plugin is granted. Their values appear in no message.
fn secrets(config: &Config, written: &config::Plugin) -> Result<Secrets, Vec<String>> {
    let mut values = BTreeMap::new();
    let mut problems = Vec::new();
    for name in &written.grant.secrets {
        let source = config.secrets.get(name).cloned();
        let source = source.unwrap_or_else(|| SecretSource::Environment(name.clone()));
        match secret(&source) {
            Ok(value) => {
                values.insert(name.clone(), value);
            }
            Err(text) => problems.push(format!("secret `{name}`: {text}")),
        }
    }
    if problems.is_empty() {
        Ok(Secrets::new(values))
    } else {
        Err(problems)
    }
}

/// Reads one secret.
pub(super) fn secret(source: &SecretSource) -> Result<Vec<u8>, String> {
    match source {
        SecretSource::Environment(variable) => match std::env::var_os(variable) {
            Some(value) => Ok(std::os::unix::ffi::OsStringExt::into_vec(value)),
            None => Err(format!("the environment variable {variable} is not set")),
        },
        SecretSource::File(path) => {
            let mut value = read_bounded(path, limits::SECRET_BYTES_MAX)?;
            // Editors end files with a line feed that is not part of the secret.
            if value.last() == Some(&b'\n') {
                value.pop();
            }
            Ok(value)
        }
    }
}
