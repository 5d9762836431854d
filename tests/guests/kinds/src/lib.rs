//! One component with a hook of each kind but the cache's, scripted by its configuration and by
//! headers of the request. The tests take hooks away that they do not want: what a component exports
//! decides what it is.
//!
//! `x-act` is a list, separated by spaces, of acts and the label of the entry that does them:
//! `respond:a` and `fault:a` when it sees the request, `respond-back:a` and `fault-back:a` when it
//! sees the response, `fault-limits:a` and `fault-settle:a` in the limiter's hooks. The authorizer
//! reads nothing but what its configuration names.

mod getter;
mod limit;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{
    Authorizer, Decision, EditableRequest, EditableResponse, Limit, Limiter, LimiterSettle,
    Outcome, Plugin, Reply, Request, RequestTransformer, Response, ResponseTransformer, Result,
    Settlement, export,
};

use getter::Getter;
use limit::LimitConfig;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// What traces and acts know this entry by. Empty: it leaves no trace.
    #[serde(default)]
    label: String,
    #[serde(default)]
    authorize: Authorize,
    #[serde(default)]
    limits: Vec<LimitConfig>,
    #[serde(default)]
    edit: Edit,
    /// Headers that the request gets, with what getters say.
    #[serde(default)]
    tell: BTreeMap<String, Getter>,
    /// Headers that the response gets.
    #[serde(default)]
    tell_back: BTreeMap<String, Getter>,
}

/// What the authorizer does. The principal, and the body of a denial, is all that it read.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Authorize {
    /// Asked in this order.
    reads: Vec<Getter>,
    /// Asked then, by what the first said.
    branches: BTreeMap<String, Vec<Getter>>,
    /// Asked last: `deny` or `fault` is what happens, everything else allows.
    verdict: Option<Getter>,
    remember_ms: Option<u64>,
    /// Notes that it writes, with what getters say.
    notes: BTreeMap<String, Getter>,
    /// Rounds of work of a few nanoseconds.
    work: u64,
}

/// What the request-transformer changes.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Edit {
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    set: BTreeMap<String, String>,
    remove: Vec<String>,
}

pub struct Kinds(Config);

impl Plugin for Kinds {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        Ok(Kinds(config))
    }
}

impl Kinds {
    /// Whether the request asks this entry for an act.
    fn is_asked(&self, request: &Request, act: &str) -> bool {
        let acts = request.header_text("x-act").unwrap_or_default();
        let mut acts = acts.split(' ').filter_map(|one| one.split_once(':'));
        acts.any(|(name, label)| name == act && label == self.0.label)
    }

    fn fault_if_asked(&self, request: &Request, act: &str) -> Result<()> {
        if self.is_asked(request, act) {
            return Err(format!("{act} of {}", self.0.label).into());
        }
        Ok(())
    }

    fn reply(&self) -> Reply {
        Reply::new(299)
            .header("x-answered-by", &self.0.label)
            .body("answered")
    }
}

impl Authorizer for Kinds {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let config = &self.0.authorize;
        (0..config.work).for_each(|round| {
            black_box(round);
        });
        let mut said = Vec::new();
        for getter in &config.reads {
            said.push((getter.name(), getter.get(request)));
        }
        let first = said.first().and_then(|(_, value)| value.clone());
        let branch = config.branches.get(&first.unwrap_or_default());
        for getter in branch.into_iter().flatten() {
            said.push((getter.name(), getter.get(request)));
        }
        for (name, getter) in &config.notes {
            request.set_attribute(name, &getter.get(request).unwrap_or_default())?;
        }
        let said: Vec<String> = said.iter().map(getter::show).collect();
        let said = said.join(";");
        let verdict = config
            .verdict
            .as_ref()
            .and_then(|getter| getter.get(request));
        let decision = match verdict.as_deref() {
            Some("fault") => return Err("the request asks for a fault".into()),
            Some("deny") => Decision::deny(Reply::new(403).body(said)),
            _ => Decision::allow(said),
        };
        Ok(match config.remember_ms {
            Some(ms) => decision.remember(Duration::from_millis(ms)),
            None => decision,
        })
    }
}

impl Limiter for Kinds {
    fn limits(&self, request: &Request) -> Result<Vec<Limit>> {
        self.fault_if_asked(request, "fault-limits")?;
        let limits = self.0.limits.iter();
        Ok(limits.map(|limit| limit.of(request)).collect())
    }
}

impl LimiterSettle for Kinds {
    /// `x-settle: name=cost,name=cost`, of the response or else of the request.
    fn settle(&self, request: &Request, response: &Response) -> Result<Vec<Settlement>> {
        self.fault_if_asked(request, "fault-settle")?;
        let text = response.header_text("x-settle");
        let text = text.or_else(|| request.header_text("x-settle"));
        let mut settlements = Vec::new();
        for one in text.as_deref().unwrap_or_default().split(',') {
            if let Some((name, cost)) = one.split_once('=') {
                settlements.push(Settlement::new(name, cost.parse()?));
            }
        }
        Ok(settlements)
    }
}

impl RequestTransformer for Kinds {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        self.fault_if_asked(request, "fault")?;
        if self.is_asked(request, "respond") {
            return Ok(Outcome::Respond(self.reply()));
        }
        for (name, getter) in &self.0.tell {
            if let Some(value) = getter.get(request) {
                request.set_header(name, value)?;
            }
        }
        let edit = &self.0.edit;
        for (name, value) in &edit.set {
            request.set_header(name, value)?;
        }
        for name in &edit.remove {
            request.remove_header(name)?;
        }
        if let Some(method) = &edit.method {
            request.set_method(method)?;
        }
        if let Some(path) = &edit.path {
            request.set_path(path)?;
        }
        if let Some(query) = &edit.query {
            request.set_query(Some(query))?;
        }
        if !self.0.label.is_empty() {
            request.append_header("x-trace", &self.0.label)?;
        }
        Ok(Outcome::Next)
    }
}

impl ResponseTransformer for Kinds {
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        if !self.0.label.is_empty() {
            response.append_header("x-trace", &self.0.label)?;
        }
        for (name, getter) in &self.0.tell_back {
            if let Some(value) = getter.get(request) {
                response.set_header(name, value)?;
            }
        }
        // Last: of a fault nothing of the above may be left.
        self.fault_if_asked(request, "fault-back")?;
        if self.is_asked(request, "respond-back") {
            return Ok(Outcome::Respond(self.reply()));
        }
        Ok(Outcome::Next)
    }
}

export!(Kinds: Authorizer, Limiter, LimiterSettle, RequestTransformer, ResponseTransformer);
