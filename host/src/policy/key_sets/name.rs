//! Names from outside, in messages.

/// Characters of a name from outside (`alg`, `kid`, `kty`, `crv`) that a message shows.
const NAME_CHARS_SHOWN: usize = 64;

/// A name from outside, for a message: quoted, without control characters, and not longer than a
/// message can bear.
pub fn shown(name: &str) -> String {
    let mut start: String = name.chars().take(NAME_CHARS_SHOWN).collect();
    if start.len() < name.len() {
        start.push('…');
    }
    format!("{start:?}")
}
