//! `Cache-Status` (RFC 9211): what the cache did with a request.

use std::fmt::Write;

use http::header::{HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};

/// This cache's name in the list.
const NAME: &str = "tollgate";

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The largest Integer of structured fields (RFC 9651, section 3.3.1).
const INTEGER_MAX: i64 = 999_999_999_999_999;

/// Why a request went inwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    Bypass,
    Method,
    UriMiss,
    VaryMiss,
    Request,
    Stale,
}

impl Forward {
    fn token(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
        }
    }
}

/// One member of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// `None` for a hit.
    pub forward: Option<Forward>,
    /// The upstream's status, if the client sees another.
    pub forward_status: Option<StatusCode>,
    pub stored: bool,
    pub collapsed: bool,
    pub ttl: Option<i64>,
    pub detail: Option<&'static str>,
}

impl Report {
    /// Adds this cache's member after those of caches nearer to the origin.
    pub fn write(&self, headers: &mut HeaderMap) {
        let mut text = NAME.to_owned();
        match self.forward {
            None => text.push_str("; hit"),
            Some(forward) => {
                text.push_str("; fwd=");
                text.push_str(forward.token());
            }
        }
        // Writing to a String cannot fail.
        if let Some(status) = self.forward_status {
            let _ = write!(text, "; fwd-status={}", status.as_u16());
        }
        if let Some(ttl) = self.ttl {
            let ttl = ttl.clamp(-INTEGER_MAX, INTEGER_MAX);
            let _ = write!(text, "; ttl={ttl}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(detail) = self.detail {
            text.push_str("; detail=");
            text.push_str(detail);
        }
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(CACHE_STATUS, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_after_others() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_STATUS, HeaderValue::from_static("Origin; hit"));
        let hit = Report {
            ttl: Some(-3),
            ..Report::default()
        };
        hit.write(&mut headers);
        let miss = Report {
            forward: Some(Forward::Stale),
            forward_status: Some(StatusCode::NOT_MODIFIED),
            stored: true,
            collapsed: true,
            ttl: Some(60),
            detail: Some("why"),
        };
        miss.write(&mut headers);
        let members: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(
            members,
            [
                "Origin; hit",
                "tollgate; hit; ttl=-3",
                "tollgate; fwd=stale; fwd-status=304; ttl=60; stored; collapsed; detail=why",
            ]
        );
    }

    /// A plugin may have kept it for as long as a number can say.
    #[test]
    fn times_are_integers() {
        for (ttl, written) in [
            (i64::MAX, "tollgate; hit; ttl=999999999999999"),
            (i64::MIN, "tollgate; hit; ttl=-999999999999999"),
        ] {
            let mut headers = HeaderMap::new();
            let hit = Report {
                ttl: Some(ttl),
                ..Report::default()
            };
            hit.write(&mut headers);
            assert_eq!(headers[CACHE_STATUS], written);
        }
    }
}
