//! Header fields: those of one connection, those that imitate ours, and edits by plugins.

use std::net::Ipv6Addr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

use super::families;
use super::side::Side;
use crate::limits;
use crate::quote::quoted;

/// Fields about one connection (RFC 9110, section 7.6.1), which are never forwarded; neither are those that
/// `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Whether a field is about one connection, or about where a message ends, also for servers that read `_` and other
/// signs in names as `-`.
pub fn is_framing(name: &HeaderName) -> bool {
    let reads_alike =
        |own: &HeaderName| families::reads_alike(own.as_str().as_bytes(), name.as_str().as_bytes());
    HOP_BY_HOP.contains(name)
        || *name == CONTENT_LENGTH
        || !families::is_plain(name)
            && (HOP_BY_HOP.iter().any(reads_alike) || reads_alike(&CONTENT_LENGTH))
}

/// Fields that a `Connection` option cannot remove: framing and routing depend on them, and a client that
/// could strip what the gateway or a plugin adds would get around them. The fields that speak for a proxy
/// ([`families`]) are protected too.
const NEVER_CONNECTION_OPTIONS: [&str; 7] = [
    "host",
    "content-length",
    "content-type",
    "authorization",
    "cookie",
    "set-cookie",
    "x-request-id",
];

/// Fields that the gateway itself writes, removes or acts on, and that servers may also read under another
/// name (see [`families`]).
const SHADOWED: [&str; 13] = [
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "content-type",
    "content-encoding",
    "accept-encoding",
    // The cache takes answers to these for answers to its own conditions.
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "x-request-id",
];

/// Removes the fields that belong to one connection.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse::<HeaderName>().ok())
            .filter(|name| !NEVER_CONNECTION_OPTIONS.contains(&name.as_str()))
            .filter(|name| families::says(name).is_none())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    // Usually there is none, and comparing names costs less than looking each up.
    let found = |header: &HeaderName| HOP_BY_HOP.contains(header);
    if headers.keys().any(found) {
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
    }
}

