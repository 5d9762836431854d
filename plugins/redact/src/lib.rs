//! Replaces what matches patterns in bodies as they stream. README.md says how it is configured.

mod events;
mod media;
mod rule;

use events::{Events, Next};
use media::Media;
use rule::{Rule, Text};
use tollgate_plugin::{
    BodyStream, Plugin, Request, RequestStream, Response, ResponseStream, Result, export,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// What is replaced, one after the other.
    rules: Vec<RuleConfig>,
    /// Whose bodies. Left out: those of responses.
    #[serde(default = "responses")]
    bodies: Vec<Of>,
    /// Which bodies, by their `content-type`, as `text/*` or `application/*+json`. Left out: the usual types
    /// of text. A body without a type is always meant.
    content_types: Option<Vec<String>>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleConfig {
    /// A regular expression, of what is replaced.
    pattern: String,
    /// What is put in its place, as it is.
    #[serde(default = "redacted")]
    replace_with: String,
    /// The longest match that is looked for, in bytes; required where the pattern knows no longest.
    longest: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Of {
    Request,
    Response,
}

fn responses() -> Vec<Of> {
    vec![Of::Response]
}

fn redacted() -> String {
    "[redacted]".to_owned()
}

struct Redact {
    rules: Vec<Rule>,
    bodies: Vec<Of>,
    media: Vec<Media>,
}

impl Plugin for Redact {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        if config.rules.is_empty() {
            return Err("rules: there is none".into());
        }
        if config.bodies.is_empty() {
            return Err("bodies: nobody's are meant".into());
        }
        let rules = config.rules.iter().enumerate().map(|(index, rule)| {
            Rule::new(&rule.pattern, &rule.replace_with, rule.longest)
                .map_err(|why| format!("rules[{index}].pattern: {why}").into())
        });
        let usual = || media::USUAL.map(str::to_owned).to_vec();
        let types = config.content_types.unwrap_or_else(usual);
        let types = types
            .iter()
            .map(|text| Media::parse(text).map_err(|why| format!("content-types: {why}").into()));
        Ok(Redact {
            rules: rules.collect::<Result<_>>()?,
            bodies: config.bodies,
            media: types.collect::<Result<_>>()?,
        })
    }
}

impl Redact {
    fn open(&self, of: Of, types: impl Fn() -> Vec<Vec<u8>>) -> Option<Box<dyn BodyStream + '_>> {
        if !self.bodies.contains(&of) {
            return None;
        }
        let types = types();
        media::is_any(&self.media, &types).then(|| {
            Box::new(Redaction {
                rules: &self.rules,
                texts: self.rules.iter().map(|_| Text::default()).collect(),
                events: media::is_events(&types).then(Events::default),
            }) as Box<dyn BodyStream>
        })
    }
}

impl RequestStream for Redact {
    fn open_request(&self, request: &Request) -> Result<Option<Box<dyn BodyStream + '_>>> {
        Ok(self.open(Of::Request, || request.header_values("content-type")))
    }
}

impl ResponseStream for Redact {
    fn open_response(
        &self,
        _: &Request,
        response: &Response,
    ) -> Result<Option<Box<dyn BodyStream + '_>>> {
        Ok(self.open(Of::Response, || response.header_values("content-type")))
    }
}

/// One body on its way.
struct Redaction<'p> {
    rules: &'p [Rule],
    /// For each rule, what it has not let go of.
    texts: Vec<Text>,
    /// Of a stream of events each event is a text of its own, of which nothing is held back once it is whole.
    events: Option<Events>,
}

impl BodyStream for Redaction<'_> {
    fn chunk(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>> {
        let Some(mut events) = self.events.take() else {
            return self.feed(piece.to_vec(), last);
        };
        let mut answer = Vec::with_capacity(piece.len());
        let mut left = piece;
        while let Some(next) = events.next(&mut left) {
            match next {
                Next::Part(part, ends) => answer.extend(self.feed(part.to_vec(), ends)?),
                Next::Between(bytes) => answer.extend_from_slice(bytes),
            }
        }
        if last {
            answer.extend(self.feed(Vec::new(), true)?);
        }
        self.events = Some(events);
        Ok(answer)
    }
}

impl Redaction<'_> {
    /// Through all rules: what one lets go of is what the next is fed.
    fn feed(&mut self, piece: Vec<u8>, last: bool) -> Result<Vec<u8>> {
        let mut piece = piece;
        for (rule, text) in self.rules.iter().zip(&mut self.texts) {
            piece = text.feed(rule, &piece, last)?;
        }
        Ok(piece)
    }
}

export!(Redact: RequestStream, ResponseStream);

#[cfg(test)]
mod tests;
