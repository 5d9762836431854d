//! Untrusted names in our messages.

use crate::limits;

/// Returns an untrusted name for a message: quoted, without control characters, cut to a bearable length.
pub fn shown(name: &str) -> String {
    let mut start: String = name
        .chars()
        .take(limits::logs::KEY_NAME_CHARS_SHOWN)
        .collect();
    if start.len() < name.len() {
        start.push('…');
    }
    format!("{start:?}")
}
