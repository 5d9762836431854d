//! An authorizer that lets everybody in by the name in `x-key`, asks on the way what its configuration
//! names, and would have its decisions remembered across what it answers for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::fetch::Fetch;
use tollgate_plugin::{Authorizer, Decision, Plugin, Request, Result, Source, clock, export, kv};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Asker {
    asks: Vec<Asks>,
    answers_for: Vec<AnswersFor>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Asks {
    Body,
    Clock,
    Fetch,
    Kv,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum AnswersFor {
    Fetch,
    Kv,
}

impl Plugin for Asker {
    type Config = Self;

    fn configure(asker: Self) -> Result<Self> {
        Ok(asker)
    }
}

impl Authorizer for Asker {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        for asks in &self.asks {
            match asks {
                Asks::Body => drop(request.read_body()?),
                Asks::Clock => _ = clock::since_epoch(),
                Asks::Fetch => drop(Fetch::get("/").send("auth")?),
                Asks::Kv => drop(kv::get("key")?),
            }
        }
        let key = request.header_text("x-key").unwrap_or_default();
        let decision = Decision::allow(format!("key {key}")).remember(Duration::from_secs(3_600));
        Ok(self
            .answers_for
            .iter()
            .fold(decision, |decision, answers_for| {
                decision.across(match answers_for {
                    AnswersFor::Fetch => Source::Fetch,
                    AnswersFor::Kv => Source::Kv,
                })
            }))
    }
}

export!(Asker: Authorizer);
