//! `respond`: an answer that stands in the file.

use http::{HeaderName, HeaderValue, StatusCode};
use toml::de::DeValue;

use super::StaticReply;
use super::reader::{Item, Reader};
use super::source::Problem;
use crate::http::fields::is_framing;
use crate::http::representation;
use crate::limits;
use crate::quote::quoted;

const REPLY: &str = "{ status = 404, headers = { content-type = \"text/plain\" }, body = \"no\" }";

pub(super) fn reply(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<StaticReply> {
    let mut table = reader.table(item, REPLY)?;
    let status = reader.required(&mut table, "status", "404");
    let status = status.and_then(|item| reader.number(&item, 200..=599_u16));
    let headers = table.get("headers");
    let headers = headers.map(|item| headers_of(reader, &item));
    let body = table.get("body").map(|item| body(reader, &item, status));
    reader.finish(&table, &[]);
    Some(StaticReply {
        status: status?,
        headers: headers.unwrap_or_default(),
        body: body.unwrap_or_default(),
    })
}

fn body(reader: &mut Reader<'_>, item: &Item<'_>, status: Option<u16>) -> String {
    let text = reader.hidden_text(item, "\"not here\"").unwrap_or_default();
    reader.bounded(
        item,
        "bytes",
        text.len(),
        limits::plugin::REPLY_BODY_BYTES_MAX,
    );
    if let Some(status) = status
        && !text.is_empty()
        && StatusCode::from_u16(status).is_ok_and(representation::is_bodiless)
    {
        let message = format!("a response of status {status} has no body");
        reader.problem(item.position, message);
    }
    text.to_owned()
}

/// Each value is a string, or an array of strings for several lines of one name.
fn headers_of(reader: &mut Reader<'_>, item: &Item<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = reader.pairs(item, "a table such as { content-type = \"text/plain\" }");
    let most = limits::message::MESSAGE_HEADER_LINES_MAX;
    if !reader.bounded(item, "headers", pairs.len(), most) {
        return Vec::new();
    }
    let mut all: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for named in pairs {
        let Some(name) = name_of(reader, &named.name, &named.item) else {
            continue;
        };
        // In a table, names that differ in capitals are two keys.
        if all.iter().any(|(other, _)| *other == name) {
            let message = format!("the header {} is given twice", quoted(&named.name));
            let help = "for several lines of one name, write an array of values";
            reader.note(Problem::new(named.position, message).with_help(help));
        }
        let values = match named.item.value {
            DeValue::Array(_) => reader.list(&named.item, "[\"a\"]").unwrap_or_default(),
            _ => vec![named.item],
        };
        for item in values {
            let value = value_of(reader, &item);
            all.extend(value.map(|value| (name.clone(), value)));
        }
    }
    reader.bounded(item, "header lines", all.len(), most);
    let bytes = |(name, value): &(HeaderName, HeaderValue)| name.as_str().len() + value.len();
    let (bytes, most) = (
        all.iter().map(bytes).sum(),
        limits::message::MESSAGE_HEADER_BYTES_MAX,
    );
    reader.bounded(item, "bytes", bytes, most);
    all
}

fn name_of(reader: &mut Reader<'_>, text: &str, item: &Item<'_>) -> Option<HeaderName> {
    let why = match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if is_framing(&name) || name == http::header::HOST => {
            "belongs to the connection or the framing, which are the gateway's"
        }
        Ok(name) => return Some(name),
        Err(_) => "is not the name of a header",
    };
    reader.problem(item.position, format!("{} {why}", quoted(text)));
    None
}

fn value_of(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<HeaderValue> {
    let text = reader.hidden_text(item, "\"text/plain\"")?;
    // RFC 9110, section 5.5: what is sent should be ASCII.
    let ascii = Some(text).filter(|text| text.is_ascii());
    let value = ascii.and_then(|text| HeaderValue::from_str(text).ok());
    if value.is_none() {
        let message = format!(
            "{} may have only visible ASCII and spaces",
            quoted(&item.path)
        );
        reader.problem(item.position, message);
    }
    value
}
