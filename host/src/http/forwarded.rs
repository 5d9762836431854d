//! The client's address, scheme and host: settled once, from the connection and from what a trusted proxy
//! says about it. The chain, the cache and the upstream all get the same.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use ipnet::IpNet;

use super::families::{self, Says};
use super::fields;
use super::peer::Peer;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const ASKED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// A request's client, scheme and host, by the peer and trusted proxies.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// `None` if a trusted proxy does not name the client.
    pub client: Option<IpAddr>,
    pub scheme: &'static str,
    /// The host that the client asked for, if it differs from `Host`.
    pub asked: Option<HeaderValue>,
}

/// Settles a request's client, scheme and host, and makes the fields for the upstream say the same.
///
/// An untrusted peer is the client, and its fields that speak for a proxy ([`families`]) are dropped. Behind
/// trusted peers the client is the last address in `X-Forwarded-For` that is not trusted. If that entry is no
/// address, the client is unknown: it must not count as the proxy, which rules about addresses mostly let in.
/// `X-Forwarded-Proto`, `-Host` and `-Port` are believed if they have one valid value. Other fields that name
/// the client's address get the one found, and further fields of proxies go on unchanged.
///
/// `Forwarded` (RFC 7239) is dropped even from trusted peers: most proxies pass on what a client wrote there,
/// and two lists that may disagree are worse than one.
pub fn settle(headers: &mut HeaderMap, peer: &Peer, trusted: &[IpNet]) -> Settled {
    let Peer {
        address: peer,
        scheme,
    } = *peer;
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let believed = is_trusted(peer);
    drop_unbelieved(headers, believed);

    let mut client = Some(peer);
    let mut list = Vec::new();
    if believed {
        list = members(headers);
        for member in list.rsplit(|byte| *byte == b',') {
            let member = member.trim_ascii();
            if member.is_empty() {
                // Only if the whole list is empty: it has no empty members.
                break;
            }
            client = address(member);
            if !client.is_some_and(is_trusted) {
                break;
            }
        }
    }
    if !list.is_empty() {
        list.extend(b", ");
    }
    list.extend(peer.to_string().bytes());
    set(headers, FOR, &list);
    if believed {
        name_client(headers, client);
    }

    let scheme = said_scheme(headers).unwrap_or(scheme);
    set(headers, PROTO, scheme.as_bytes());
    let host = headers.get(HOST).cloned();
    let asked = asked_host(headers);
    match &asked {
        Some(asked) => headers.insert(ASKED_HOST, asked.clone()),
        None => headers.remove(ASKED_HOST),
    };
    if headers.contains_key(PORT) {
        set(headers, PORT, port(asked.as_ref(), scheme).as_bytes());
    }
    Settled {
        client,
        scheme,
        asked: asked.filter(|asked| host.as_ref() != Some(asked)),
    }
}

/// Drops the fields that this peer may not send. From a trusted one: `Forwarded`, and names that servers
/// would only read as a proxy's, which the proxy passed on from its client.
fn drop_unbelieved(headers: &mut HeaderMap, believed: bool) {
    let is_dropped = |name: &&HeaderName| {
        families::says(name).is_some()
            && (!believed || **name == FORWARDED || !families::is_plain(name))
    };
    let names: Vec<HeaderName> = headers.keys().filter(is_dropped).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Returns all members of `X-Forwarded-For` as one list, without empty ones (RFC 9110, section 5.6.1).
fn members(headers: &HeaderMap) -> Vec<u8> {
    let mut list = Vec::new();
    for line in headers.get_all(FOR) {
        let members = line.as_bytes().split(|byte| *byte == b',');
        for member in members.map(<[u8]>::trim_ascii) {
            if member.is_empty() {
                continue;
            }
            if !list.is_empty() {
                list.extend(b", ");
            }
            list.extend(member);
        }
    }
    list
}

/// Reads the address of a node (RFC 7239, section 6), with or without a port, as balancers write it: IPv6
/// without a port may lack brackets, and any form may be quoted.
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    let unquoted = |text: &'static str| node.strip_prefix(text)?.strip_suffix(text);
    let node = unquoted("\"").unwrap_or(node);
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = match node.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            match behind {
                "" => return Some(IpAddr::from(address).to_canonical()),
                behind => (IpAddr::from(address), behind.strip_prefix(':')?),
            }
        }
        None => {
            let (address, port) = node.split_once(':')?;
            (IpAddr::from(address.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    let is_number = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let is_hidden = port.strip_prefix('_').is_some_and(|name| !name.is_empty());
    (is_number || is_hidden).then(|| address.to_canonical())
}

/// Sets the client in other fields where a trusted proxy, or its client through it, named one.
fn name_client(headers: &mut HeaderMap, client: Option<IpAddr>) {
    let value = client.and_then(|client| HeaderValue::try_from(client.to_string()).ok());
    let says = |name: &&HeaderName| families::says(name) == Some(Says::Address);
    let names: Vec<HeaderName> = headers.keys().filter(says).cloned().collect();
    for name in names {
        match &value {
            Some(value) => headers.insert(name, value.clone()),
            None => headers.remove(name),
        };
    }
}

/// Returns the one value of a field; `None` if it has several lines.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok().map(str::trim),
        _ => None,
    }
}

/// Returns the scheme in `X-Forwarded-Proto`, if it has one valid value. Some proxies write a WebSocket's
/// scheme.
fn said_scheme(headers: &HeaderMap) -> Option<&'static str> {
    let said = only(headers, &PROTO)?;
    let is = |scheme: &str| said.eq_ignore_ascii_case(scheme);
    match () {
        () if is("https") || is("wss") => Some("https"),
        () if is("http") || is("ws") => Some("http"),
        () => None,
    }
}

/// Returns the host that the client asked for: a valid `X-Forwarded-Host`, else `Host`; with the port of
/// `X-Forwarded-Port` if it has none.
fn asked_host(headers: &HeaderMap) -> Option<HeaderValue> {
    let said = only(headers, &ASKED_HOST).filter(|host| fields::is_authority(host));
    let host = match said {
        Some(said) => HeaderValue::from_str(said).ok()?,
        None => headers.get(HOST)?.clone(),
    };
    let port = only(headers, &PORT).and_then(|port| port.parse::<u16>().ok());
    // A default port adds nothing, and that of the other scheme belongs to some hop in between.
    let Some(port) = port.filter(|port| ![0, 80, 443].contains(port)) else {
        return Some(host);
    };
    let text = host.to_str().ok()?;
    if text.is_empty() || has_port(text) {
        return Some(host);
    }
    HeaderValue::try_from(format!("{text}:{port}")).ok()
}

fn has_port(authority: &str) -> bool {
    authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.contains(']'))
}

fn port(asked: Option<&HeaderValue>, scheme: &str) -> String {
    let own = if scheme == "https" { 443 } else { 80 };
    let asked = asked.and_then(|asked| Authority::try_from(asked.as_bytes()).ok());
    let port = asked.and_then(|asked| asked.port_u16());
    port.unwrap_or(own).to_string()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    match HeaderValue::from_bytes(value) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}
