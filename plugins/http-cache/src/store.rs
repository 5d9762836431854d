//! Whether and for how long an answer is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use tollgate_plugin::template::{Side, Template};
use tollgate_plugin::{Request, Response, Result, Retention, Storage};

use crate::directives::Directives;
use crate::{NAMED, Override, PERSONAL, is_field_name};

/// Names for purging of one answer: they are kept with it, and an upstream may send any number.
const TAGS_MAX: usize = 32;
/// Response headers that answers are kept without: within the gateway's bound, 64.
const STRIP_MAX: usize = 32;
/// One such name, in bytes.
const TAG_BYTES_MAX: usize = 128;
/// The longest time that can be written: a year. A cache is no archive.
const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A time for answers with status 200, or one for each status.
#[derive(serde::Deserialize)]
#[serde(
    untagged,
    expecting = "`ttl` is a time such as \"60s\", or a table of statuses and times"
)]
pub enum Ttl {
    Ok(String),
    ByStatus(BTreeMap<String, String>),
}

/// Of alternatives a schema's error says no more than that none fits; the text above says which there
/// are.
impl schemars::JsonSchema for Ttl {
    fn schema_name() -> Cow<'static, str> {
        "Ttl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "object"] })
    }
}

/// What the configuration says of keeping.
pub struct StoreConfig {
    pub ttl: Option<Ttl>,
    pub overrides: Override,
    pub stale_while_revalidate: Option<String>,
    pub stale_if_error: Option<String>,
    pub tags: Vec<String>,
    pub tags_header: Option<String>,
    pub share: bool,
    pub strip: Vec<String>,
}

pub struct Store {
    /// Empty: RFC 9111 decides.
    ttl: BTreeMap<u16, Duration>,
    overrides: Override,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    /// Names for purging.
    tags: Vec<Template>,
    tags_header: Option<String>,
    share: bool,
    /// Response headers that answers are kept without.
    strip: Vec<String>,
}

impl Store {
    pub fn new(config: StoreConfig) -> Result<Store, String> {
        let ttl = config.ttl.map(times).transpose()?.unwrap_or_default();
        if ttl.is_empty() {
            // Where RFC 9111 decides, responses say all of this themselves.
            for (key, is_there) in [
                ("override", config.overrides != Override::Nothing),
                (
                    "stale-while-revalidate",
                    config.stale_while_revalidate.is_some(),
                ),
                ("stale-if-error", config.stale_if_error.is_some()),
                ("tags", !config.tags.is_empty()),
                ("tags-header", config.tags_header.is_some()),
            ] {
                if is_there {
                    return Err(format!("`{key}` belongs to a `ttl`, and there is none"));
                }
            }
        }
        let stale = |key: &str, text: &Option<String>| match text {
            Some(text) => duration(text).map_err(|why| format!("`{key}`: {why}")),
            None => Ok(Duration::ZERO),
        };
        let store = Store {
            stale_while_revalidate: stale(
                "stale-while-revalidate",
                &config.stale_while_revalidate,
            )?,
            stale_if_error: stale("stale-if-error", &config.stale_if_error)?,
            tags: tags(&config.tags)?,
            tags_header: config.tags_header,
            ttl,
            overrides: config.overrides,
            share: config.share,
            strip: strip(config.strip, config.share)?,
        };
        if store.stale_while_revalidate.is_zero()
            && let Some((status, _)) = store.ttl.iter().find(|(_, time)| time.is_zero())
        {
            return Err(format!("`ttl`: {status} is kept for no time; leave it out"));
        }
        match &store.tags_header {
            Some(name) if !is_field_name(name) => Err(format!(
                "`tags-header`: {name:?} is not the name of a header"
            )),
            _ => Ok(store),
        }
    }

    /// Whether it matters on the way in what the request says of its caller.
    pub fn asks_who(&self) -> bool {
        !self.share
    }

    /// Whether it decides itself how long answers are kept, and not RFC 9111 alone.
    pub fn has_ttl(&self) -> bool {
        !self.ttl.is_empty()
    }

    fn standard(&self) -> Storage {
        if self.strip.is_empty() {
            Storage::Standard
        } else {
            Storage::StandardWithout(self.strip.clone())
        }
    }

