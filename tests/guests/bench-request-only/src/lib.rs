//! The request side of the benchmark's filter: reads `x-bench-in` and sets `x-bench-request` to it, or to
//! what is configured where there is none.

use tollgate_plugin::{EditableRequest, Outcome, Plugin, RequestTransformer, Result, export};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The value of `x-bench-request` where there is no `x-bench-in`; 1 if absent. Different tags make
    /// different configurations.
    tag: Option<String>,
}

pub struct Filter {
    tag: String,
}

impl Plugin for Filter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let tag = config.tag.unwrap_or_else(|| "1".to_owned());
        Ok(Filter { tag })
    }
}

impl RequestTransformer for Filter {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        match request.header("x-bench-in") {
            Some(value) => request.set_header("x-bench-request", value)?,
            None => request.set_header("x-bench-request", &self.tag)?,
        }
        Ok(Outcome::Next)
    }
}

export!(Filter: RequestTransformer);
