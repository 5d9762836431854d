//! Names from outside, in messages.

use crate::limits;

/// A name from outside, for a message: quoted, without control characters, and not longer than a
/// message can bear.
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
