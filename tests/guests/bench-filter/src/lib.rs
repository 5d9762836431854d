//! The benchmark's filter: reads `x-bench-in`, sets `x-bench-request` to it and, on the response,
//! `x-bench-response`. `tests/bench/proxy-wasm-filter` does the same in Envoy.

use tollgate_plugin::{
    EditableRequest, EditableResponse, Outcome, Plugin, Request, RequestTransformer,
    ResponseTransformer, Result, export,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The value of `x-bench-response`, 1 if absent. Different tags make different configurations.
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
        if let Some(value) = request.header("x-bench-in") {
            request.set_header("x-bench-request", value)?;
        }
        Ok(Outcome::Next)
    }
}

impl ResponseTransformer for Filter {
    fn transform_response(
        &self,
        _: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        response.set_header("x-bench-response", &self.tag)?;
        Ok(Outcome::Next)
    }
}

export!(Filter: RequestTransformer, ResponseTransformer);
