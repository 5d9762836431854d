//! Reads a secret in `configure` and keeps it: the one guest that imports `secrets`, so that the
//! others load without a grant.

use tollgate_plugin::{
    Authorizer, Decision, EditableRequest, EditableResponse, Outcome, Plugin, Request,
    RequestTransformer, ResponseTransformer, Result, export, secrets,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The secret to read; `GUEST_SECRET` if absent.
    name: Option<String>,
}

pub struct Keeper {
    secret: Vec<u8>,
}

impl Plugin for Keeper {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let secret = secrets::get(config.name.as_deref().unwrap_or("GUEST_SECRET"))?;
        Ok(Keeper { secret })
    }
}

impl Keeper {
    fn length(&self) -> String {
        self.secret.len().to_string()
    }
}

impl Authorizer for Keeper {
    fn authorize(&self, _: &Request) -> Result<Decision> {
        Ok(Decision::allow("secret").claim("secret-length", self.secret.len()))
    }
}

impl RequestTransformer for Keeper {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        request.set_header("x-secret-length", self.length())?;
        Ok(Outcome::Next)
    }
}

impl ResponseTransformer for Keeper {
    fn transform_response(
        &self,
        _: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        response.set_header("x-secret-length", self.length())?;
        Ok(Outcome::Next)
    }
}

export!(Keeper: Authorizer, RequestTransformer, ResponseTransformer);
