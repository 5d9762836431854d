//! Which fields speak for a proxy: what a server behind one believes because no client should be able
//! to say it. They are known by family and by reason, since every product has names of its own.
//!
//! Names are held against each other as servers behind the gateway read them. CGI, WSGI and Rack give a
//! field a variable in which `-` is `_`; lighttpd, older Apaches, PHP and Go's CGI put `_` for other
//! signs too. So every character that is neither letter nor digit counts as the same one here.

use http::header::HeaderName;

/// What a field says that only a proxy can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// From which address the client came: one address, under one of many names.
    Address,
    /// Anything else of how the client reached the proxy, and what the proxy made of the request: the
    /// scheme, host, port and path that were asked for, the user, the certificate.
    Other,
}

/// Names that begin so.
const PREFIXES: [&str; 16] = [
    // The family's own: `x-forwarded-for`, `-proto`, `-host`, `-port`, `-prefix`, `-user`, `-client-cert`.
    "x-forwarded",
    // RFC 7239, and `forwarded-for` and its like before it.
    "forwarded",
    // What was asked for before somebody rewrote it: IIS, Envoy, Symfony and Zend route by these.
    "x-original-",
    "x-rewrite-",
    "x-envoy-original-",
    // What TLS showed of the client: RFC 9440, section 4 has these removed; and what nginx, HAProxy and
    // others name so.
    "client-cert",
    "x-client-cert",
    "ssl-client-",
    "x-ssl-client-",
    "x-tls-client-",
    "ssl-cert",
    "x-ssl-cert",
    // What Amazon's balancers say of the client's certificate, of TLS, and of who signed in.
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-arr-",
    // nginx tells its application which files may be sent in its place.
    "x-accel-",
];

/// Names that are so.
const NAMES: [&str; 19] = [
    // The scheme and host that were asked for, and the path that the application is mounted at.
    "front-end-https",
    "x-https",
    "https",
    // Who signed in at the proxy, as CGI names it and as those do that hand it on.
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
    // Whether Envoy counts the client among its own.
    "x-envoy-internal",
    // Rack sends files as this says.
    "x-sendfile-type",
    // In CGI this is the variable that HTTP clients take their proxy from (CVE-2016-5385).
    "proxy",
];

/// Names that end so, all of which say the client's address: `x-real-ip`, `true-client-ip`,
/// `cf-connecting-ip`, `fastly-client-ip`, `x-azure-clientip`.
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

/// The characters that the names of a table begin with, so that most names are held against none of them.
const FIRST: [bool; 256] = {
    let first = with_characters([false; 256], &PREFIXES, true);
    with_characters(first, &NAMES, true)
};

/// The characters that those of addresses end with.
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

/// What a field of this name says for a proxy; none if any client may say it.
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

/// Whether servers may take two names for one. Also true of equal names.
pub fn reads_alike(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| read(*a) == read(*b))
}

/// Whether a name has none but letters, digits and `-`, so that it is read in one way.
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
        // A word's end is not enough: `x-surreal-ip` is something else.
        (at == 0 || read(name[at - 1]) == b'-') && reads_alike(&name[at..], end.as_bytes())
    })
}

/// Header names are in lower case already.
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
