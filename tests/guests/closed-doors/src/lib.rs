//! An authorizer that knocks at the machine's doors, as `x-knock` says. They compile, and in the sandbox
//! nothing is behind them: `tollgate plugin build` warns of each.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{Authorizer, Decision, Plugin, Request, Result, export};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Doors {}

impl Plugin for Doors {
    type Config = Self;

    fn configure(doors: Self) -> Result<Self> {
        Ok(doors)
    }
}

impl Authorizer for Doors {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let answer = match request.header_text("x-knock").as_deref() {
            Some("time") => format!("{:?}", std::time::SystemTime::now()),
            Some("print") => {
                println!("knock");
                "printed".to_owned()
            }
            Some("sleep") => {
                std::thread::sleep(std::time::Duration::from_millis(1));
                "slept".to_owned()
            }
            Some("environment") => std::env::var("HOME").unwrap_or("no home".to_owned()),
            Some("file") => match std::fs::read_to_string("/etc/hostname") {
                Ok(text) => text,
                Err(error) => error.to_string(),
            },
            _ => "nobody knocked".to_owned(),
        };
        Ok(Decision::allow(answer))
    }
}

export!(Doors: Authorizer);
