//! Edits JSON bodies, of requests on the way in and of responses on the way out. README.md says how
//! it is configured.

mod document;
mod edits;
mod keep;
mod media;
mod path;
mod template;

use std::collections::BTreeMap;

use edits::{Changes, Edits, Trouble};
use serde_json::Value;
use tollgate_plugin::template::Side;
use tollgate_plugin::{
    BodyError, EditableRequest, EditableResponse, Outcome, Plugin, Reply, Request,
    RequestTransformer, Response, ResponseTransformer, Result, export, log,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What is changed on the way in.
    #[serde(default)]
    request: OnRequest,
    /// What is changed on the way out.
    #[serde(default)]
    response: OnResponse,
}

// Five keys stand in both: serde cannot flatten a type and know of misspelt keys as well.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct OnRequest {
    /// What is left; all else is removed.
    keep: Option<Vec<String>>,
    /// What is removed.
    remove: Vec<String>,
    /// Members and their new names.
    rename: BTreeMap<String, String>,
    /// Members and the values that they get if they are not there.
    add: BTreeMap<String, Value>,
    /// Members and the values that they get.
    set: BTreeMap<String, Value>,
    /// What happens to a body that does not say that it is JSON.
    other: Other,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct OnResponse {
    /// What is left; all else is removed.
    keep: Option<Vec<String>>,
    /// What is removed.
    remove: Vec<String>,
    /// Members and their new names.
    rename: BTreeMap<String, String>,
    /// Members and the values that they get if they are not there.
    add: BTreeMap<String, Value>,
    /// Members and the values that they get.
    set: BTreeMap<String, Value>,
    /// The responses that are edited, as `404` or `2xx`. Empty: all.
    statuses: Vec<String>,
    /// What happens to a response that cannot be edited. Left out: `refuse` if something is kept or
    /// removed, else `pass`.
    #[schemars(with = "OnFailure")]
    on_failure: Option<OnFailure>,
}

/// It goes on unchanged (`pass`), or the request is answered 415 (`refuse`).
// Doc comments on variants would make the schema say less plainly which there are.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Other {
    #[default]
    Pass,
    Refuse,
}

/// It goes on unchanged (`pass`), or 502 is answered in its place (`refuse`).
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum OnFailure {
    Pass,
    Refuse,
}

struct JsonBody {
    request: Edits,
    response: Edits,
    other: Other,
    /// First and last of ranges. Empty: all.
    statuses: Vec<(u16, u16)>,
    on_failure: OnFailure,
}

impl Plugin for JsonBody {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let Config { request, response } = config;
        let changes = Changes {
            keep: request.keep,
            remove: request.remove,
            rename: request.rename,
            add: request.add,
            set: request.set,
        };
        let on_request =
            Edits::new(changes, Side::Request).map_err(|why| format!("request.{why}"))?;
        let changes = Changes {
            keep: response.keep,
            remove: response.remove,
            rename: response.rename,
            add: response.add,
            set: response.set,
        };
        let on_response =
            Edits::new(changes, Side::Response).map_err(|why| format!("response.{why}"))?;
        if on_request.is_empty() && on_response.is_empty() {
            return Err("`request` and `response` change nothing".into());
        }
        if on_request.is_empty() && request.other != Other::Pass {
            return Err("request.other: nothing is changed in requests".into());
        }
        if on_response.is_empty()
            && (response.on_failure.is_some() || !response.statuses.is_empty())
        {
            return Err("response: nothing is changed, and so no other key has a meaning".into());
        }
        let by_default = if on_response.hides() {
            OnFailure::Refuse
        } else {
            OnFailure::Pass
        };
        let statuses = response.statuses.iter().enumerate().map(|(index, text)| {
            statuses(text).ok_or_else(|| {
                format!("response.statuses[{index}]: {text:?} is no status, such as 404 or 2xx")
            })
        });
        Ok(JsonBody {
            request: on_request,
            response: on_response,
            other: request.other,
            statuses: statuses.collect::<Result<_, _>>()?,
            on_failure: response.on_failure.unwrap_or(by_default),
        })
    }
}

fn statuses(text: &str) -> Option<(u16, u16)> {
    let range = match text.strip_suffix("xx") {
        Some(class) => {
            let class: u16 = class.parse().ok()?;
            (
                class.checked_mul(100)?,
                class.checked_mul(100)?.checked_add(99)?,
            )
        }
        None => (text.parse().ok()?, text.parse().ok()?),
    };
    (text.len() == 3 && range.0 >= 200 && range.1 <= 599).then_some(range)
}