    /// `keyed`: the principal stands in the key.
    pub fn storage(&self, request: &Request, response: &Response, keyed: bool) -> Result<Storage> {
        // RFC 9111, section 3.5 has it that an answer to a request with `Authorization` is not given to
        // others unless it says so. Whoever an authorizer knows by a key or a certificate has no such
        // field, and is owed the same.
        let personal = request.own_attribute(PERSONAL).filter(|_| !self.share);
        let known = !self.share && !keyed && request.principal().is_some();
        let known = known || personal.as_deref() == Some(NAMED);
        if self.ttl.is_empty() && !known {
            return Ok(self.standard());
        }
        let directives = Directives::of(response);
        if known && !directives.shared {
            return Ok(Storage::Never);
        }
        let Some(ttl) = self.ttl.get(&response.status()) else {
            return Ok(self.standard());
        };
        // Where RFC 9111 decides, the gateway looks at `Authorization` and cookies itself.
        if personal.is_some() && !directives.shared {
            return Ok(self.standard());
        }
        let stands = match self.overrides {
            Override::Nothing => directives.lifetime || directives.forbids,
            Override::Lifetime => directives.forbids,
            Override::Everything => false,
        };
        if stands {
            return Ok(self.standard());
        }
        let mut retention = Retention::fresh(*ttl);
        if !directives.revalidates || self.overrides == Override::Everything {
            retention = retention
                .stale_while_revalidate(self.stale_while_revalidate)
                .stale_if_error(self.stale_if_error);
        }
        retention.tags = self.tags(request, response)?;
        retention.without.clone_from(&self.strip);
        Ok(retention.into())
    }

    fn tags(&self, request: &Request, response: &Response) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        for tag in &self.tags {
            let text = tag.render(request, Some(response))?;
            // What is no text is no tag.
            tags.extend(text.and_then(|text| String::from_utf8(text.into_owned()).ok()));
        }
        if let Some(name) = &self.tags_header {
            for value in response.header_values(name) {
                let value = String::from_utf8_lossy(&value);
                let names = value.split([' ', '\t', ',']).map(str::to_owned);
                tags.extend(names.take(TAGS_MAX));
            }
        }
        // By a part of its name nothing is purged.
        tags.retain(|tag| (1..=TAG_BYTES_MAX).contains(&tag.len()));
        tags.truncate(TAGS_MAX);
        Ok(tags)
    }
}

/// The response headers that answers are kept without. Where all callers are the same, so is what they are
/// known by from then on.
fn strip(mut names: Vec<String>, share: bool) -> Result<Vec<String>, String> {
    if names.len() > STRIP_MAX {
        let count = names.len();
        return Err(format!(
            "`strip` has {count} headers; at most {STRIP_MAX} are taken"
        ));
    }
    if let Some(index) = names.iter().position(|name| !is_field_name(name)) {
        let name = &names[index];
        return Err(format!(
            "`strip[{index}]`: {name:?} is not the name of a header"
        ));
    }
    if share {
        names.extend(["set-cookie".to_owned(), "set-cookie2".to_owned()]);
    }
    Ok(names)
}

fn tags(texts: &[String]) -> Result<Vec<Template>, String> {
    if texts.len() > TAGS_MAX {
        let count = texts.len();
        return Err(format!("`tags` has {count}; at most {TAGS_MAX} are kept"));
    }
    let parsed = texts.iter().enumerate().map(|(index, text)| {
        let wrong = |why: &str| format!("`tags[{index}]`: {text:?} {why}");
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        Template::parse(text, Side::Response).map_err(|why| wrong(&why))
    });
    parsed.collect()
}

fn times(ttl: Ttl) -> Result<BTreeMap<u16, Duration>, String> {
    let written = match ttl {
        Ttl::Ok(text) => {
            let time = duration(&text).map_err(|why| format!("`ttl`: {why}"))?;
            return Ok(BTreeMap::from([(200, time)]));
        }
        Ttl::ByStatus(written) => written,
    };
    if written.is_empty() {
        return Err("`ttl` is empty".into());
    }
    let mut times = BTreeMap::new();
    for (status, text) in written {
        let place = format!("`ttl.{status}`");
        let code = match status.parse::<u16>() {
            Ok(code) if (200..=599).contains(&code) && status.len() == 3 => code,
            _ => return Err(format!("{place}: {status:?} is no status, 200 to 599")),
        };
        // Parts, and answers to conditions: another request may need another.
        if [206, 304, 412, 416].contains(&code) {
            return Err(format!(
                "{place}: answers with {code} are for one request alone"
            ));
        }
        times.insert(
            code,
            duration(&text).map_err(|why| format!("{place}: {why}"))?,
        );
    }
    Ok(times)
}

/// `500ms`, `30s`, `5m`, `2h`, `1d`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let milliseconds = number
        .parse::<u64>()
        .ok()
        .zip(unit_ms)
        .and_then(|(number, unit)| number.checked_mul(unit));
    let time = milliseconds.map(Duration::from_millis).ok_or_else(|| {
        format!(
            "{text:?} must be a whole number and one of the units ms, s, m, h, d, as in \"30s\""
        )
    })?;
    if time > TIME_MAX {
        return Err(format!("{text:?} is more than 366d"));
    }
    Ok(time)
}
