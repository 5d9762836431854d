//! What is known of a client's connection before the client says anything.

use std::net::IpAddr;

/// The peer of a connection, made once for all its requests. Behind a proxy it is the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    /// What the peer speaks to the gateway: `http`.
    pub scheme: &'static str,
}

impl Peer {
    /// The peer of a connection without TLS.
    pub fn plain(address: IpAddr) -> Peer {
        Peer {
            // An IPv4 client of a socket that takes both is an IPv4 client.
            address: address.to_canonical(),
            scheme: "http",
        }
    }
}
