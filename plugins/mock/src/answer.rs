//! One answer: its status, headers and body.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_plugin::{Reply, Request, Result, log};

use crate::template::{Escape, Template};
use crate::{Lines, is_token};

/// The largest body of a reply that the gateway takes from a plugin.
const BODY_BYTES_MAX: usize = 1 << 20;

pub struct Answer {
    status: u16,
    content_type: Option<String>,
    /// All other headers.
    lines: Vec<(String, Template)>,
    body: Template,
}

impl Answer {
    /// The error begins with the place.
    pub fn new(
        status: Option<u16>,
        headers: Option<BTreeMap<String, Lines>>,
        body: Option<String>,
        json: Option<Value>,
    ) -> Result<Answer, String> {
        let status = status.unwrap_or(200);
        if !(200..=599).contains(&status) {
            return Err(format!("status: {status} is not between 200 and 599"));
        }
        if matches!(status, 204 | 205 | 304) && (body.is_some() || json.is_some()) {
            return Err(format!("status: a response with {status} has no body"));
        }
        let headers = Headers::new(headers.unwrap_or_default())?;
        let escape = |default| {
            headers
                .content_type
                .as_deref()
                .map_or(default, Escape::of_type)
        };
        let (body, usual_type) = match (body, json) {
            (Some(_), Some(_)) => return Err("body: `json` is given too, and one is enough".into()),
            (None, None) => (Template::default(), None),
            (Some(text), None) => (
                Template::parse(&text, escape(Escape::None))
                    .map_err(|why| format!("body: {why}"))?,
                Some("text/plain; charset=utf-8"),
            ),
            (None, Some(_)) if escape(Escape::Json) != Escape::Json => {
                return Err("headers.\"content-type\": the type of `json` must be a JSON".into());
            }
            (None, Some(value)) => (Template::of_json(&value)?, Some("application/json")),
        };
        if body.fixed_bytes() > BODY_BYTES_MAX {
            return Err(format!("body: has more than {BODY_BYTES_MAX} bytes"));
        }
        Ok(Answer {
            status,
            content_type: headers.content_type.or(usual_type.map(str::to_owned)),
            lines: headers.lines,
            body,
        })
    }

    pub fn reply(&self, request: &Request) -> Result<Reply> {
        let mut reply = Reply::new(self.status);
        if let Some(content_type) = &self.content_type {
            reply = reply.header("content-type", content_type);
        }
        for (name, template) in &self.lines {
            match template.line(request)? {
                Some(value) if value.iter().any(|byte| is_control(*byte)) => {
                    log::warn(&format!(
                        "answered 400: headers.{name:?} would have a control character"
                    ));
                    return Ok(unanswerable());
                }
                Some(value) => reply = reply.header(name, value),
                None => {}
            }
        }
        reply.body = self.body.body(request)?;
        if reply.body.len() > BODY_BYTES_MAX {
            log::warn("answered 400: the body would be too large");
            return Ok(unanswerable());
        }
        Ok(reply)
    }
}

/// What the client sent does not fit where the template puts it.
fn unanswerable() -> Reply {
    Reply::problem(
        400,
        "something in this request cannot be put into the answer",
    )
}

struct Headers {
    content_type: Option<String>,
    /// All others, in lower case.
    lines: Vec<(String, Template)>,
}

impl Headers {
    /// The error begins with the place.
    fn new(written: BTreeMap<String, Lines>) -> Result<Headers, String> {
        let mut headers = Headers {
            content_type: None,
            lines: Vec::new(),
        };
        for (name, lines) in written {
            headers
                .add(&name, lines)
                .map_err(|why| format!("headers.{name:?}: {why}"))?;
        }
        Ok(headers)
    }

    fn add(&mut self, name: &str, lines: Lines) -> Result<(), String> {
        if !is_token(name) {
            return Err("is not the name of a header".into());
        }
        let name = name.to_ascii_lowercase();
        if is_of_the_connection(&name) {
            return Err("belongs to the connection, which is the gateway's own".into());
        }
        if self.lines.iter().any(|(other, _)| *other == name) {
            return Err("is named twice".into());
        }
        let texts = match lines {
            Lines::One(text) => vec![text],
            Lines::Many(texts) => texts,
        };
        for text in texts {
            if text.bytes().any(is_control) {
                return Err("has a control character, which no header may have".into());
            }
            if name != "content-type" {
                let template = Template::parse(&text, Escape::None)?;
                self.lines.push((name.clone(), template));
            } else if self.content_type.is_some() || text.contains(['{', '}']) {
                return Err(
                    "must be one fixed value: what is put into the body is escaped as it says"
                        .into(),
                );
            } else {
                self.content_type = Some(text);
            }
        }
        Ok(())
    }
}

/// The gateway would refuse them too, but only when a request is there.
fn is_of_the_connection(name: &str) -> bool {
    let names = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
    ];
    names.contains(&name)
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && byte.is_ascii_control()
}