/// Removes the fields of a request that a server may take for one of the `SHADOWED`.
pub fn remove_shadows(headers: &mut HeaderMap) {
    let is_shadow = |name: &&HeaderName| {
        let reads_as = |own: &&str| families::reads_alike(own.as_bytes(), name.as_str().as_bytes());
        !families::is_plain(name) && SHADOWED.iter().any(reads_as)
    };
    let names: Vec<HeaderName> = headers.keys().filter(is_shadow).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Returns the other names in this message that servers may take for `name`.
pub fn shadows(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderName> {
    let is_shadow = |other: &&HeaderName| {
        *other != name && families::reads_alike(other.as_str().as_bytes(), name.as_str().as_bytes())
    };
    headers.keys().filter(is_shadow).cloned().collect()
}

/// Whether all servers understand the message's framing alike: no transfer coding, or `chunked` alone (RFC
/// 9112, section 6.1). For another coding we would remove the field that names it, and pass the body on in an
/// encoding that no field names.
pub fn plain_framing(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Whether this is a host with an optional port and nothing else (RFC 9110, section 4.2.3).
pub fn is_authority(text: &str) -> bool {
    let Ok(authority) = text.parse::<http::uri::Authority>() else {
        return false;
    };
    let port = authority.as_str().strip_prefix(authority.host());
    // An empty label names nothing, and could get a host past a rule about hosts.
    let labels = authority
        .host()
        .strip_suffix('.')
        .unwrap_or(authority.host());
    let address = labels.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
    // Brackets must hold an IPv6 address without a zone: a request cannot be for the other forms that RFC
    // 3986 allows.
    address.is_none_or(|address| address.is_some_and(|it| it.parse::<Ipv6Addr>().is_ok()))
        && !labels.split('.').any(str::is_empty)
        && !authority.as_str().contains('@')
        && match port.map(|port| port.strip_prefix(':').unwrap_or(port)) {
            None => false,
            Some("") => true,
            Some(port) => {
                port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
            }
        }
}

/// Removes `Expect`, which the gateway answers itself: it has sent or will send its own `100 Continue`.
pub fn remove_expectation(headers: &mut HeaderMap) {
    headers.remove(EXPECT);
}

/// Returns the sum of all names and values, in bytes, as on the wire without separators.
pub fn bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// Checks the name of a field that a plugin wants to edit. A response may have a `host` field; a request's is its
/// authority.
///
/// # Errors
/// In words for the plugin's author.
pub fn editable(side: Side, name: &str) -> Result<HeaderName, String> {
    let parsed: HeaderName = name
        .parse()
        .map_err(|_| format!("{} is not a header name", quoted(name)))?;
    if is_framing(&parsed) {
        return Err(format!(
            "`{parsed}` belongs to the connection or the framing, which are the gateway's"
        ));
    }
    if side == Side::Request && parsed == HOST {
        return Err("`host` is set with `set-authority`".to_owned());
    }
    Ok(parsed)
}

/// Checks a value that a plugin wants to set.
///
/// # Errors
/// In words for the plugin's author.
pub fn value(name: &HeaderName, value: &[u8]) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(value)
        .map_err(|_| format!("the value for `{name}` has control characters"))
}

/// Checks that a message that a plugin makes still has room for one more line of `added` bytes.
///
/// # Errors
/// In words for the plugin's author.
pub fn room(headers: &HeaderMap, added: usize) -> Result<(), String> {
    let (bytes_max, lines_max) = (
        limits::message::MESSAGE_HEADER_BYTES_MAX,
        limits::message::MESSAGE_HEADER_LINES_MAX,
    );
    within(headers, 0, added, bytes_max, lines_max)
}

/// Checks that a message that plugins edit still has room for one more line of `added` bytes, in place of
/// lines of `replaced` bytes. The bound is twice what a sender may send.
///
/// # Errors
/// In words for the plugin's author.
pub fn room_for_edit(headers: &HeaderMap, replaced: usize, added: usize) -> Result<(), String> {
    let (bytes_max, lines_max) = (
        limits::message::EDITED_HEADER_BYTES_MAX,
        limits::message::EDITED_HEADER_LINES_MAX,
    );
    within(headers, replaced, added, bytes_max, lines_max)
}

fn within(
    headers: &HeaderMap,
    replaced: usize,
    added: usize,
    bytes_max: usize,
    lines_max: usize,
) -> Result<(), String> {
    if bytes(headers).saturating_sub(replaced) + added > bytes_max {
        return Err(format!("the headers would exceed {bytes_max} bytes"));
    }
    if replaced == 0 && headers.len() >= lines_max {
        return Err(format!("the headers would exceed {lines_max} lines"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::try_from(*value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn removes_what_connection_names_but_not_what_we_rely_on() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "host, x-forwarded-for"),
            ("x-secret", "1"),
            ("host", "a"),
            ("x-forwarded-for", "192.0.2.1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut map);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "host", "x-forwarded-for"]);
    }

    #[test]
    fn names_that_are_read_as_ours_are_removed() {
        let mut map = headers(&[
            ("content_length", "5"),
            ("transfer.encoding", "chunked"),
            ("x_request_id", "mine"),
            ("x-request-id", "ours"),
            ("x_custom", "1"),
            ("x-custom", "2"),
        ]);
        remove_shadows(&mut map);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-custom", "x-request-id", "x_custom"]);
        let name = HeaderName::from_static("x-custom");
        assert_eq!(shadows(&map, &name), ["x_custom"]);
    }

    #[test]
    fn refuses_edits_of_framing() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "connection",
            "a b",
            "",
        ] {
            assert!(editable(Side::Response, name).is_err(), "{name}");
        }
        assert!(editable(Side::Request, "host").is_err());
        assert!(editable(Side::Response, "set-cookie").is_ok());
    }
}
