//! Removes, renames, sets and adds header fields. README.md says how it is configured.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tollgate_plugin::template::{Side, Template};
use tollgate_plugin::{
    EditableRequest, EditableResponse, Outcome, Plugin, Reply, Request, RequestTransformer,
    Response, ResponseTransformer, Result, export, log,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What is changed on the way in.
    #[serde(default)]
    request: Changes,
    /// What is changed on the way out.
    #[serde(default)]
    response: Changes,
}

/// Applied in this order.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Changes {
    /// Fields to remove.
    remove: Vec<String>,
    /// Old names and new names; all values are kept.
    rename: BTreeMap<String, String>,
    /// Fields and the one value that each is to have.
    set: BTreeMap<String, String>,
    /// Fields and what is added behind their values.
    append: BTreeMap<String, Lines>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Lines {
    One(String),
    Many(Vec<String>),
}

struct Headers {
    request: Edits,
    response: Edits,
}

/// Changes, checked and parsed. Names are in lower case.
struct Edits {
    remove: Vec<String>,
    rename: Vec<(String, String)>,
    /// Those to set before those to append.
    lines: Vec<Line>,
}

struct Line {
    name: String,
    template: Template,
    append: bool,
}

impl Plugin for Headers {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let request = Edits::new(config.request, Side::Request)
            .map_err(|error| format!("request.{error}"))?;
        let response = Edits::new(config.response, Side::Response)
            .map_err(|error| format!("response.{error}"))?;
        if request.is_empty() && response.is_empty() {
            return Err("`request` and `response` change nothing".into());
        }
        Ok(Headers { request, response })
    }
}

impl RequestTransformer for Headers {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        let values = self.request.values(request, None)?;
        let Err(refusal) = self.request.apply(request, values)? else {
            return Ok(Outcome::Next);
        };
        // Without the line the upstream would see another request than the operator meant.
        log::warn(&format!("answered 400: request.{refusal}"));
        Ok(Outcome::Respond(Reply::problem(
            400,
            "something in this request cannot be passed on in a header field",
        )))
    }
}

impl ResponseTransformer for Headers {
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        let values = self.response.values(request, Some(response))?;
        // What the upstream did is done: an error in place of its answer would say otherwise.
        if let Err(refusal) = self.response.apply(response, values)? {
            log::warn(&format!("left out: response.{refusal}"));
        }
        Ok(Outcome::Next)
    }
}

export!(Headers: RequestTransformer, ResponseTransformer);

impl Edits {
    /// The error begins with the place.
    fn new(changes: Changes, side: Side) -> Result<Edits, String> {
        let mut edits = Edits {
            remove: Vec::new(),
            rename: Vec::new(),
            lines: Vec::new(),
        };
        for (index, name) in changes.remove.iter().enumerate() {
            let name = field(name, side).map_err(|why| format!("remove[{index}]: {why}"))?;
            edits.remove.push(name);
        }
        // Names are one whatever their case, which the keys of the configuration do not know.
        let (mut olds, mut news) = (BTreeSet::new(), BTreeSet::new());
        for (old, new) in &changes.rename {
            let wrong = |why| format!("rename.{old:?}: {why}");
            let old = once(&mut olds, field(old, side)).map_err(wrong)?;
            let new = once(&mut news, field(new, side)).map_err(wrong)?;
            if old == new {
                return Err(wrong("is its own new name".into()));
            }
            edits.rename.push((old, new));
        }
        let set = changes
            .set
            .into_iter()
            .map(|(name, line)| (name, Lines::One(line)));
        for (lines, append) in [(set.collect(), false), (changes.append, true)] {
            edits.add(lines, append, side)?;
        }
        Ok(edits)
    }

