//! Which origins are allowed. An origin is what a browser says of a page: scheme, host, and the port
//! unless it is the scheme's own (RFC 6454, section 6.1).

use std::collections::BTreeSet;

use tollgate_plugin::Result;

pub enum Origins {
    /// Every page there is.
    Any,
    Listed {
        exact: BTreeSet<String>,
        subdomains: Vec<Subdomains>,
    },
}

/// `https://*.example.com:8443`: all names below, and not the name itself.
pub struct Subdomains {
    /// `https://`
    before: String,
    /// `.example.com:8443`
    after: String,
}

/// The longest host that DNS knows (RFC 1035, section 2.3.4), in bytes.
const HOST_BYTES_MAX: usize = 253;

impl Origins {
    /// Errors say which entry is wrong.
    pub fn new(texts: &[String]) -> Result<Origins> {
        if texts.is_empty() {
            return Err("`origins` is empty: no page could use the API".into());
        }
        if texts.iter().any(|text| text == "*") {
            return match texts {
                [_] => Ok(Origins::Any),
                _ => Err("`origins`: beside `*` no other origin has a meaning".into()),
            };
        }
        let (mut exact, mut subdomains) = (BTreeSet::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            // Browsers write scheme and host in lower case.
            let origin = text.to_ascii_lowercase();
            check(&origin).map_err(|why| format!("origins[{index}]: {text:?} {why}"))?;
            match origin.split_once("://*.") {
                Some((scheme, host)) => subdomains.push(Subdomains {
                    before: format!("{scheme}://"),
                    after: format!(".{host}"),
                }),
                None => {
                    exact.insert(origin);
                }
            }
        }
        Ok(Origins::Listed { exact, subdomains })
    }

    /// What `Access-Control-Allow-Origin` says to this origin, if it is allowed. Compared byte for
    /// byte, as browsers do (Fetch standard, section 4.10).
    pub fn allowed<'a>(&self, origin: &'a [u8]) -> Option<&'a str> {
        let origin = str::from_utf8(origin).ok()?;
        match self {
            Origins::Any => Some("*"),
            Origins::Listed { exact, subdomains } => (exact.contains(origin)
                || subdomains.iter().any(|below| below.contains(origin)))
            .then_some(origin),
        }
    }
}

impl Subdomains {
    fn contains(&self, origin: &str) -> bool {
        let labels = origin
            .strip_prefix(&self.before)
            .and_then(|rest| rest.strip_suffix(&self.after));
        // Nothing but labels, so that `https://evil.example/.example.com` does not pass.
        labels.is_some_and(|labels| {
            labels.len() <= HOST_BYTES_MAX
                && labels
                    .split('.')
                    .all(|label| !label.is_empty() && label.bytes().all(is_label))
        })
    }
}

/// What a host has between its dots, as browsers write it.
fn is_label(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

/// The error continues a sentence that begins with the origin.
fn check(origin: &str) -> Result<(), String> {
    if origin == "null" {
        return Err(
            "is what any page can call itself, from a sandboxed frame: to allow it is to allow all"
                .into(),
        );
    }
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Err("is no origin, such as https://app.example.com".into());
    };
    let letters = |byte: u8| byte.is_ascii_lowercase();
    if !scheme.bytes().next().is_some_and(letters)
        || !scheme
            .bytes()
            .all(|byte| letters(byte) || byte.is_ascii_digit() || b"+-.".contains(&byte))
    {
        return Err("has no scheme before its `://`".into());
    }
    if rest.contains(['/', '?', '#', '@']) {
        return Err(
            "has more than an origin has: it ends behind host and port, without a `/`".into(),
        );
    }
    if !rest.is_ascii() {
        return Err(
            "must be as browsers send it: other scripts are in Punycode (`xn--...`)".into(),
        );
    }
    // An IPv6 address has colons inside its brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    if let Some(port) = port {
        let number = port.parse::<u16>().ok().filter(|_| !port.starts_with('0'));
        match (scheme, number) {
            (_, None) => return Err("has a port that is none".into()),
            ("http", Some(80)) | ("https", Some(443)) => {
                return Err(format!(
                    "matches nothing: browsers leave out the port {port} of {scheme}"
                ));
            }
            _ => {}
        }
    }
    check_host(host)
}

fn check_host(host: &str) -> Result<(), String> {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(parsed) if parsed.to_string() == address => Ok(()),
            Ok(parsed) => Err(format!("matches nothing: browsers write [{parsed}]")),
            Err(_) => Err("has an IPv6 address that is none".into()),
        };
    }
    let name = host.strip_prefix("*.").unwrap_or(host);
    if name.contains('*') {
        return Err(
            "has a `*` elsewhere than as the whole first label: `https://*.example.com`".into(),
        );
    }
    if name.is_empty()
        || name
            .split('.')
            .any(|label| label.is_empty() || !label.bytes().all(is_label))
    {
        return Err("has a host that is none".into());
    }
    Ok(())
}
