use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_plugin::{
    BodyError, EditableRequest, EditableResponse, Outcome, Plugin, Reply, Request,
    RequestTransformer, ResponseTransformer, Result, export, log,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mask {
    /// The members whose values are masked, at any depth.
    members: BTreeSet<String>,
}

impl Plugin for Mask {
    type Config = Self;
    fn configure(config: Self) -> Result<Self> {
        Ok(config)
    }
}

impl RequestTransformer for Mask {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        if !is_json(request.header_text("content-type")) {
            return Ok(Outcome::Next);
        }
        // What a client can bring about is answered, and is no fault.
        let refuse = |status, why| Ok(Outcome::Respond(Reply::problem(status, why)));
        match self.masked(request.read_body()) {
            Ok(Some(body)) => request.replace_body(body)?,
            Ok(None) => {}
            Err(BodyError::TooLarge(_)) => return refuse(413, "this body is too large"),
            Err(BodyError::Failed(_)) => return refuse(400, "this body is not JSON"),
        }
        Ok(Outcome::Next)
    }
}

impl ResponseTransformer for Mask {
    fn transform_response(
        &self,
        _: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        if !is_json(response.header_text("content-type")) {
            return Ok(Outcome::Next);
        }
        match self.masked(response.read_body()) {
            Ok(Some(body)) => response.replace_body(body)?,
            Ok(None) => {}
            // What cannot be masked is not shown.
            Err(why) => {
                log::warn(&format!("answered 502: {why}"));
                let reply = Reply::problem(502, "this answer cannot be shown");
                return Ok(Outcome::Respond(reply));
            }
        }
        Ok(Outcome::Next)
    }
}

fn is_json(content_type: Option<String>) -> bool {
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type == "application/json" || media_type.ends_with("+json")
}

impl Mask {
    /// The body with its members masked, or none if there was nothing to mask.
    fn masked(&self, body: Result<Vec<u8>, BodyError>) -> Result<Option<Vec<u8>>, BodyError> {
        let body = body?;
        if body.is_empty() {
            return Ok(None);
        }
        // Some writers begin with a byte order mark, which is no part of the document.
        let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let parsed = serde_json::from_slice(json);
        let mut document = parsed.map_err(|error| BodyError::Failed(error.to_string()))?;
        Ok(self
            .mask(&mut document)
            .then(|| document.to_string().into_bytes()))
    }

    /// Whether there was anything to mask.
    fn mask(&self, value: &mut Value) -> bool {
        let mut any = false;
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| any |= self.mask(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    if self.members.contains(name) {
                        *value = "****".into();
                        any = true;
                    } else {
                        any |= self.mask(value);
                    }
                }
            }
            _ => {}
        }
        any
    }
}

export!(Mask: RequestTransformer, ResponseTransformer);

#[cfg(test)]
mod tests;
