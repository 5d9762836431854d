//! What compiled code is known by.

use aws_lc_rs::digest::{Context, SHA256};

pub const DIGEST_BYTES: usize = 32;

/// What a compiled component is known by: content, configuration, engine and version, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeKey(pub [u8; DIGEST_BYTES]);

impl CodeKey {
    /// A key of these parts; each is counted in with its length, so that parts cannot run together.
    pub fn of(parts: &[&[u8]]) -> CodeKey {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut key = [0; DIGEST_BYTES];
        key.copy_from_slice(context.finish().as_ref());
        CodeKey(key)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
