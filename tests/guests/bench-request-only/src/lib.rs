//! The request side of the benchmark's filter: reads `x-bench-in` and sets `x-bench-request` to it.

use tollgate_plugin::{EditableRequest, Outcome, Plugin, RequestTransformer, Result, export};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

pub struct Filter;

impl Plugin for Filter {
    type Config = Config;

    fn configure(_: Config) -> Result<Self> {
        Ok(Filter)
    }
}

impl RequestTransformer for Filter {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        if let Some(value) = request.header("x-bench-in") {
            request.set_header("x-bench-request", value)?;
        }
        Ok(Outcome::Next)
    }
}

export!(Filter: RequestTransformer);
