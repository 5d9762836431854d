//! Admits callers that show a user and a password: HTTP Basic (RFC 7617). README.md says how it is
//! configured.
//!
//! Texts for the operator name places and users, never what stands in the place of a hash: somebody
//! who writes a password there must not find it in a log.

mod credentials;
mod hash;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use credentials::Credentials;
use hash::{Hash, Memory};
use serde_json::Value;
use tollgate_plugin::{
    Authorizer, Decision, Grant, Plugin, Reply, Request, Result, export, secrets,
};

/// The longest that a decision may be remembered: for so long a password holds that was changed.
const REMEMBER_MAX: Duration = Duration::from_secs(3600);

// The schema says nothing of how a hash looks: a validator's message would quote what does not fit.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// What browsers show when they ask for the password.
    #[serde(default = "realm_default")]
    realm: String,
    /// Who may call, by name.
    #[serde(default)]
    users: BTreeMap<String, User>,
    /// The name of a granted secret with more users: lines `user:hash`.
    secret: Option<String>,
    /// How long the gateway may remember that a user and a password are right.
    #[serde(default = "remember_default")]
    remember: String,
    /// How long the gateway may remember that a user and a password are wrong.
    #[serde(default = "remember_denied_default")]
    remember_denied: String,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct User {
    /// The hash of the password: argon2 as a PHC string, or bcrypt.
    hash: Option<String>,
    /// What later entries can read of the user, for example `{ tier = "gold" }`.
    claims: BTreeMap<String, Value>,
    /// What limits and quotas are counted under, if not the user's name.
    usage_key: Option<String>,
}

fn realm_default() -> String {
    "tollgate".into()
}

/// The price of a hash once a minute is no price, and a user who was taken out is soon out.
fn remember_default() -> String {
    "60s".into()
}

/// Long enough for a client that tries one wrong password again and again, short enough for the user
/// whose password has just been set.
fn remember_denied_default() -> String {
    "10s".into()
}

struct BasicAuth {
    users: BTreeMap<String, Known>,
    memory: Memory,
    /// Made of all hashes, so that nobody outside can compute what comes of it.
    seed: DefaultHasher,
    remember: Option<Duration>,
    remember_denied: Option<Duration>,
    missing: Reply,
    wrong: Reply,
}

struct Known {
    grant: Grant,
    hash: Hash,
}

/// What the configuration and the secret together say.
#[derive(Default)]
struct Book {
    grants: BTreeMap<String, Grant>,
    /// Each with the place where it was read.
    hashes: BTreeMap<String, (Hash, String)>,
    seed: DefaultHasher,
}

impl Book {
    fn add(&mut self, user: &str, hash: &str, place: String) -> Result<()> {
        let parsed = Hash::parse(hash).map_err(|why| format!("{place} {why}"))?;
        if let Some((_, other)) = self.hashes.get(user) {
            return Err(format!("{place} and {other} are hashes of one user").into());
        }
        self.seed.write(hash.as_bytes());
        self.hashes.insert(user.to_owned(), (parsed, place));
        Ok(())
    }

    fn read_users(&mut self, users: BTreeMap<String, User>) -> Result<()> {
        for (name, user) in users {
            if let Err(why) = check_user(&name) {
                return Err(format!("users.{name:?} {why}").into());
            }
            if let Some(hash) = &user.hash {
                self.add(&name, hash, format!("users.{name:?}.hash"))?;
            }
            let grant = Grant {
                principal: name.clone(),
                claims: user.claims.into_iter().collect(),
                usage_key: user.usage_key,
            };
            self.grants.insert(name, grant);
        }
        Ok(())
    }

    fn read_secret(&mut self, name: &str) -> Result<()> {
        let text = secrets::text(name).map_err(|error| format!("`secret`: {error}"))?;
        // Some editors begin a file with a byte order mark, which would become part of a name.
        let text = text.trim_start_matches('\u{feff}');
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("secret `{name}`, line {number},");
            let (user, hash) = line
                .split_once(':')
                .ok_or_else(|| format!("{place} must be `user:hash`"))?;
            if let Err(why) = check_user(user) {
                return Err(format!("{place} has a user that {why}").into());
            }
            self.add(user, hash.trim(), place)?;
        }
        Ok(())
    }
}

