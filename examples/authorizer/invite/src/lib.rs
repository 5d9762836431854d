use std::time::Duration;

use tollgate_plugin::{
    Authorizer, Decision, Plugin, Reply, Request, Result, crypto, export, secrets,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// The granted secret that seals are made with.
    secret: String,
    /// For how many seconds the gateway may remember a decision.
    remember: u32,
}

struct Invite {
    key: Vec<u8>,
    remember: Duration,
}

impl Plugin for Invite {
    type Config = Config;
    fn configure(config: Config) -> Result<Self> {
        let key = secrets::get(&config.secret)?;
        if key.len() < 16 {
            return Err("the secret has fewer than 16 bytes: who guesses it can invite".into());
        }
        let remember = Duration::from_secs(config.remember.into());
        Ok(Invite { key, remember })
    }
}

impl Authorizer for Invite {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let refuse = |why| Ok(Decision::deny(Reply::problem(401, why)));
        let Some(invite) = request.header_text("x-invite") else {
            return refuse("show your invite in `x-invite`");
        };
        let Some((guest, seal)) = invite.rsplit_once('.') else {
            return refuse("an invite is NAME.TABLE.SEAL");
        };
        let Some((name, table)) = guest.split_once('.') else {
            return refuse("an invite is NAME.TABLE.SEAL");
        };
        let right = crypto::hex(&crypto::hmac_sha256(&self.key, guest.as_bytes()));
        if !crypto::constant_time_equal(right.as_bytes(), seal.as_bytes()) {
            return refuse("this seal is not ours");
        }
        let decision = match request.path_parameter("table") {
            Some(other) if other != table => {
                Decision::deny(Reply::problem(403, "you are expected at another table"))
            }
            _ => Decision::allow(name).claim("table", table),
        };
        // The header and the path's parameter were asked for, so the gateway uses this again for
        // requests that have the same two. Guesses, above, would only fill its memory.
        Ok(decision.remember(self.remember))
    }
}

export!(Invite: Authorizer);

#[cfg(test)]
mod tests;
