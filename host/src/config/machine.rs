//! What the machine gives, for defaults that depend on it.

use std::fs::read_to_string;
use std::path::Path;

/// The memory that this process may have, in bytes: the machine's, or its control group's (or one around
/// it) if that is less.
pub fn memory() -> u64 {
    let installed = read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total(&text));
    let group = read_to_string("/proc/self/cgroup").ok();
    let group = group.as_deref().and_then(group_path);
    let allowed = group.and_then(|group| allowed(Path::new("/sys/fs/cgroup"), group));
    installed
        .into_iter()
        .chain(allowed)
        .min()
        .unwrap_or_default()
}

/// `MemTotal` of `/proc/meminfo`.
fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1_024)
}

/// The group of the one hierarchy of version 2, relative to where it is mounted.
fn group_path(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let inside = !path.split('/').any(|part| part == "..");
    inside.then_some(path)
}

/// The least that this group and those around it may have.
fn allowed(mount: &Path, group: &str) -> Option<u64> {
    let own = mount.join(group);
    let folders = own
        .ancestors()
        .take_while(|folder| folder.starts_with(mount));
    let bytes = folders.filter_map(|folder| {
        let text = read_to_string(folder.join("memory.max")).ok()?;
        // Else it is `max`.
        text.trim().parse().ok()
    });
    bytes.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let text = "MemTotal:       16318480 kB\nMemFree:          812012 kB\n";
        assert_eq!(total(text), Some(16_318_480 * 1_024));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert_eq!(total("MemTotal: many kB\n"), None);
        assert_eq!(group_path("1:cpu:/a\n0::/b/c\n"), Some("b/c"));
        assert_eq!(group_path("0::/\n"), Some(""));
        assert_eq!(group_path("0::/../b\n"), None);
        assert_eq!(group_path("1:memory:/a\n"), None);
        assert!(memory() > 1 << 20);
    }

    #[test]
    fn the_least_of_all_groups_around_counts() {
        let name = format!("tollgate-machine-{}", std::process::id());
        let mount = std::env::temp_dir().join(name);
        let inner = mount.join("a/b");
        std::fs::create_dir_all(&inner).expect("a folder");
        let write = |folder: &Path, text: &str| {
            std::fs::write(folder.join("memory.max"), text).expect("a file");
        };
        write(&inner, "max\n");
        assert_eq!(allowed(&mount, "a/b"), None);
        write(&mount.join("a"), "4096\n");
        assert_eq!(allowed(&mount, "a/b"), Some(4_096));
        write(&mount, "8192\n");
        write(&inner, "5000\n");
        assert_eq!(allowed(&mount, "a/b"), Some(4_096));
        assert_eq!(allowed(&mount, ""), Some(8_192));
        std::fs::remove_dir_all(&mount).expect("ours");
    }
}
