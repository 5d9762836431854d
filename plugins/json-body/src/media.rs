//! What the headers say of a body: whether it is JSON, and whether it can be read.

/// The codings that the gateway undoes (RFC 9110, section 8.4.1).
const CODINGS: [&str; 4] = ["gzip", "x-gzip", "deflate", "identity"];

/// Whether any of these values of `content-type` names JSON: of several, one reader may take the
/// first and another the last.
pub fn is_json(values: &[Vec<u8>]) -> bool {
    values.iter().any(|value| {
        let end = value
            .iter()
            .position(|byte| *byte == b';')
            .unwrap_or(value.len());
        let essence = value[..end].trim_ascii().to_ascii_lowercase();
        // RFC 8259, section 11, and RFC 6839, section 3.1.
        essence == b"application/json" || (essence.ends_with(b"+json") && essence.contains(&b'/'))
    })
}

/// Whether the gateway undoes all codings that `content-encoding` names.
pub fn is_readable(values: &[Vec<u8>]) -> bool {
    let value = values.join(&b","[..]).to_ascii_lowercase();
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.all(|coding| coding.is_empty() || CODINGS.iter().any(|one| one.as_bytes() == coding))
}

/// What of `accept-encoding` is left if the answer is to be read here. Never empty, which would mean
/// nothing else than `identity` (RFC 9110, section 12.5.3), but be forgotten more easily.
pub fn readable(values: &[Vec<u8>]) -> Vec<u8> {
    let value = values.join(&b","[..]);
    let kept = value.split(|byte| *byte == b',').filter(|member| {
        let coding = member
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        let coding = coding.trim_ascii().to_ascii_lowercase();
        CODINGS.iter().any(|one| one.as_bytes() == coding)
    });
    let kept: Vec<&[u8]> = kept.map(<[u8]>::trim_ascii).collect();
    if kept.is_empty() {
        b"identity".to_vec()
    } else {
        kept.join(&b", "[..])
    }
}