/// What a client can send as a user, and what becomes a log field and a header. The error continues
/// a sentence that begins with the user.
fn check_user(user: &str) -> Result<(), &'static str> {
    if user.is_empty() || user.trim() != user || user.contains(char::is_control) {
        return Err("is empty, or has control characters or blanks around it");
    }
    if user.contains(':') {
        return Err("has a `:`, behind which the password would begin");
    }
    Ok(())
}

/// Written as the gateway's own durations are. None for zero, which is not at all.
fn duration(key: &str, text: &str) -> Result<Option<Duration>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number = number.parse::<u32>().ok();
    let Some((number, unit_ms)) = number.zip(unit_ms) else {
        return Err(format!(
            "`{key}`: {text:?} must be a whole number and one of the units ms, s, m, h, as in \"60s\""
        )
        .into());
    };
    let duration = Duration::from_millis(u64::from(number) * unit_ms);
    if duration > REMEMBER_MAX {
        return Err(format!("`{key}`: {text:?} is more than an hour").into());
    }
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

impl Plugin for BasicAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if !config.realm.bytes().all(printable) {
            return Err("`realm` must be of printable ASCII characters".into());
        }
        let remember = duration("remember", &config.remember)?;
        let remember_denied = duration("remember-denied", &config.remember_denied)?;

        let mut book = Book::default();
        book.read_users(config.users)?;
        if let Some(name) = &config.secret {
            book.read_secret(name)?;
        }
        let nameless = book
            .grants
            .keys()
            .find(|name| !book.hashes.contains_key(*name));
        if let Some(name) = nameless {
            return Err(format!("users.{name:?} has no `hash`").into());
        }
        if book.hashes.is_empty() {
            return Err("there is no user: list some in `users`, or in a `secret`".into());
        }
        let memory = Memory::new(book.hashes.values().map(|(hash, _)| hash))?;
        let mut grants = book.grants;
        let users = book.hashes.into_iter().map(|(name, (hash, _))| {
            let grant = grants.remove(&name).unwrap_or_else(|| Grant {
                principal: name.clone(),
                claims: Vec::new(),
                usage_key: None,
            });
            (name, Known { grant, hash })
        });

        let realm = config.realm.replace('\\', r"\\").replace('"', "\\\"");
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let refuse =
            |detail: &str| Reply::problem(401, detail).header("www-authenticate", &challenge);
        Ok(BasicAuth {
            users: users.collect(),
            memory,
            seed: book.seed,
            remember,
            remember_denied,
            missing: refuse("a user and a password are needed, as the scheme Basic has them"),
            wrong: refuse("this user with this password is not known"),
        })
    }
}

impl Authorizer for BasicAuth {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let fields = request.header_values("authorization");
        let credentials = match fields.as_slice() {
            [field] => Credentials::parse(field),
            // Of several, which one holds would be anyone's guess.
            _ => None,
        };
        let Some(Credentials { user, password }) = credentials else {
            // This costs nothing, and need not be remembered.
            return Ok(Decision::deny(self.missing.clone()));
        };
        let known = self.users.get(&user);
        let Some(compared) = known.or_else(|| self.decoy(&user)) else {
            return Ok(Decision::deny(self.wrong.clone()));
        };
        let fits = compared.hash.fits(&password, &self.memory);
        let (mut decision, remember) = match known {
            Some(known) if fits => (known.grant.clone().into(), self.remember),
            _ => (Decision::deny(self.wrong.clone()), self.remember_denied),
        };
        decision.remember = remember;
        Ok(decision)
    }
}

export!(BasicAuth: Authorizer);

impl BasicAuth {
    /// Whose hash is computed for somebody who is not known, so that the time does not tell who is.
    /// Users may have hashes of different costs, so it is always the same one for the same name, and
    /// which one nobody can tell who does not know all hashes.
    fn decoy(&self, user: &str) -> Option<&Known> {
        let mut hasher = self.seed.clone();
        hasher.write(user.as_bytes());
        let number = usize::try_from(hasher.finish() % self.users.len().max(1) as u64);
        self.users.values().nth(number.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
