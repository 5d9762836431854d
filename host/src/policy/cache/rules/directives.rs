//! `Cache-Control` of requests and responses (RFC 9111, sections 4.2.1 and 5.2).
//!
//! Where it is malformed, repeated or contradicts itself, the most restrictive reading holds.

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName};

use crate::limits::cache::SECONDS_MAX;

/// A response's directives about storing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub no_store: bool,
    /// Without a list of fields.
    pub no_cache: bool,
    /// Without a list of fields.
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
    /// The fields named by `no-cache="..."` and `private="..."`.
    pub withheld: Vec<HeaderName>,
}

impl ResponseDirectives {
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = ResponseDirectives::default();
        each(headers, |name, value| match name {
            "no-store" => found.no_store = true,
            "no-cache" => found.no_cache |= !withhold(value, &mut found.withheld),
            "private" => found.private |= !withhold(value, &mut found.withheld),
            "public" => found.public = true,
            "must-revalidate" => found.must_revalidate = true,
            "proxy-revalidate" => found.proxy_revalidate = true,
            "must-understand" => found.must_understand = true,
            "max-age" => shorter(&mut found.max_age, value),
            "s-maxage" => shorter(&mut found.s_maxage, value),
            "stale-while-revalidate" => shorter(&mut found.stale_while_revalidate, value),
            "stale-if-error" => shorter(&mut found.stale_if_error, value),
            // `immutable` (RFC 8246) speaks to caches that clients reload through; `no-transform`
            // asks for what this cache never does.
            _ => {}
        });
        found
    }
}

/// A request's directives. Malformed ones are ignored, since they only express wishes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    pub no_store: bool,
    pub no_cache: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    pub min_fresh: Option<u64>,
    pub max_stale: Option<u64>,
    pub stale_if_error: Option<u64>,
}

impl RequestDirectives {
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = RequestDirectives::default();
        let smaller = |old: &mut Option<u64>, value: Option<u64>| {
            if let Some(value) = value {
                *old = Some(old.map_or(value, |old| old.min(value)));
            }
        };
        each(headers, |name, value| match name {
            "no-store" => found.no_store = true,
            "no-cache" => found.no_cache = true,
            "only-if-cached" => found.only_if_cached = true,
            "max-age" => smaller(&mut found.max_age, seconds(value)),
            "min-fresh" => smaller(&mut found.min_fresh, seconds(value)),
            "stale-if-error" => smaller(&mut found.stale_if_error, seconds(value)),
            "max-stale" => match value {
                Value::None => smaller(&mut found.max_stale, Some(u64::MAX)),
                value => smaller(&mut found.max_stale, seconds(value)),
            },
            _ => {}
        });
        found
    }
}

/// A directive's value.
#[derive(Debug, PartialEq, Eq)]
enum Value<'a> {
    None,
    Text(Cow<'a, [u8]>),
    Malformed,
}

/// Keeps the shorter of two times. An unreadable one counts as 0: RFC 9111, section 4.2.1 makes such
/// responses stale.
fn shorter(old: &mut Option<u64>, value: Value<'_>) {
    let value = seconds(value).unwrap_or(0);
    *old = Some(old.map_or(value, |old| old.min(value)));
}

fn seconds(value: Value<'_>) -> Option<u64> {
    let Value::Text(digits) = value else {
        return None;
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(number.min(SECONDS_MAX))
}

/// Adds the fields that `no-cache` or `private` names. Returns false if the directive covers the whole
/// response: it names none, or is unreadable.
fn withhold(value: Value<'_>, withheld: &mut Vec<HeaderName>) -> bool {
    let Value::Text(list) = value else {
        return false;
    };
    let names: Vec<_> = list
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .map(HeaderName::from_bytes)
        .collect();
    if names.is_empty() || names.iter().any(Result::is_err) {
        return false;
    }
    withheld.extend(names.into_iter().flatten());
    true
}

/// Calls `directive` with each directive, its name in lower case.
fn each<'h>(headers: &'h HeaderMap, mut directive: impl FnMut(&str, Value<'h>)) {
    for line in headers.get_all(CACHE_CONTROL) {
        for member in members(line.as_bytes()) {
            let (name, value) = match member.iter().position(|byte| *byte == b'=') {
                Some(at) => (&member[..at], read(&member[at + 1..])),
                None => (member, Value::None),
            };
            // Skip a name that is no token, such as one with a space before the `=`.
            if let Ok(name) = HeaderName::from_bytes(name) {
                directive(name.as_str(), value);
            }
        }
    }
}

/// Returns the members of a comma-separated list, trimmed, without empty ones. A comma within a quoted string
/// does not separate; a string that does not end takes the rest.
pub fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |byte| {
        let separates = *byte == b',' && !quoted;
        (quoted, escaped) = match (quoted, escaped, *byte) {
            (true, true, _) => (true, false),
            (true, false, b'\\') => (true, true),
            (quoted, _, b'"') => (!quoted, false),
            (quoted, _, _) => (quoted, false),
        };
        separates
    })
    .map(<[u8]>::trim_ascii)
    .filter(|member| !member.is_empty())
}