    fn add(
        &mut self,
        all: BTreeMap<String, Lines>,
        append: bool,
        side: Side,
    ) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for (written, lines) in all {
            let place = place(append, &written);
            let name =
                once(&mut names, field(&written, side)).map_err(|why| format!("{place}: {why}"))?;
            let (texts, many) = match lines {
                Lines::One(text) => (vec![text], false),
                Lines::Many(texts) => (texts, true),
            };
            for (index, text) in texts.iter().enumerate() {
                let template = template(text, side).map_err(|why| {
                    let index = if many {
                        format!("[{index}]")
                    } else {
                        String::new()
                    };
                    format!("{place}{index}: {why}")
                })?;
                self.lines.push(Line {
                    name: name.clone(),
                    template,
                    append,
                });
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rename.is_empty() && self.lines.is_empty()
    }

    /// The values of `lines`: all are made before anything is edited, so that they do not depend on
    /// each other, and can use what is removed.
    fn values(
        &self,
        request: &Request,
        response: Option<&Response>,
    ) -> Result<Vec<Option<Cow<'_, [u8]>>>> {
        self.lines
            .iter()
            .map(|line| line.template.render(request, response))
            .collect()
    }

    /// The inner error is the last line that the host refused, as place and reason: it is left out,
    /// as if it referred to something absent.
    fn apply(
        &self,
        message: &mut impl Message,
        values: Vec<Option<Cow<'_, [u8]>>>,
    ) -> Result<Result<(), String>> {
        let mut outcome = Ok(());
        for name in &self.remove {
            message.remove(name)?;
        }
        // All are read before any is written: names may be swapped.
        let moves = self
            .rename
            .iter()
            .map(|(old, new)| (old, new, message.values(old)));
        let moves: Vec<_> = moves.filter(|(.., values)| !values.is_empty()).collect();
        for (old, ..) in &moves {
            message.remove(old)?;
        }
        for (old, new, values) in moves {
            for (index, value) in values.iter().enumerate() {
                if let Err(why) = message.write(new, value, index > 0) {
                    outcome = Err(format!("rename.{old:?}: {why}"));
                }
            }
        }
        for (Line { name, append, .. }, value) in self.lines.iter().zip(values) {
            if let Some(value) = value {
                match message.write(name, &value, *append) {
                    Ok(()) => continue,
                    Err(why) => outcome = Err(format!("{}: {why}", place(*append, name))),
                }
            }
            // Whoever reads a field that is set here trusts it: a value that came in with the
            // message must not stand in for the one that is missing.
            if !append {
                message.remove(name)?;
            }
        }
        Ok(outcome)
    }
}

fn place(append: bool, name: &str) -> String {
    format!("{}.{name:?}", if append { "append" } else { "set" })
}

/// The value of a line to come.
fn template(text: &str, side: Side) -> Result<Template, String> {
    if text.contains(|character: char| character != '\t' && character.is_ascii_control()) {
        return Err("has a control character, which no header may have".into());
    }
    Template::parse(text, side)
}

fn is_field_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// The name in lower case, if it may be changed. The host would refuse the others too, but only when
/// a request is there.
fn field(name: &str, side: Side) -> Result<String, String> {
    if !is_field_name(name) {
        return Err(format!("{name:?} is not the name of a header"));
    }
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer"
        | "transfer-encoding" | "upgrade" | "content-length" => Err(format!(
            "`{name}` belongs to the connection, which is the gateway's own"
        )),
        "host" if side == Side::Request => Err("`host` cannot be changed by this plugin".into()),
        _ => Ok(name),
    }
}

fn once(seen: &mut BTreeSet<String>, name: Result<String, String>) -> Result<String, String> {
    let name = name?;
    if seen.insert(name.clone()) {
        Ok(name)
    } else {
        Err(format!("`{name}` is named twice"))
    }
}

/// What requests and responses have in common.
trait Message {
    fn values(&self, name: &str) -> Vec<Vec<u8>>;
    fn remove(&mut self, name: &str) -> Result<()>;
    /// Adds the value, or replaces all by it.
    fn write(&mut self, name: &str, value: &[u8], append: bool) -> Result<()>;
}

macro_rules! message {
    ($editable:ident) => {
        impl Message for $editable<'_> {
            fn values(&self, name: &str) -> Vec<Vec<u8>> {
                self.header_values(name)
            }
            fn remove(&mut self, name: &str) -> Result<()> {
                self.remove_header(name)
            }
            fn write(&mut self, name: &str, value: &[u8], append: bool) -> Result<()> {
                if append {
                    self.append_header(name, value)
                } else {
                    self.set_header(name, value)
                }
            }
        }
    };
}
message!(EditableRequest);
message!(EditableResponse);

#[cfg(test)]
mod tests;
