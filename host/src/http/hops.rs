//! An intermediary's edits of a message, which make its path traceable and finite (RFC 9110, sections 7.6.2
//! and 7.6.3).

use http::header::{HeaderMap, HeaderValue, MAX_FORWARDS, VIA};
use http::{Method, Version};

/// This gateway's name in `Via`: a pseudonym, so that no host name leaks.
const PSEUDONYM: &str = "tollgate";

/// Notes in `Via` that this gateway received the message, in this version.
pub fn pass(headers: &mut HeaderMap, version: Version) {
    let member = match version {
        Version::HTTP_10 => HeaderValue::from_static("1.0 tollgate"),
        _ => HeaderValue::from_static("1.1 tollgate"),
    };
    headers.append(VIA, member);
}

/// Makes sure that `Via` says at least as often that the message passed here: what a plugin removed is put back, and
/// what it sends by itself is told to be of this request, or a loop would have no end.
pub fn say(headers: &mut HeaderMap, passes: usize) {
    for _ in self::passes(headers)..passes {
        headers.append(VIA, HeaderValue::from_static("1.1 tollgate"));
    }
}

/// Returns how often the message has already passed through this kind of gateway.
pub fn passes(headers: &HeaderMap) -> usize {
    let lines = headers.get_all(VIA).iter();
    let members = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    members
        .filter(|member| member.split_ascii_whitespace().nth(1) == Some(PSEUDONYM))
        .count()
}

/// Counts `Max-Forwards` down, for the methods it applies to. Returns whether the message may go on.
pub fn may_go_on(method: &Method, headers: &mut HeaderMap) -> bool {
    if *method != Method::OPTIONS && *method != Method::TRACE {
        return true;
    }
    let Some(left) = headers.get(MAX_FORWARDS).and_then(number) else {
        return true;
    };
    let Some(left) = left.checked_sub(1) else {
        return false;
    };
    headers.insert(MAX_FORWARDS, left.into());
    true
}

/// Returns a field's number, capped at the largest `u64`.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_told_from_those_through_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(passes(&headers), 0);
        headers.append(VIA, HeaderValue::from_static("1.0 fred, 1.1 tollgate (x)"));
        headers.append(VIA, HeaderValue::from_static("1.1 tollgate.example"));
        headers.append(VIA, HeaderValue::from_static("HTTP/1.1 tollgate,,tollgate"));
        assert_eq!(passes(&headers), 2);
        pass(&mut headers, Version::HTTP_10);
        assert_eq!(passes(&headers), 3);
        let last = headers.get_all(VIA).iter().next_back();
        assert_eq!(last.expect("a line"), "1.0 tollgate");
    }

    #[test]
    fn forwards_are_counted_down_to_none() {
        let after = |method: Method, written: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                MAX_FORWARDS,
                HeaderValue::try_from(written).expect("a value"),
            );
            let goes_on = may_go_on(&method, &mut headers);
            let left = headers.get(MAX_FORWARDS).cloned();
            let left = left.and_then(|left| left.to_str().ok().map(str::to_owned));
            (goes_on, left.unwrap_or_default())
        };
        let going = |left: &str| (true, left.to_owned());
        assert_eq!(after(Method::OPTIONS, "0"), (false, "0".to_owned()));
        assert_eq!(after(Method::TRACE, "00"), (false, "00".to_owned()));
        assert_eq!(after(Method::OPTIONS, "1"), going("0"));
        assert_eq!(after(Method::OPTIONS, "010"), going("9"));
        let huge = "99999999999999999999999";
        assert_eq!(after(Method::OPTIONS, huge), going("18446744073709551614"));
        // It only applies to these two methods, and if it is a number.
        assert_eq!(after(Method::GET, "0"), going("0"));
        assert_eq!(after(Method::OPTIONS, "-1"), going("-1"));
        assert_eq!(after(Method::OPTIONS, ""), going(""));
        assert!(may_go_on(&Method::OPTIONS, &mut HeaderMap::new()));
    }
}
