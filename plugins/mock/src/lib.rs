//! Answers requests itself, with fixed or templated replies. README.md says how it is configured.

mod answer;
mod template;

use std::collections::BTreeMap;

use answer::Answer;
use serde_json::Value;
use tollgate_plugin::{
    EditableRequest, Outcome, Plugin, Request, RequestTransformer, Result, export,
};

// The four keys of an answer stand here and in `Case`: serde cannot flatten a type and know of
// misspelt keys as well.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Answers for some requests: the first that fits is given.
    #[serde(default)]
    cases: Vec<Case>,
    /// The status, where no case fits; 200 to 599. Default 200.
    status: Option<u16>,
    /// The headers, where no case fits: templates.
    headers: Option<BTreeMap<String, Lines>>,
    /// The body, where no case fits: a template.
    body: Option<String>,
    /// The body as JSON, where no case fits: its strings are templates.
    json: Option<Value>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Which requests it is for: all tests must hold.
    #[serde(default)]
    when: When,
    /// The status, 200 to 599. Default 200.
    status: Option<u16>,
    /// The headers: templates.
    headers: Option<BTreeMap<String, Lines>>,
    /// The body: a template.
    body: Option<String>,
    /// The body as JSON: its strings are templates.
    json: Option<Value>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct When {
    /// The request has one of these methods.
    methods: Vec<String>,
    /// Parameters of the route's path: the value, or whether it is there.
    path: BTreeMap<String, Test>,
    /// Query parameters: the first value, or whether it is there.
    query: BTreeMap<String, Test>,
    /// Headers: the first value, or whether it is there.
    headers: BTreeMap<String, Test>,
}

/// A value, or whether there is one.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Test {
    Is(String),
    IsThere(bool),
}

/// A value, or several.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Lines {
    One(String),
    Many(Vec<String>),
}

struct Mock {
    /// An answer without tests is the last.
    answers: Vec<(When, Answer)>,
}

impl Plugin for Mock {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let mut answers = Vec::new();
        for (index, case) in config.cases.into_iter().enumerate() {
            let wrong = |why: String| format!("cases[{index}].{why}");
            case.when.check().map_err(wrong)?;
            let answer = Answer::new(case.status, case.headers, case.body, case.json);
            answers.push((case.when, answer.map_err(wrong)?));
        }
        if config.status.is_some()
            || config.headers.is_some()
            || config.body.is_some()
            || config.json.is_some()
        {
            let answer = Answer::new(config.status, config.headers, config.body, config.json)?;
            answers.push((When::default(), answer));
        }
        let always = answers.iter().position(|(when, _)| when.is_empty());
        match always {
            _ if answers.is_empty() => {
                Err("there is no answer: give `json`, `body`, `status` or `cases`".into())
            }
            Some(index) if index + 1 < answers.len() => Err(format!(
                "cases[{index}] fits every request, so that what follows it is never given: add a \
                 `when`"
            )
            .into()),
            _ => Ok(Mock { answers }),
        }
    }
}

impl RequestTransformer for Mock {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        match self.answers.iter().find(|(when, _)| when.fits(request)) {
            Some((_, answer)) => Ok(Outcome::Respond(answer.reply(request)?)),
            None => Ok(Outcome::Next),
        }
    }
}

export!(Mock: RequestTransformer);

impl When {
    /// The error begins with the place.
    fn check(&self) -> Result<(), String> {
        // Methods are compared with their case, and one that no client sends is a mistake.
        let is_method = |name: &str| is_token(name) && name.to_ascii_uppercase() == name;
        if let Some(name) = self.methods.iter().find(|name| !is_method(name)) {
            return Err(format!(
                "when.methods: {name:?} is no method; they have capital letters"
            ));
        }
        if let Some(name) = self.headers.keys().find(|name| !is_token(name)) {
            return Err(format!(
                "when.headers: {name:?} is not the name of a header"
            ));
        }
        for (key, tests) in [("path", &self.path), ("query", &self.query)] {
            if tests.contains_key("") {
                return Err(format!("when.{key} has an empty name"));
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.methods.is_empty()
            && [&self.path, &self.query, &self.headers]
                .iter()
                .all(|tests| tests.is_empty())
    }

    fn fits(&self, request: &Request) -> bool {
        let text = |value: Option<String>| value.map(String::into_bytes);
        (self.methods.is_empty() || self.methods.contains(&request.method()))
            && all(&self.path, |name| text(request.path_parameter(name)))
            && all(&self.query, |name| text(request.query_parameter(name)))
            && all(&self.headers, |name| request.header(name))
    }
}

fn all(tests: &BTreeMap<String, Test>, value: impl Fn(&str) -> Option<Vec<u8>>) -> bool {
    tests.iter().all(|(name, test)| match test {
        Test::Is(expected) => value(name).as_deref() == Some(expected.as_bytes()),
        Test::IsThere(expected) => value(name).is_some() == *expected,
    })
}

/// Names of methods and headers (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

#[cfg(test)]
mod tests;
