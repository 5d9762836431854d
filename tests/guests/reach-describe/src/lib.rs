//! Asks for a signature to be verified while it describes its configuration.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use tollgate_plugin::{
    EditableRequest, Outcome, Plugin, RequestTransformer, Result, export, signatures,
};

#[derive(Deserialize)]
pub struct Config {}

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "Config".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(signatures::verify_jws("a.b.c", "keys").is_ok())
    }
}

pub struct Describe;

impl Plugin for Describe {
    type Config = Config;

    fn configure(_: Config) -> Result<Self> {
        Ok(Describe)
    }
}

impl RequestTransformer for Describe {
    fn transform_request(&self, _: &mut EditableRequest<'_>) -> Result<Outcome> {
        Ok(Outcome::Next)
    }
}

export!(Describe: RequestTransformer);
