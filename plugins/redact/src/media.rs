//! Which bodies are meant, by what they say they are.

use tollgate_plugin::Result;

/// What is text, of what is usual.
pub const USUAL: [&str; 9] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/x-ndjson",
    "application/javascript",
    "application/x-www-form-urlencoded",
    "application/graphql",
];

/// A media type, or several: `type/subtype`, where `*` is all, as is what stands before `+` in `*+json`.
pub struct Media {
    kind: String,
    subtype: String,
}

impl Media {
    pub fn parse(text: &str) -> Result<Media> {
        let token = |text: &str| {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte);
            !text.is_empty() && text.bytes().all(is_token)
        };
        let lower = text.to_ascii_lowercase();
        match lower.split_once('/') {
            Some((kind, subtype)) if token(kind) && token(subtype) => Ok(Media {
                kind: kind.to_owned(),
                subtype: subtype.to_owned(),
            }),
            _ => Err(format!("{text:?} is no media type, such as `text/*`").into()),
        }
    }

    fn is(&self, kind: &str, subtype: &str) -> bool {
        let kinds = self.kind == "*" || self.kind == kind;
        let suffix = self.subtype.strip_prefix('*');
        kinds && suffix.map_or(self.subtype == subtype, |suffix| subtype.ends_with(suffix))
    }
}

/// Whether a body with these values of `content-type` is one of these. One that does not say what it is may
/// be anything; of several values one reader may take the first and another the last.
pub fn is_any(media: &[Media], values: &[Vec<u8>]) -> bool {
    let mut types = values.iter().map(|value| essence(value));
    values.is_empty()
        || types.any(|essence| match essence.split_once('/') {
            Some((kind, subtype)) => media.iter().any(|media| media.is(kind, subtype)),
            None => true,
        })
}

/// Whether it is a stream of server-sent events, and nothing else.
pub fn is_events(values: &[Vec<u8>]) -> bool {
    matches!(values, [value] if essence(value) == "text/event-stream")
}

/// The media type without its parameters.
fn essence(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == b';');
    let essence = value[..end.unwrap_or(value.len())].trim_ascii();
    String::from_utf8_lossy(essence).to_ascii_lowercase()
}
