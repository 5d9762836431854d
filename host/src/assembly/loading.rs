//! What loading may take of the machine, and where it keeps what it made.

use std::path::{Path, PathBuf};

use crate::config::PluginCache;

/// Half the cores: requests may be served beside.
pub fn loading_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).max(1)
}

/// Where compiled plugins are kept.
pub fn cache_folder(written: &PluginCache) -> Option<PathBuf> {
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
