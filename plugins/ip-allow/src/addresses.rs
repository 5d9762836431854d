//! A set of addresses, made from networks once and searched on every request.

use std::net::IpAddr;

use ipnet::IpNet;
use tollgate_plugin::Result;

/// First and last addresses of ranges, ascending. The ranges do not overlap, so that the one that
/// could hold an address is found by halving: some 14 steps among 10,000.
pub struct Addresses {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Addresses {
    /// Errors say which entry of the list of this name is wrong.
    pub fn new(list: &str, texts: &[String]) -> Result<Addresses> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            match network(text).map_err(|why| format!("{list}[{index}]: {text:?} {why}"))? {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        Ok(Addresses {
            v4: merged(v4),
            v6: merged(v6),
        })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, address.into()),
            IpAddr::V6(address) => within(&self.v6, address.into()),
        }
    }
}

/// The network, or the network of one address, that the text names. An IPv4 network that is written
/// in IPv6 (`::ffff:192.0.2.0/120`, RFC 4291, section 2.5.5.2) is that IPv4 network, as its addresses
/// are. The error continues a sentence that begins with the text.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>(),
    };
    let written = parsed.map_err(
        |_| "is no address and no network, such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32",
    )?;
    let net = match (written, written.addr().to_canonical()) {
        (IpNet::V6(v6), IpAddr::V4(v4)) if v6.prefix_len() >= 96 => {
            IpNet::new(v4.into(), v6.prefix_len() - 96).map_err(|error| error.to_string())?
        }
        _ => written,
    };
    // `10.0.0.1/8` may mean one address, or 16 million.
    if net.network() != net.addr() {
        let (net, address) = (net.trunc(), net.addr());
        return Err(format!(
            "has bits behind its prefix: write {net}, or {address} if that one address is meant"
        ));
    }
    Ok(net)
}

fn merged<T: Copy + Ord>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn within<T: Ord>(ranges: &[(T, T)], address: T) -> bool {
    let following = ranges.partition_point(|(first, _)| *first <= address);
    following > 0 && address <= ranges[following - 1].1
}
