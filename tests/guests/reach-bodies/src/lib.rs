//! Does with bodies what the request says: the header `x-<name>-in` has the steps of the way in,
//! `x-<name>-out` those of the way out, as JSON; `name` is the configuration's. What a step has to tell
//! stands in the header `x-<name>-told` of the message, a line for each.

use std::hint::black_box;

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{
    BodyError, EditableRequest, EditableResponse, Outcome, Plugin, Reply, Request,
    RequestTransformer, ResponseTransformer, Result, export,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    name: String,
}

pub struct Bodies {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// Tells the body, or why there is none.
    Read,
    /// Reads the body; without one the hook ends in an error.
    MustRead,
    /// The same as `read` of the request's body, on the way out.
    ReadRequest,
    /// Tells whether it was replaced.
    Replace(String),
    /// Puts this many `x` in its place.
    Fill(usize),
    /// Puts what was read last in its place, in capital letters.
    Shout,
    /// Tells a header as this side's message has it.
    Header(String),
    SetStatus(u16),
    Fail,
    Trap,
    /// Never returns.
    Loop,
    Respond(u16),
}

/// The message of one side, with its pen.
trait Message {
    fn read(&self) -> Result<Vec<u8>, BodyError>;
    fn replace(&mut self, body: &[u8]) -> Result<(), BodyError>;
    fn header(&self, name: &str) -> Option<String>;
    fn tell(&mut self, name: &str, value: &str) -> Result<()>;
    fn set_status(&mut self, status: u16) -> Result<()>;
}

impl Message for EditableRequest<'_> {
    fn read(&self) -> Result<Vec<u8>, BodyError> {
        self.read_body()
    }

    fn replace(&mut self, body: &[u8]) -> Result<(), BodyError> {
        self.replace_body(body)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.header_text(name)
    }

    fn tell(&mut self, name: &str, value: &str) -> Result<()> {
        self.append_header(name, value)
    }

    fn set_status(&mut self, _: u16) -> Result<()> {
        Err("a request has no status".into())
    }
}

impl Message for EditableResponse<'_> {
    fn read(&self) -> Result<Vec<u8>, BodyError> {
        self.read_body()
    }

    fn replace(&mut self, body: &[u8]) -> Result<(), BodyError> {
        self.replace_body(body)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.header_text(name)
    }

    fn tell(&mut self, name: &str, value: &str) -> Result<()> {
        self.append_header(name, value)
    }

    fn set_status(&mut self, status: u16) -> Result<()> {
        EditableResponse::set_status(self, status)
    }
}

impl Bodies {
    fn steps(&self, request: &Request, side: &str) -> Result<Vec<Step>> {
        match request.header(&format!("x-{}-{side}", self.name)) {
            Some(text) => Ok(serde_json::from_slice(&text)?),
            None => Ok(Vec::new()),
        }
    }

    /// `request` is there on the way out.
    fn perform(
        &self,
        message: &mut impl Message,
        request: Option<&Request>,
        steps: Vec<Step>,
    ) -> Result<Outcome> {
        let told = format!("x-{}-told", self.name);
        let mut last = Vec::new();
        for step in steps {
            match step {
                Step::Read => {
                    let text = match message.read() {
                        Ok(body) => {
                            let text = summary(&body);
                            last = body;
                            text
                        }
                        Err(error) => reason(&error),
                    };
                    message.tell(&told, &text)?;
                }
                Step::MustRead => last = message.read()?,
                Step::ReadRequest => {
                    let read = request.map(Request::read_body);
                    let text = match read.ok_or("on the way out")? {
                        Ok(body) => summary(&body),
                        Err(error) => reason(&error),
                    };
                    message.tell(&told, &text)?;
                }
                Step::Replace(body) => {
                    let text = done(message.replace(body.as_bytes()));
                    message.tell(&told, &text)?;
                }
                Step::Fill(count) => {
                    let text = done(message.replace(&vec![b'x'; count]));
                    message.tell(&told, &text)?;
                }
                Step::Shout => {
                    last.make_ascii_uppercase();
                    message.replace(&last)?;
                }
                Step::Header(name) => {
                    let value = message.header(&name);
                    message.tell(&told, value.as_deref().unwrap_or("absent"))?;
                }
                Step::SetStatus(status) => message.set_status(status)?,
                Step::Fail => return Err("told to fail".into()),
                Step::Trap => panic!("told to trap"),
                Step::Loop => loop {
                    black_box(());
                },
                Step::Respond(status) => {
                    return Ok(Outcome::Respond(Reply::new(status).body("from the plugin")));
                }
            }
        }
        Ok(Outcome::Next)
    }
}

fn done(replaced: Result<(), BodyError>) -> String {
    match replaced {
        Ok(()) => "replaced".to_owned(),
        Err(error) => reason(&error),
    }
}

fn reason(error: &BodyError) -> String {
    match error {
        BodyError::TooLarge(most) => format!("too-large {most}"),
        BodyError::Failed(text) => format!("failed {text}"),
    }
}

/// Its length, and its beginning with what is not printable escaped.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 100;
    format!(
        "{}:{}",
        body.len(),
        body[..body.len().min(SHOWN)].escape_ascii()
    )
}

impl Plugin for Bodies {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        Ok(Bodies { name: config.name })
    }
}

impl RequestTransformer for Bodies {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        let steps = self.steps(request, "in")?;
        self.perform(request, None, steps)
    }
}

impl ResponseTransformer for Bodies {
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        let steps = self.steps(request, "out")?;
        self.perform(response, Some(request), steps)
    }
}

export!(Bodies: RequestTransformer, ResponseTransformer);