/// Reads a token or a quoted string.
fn read(value: &[u8]) -> Value<'_> {
    let Some(inside) = value.strip_prefix(b"\"") else {
        let plain = value.iter().all(|byte| byte.is_ascii_graphic());
        return if plain && !value.contains(&b'"') {
            Value::Text(Cow::Borrowed(value))
        } else {
            Value::Malformed
        };
    };
    let mut text = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if bytes.as_slice().is_empty() => return Value::Text(Cow::Owned(text)),
            b'"' => return Value::Malformed,
            b'\\' => match bytes.next() {
                Some(byte) => text.push(*byte),
                None => return Value::Malformed,
            },
            byte => text.push(*byte),
        }
    }
    Value::Malformed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(lines: &[&str]) -> ResponseDirectives {
        ResponseDirectives::of(&headers(lines))
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|line| (CACHE_CONTROL, line.parse().unwrap()));
        let mut headers = HeaderMap::new();
        lines.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    /// The suite's cc-parse and cc-freshness.
    #[test]
    fn lifetimes() {
        for (lines, max_age) in [
            (&["max-age=3600"][..], Some(3600)),
            (&["MaX-aGe=3600"], Some(3600)),
            (&["max-age=003600"], Some(3600)),
            (&["max-age=\"3600\""], Some(3600)),
            (&["foobar, max-age=3600"], Some(3600)),
            (&["max-age=99999999999"], Some(SECONDS_MAX)),
            (&["max-age=99999999999999999999999"], Some(SECONDS_MAX)),
            (&["max-age=0"], Some(0)),
            (&["max-age='3600'"], Some(0)),
            (&["max-age=-3600"], Some(0)),
            (&["max-age=3600.0"], Some(0)),
            (&["max-age=a3600"], Some(0)),
            (&["max-age=3600a"], Some(0)),
            (&["max-age= 3600"], Some(0)),
            (&["max-age="], Some(0)),
            (&["max-age"], Some(0)),
            (&["max-age =3600"], None),
            (&["max-age=1800, max-age=1"], Some(1)),
            (&["max-age=1", "max-age=1800"], Some(1)),
            (&["extension=\"max-age=3600\", max-age=1"], Some(1)),
            (&["max-age=1, extension=\"max-age=3600\""], Some(1)),
            (&["extension=\"a\\\", max-age=3600\""], None),
            (&["extension=\"unended, max-age=3600"], None),
            (&[", ,max-age=7,,"], Some(7)),
            (&["max-age=\"3600\"x"], Some(0)),
        ] {
            assert_eq!(response(lines).max_age, max_age, "{lines:?}");
        }
    }

    #[test]
    fn flags_and_fields() {
        assert!(response(&["No-StOrE"]).no_store);
        assert!(response(&["max-age=10, No-CaChE"]).no_cache);
        assert!(response(&["no-store=1"]).no_store);
        let qualified = response(&["no-cache=\"a, b\", private=\"set-cookie\""]);
        assert!(!qualified.no_cache && !qualified.private);
        assert_eq!(qualified.withheld, ["a", "b", "set-cookie"]);
        assert_eq!(response(&["private=Set-Cookie"]).withheld, ["set-cookie"]);
        for whole in [
            "no-cache=\"a",
            "no-cache=\"\"",
            "no-cache=\"a b\"",
            "no-cache=\"a\", no-cache",
        ] {
            assert!(response(&[whole]).no_cache, "{whole}");
        }
    }

    #[test]
    fn wishes_of_clients() {
        let wish = |line| RequestDirectives::of(&headers(&[line]));
        assert_eq!(wish("nothing-to-see-here"), RequestDirectives::default());
        assert_eq!(wish("max-age=abc"), RequestDirectives::default());
        assert_eq!(wish("max-stale").max_stale, Some(u64::MAX));
        assert_eq!(wish("max-stale=1000").max_stale, Some(1000));
        assert_eq!(wish("max-age=0").max_age, Some(0));
        assert_eq!(wish("min-fresh=5, min-fresh=7").min_fresh, Some(5));
        assert!(wish("no-cache, no-store, only-if-cached").only_if_cached);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(CACHE_CONTROL, value);
                ResponseDirectives::of(&headers);
                RequestDirectives::of(&headers);
            }
        }

        /// However it is written, the shortest `max-age` holds, and quoted look-alikes are nothing.
        #[test]
        fn the_shortest_holds(
            ages in prop::collection::vec((0_u64..1 << 30, any::<bool>(), any::<bool>()), 1..6),
            noise in prop::collection::vec("[a-z]{1,8}(=\"[a-z, =0-9]{0,12}\")?", 0..4),
        ) {
            let unknown = |text: &String| {
                !["public", "private"].contains(&text.split('=').next().unwrap())
            };
            let mut list: Vec<String> = noise.into_iter().filter(unknown).collect();
            for (age, quoted, capital) in &ages {
                let name = if *capital { "Max-Age" } else { "max-age" };
                list.push(match quoted {
                    true => format!("{name}=\"{age}\""),
                    false => format!("{name}={age}"),
                });
            }
            let shortest = ages.iter().map(|(age, ..)| *age).min();
            let found = response(&[&list.join(" ,")]);
            let wanted = ResponseDirectives { max_age: shortest, ..ResponseDirectives::default() };
            prop_assert_eq!(found, wanted);
        }
    }
}
