//! The files that a configuration names: plugins and secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{self, Config, PluginCode, SecretSource};
use crate::limits;
use crate::plugin::{Secrets, hex};
use crate::read_file;

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

/// Every file that is read when this configuration is loaded, beside its own. The files of key sets are
/// not among them: they are looked at again by themselves.
pub fn files(config: &Config) -> Vec<PathBuf> {
    let plugins = config.plugins.values().map(|plugin| match &plugin.code {
        PluginCode::Bundled => bundled(&plugin.name),
        PluginCode::File { path, .. } => path.clone(),
    });
    let secrets = config.secrets.values().filter_map(|source| match source {
        SecretSource::Environment(_) => None,
        SecretSource::File(path) => Some(path.clone()),
    });
    plugins.chain(secrets).collect()
}

/// Reads a plugin's file.
pub fn code(written: &config::Plugin) -> Result<Vec<u8>, String> {
    let (path, pin) = match &written.code {
        PluginCode::Bundled => (bundled(&written.name), None),
        PluginCode::File { path, sha256 } => (path.clone(), *sha256),
    };
    if written.code == PluginCode::Bundled && !path.is_file() {
        return Err(format!(
            "the bundled plugin's file is not at `{}`; build it with `make plugins`, or name the folder \
             it is in with the environment variable {BUNDLED_FOLDER_VARIABLE}",
            path.display()
        ));
    }
    let bytes = read_bounded(&path, limits::loading::PLUGIN_FILE_BYTES_MAX)?;
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

/// Where a bundled plugin's file belongs.
fn bundled(name: &str) -> PathBuf {
    let file = format!("{}.wasm", name.replace('-', "_"));
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("plugins"));
    let folder = std::env::var_os(BUNDLED_FOLDER_VARIABLE)
        .map(PathBuf::from)
        .or_else(beside);
    folder.unwrap_or_default().join(file)
}

fn read_bounded(path: &Path, bound: u64) -> Result<Vec<u8>, String> {
    match read_file::within(path, bound) {
        Err(error) => Err(format!("`{}` cannot be read: {error}", path.display())),
        Ok(bytes) if bytes.len() as u64 > bound => {
            Err(format!("`{}` has more than {bound} bytes", path.display()))
        }
        Ok(bytes) => Ok(bytes),
    }
}

/// Reads the secrets that a plugin is granted. Their values appear in no message.
pub fn secrets(config: &Config, written: &config::Plugin) -> Result<Secrets, Vec<String>> {
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
pub fn secret(source: &SecretSource) -> Result<Vec<u8>, String> {
    match source {
        SecretSource::Environment(variable) => match std::env::var_os(variable) {
            Some(value) => Ok(std::os::unix::ffi::OsStringExt::into_vec(value)),
            None => Err(format!("the environment variable {variable} is not set")),
        },
        SecretSource::File(path) => {
            let mut value = read_bounded(path, limits::loading::SECRET_BYTES_MAX)?;
            // Editors end files with a line feed that is not part of the secret.
            if value.last() == Some(&b'\n') {
                value.pop();
            }
            Ok(value)
        }
    }
}
