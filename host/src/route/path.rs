//! Checks on the paths that clients send.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::limits::message::PATH_SEGMENTS_MAX;

/// Returns the text percent-decoded. A checked path loses nothing: [`check`] refuses what is not UTF-8.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('%') {
        percent_decode_str(text).decode_utf8_lossy()
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a path is plain: it has nothing that [`check`] refuses, and all servers read it alike. Most paths
/// are. Takes one pass over the bytes.
pub(super) fn is_plain(path: &str) -> bool {
    let mut segments = 0;
    let mut before = 0;
    for byte in path.bytes() {
        let plain = match (before, byte) {
            // A dot segment may begin like this.
            (b'/', b'.' | b'/') => false,
            (_, b'/') => {
                segments += 1;
                true
            }
            (_, b'%' | b'\\' | b';') => false,
            _ => byte.is_ascii_graphic(),
        };
        if !plain {
            return false;
        }
        before = byte;
    }
    path.starts_with('/') && segments <= PATH_SEGMENTS_MAX
}

/// Refuses every path that an upstream may read differently from the router: a policy would then guard one
/// path while another is served.
pub fn check(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err("the path does not begin with a slash");
    };
    for (index, segment) in rest.split('/').enumerate() {
        if index == PATH_SEGMENTS_MAX {
            return Err("the path has too many segments");
        }
        check_segment(segment)?;
    }
    Ok(())
}

/// Refuses a text that cannot be a segment of a path.
pub(super) fn check_segment(segment: &str) -> Result<(), &'static str> {
    let decoded = if segment.contains('%') {
        check_escapes(segment)?;
        let decoded = percent_decode_str(segment).decode_utf8();
        decoded.map_err(|_| "the path is not UTF-8 once decoded")?
    } else {
        Cow::Borrowed(segment)
    };
    if decoded.chars().any(char::is_control) {
        return Err("the path contains a control character");
    }
    // An upstream may take an encoded slash or any backslash as a separator, and servlet containers cut off
    // the part after a semicolon before they resolve dots.
    let dots = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
    if decoded.split(['/', '\\']).any(dots) {
        return Err("the path contains a dot segment");
    }
    Ok(())
}

fn check_escapes(segment: &str) -> Result<(), &'static str> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b'%' && !(hex(bytes.next()) && hex(bytes.next())) {
            return Err("the path contains an invalid percent escape");
        }
    }
    Ok(())
}