impl RequestTransformer for JsonBody {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        if !self.response.is_empty() {
            ask_for_what_can_be_read(request)?;
        }
        if self.request.is_empty() {
            return Ok(Outcome::Next);
        }
        let is_json = media::is_json(&request.header_values("content-type"));
        if !is_json && self.other == Other::Pass {
            return Ok(Outcome::Next);
        }
        let refuse = |status, detail: &str| Ok(Outcome::Respond(Reply::problem(status, detail)));
        if !media::is_readable(&request.header_values("content-encoding")) {
            let reply = Reply::problem(415, "the body has an encoding that cannot be undone here");
            return Ok(Outcome::Respond(
                reply.header("accept-encoding", "gzip, deflate"),
            ));
        }
        let too_large = |limit: u64| format!("the body is larger than {limit} bytes");
        let body = match request.read_body() {
            Ok(body) => body,
            Err(BodyError::TooLarge(limit)) => return refuse(413, &too_large(limit)),
            // The client broke off, which is no fault of this plugin; the gateway knows.
            Err(error) => return Err(error.into()),
        };
        if body.is_empty() {
            return Ok(Outcome::Next);
        }
        if !is_json {
            return refuse(415, "the body must be JSON, and its content-type say so");
        }
        let values = self.request.values(request, None)?;
        let edited = match self.request.apply(&body, values, true) {
            Ok(Some(edited)) => edited,
            Ok(None) => return Ok(Outcome::Next),
            Err(Trouble::Json(error)) => {
                return refuse(400, &format!("the body is not JSON: {error}"));
            }
            Err(Trouble::NoPlace(place)) => {
                log::info(&format!(
                    "answered 400: there is no place for request.{place}"
                ));
                return refuse(400, "the body is of another shape than is expected");
            }
        };
        match request.replace_body(edited) {
            Ok(()) => Ok(Outcome::Next),
            Err(BodyError::TooLarge(limit)) => refuse(413, &too_large(limit)),
            Err(error) => Err(error.into()),
        }
    }
}

/// A part of a document is none, and not every encoding can be undone.
fn ask_for_what_can_be_read(request: &mut EditableRequest<'_>) -> Result<()> {
    for name in ["range", "if-range"] {
        if request.header(name).is_some() {
            request.remove_header(name)?;
        }
    }
    let accepted = request.header_values("accept-encoding");
    if !accepted.is_empty() {
        let readable = media::readable(&accepted);
        if accepted != [readable.as_slice()] {
            request.set_header("accept-encoding", readable)?;
        }
    }
    Ok(())
}

impl ResponseTransformer for JsonBody {
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        if !self.is_for(request, response) {
            return Ok(Outcome::Next);
        }
        match self.edit(request, response)? {
            Ok(()) => Ok(Outcome::Next),
            Err(why) if self.on_failure == OnFailure::Pass => {
                log::warn(&format!("passed on as it is: {why}"));
                Ok(Outcome::Next)
            }
            Err(why) => {
                log::warn(&format!("answered 502: {why}"));
                let detail = "the answer of the upstream cannot be passed on";
                Ok(Outcome::Respond(Reply::problem(502, detail)))
            }
        }
    }
}

export!(JsonBody: RequestTransformer, ResponseTransformer);

impl JsonBody {
    fn is_for(&self, request: &Request, response: &Response) -> bool {
        let status = response.status();
        let listed = |(first, last): &(u16, u16)| (*first..=*last).contains(&status);
        !self.response.is_empty()
            && (self.statuses.is_empty() || self.statuses.iter().any(listed))
            // They have no body (RFC 9110, section 6.4.1).
            && ![204, 205, 304].contains(&status)
            && media::is_json(&response.header_values("content-type"))
            && request.method() != "HEAD"
    }

    /// The inner error says why the response is as it was.
    fn edit(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Result<(), String>> {
        if response.status() == 206 {
            return Ok(Err("it is a part of a document".into()));
        }
        let body = match response.read_body() {
            Ok(body) if body.is_empty() => return Ok(Ok(())),
            Ok(body) => body,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let values = self.response.values(request, Some(response))?;
        Ok(match self.response.apply(&body, values, false) {
            Ok(Some(edited)) => response
                .replace_body(edited)
                .map_err(|error| error.to_string()),
            Ok(None) => Ok(()),
            Err(Trouble::Json(error)) => Err(format!("it is not JSON: {error}")),
            Err(Trouble::NoPlace(place)) => Err(format!("there is no place for {place}")),
        })
    }
}

#[cfg(test)]
mod tests;
