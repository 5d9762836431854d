//! Facts about a client's connection before the client sends anything.

use std::net::IpAddr;

/// The peer of a connection, made once for all its requests. Behind a proxy it is the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    /// The scheme that the peer uses with the gateway: `http`.
    pub scheme: &'static str,
}

impl Peer {
    /// The peer of a connection without TLS.
    pub fn plain(address: IpAddr) -> Peer {
        Peer {
            // A dual-stack socket gives IPv4 clients as mapped IPv6 addresses.
            address: address.to_canonical(),
            scheme: "http",
        }
    }
}
