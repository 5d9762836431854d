//! Parts of a complete response (RFC 9110, section 14).

use http::header::{ACCEPT_RANGES, CONTENT_RANGE, HeaderMap, RANGE};
use http::{HeaderValue, StatusCode};

use super::conditions::range_holds;
use crate::limits::cache::SKIP_BYTES_MAX;

/// The part of a body that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Whole,
    /// The first byte and the number of bytes.
    Part(u64, u64),
    Unsatisfiable,
}

/// Returns what a GET asks of a complete response with a body of `length` bytes. Several ranges, unreadable
/// ones, and a range of another representation get the whole body.
pub fn asked(request: &HeaderMap, status: StatusCode, response: &HeaderMap, length: u64) -> Asked {
    if status != StatusCode::OK || !has_ranges(response) {
        return Asked::Whole;
    }
    let mut lines = request.get_all(RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Asked::Whole;
    };
    let asked = read(line, length).unwrap_or(Asked::Whole);
    match asked {
        Asked::Whole => Asked::Whole,
        asked if range_holds(request, response) => asked,
        _ => Asked::Whole,
    }
}

/// Whether a client is better served by its own range request than by cutting its range from an arriving
/// response of this length (`None` if unknown). If the response will not be stored, sending all of it for
/// several ranges gains nothing either.
pub fn is_far_off(
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    length: Option<u64>,
    is_stored: bool,
) -> bool {
    let takes_ranges =
        request.contains_key(RANGE) && status == StatusCode::OK && has_ranges(response);
    if !takes_ranges || !range_holds(request, response) {
        return false;
    }
    match length {
        None => true,
        Some(length) if length <= SKIP_BYTES_MAX => false,
        Some(length) => match asked(request, status, response, length) {
            Asked::Part(from, _) => from > SKIP_BYTES_MAX,
            Asked::Whole => !is_stored,
            Asked::Unsatisfiable => false,
        },
    }
}

fn has_ranges(response: &HeaderMap) -> bool {
    let units = response.get(ACCEPT_RANGES);
    units.is_none_or(|units| units != "none") && !response.contains_key(CONTENT_RANGE)
}

fn read(line: &HeaderValue, length: u64) -> Option<Asked> {
    let (unit, set) = line.to_str().ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let number = |text: &str| {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            Some(text.parse().unwrap_or(u64::MAX))
        } else {
            None
        }
    };
    let part = match (first, last) {
        ("", "") => return None,
        ("", suffix) => {
            let suffix = number(suffix)?.min(length);
            (length - suffix, suffix)
        }
        (first, "") => {
            let first = number(first)?;
            (first, length.saturating_sub(first))
        }
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            let end = last.saturating_add(1).min(length);
            (first, end.saturating_sub(first))
        }
    };
    Some(match part {
        (_, 0) => Asked::Unsatisfiable,
        (from, count) => Asked::Part(from, count),
    })
}

/// Returns the `Content-Range` of a part, or of an unsatisfiable range.
pub fn content_range(asked: Asked, length: u64) -> Option<HeaderValue> {
    let text = match asked {
        Asked::Whole => return None,
        Asked::Part(from, count) => format!("bytes {from}-{}/{length}", from + count - 1),
        Asked::Unsatisfiable => format!("bytes */{length}"),
    };
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(range: &str, length: u64) -> Asked {
        let mut request = HeaderMap::new();
        request.insert(RANGE, range.parse().unwrap());
        asked(&request, StatusCode::OK, &HeaderMap::new(), length)
    }

    #[test]
    fn ranges() {
        for (range, length, part) in [
            ("bytes=0-1", 11, Asked::Part(0, 2)),
            ("bytes=1-", 11, Asked::Part(1, 10)),
            ("bytes=-1", 11, Asked::Part(10, 1)),
            ("bytes=-99", 11, Asked::Part(0, 11)),
            ("bytes=5-99", 11, Asked::Part(5, 6)),
            ("Bytes=0-0", 11, Asked::Part(0, 1)),
            ("bytes=10-99999999999999999999999", 11, Asked::Part(10, 1)),
            ("bytes=11-", 11, Asked::Unsatisfiable),
            ("bytes=11-12", 11, Asked::Unsatisfiable),
            ("bytes=-0", 11, Asked::Unsatisfiable),
            ("bytes=0-", 0, Asked::Unsatisfiable),
            ("bytes=2-1", 11, Asked::Whole),
            ("bytes=0-1,3-4", 11, Asked::Whole),
            ("bytes=-", 11, Asked::Whole),
            ("bytes=a-b", 11, Asked::Whole),
            ("bytes=+1-2", 11, Asked::Whole),
            ("lines=0-1", 11, Asked::Whole),
            ("bytes", 11, Asked::Whole),
        ] {
            assert_eq!(ask(range, length), part, "{range}");
        }
        assert_eq!(
            content_range(Asked::Part(2, 3), 11).unwrap(),
            "bytes 2-4/11"
        );
        assert_eq!(
            content_range(Asked::Unsatisfiable, 11).unwrap(),
            "bytes */11"
        );
    }

    #[test]
    fn only_of_what_is_whole() {
        let mut request = HeaderMap::new();
        request.insert(RANGE, HeaderValue::from_static("bytes=0-1"));
        let mut response = HeaderMap::new();
        let of =
            |request: &HeaderMap, status, response: &HeaderMap| asked(request, status, response, 9);
        assert_eq!(of(&request, StatusCode::NOT_FOUND, &response), Asked::Whole);
        response.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
        assert_eq!(of(&request, StatusCode::OK, &response), Asked::Whole);
        request.append(RANGE, HeaderValue::from_static("bytes=3-4"));
        assert_eq!(
            of(&request, StatusCode::OK, &HeaderMap::new()),
            Asked::Whole
        );
    }
}
