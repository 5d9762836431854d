//! `Vary` (RFC 9111, section 4.1): which response under one key a request selects.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LANGUAGE, HOST, HeaderMap, HeaderName, ORIGIN, VARY,
};

use super::directives::members;
use crate::http::families::{self, Says};
use crate::limits::cache::VARY_NAMES_MAX;

/// The fields of a request that selected a response, with the values they had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    fields: Vec<(HeaderName, Option<Vec<u8>>)>,
    /// See [`told`].
    told: Vec<u8>,
}

impl Selection {
    /// Returns the fields of `request` that selected `response`; `None` if no other request can select it:
    /// its `Vary` is `*` or unreadable.
    pub fn of(response: &HeaderMap, request: &HeaderMap) -> Option<Selection> {
        let mut names = Vec::new();
        for name in named(response) {
            if name == b"*" || names.len() == VARY_NAMES_MAX {
                return None;
            }
            let name = HeaderName::from_bytes(name).ok()?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let field = |name: HeaderName| {
            let value = normal(&name, request);
            (name, value)
        };
        Some(Selection {
            fields: names.into_iter().map(field).collect(),
            told: told(request),
        })
    }

    /// Whether the response had no `Vary`, so that every request selects it.
    pub fn is_default(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether `request` selects the response that has `response` for a head.
    pub fn selects(&self, request: &HeaderMap, response: &HeaderMap) -> bool {
        self.told == told(request)
            && self.fields.iter().all(|(name, value)| {
                normal(name, request) == *value
                    || (*name == ACCEPT_LANGUAGE && prefers_language(request, response))
            })
    }

    /// Returns the fields' names and their values in `request`, as bytes: requests with the same bytes select
    /// the same response.
    pub fn secondary_key(&self, request: &HeaderMap) -> Vec<u8> {
        let mut key = Vec::new();
        for (name, _) in &self.fields {
            key.extend(name.as_str().as_bytes());
            match normal(name, request) {
                Some(value) => {
                    key.push(b'=');
                    key.extend((value.len() as u64).to_be_bytes());
                    key.extend(value);
                }
                None => key.push(b'-'),
            }
        }
        key.extend(told(request));
        key
    }

    pub fn bytes(&self) -> usize {
        let field = |(name, value): &(HeaderName, Option<Vec<u8>>)| {
            size_of::<(HeaderName, Option<Vec<u8>>)>()
                + name.as_str().len()
                + value.as_ref().map_or(0, Vec::len)
        };
        self.fields.iter().map(field).sum::<usize>() + self.told.len()
    }
}

/// Whether `response` may vary by what entries inside a cache wrote into the request, which a later request
/// does not have yet when it reaches the cache: it would then get another client's response. `outside` and
/// `inside` are the headers at the cache and at the upstream. A negotiation field that came through unchanged
/// counts as the client's; any other field may have another value inside for the next request, or none.
pub fn may_vary_inside(response: &HeaderMap, outside: &HeaderMap, inside: &HeaderMap) -> bool {
    named(response).any(|name| {
        let Ok(name) = HeaderName::from_bytes(name) else {
            return true;
        };
        !NEGOTIATED.contains(&name) || !outside.get_all(&name).iter().eq(inside.get_all(&name))
    })
}

/// Returns the members of `Vary`: field names, if it is well-formed, or `*`.
fn named(response: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = response.get_all(VARY).iter();
    lines.flat_map(|line| members(line.as_bytes()))
}

/// The fields of content negotiation (RFC 9110, section 12.5), and those about a script's origin (the Fetch
/// standard).
const NEGOTIATED: [HeaderName; 7] = [
    ACCEPT,
    ACCEPT_CHARSET,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD,
    ACCESS_CONTROL_REQUEST_HEADERS,
];

/// Returns what the upstream learns about the client's request that is not in the key, in an unambiguous
/// encoding: what a trusted proxy says beside scheme, host and client, such as the prefix that it removed
/// from the path, and the requested host if an entry replaced it. Upstreams build links and redirects from it
/// without saying so in `Vary`.
fn told(request: &HeaderMap) -> Vec<u8> {
    let mut told = Vec::new();
    for name in request.keys() {
        let decides = match families::says(name) {
            Some(Says::Other) if *name == X_FORWARDED_HOST => {
                request.get(name) != request.get(HOST)
            }
            Some(Says::Other) => !NOT_TOLD.contains(name) && !name.as_str().ends_with("-for"),
            Some(Says::Address) | None => false,
        };
        if !decides {
            continue;
        }
        for value in request.get_all(name) {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                told.extend((part.len() as u64).to_be_bytes());
                told.extend(part);
            }
        }
    }
    told
}

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// These follow from the scheme and the authority, which are in the key where they matter.
const NOT_TOLD: [HeaderName; 2] = [
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
];

/// Returns a field's lines joined into one (RFC 9110, section 5.3), byte for byte: apparent white space or
/// empty members may matter in a field that is no list, and a client whose value passes for another's would
/// choose what the other gets. Only the fields of content negotiation are known well enough to normalize
/// further.
fn normal(name: &HeaderName, headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    if !NEGOTIATION.contains(name) {
        let lines: Vec<&[u8]> = lines.map(|line| line.as_bytes()).collect();
        return Some(lines.join(&b", "[..]));
    }
    let members = lines.flat_map(|line| members(line.as_bytes()));
    let mut list: Vec<Vec<u8>> = members.map(without_spaces).collect();
    if *name != ACCEPT {
        list.iter_mut()
            .for_each(|member| member.make_ascii_lowercase());
    }
    list.sort();
    Some(list.join(&b','))
}

/// Lists whose members may come in any order, with white space and empty members between them (RFC 9110,
/// section 12.5). Except in `Accept`, case does not matter either.
const NEGOTIATION: [HeaderName; 4] = [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// Returns a member without white space around its parameters.
fn without_spaces(member: &[u8]) -> Vec<u8> {
    let parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    parts.collect::<Vec<_>>().join(&b';')
}

/// Whether the response is in the one language that the request prefers: then its origin would select the
/// same response.
fn prefers_language(request: &HeaderMap, response: &HeaderMap) -> bool {
    let mut languages = response.get_all(CONTENT_LANGUAGE).iter();
    let (Some(language), None) = (languages.next(), languages.next()) else {
        return false;
    };
    let mut best: Option<(u32, Vec<u8>)> = None;
    let mut shared = false;
    for line in request.get_all(ACCEPT_LANGUAGE) {
        for member in members(line.as_bytes()) {
            let Some((tag, quality)) = language_range(member) else {
                return false;
            };
            match &best {
                Some((most, _)) if quality < *most => {}
                Some((most, _)) if quality == *most => shared = true,
                _ => (best, shared) = (Some((quality, tag)), false),
            }
        }
    }
    let is_best = |(quality, tag): (u32, Vec<u8>)| {
        quality > 0 && tag != b"*" && language.as_bytes().eq_ignore_ascii_case(&tag)
    };
    !shared && best.is_some_and(is_best)
}

/// A language range and its quality in thousandths (RFC 9110, section 12.4.2).
fn language_range(member: &[u8]) -> Option<(Vec<u8>, u32)> {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let tag = parts.next()?.to_vec();
    let Some(weight) = parts.next() else {
        return Some((tag, 1_000));
    };
    let weight = weight
        .strip_prefix(b"q=")
        .or_else(|| weight.strip_prefix(b"Q="))?;
    let quality: f32 = std::str::from_utf8(weight).ok()?.parse().ok()?;
    let valid = parts.next().is_none() && (0.0..=1.0).contains(&quality);
    valid.then_some((tag, (quality * 1_000.0) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    /// The suite's vary-parse: a `Vary` with a `*` anywhere selects nothing.
    #[test]
    fn star() {
        for lines in [
            &["*"][..],
            &["*, *"],
            &["*", "*"],
            &[", *"],
            &["", "*"],
            &["*, Foo"],
            &["Foo, *"],
            &["a b"],
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
            assert_eq!(
                Selection::of(&headers(&lines), &HeaderMap::new()),
                None,
                "{lines:?}"
            );
        }
        let names: Vec<String> = (0..=VARY_NAMES_MAX).map(|n| format!("f{n}")).collect();
        let many = headers(&[("vary", &names.join(","))]);
        assert_eq!(Selection::of(&many, &HeaderMap::new()), None);
    }

    /// The suite's vary, and requests that might pass for another: (vary, stored request, request, whether it is
    /// selected).
    #[test]
    fn selection() {
        type Fields<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(&str, Fields, Fields, bool)] = &[
            ("Foo", &[("foo", "1")], &[("foo", "1")], true),
            ("Foo", &[("foo", "1")], &[("foo", "2")], false),
            ("Foo", &[("foo", "1")], &[], false),
            ("Foo", &[], &[("foo", "1")], false),
            ("Foo", &[], &[("foo", "")], false),
            (
                "Foo",
                &[("foo", "1"), ("other", "2")],
                &[("foo", "1"), ("other", "3")],
                true,
            ),
            (
                "Foo, Bar",
                &[("foo", "1"), ("bar", "a")],
                &[("foo", "2"), ("bar", "a")],
                false,
            ),
            (
                "Foo, Bar, Baz",
                &[("foo", "1"), ("baz", "7")],
                &[("baz", "7"), ("foo", "1")],
                true,
            ),
            (
                "Foo",
                &[("foo", "1, 2")],
                &[("foo", "1"), ("foo", "2")],
                true,
            ),
            ("Foo", &[("foo", "1,2")], &[("foo", "1, 2")], false),
            ("Foo", &[("foo", "1")], &[("foo", ",1")], false),
            ("Foo", &[("foo", "1")], &[("foo", "1,")], false),
            ("Foo", &[("foo", "1")], &[("foo", "1"), ("foo", "")], false),
            (
                "Cookie",
                &[("cookie", "a=1; b=2")],
                &[("cookie", "a=1;b=2")],
                false,
            ),
            (
                "Accept-Language",
                &[("accept-language", "en")],
                &[("accept-language", "e n")],
                false,
            ),
            (
                "Accept-Charset",
                &[("accept-charset", "utf-8 ;q=1,, a")],
                &[("accept-charset", "a"), ("accept-charset", "UTF-8; q=1")],
                true,
            ),
            ("Foo", &[("foo", "1, 2")], &[("foo", "2, 1")], false),
            (
                "Accept-Language",
                &[("accept-language", "en, de")],
                &[("accept-language", "de, en")],
                true,
            ),
            (
                "Accept-Language",
                &[("accept-language", "en, de")],
                &[("accept-language", "eN, De")],
                true,
            ),
            (
                "Accept-Language",
                &[("accept-language", "en, de")],
                &[("accept-language", " en ,   de")],
                true,
            ),
            (
                "Accept-Language",
                &[("accept-language", "en, de")],
                &[("accept-language", "en, fr")],
                false,
            ),
        ];
        for (vary, stored, request, selected) in cases {
            let response = headers(&[("vary", vary)]);
            let selection = Selection::of(&response, &headers(stored)).unwrap();
            assert_eq!(
                selection.selects(&headers(request), &response),
                *selected,
                "{request:?}"
            );
            let keys_equal = selection.secondary_key(&headers(request))
                == selection.secondary_key(&headers(stored));
            assert_eq!(keys_equal, *selected, "{request:?}");
        }
    }

    #[test]
    fn the_language_liked_best() {
        let response = headers(&[("vary", "accept-language"), ("content-language", "de")]);
        let stored = headers(&[("accept-language", "en, de")]);
        let selection = Selection::of(&response, &stored).unwrap();
        for (wish, selected) in [
            ("fr;q=0.5, de;q=1.0", true),
            ("DE", true),
            ("de, fr", false),
            ("fr, de;q=0.5", false),
            ("de;q=0", false),
            ("de;q=x", false),
            ("*", false),
        ] {
            let request = headers(&[("accept-language", wish)]);
            assert_eq!(selection.selects(&request, &response), selected, "{wish}");
        }
        assert!(!selection.selects(&HeaderMap::new(), &response));
    }
}
