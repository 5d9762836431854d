//! What a response's head says of its content (RFC 9112, section 6.3), and whether its connection can be
//! trusted afterwards. One function for every response, whatever its method and status.

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

use crate::http::fields;

/// What becomes of a connection once its response has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    AtOnce,
    /// The response has no content by its method or status, and rightly says how much another would have.
    /// Servers that send that content all the same are known, so the connection has to stay quiet first.
    AfterQuiet,
    /// The framing contradicts itself, so that what comes next may belong to this response.
    Never,
}

/// What the head of a response says of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// For the one `Content-Length` that is passed on; of the answer to a HEAD, or a 304, what that to a GET
    /// would have.
    pub length: Option<u64>,
    pub reuse: Reuse,
}

/// The last status that there may be (RFC 9110, section 15).
const STATUS_MAX: u16 = 599;

impl Framing {
    /// Reads the head of a final response to a request with this method.
    ///
    /// # Errors
    /// If two readers could make different things of it, in words for the log.
    pub fn of(
        method: &Method,
        version: Version,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Framing, &'static str> {
        // RFC 9110, section 15: what stands there is no status that a client knows how to read.
        if status.as_u16() > STATUS_MAX {
            return Err("a status above 599");
        }
        let length = length(headers)?;
        let coded = headers.contains_key(TRANSFER_ENCODING);
        // RFC 9112, section 6.1: its framing is faulty, whatever else it says.
        if coded && version == Version::HTTP_10 {
            return Err("a transfer coding in HTTP/1.0");
        }
        if coded && !fields::plain_framing(headers) {
            return Err("a transfer coding that is not `chunked`");
        }
        let has_none = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT].contains(&status);
        let is_told = *method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
        let announces = coded || length.is_some_and(|length| length > 0);
        let lines = headers.get_all(CONTENT_LENGTH);
        let repeated = lines.iter().nth(1).is_some()
            || lines.iter().any(|line| line.as_bytes().contains(&b','));
        let reuse = if coded && length.is_some() || repeated || has_none && announces {
            Reuse::Never
        } else if is_told && announces {
            Reuse::AfterQuiet
        } else {
            Reuse::AtOnce
        };
        Ok(Framing {
            // Chunks win over a length, which must then not be passed on.
            length: length.filter(|_| !coded && !has_none),
            reuse,
        })
    }
}

/// Whether a head announces content, for one of a response that cannot have any.
pub fn announces_content(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get_all(CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
}

/// The one length that all `Content-Length` lines, and all members of their lists, agree on (RFC 9110,
/// section 8.6).
fn length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    const NONE: &str = "a Content-Length that is no number";
    let mut agreed = None;
    for line in headers.get_all(CONTENT_LENGTH) {
        for member in line.as_bytes().split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            if member.is_empty() || !member.iter().all(u8::is_ascii_digit) {
                return Err(NONE);
            }
            let text = std::str::from_utf8(member).map_err(|_| NONE)?;
            let length: u64 = text.parse().map_err(|_| NONE)?;
            if agreed.is_some_and(|agreed| agreed != length) {
                return Err("several Content-Lengths that differ");
            }
            agreed = Some(length);
        }
    }
    Ok(agreed)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let parsed = lines.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::try_from(*value).expect("a value"))
        });
        parsed.collect()
    }

    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";

    #[test]
    fn lengths_are_one_number_or_refused() {
        let of = |lines: &[(&str, &str)]| {
            let (get, ok) = (Method::GET, StatusCode::OK);
            let new = Version::HTTP_11;
            Framing::of(&get, new, ok, &headers(lines))
                .map(|framing| (framing.length, framing.reuse))
        };
        assert_eq!(of(&[]), Ok((None, Reuse::AtOnce)));
        assert_eq!(of(&[(LENGTH, "0")]), Ok((Some(0), Reuse::AtOnce)));
        assert_eq!(of(&[(LENGTH, "007")]), Ok((Some(7), Reuse::AtOnce)));
        assert_eq!(of(&[(LENGTH, "5, 5")]), Ok((Some(5), Reuse::Never)));
        let twice = [(LENGTH, "5"), (LENGTH, "5")];
        assert_eq!(of(&twice), Ok((Some(5), Reuse::Never)));
        let both = [(LENGTH, "5"), (CODING, "chunked")];
        assert_eq!(of(&both), Ok((None, Reuse::Never)));
        assert_eq!(of(&[(CODING, "chunked")]), Ok((None, Reuse::AtOnce)));
        for wrong in [
            "",
            "+5",
            "-5",
            "0x5",
            "5,",
            ",5",
            "5 5",
            "5, 6",
            "5.0",
            "\u{b2}",
            "18446744073709551616",
        ] {
            assert!(of(&[(LENGTH, wrong)]).is_err(), "{wrong:?}");
            assert!(of(&[(LENGTH, "5"), (LENGTH, wrong)]).is_err(), "{wrong:?}");
            assert!(
                of(&[(CODING, "chunked"), (LENGTH, wrong)]).is_err(),
                "{wrong:?}"
            );
        }
        for wrong in ["gzip", "gzip, chunked", "identity", "chunked, chunked", ""] {
            assert!(of(&[(CODING, wrong)]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn heads_that_no_client_reads_alike_are_refused_for_every_method() {
        for method in [Method::GET, Method::HEAD] {
            let of = |version, status: u16, lines: &[(&str, &str)]| {
                let status = StatusCode::from_u16(status).expect("a status");
                Framing::of(&method, version, status, &headers(lines)).is_ok()
            };
            assert!(of(Version::HTTP_10, 200, &[]));
            assert!(!of(Version::HTTP_10, 200, &[(CODING, "chunked")]));
            assert!(of(Version::HTTP_11, 599, &[]));
            assert!(!of(Version::HTTP_11, 600, &[]));
        }
    }

    #[test]
    fn content_where_none_can_be_ends_the_connection() {
        let of = |method: Method, status: u16, lines: &[(&str, &str)]| {
            let status = StatusCode::from_u16(status).expect("a status");
            let framing = Framing::of(&method, Version::HTTP_11, status, &headers(lines));
            let framing = framing.expect("a framing");
            (framing.length, framing.reuse)
        };
        for status in [204, 205] {
            let get = || Method::GET;
            assert_eq!(of(get(), status, &[]), (None, Reuse::AtOnce));
            assert_eq!(of(get(), status, &[(LENGTH, "0")]), (None, Reuse::AtOnce));
            assert_eq!(of(get(), status, &[(LENGTH, "5")]), (None, Reuse::Never));
            let chunked = [(CODING, "chunked")];
            assert_eq!(of(get(), status, &chunked), (None, Reuse::Never));
        }
        for (method, status) in [(Method::HEAD, 200), (Method::GET, 304)] {
            let of = |lines: &[(&str, &str)]| of(method.clone(), status, lines);
            assert_eq!(of(&[]), (None, Reuse::AtOnce));
            assert_eq!(of(&[(LENGTH, "0")]), (Some(0), Reuse::AtOnce));
            assert_eq!(of(&[(LENGTH, "5")]), (Some(5), Reuse::AfterQuiet));
            assert_eq!(of(&[(CODING, "chunked")]), (None, Reuse::AfterQuiet));
            let both = [(LENGTH, "5"), (CODING, "chunked")];
            assert_eq!(of(&both), (None, Reuse::Never));
        }
        let head_204 = of(Method::HEAD, 204, &[(LENGTH, "5")]);
        assert_eq!(head_204, (None, Reuse::Never));
    }
}
