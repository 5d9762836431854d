//! `X-Forwarded-For`, `-Proto` and `-Host`: what the upstream is told of the client.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Not ours, but upstreams believe it.
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Finds the client, and makes the request's forwarding fields true.
///
/// A peer that is not trusted is the client, and whatever it says of others is dropped. Behind
/// trusted peers the client is the last address in `X-Forwarded-For` that is not a trusted one;
/// ours is added to the list, and the protocol and host that the proxy saw are kept. `Forwarded`
/// (RFC 7239) is dropped, since two lists that may disagree are worse than one.
pub fn resolve(headers: &mut HeaderMap, peer: IpAddr, trusted: &[IpNet], scheme: &str) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    headers.remove(FORWARDED);

    let mut client = peer;
    let mut list = String::new();
    if is_trusted(peer) {
        for value in headers.get_all(&FOR) {
            // Lossy: what is no text is no address either, and ends the walk where it stands.
            let value = String::from_utf8_lossy(value.as_bytes());
            if !list.is_empty() {
                list.push_str(", ");
            }
            list.push_str(&value);
        }
        for entry in list.rsplit(',') {
            // An entry that is no address cannot be trusted, nor can anything before it.
            let Ok(address) = entry.trim().parse::<IpAddr>() else {
                break;
            };
            client = address.to_canonical();
            if !is_trusted(client) {
                break;
            }
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
    } else {
        headers.remove(PROTO);
        headers.remove(HOST);
        headers.remove(REAL_IP);
    }

    list.push_str(&peer.to_string());
    set(headers, FOR, &list);
    if !headers.contains_key(&PROTO) {
        set(headers, PROTO, scheme);
    }
    if !headers.contains_key(&HOST)
        && let Some(host) = headers.get(http::header::HOST).cloned()
    {
        headers.insert(HOST, host);
    }
    client
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::try_from(value) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `X-Forwarded-For` and the client become.
    fn check(peer: &str, trusted: &[&str], forwarded: &[&str]) -> (String, String) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FOR, value.parse().unwrap());
        }
        headers.insert(HOST, "evil.example".parse().unwrap());
        headers.insert(http::header::HOST, "api.example".parse().unwrap());
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let client = resolve(&mut headers, peer.parse().unwrap(), &trusted, "http");
        let list = headers[FOR].to_str().unwrap().to_owned();
        (client.to_string(), list)
    }

    #[test]
    fn an_untrusted_peer_cannot_say_who_it_is() {
        let (client, list) = check("192.0.2.7", &["10.0.0.0/8"], &["203.0.113.1"]);
        assert_eq!((client.as_str(), list.as_str()), ("192.0.2.7", "192.0.2.7"));
    }

    #[test]
    fn a_trusted_chain_is_walked_from_its_end() {
        let (client, list) = check(
            "10.0.0.1",
            &["10.0.0.0/8"],
            &["198.51.100.9, 203.0.113.1", "10.9.9.9"],
        );
        assert_eq!(client, "203.0.113.1");
        assert_eq!(list, "198.51.100.9, 203.0.113.1, 10.9.9.9, 10.0.0.1");
    }

    #[test]
    fn bytes_beyond_ascii_do_not_hide_the_rest_of_their_line() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"1.1.1.1\xff, 203.0.113.9").unwrap();
        headers.append(FOR, value);
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = resolve(&mut headers, "10.0.0.1".parse().unwrap(), &trusted, "http");
        assert_eq!(client.to_string(), "203.0.113.9");
    }

    #[test]
    fn garbage_in_the_list_ends_the_trust() {
        let (client, _) = check("10.0.0.1", &["10.0.0.0/8"], &["203.0.113.1, unknown"]);
        assert_eq!(client, "10.0.0.1");
    }
}
