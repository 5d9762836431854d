//! An authorizer that reads the body, and nothing of the answer: it lets in who asks in the body, under
//! the name that stands there, and would have its decisions remembered.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{Authorizer, Decision, Plugin, Reply, Request, Result, export};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Door {}

impl Plugin for Door {
    type Config = Self;

    fn configure(door: Self) -> Result<Self> {
        Ok(door)
    }
}

impl Authorizer for Door {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let body = String::from_utf8(request.read_body()?)?;
        let decision = match body.strip_prefix("let me in: ") {
            Some(name) => Decision::allow(name),
            None => Decision::deny(Reply::problem(403, "ask nicely")),
        };
        Ok(decision.remember(Duration::from_secs(60)))
    }
}

export!(Door: Authorizer);
