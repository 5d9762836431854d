//! What a head says about its body: its encoding, and the fields that no longer hold once the body is
//! replaced.

use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName,
    HeaderValue,
};

use crate::limits;

/// Digests of a body, wrong once it changes (RFC 9530, RFC 1864).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Whether a response of this status has no content to read or write; a 304 may still state the length of the 200's
/// (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
pub fn is_bodiless(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// Edits the head for a request's new body, which has no content encoding.
pub fn replace_request(headers: &mut HeaderMap) {
    headers.remove(CONTENT_ENCODING);
    remove_digests(headers);
}

/// Edits the head for a response's new body, which is whole and has no content encoding.
pub fn replace_response(headers: &mut HeaderMap) {
    for name in [
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        ACCEPT_RANGES,
    ] {
        headers.remove(name);
    }
    alter(headers);
}

/// Removes the length and the digests of the content from the head.
pub fn forget_content(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    remove_digests(headers);
}

/// Edits the head for a changed representation: its validators and digests no longer fit.
pub fn alter(headers: &mut HeaderMap) {
    remove_digests(headers);
    weaken(headers);
}

fn remove_digests(headers: &mut HeaderMap) {
    for name in DIGESTS {
        headers.remove(name);
    }
}

/// Weakens the entity tag: a changed body is another representation, for which a strong validator does not
/// hold (RFC 9110, section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else { return };
    if tag.as_bytes().starts_with(b"W/") {
        return;
    }
    let weak = [b"W/", tag.as_bytes()].concat();
    match HeaderValue::from_bytes(&weak) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_) => headers.remove(ETAG),
    };
}

/// Returns the content encodings that the headers name, in the order in which they were applied (RFC 9110,
/// section 8.4).
///
/// # Errors
/// If they are unreadable or too many, in words that follow "the body".
pub fn codings(headers: &HeaderMap) -> Result<Vec<String>, String> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = value
            .to_str()
            .map_err(|_| "its content-encoding is not text".to_owned())?;
        let named = text.split(',').map(str::trim);
        let named = named.filter(|coding| !coding.is_empty() && *coding != "identity");
        codings.extend(named.map(str::to_ascii_lowercase));
        if codings.len() > limits::message::CONTENT_CODINGS_MAX {
            return Err(format!(
                "it has more than {} content encodings",
                limits::message::CONTENT_CODINGS_MAX
            ));
        }
    }
    Ok(codings)
}
