//! Host names, as patterns in routes and as sent by clients.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use crate::limits::config::HOST_BYTES_MAX;

/// Which hosts a route serves. Both variants hold lower case, no port and no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Exact(String),
    /// The suffix without its `*.`; one or more labels stand before it.
    Wildcard(String),
}

impl HostPattern {
    /// Reads `example.com`, `*.example.com`, `192.0.2.7` or `[::1]`. The error completes "the
    /// pattern ...".
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let lower = text.to_ascii_lowercase();
        let (name, wildcard) = match lower.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (lower.as_str(), false),
        };
        let bracketed = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed {
            return match address.parse::<Ipv6Addr>() {
                Ok(address) if !wildcard => Ok(HostPattern::Exact(format!("[{address}]"))),
                _ => Err("is not an IPv6 address in brackets".to_owned()),
            };
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.contains(':') {
            return Err("must be a host without a port, such as `example.com`".to_owned());
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let label = |label: &str| !label.is_empty() && label.bytes().all(fits);
        if name.len() > HOST_BYTES_MAX || !name.split('.').all(label) {
            return Err("is not a host such as `example.com` or `*.example.com`".to_owned());
        }
        let name = name.to_owned();
        Ok(if wildcard {
            HostPattern::Wildcard(name)
        } else {
            HostPattern::Exact(name)
        })
    }

    /// Whether the pattern matches this host, which is [`normal`].
    pub(super) fn fits(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => host == name,
            HostPattern::Wildcard(suffix) => {
                let labels = host.strip_suffix(suffix.as_str());
                let labels = labels.and_then(|labels| labels.strip_suffix('.'));
                labels.is_some_and(|labels| !labels.is_empty())
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => f.write_str(host),
            HostPattern::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

/// Returns a host as patterns hold it: without a port and one trailing dot, in lower case. An IPv6 address
/// has one form (RFC 5952).
pub(super) fn normal(host: &str) -> Cow<'_, str> {
    let address = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((address, _port)) = address
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        return Cow::Owned(format!("[{address}]"));
    }
    let host = match host.find(']') {
        Some(end) if host.starts_with('[') => host.get(..=end).unwrap_or(host),
        _ => host.split(':').next().unwrap_or(host),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Returns the parts after the first label, after the second, and so on.
pub(super) fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    let dots = host.match_indices('.').filter(|(at, _)| *at > 0);
    dots.filter_map(|(at, _)| host.get(at + 1..))
}
