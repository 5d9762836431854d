//! Fields that speak for a proxy: a server behind one believes them because no client should be able to send
//! them. They are recognized by family and purpose, since every product has its own names.
//!
//! Names are compared as servers behind the gateway read them. CGI, WSGI and Rack turn a field into a
//! variable with `_` for `-`; lighttpd, older Apaches, PHP and Go's CGI use `_` for other signs too. So all
//! characters that are neither letter nor digit count as the same one here.

use http::header::HeaderName;

/// What a field says on behalf of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The client's address: one address, under one of many names.
    Address,
    /// Anything else about how the client reached the proxy, and what the proxy made of the request: the
    /// requested scheme, host, port and path, the user, the certificate.
    Other,
}

/// Prefixes of such names.
const PREFIXES: [&str; 16] = [
    // The family's own: `x-forwarded-for`, `-proto`, `-host`, `-port`, `-prefix`, `-user`, `-client-cert`.
    "x-forwarded",
    // RFC 7239, and `forwarded-for` and its like before it.
    "forwarded",
    // The target before a proxy rewrote it: IIS, Envoy, Symfony and Zend route by these.
    "x-original-",
    "x-rewrite-",
    "x-envoy-original-",
    // The client's TLS certificate: RFC 9440, section 4 requires these removed; and similar names from nginx,
    // HAProxy and others.
    "client-cert",
    "x-client-cert",
    "ssl-client-",
    "x-ssl-client-",
    "x-tls-client-",
    "ssl-cert",
    "x-ssl-cert",
    // From Amazon's balancers: the client's certificate, TLS, and the user who signed in.
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-arr-",
    // nginx tells its application which files may be sent in its place.
    "x-accel-",
];

/// Whole names.
const NAMES: [&str; 19] = [
    // The requested scheme and host, and the path that the application is mounted at.
    "front-end-https",
    "x-https",
    "https",
    // The user who signed in at the proxy, as CGI and proxies name it.
    "remote-user",
    "x-remote-user",
    "x-webauth-user",
    "x-scheme",
    "x-url-scheme",
    "x-http-scheme",
    "x-host",
    "x-http-host-override",
    "x-script-name",
    "script-name",
    // The port that the client came from, or to.
    "x-real-port",
    "x-client-port",
    "x-port",
    // Whether Envoy counts the client as internal.
    "x-envoy-internal",
    // How Rack sends files.
    "x-sendfile-type",
    // In CGI it becomes the variable from which HTTP clients take their proxy (CVE-2016-5385).
    "proxy",
];

/// Suffixes of names that all say the client's address: `x-real-ip`, `true-client-ip`, `cf-connecting-ip`,
/// `fastly-client-ip`, `x-azure-clientip`.
const ADDRESSES: [&str; 18] = [
    "real-ip",
    "client-ip",
    "clientip",
    "client-ipv6",
    "client-addr",
    "client-address",
    "client-connection-ip",
    "connecting-ip",
    "connecting-ipv6",
    "pseudo-ipv4",
    "remote-ip",
    "remote-addr",
    "originating-ip",
    "appengine-user-ip",
    "proxyuser-ip",
    "azure-socketip",
    "cdn-src-ip",
    "envoy-external-address",
];

/// The first characters of the names in these tables, so that most names need no comparison.
const FIRST: [bool; 256] = {
    let first = with_characters([false; 256], &PREFIXES, true);
    with_characters(first, &NAMES, true)
};

/// The last characters of the suffixes of addresses.
const LAST: [bool; 256] = with_characters([false; 256], &ADDRESSES, false);

/// Marks the first or the last character of each name.
const fn with_characters(mut marks: [bool; 256], names: &[&str], first: bool) -> [bool; 256] {
    let mut index = 0;
    while index < names.len() {
        let name = names[index].as_bytes();
        let at = if first { 0 } else { name.len() - 1 };
        marks[name[at] as usize] = true;
        index += 1;
    }
    marks
}

/// Returns what a field of this name says for a proxy; `None` if any client may send it.
pub fn says(name: &HeaderName) -> Option<Says> {
    let name = name.as_str().as_bytes();
    let is = |marks: &[bool; 256], byte: Option<&u8>| {
        byte.is_some_and(|byte| marks[usize::from(read(*byte))])
    };
    if is(&LAST, name.last()) && ADDRESSES.iter().any(|end| ends(name, end)) {
        return Some(Says::Address);
    }
    let known = is(&FIRST, name.first())
        && (PREFIXES.iter().any(|start| begins(name, start))
            || NAMES.iter().any(|one| reads_alike(name, one.as_bytes())));
    known.then_some(Says::Other)
}

/// Whether servers may take two names for one. Also true for equal names.
pub fn reads_alike(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| read(*a) == read(*b))
}

/// Whether a name has only letters, digits and `-`, so that all servers read it alike.
pub fn is_plain(name: &HeaderName) -> bool {
    let name = name.as_str().bytes();
    name.into_iter()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn begins(name: &[u8], start: &str) -> bool {
    name.get(..start.len())
        .is_some_and(|begin| reads_alike(begin, start.as_bytes()))
}

fn ends(name: &[u8], end: &str) -> bool {
    let at = name.len().checked_sub(end.len());
    at.is_some_and(|at| {
        // The suffix must begin a word: `x-surreal-ip` is something else.
        (at == 0 || read(name[at - 1]) == b'-') && reads_alike(&name[at..], end.as_bytes())
    })
}

/// Returns the byte as servers may read it. Header names are in lower case already.
fn read(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte
    } else {
        b'-'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_known_by_any_spelling() {
        for (name, expected) in [
            ("x-forwarded-for", Some(Says::Other)),
            ("x_forwarded_for", Some(Says::Other)),
            ("x-forwarded.for", Some(Says::Other)),
            ("x-forwarded-something-new", Some(Says::Other)),
            ("x-forwarded", Some(Says::Other)),
            ("forwarded", Some(Says::Other)),
            ("x-original-url", Some(Says::Other)),
            ("x_original_url", Some(Says::Other)),
            ("x-rewrite-url", Some(Says::Other)),
            ("client-cert-chain", Some(Says::Other)),
            ("x-amzn-mtls-clientcert", Some(Says::Other)),
            ("x_amzn_oidc_identity", Some(Says::Other)),
            ("remote_user", Some(Says::Other)),
            ("x-https", Some(Says::Other)),
            ("proxy", Some(Says::Other)),
            ("x-real-ip", Some(Says::Address)),
            ("x_real_ip", Some(Says::Address)),
            ("true-client-ip", Some(Says::Address)),
            ("cf-connecting-ip", Some(Says::Address)),
            ("client-ip", Some(Says::Address)),
            ("x-azure-clientip", Some(Says::Address)),
            ("x-surreal-ip", None),
            ("proxy-authorization", None),
            ("psu-ip-address", None),
            ("x-customer-ip", None),
            ("x-user", None),
            ("host", None),
            ("client", None),
            ("via", None),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(says(&name), expected, "{name}");
        }
    }

    #[test]
    fn signs_are_read_alike_and_nothing_else() {
        assert!(reads_alike(b"x-user", b"x_user"));
        assert!(reads_alike(b"x-user", b"x.user"));
        assert!(!reads_alike(b"x-user", b"xuser"));
        assert!(!reads_alike(b"x-user", b"x-users"));
        assert!(!reads_alike(b"x-user", b"x-usor"));
        assert!(is_plain(&HeaderName::from_static("x-user1")));
        assert!(!is_plain(&HeaderName::from_static("x_user")));
    }
}
