//! Who asks, and for what: settled once, from the connection and from what a trusted proxy says of it.
//! The chain, the cache and the upstream are all told the same.

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

/// What is true of a request, as far as anybody who is believed says.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// None: it came through a trusted proxy, which does not say from where.
    pub client: Option<IpAddr>,
    pub scheme: &'static str,
    /// The host that the client asked for, where that is another than `Host`.
    pub asked: Option<HeaderValue>,
}

/// Settles what is true of a request, and makes the fields that tell it to the upstream say the same.
///
/// A peer that is not trusted is the client, and what it says in the fields of proxies
/// ([`families`]) is dropped. Behind trusted peers the client is the last address in
/// `X-Forwarded-For` that is not a trusted one. If what stands there is no address, nobody knows who
/// the client is: it is not the proxy, whom rules about addresses mostly let in. `X-Forwarded-Proto`,
/// `-Host` and `-Port` are believed where they have one valid value. Other fields that name the
/// client's address get the one that was found, and further fields of proxies go on as they are.
///
/// `Forwarded` (RFC 7239) is dropped, of trusted peers too: most proxies pass on what a client wrote
/// there, and two lists that may disagree are worse than one.
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
                // The list itself is: it has no empty members.
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

/// Drops what this peer may not say: of a trusted one `Forwarded`, and names that are read as those of a
/// proxy without being them, which the proxy passed on from its client.
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

/// All members of `X-Forwarded-For` as one list. Empty ones count for nothing (RFC 9110, section 5.6.1).
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

/// The address of a node (RFC 7239, section 6), with or without a port, as balancers write it: IPv6 also
/// without brackets where there is no port, and any of it quoted.
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

/// Other fields in which a trusted proxy, or its client through it, named the client.
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

/// The one value of a field; none if there are several lines.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok().map(str::trim),
        _ => None,
    }
}

/// What `X-Forwarded-Proto` says, if it says one thing. Some proxies name the protocol that a WebSocket
/// was asked for with.
fn said_scheme(headers: &HeaderMap) -> Option<&'static str> {
    let said = only(headers, &PROTO)?;
    let is = |scheme: &str| said.eq_ignore_ascii_case(scheme);
    match () {
        () if is("https") || is("wss") => Some("https"),
        () if is("http") || is("ws") => Some("http"),
        () => None,
    }
}

/// The host that the client asked for: what `X-Forwarded-Host` says if it says one, else `Host`; with
/// the port of `X-Forwarded-Port` if it has none.
fn asked_host(headers: &HeaderMap) -> Option<HeaderValue> {
    let said = only(headers, &ASKED_HOST).filter(|host| fields::is_authority(host));
    let host = match said {
        Some(said) => HeaderValue::from_str(said).ok()?,
        None => headers.get(HOST)?.clone(),
    };
    let port = only(headers, &PORT).and_then(|port| port.parse::<u16>().ok());
    // The port of the other scheme is that of some hop in between.
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
