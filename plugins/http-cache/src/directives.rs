//! What a response's `Cache-Control` says of being kept (RFC 9111, section 5.2.2).

use tollgate_plugin::Response;

#[derive(Default)]
pub struct Directives {
    /// It may be given to others than who asked: `public`, `s-maxage`.
    pub shared: bool,
    /// It may not be kept, or not be given without asking again: `no-store`, `private`, `no-cache`.
    pub forbids: bool,
    /// It says until when it is fresh: `max-age`, `s-maxage`, `Expires`.
    pub lifetime: bool,
    /// It may not be given when it is stale: `must-revalidate`, `proxy-revalidate`, `no-cache`.
    pub revalidates: bool,
}

impl Directives {
    pub fn of(response: &Response) -> Directives {
        let mut found = Directives {
            lifetime: response.header("expires").is_some(),
            ..Directives::default()
        };
        let values = response.header_values("cache-control").join(&b","[..]);
        for directive in split(&values) {
            let name = directive.split(|byte| *byte == b'=').next();
            let name = name.unwrap_or_default().trim_ascii().to_ascii_lowercase();
            // A list of fields: those alone are meant, and the gateway sees to them. An empty one is
            // read as none (RFC 9111, section 5.2: the more restrictive reading).
            let argument = directive.get(name.len()..).unwrap_or_default().trim_ascii();
            let fields = argument.strip_prefix(b"=").map(<[u8]>::trim_ascii);
            let whole = fields.is_none_or(|fields| matches!(fields, b"" | b"\"\""));
            match name.as_slice() {
                b"public" => found.shared = true,
                b"s-maxage" => (found.shared, found.lifetime) = (true, true),
                b"max-age" => found.lifetime = true,
                b"no-store" => found.forbids = true,
                b"private" => found.forbids |= whole,
                b"no-cache" => {
                    found.forbids |= whole;
                    found.revalidates |= whole;
                }
                b"must-revalidate" | b"proxy-revalidate" => found.revalidates = true,
                _ => {}
            }
        }
        found
    }
}

/// The members of a list, at commas that are not in quotes, without blanks around them.
fn split(list: &[u8]) -> Vec<&[u8]> {
    let (mut members, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                members.push(list[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(list[start..].trim_ascii());
    members
}
