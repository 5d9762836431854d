//! Rewrites paths and queries, with patterns and captures. README.md says how it is configured.

mod path;
mod query;
mod template;

use path::{Normal, Prefix};
use query::{Changes, Query};
use regex_lite::{Regex, RegexBuilder};
use template::Template;
use tollgate_plugin::{
    EditableRequest, Outcome, Plugin, Reply, RequestTransformer, Result, export, log, readings,
};

/// The longest path that patterns are tried on, in bytes. A search takes at most the product of the
/// path's length and the pattern's size, so that both are bounded; real paths have some tens of bytes.
const PATTERN_PATH_BYTES_MAX: usize = 4 << 10;
/// One compiled pattern, in bytes: some hundreds of states. Repetitions of repetitions are larger,
/// and take long.
const PATTERN_BYTES_MAX: usize = 32 << 10;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Tried in their order; the first that fits is applied, and no other.
    rules: Vec<Rule>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    /// A regular expression that the whole path must match.
    #[serde(rename = "match")]
    pattern: Option<String>,
    /// What the path must begin with, in whole segments; it is taken away.
    strip_prefix: Option<String>,
    /// What is put before the path.
    add_prefix: Option<String>,
    /// The new path: a template.
    to: Option<String>,
    /// How the query is changed.
    query: Option<Query>,
    /// The `Host` that the upstream is told.
    authority: Option<String>,
}

struct Rewrite {
    rules: Vec<Checked>,
}

/// A rule, checked and parsed.
struct Checked {
    condition: Condition,
    add_prefix: Option<String>,
    to: Option<Template>,
    query: Option<Changes>,
    authority: Option<String>,
}

enum Condition {
    Always,
    Prefix(Prefix),
    Pattern(Regex),
}

/// The rule that a path fits.
struct Choice<'r, 'p> {
    index: usize,
    rule: &'r Checked,
    /// What follows the prefix.
    rest: &'p str,
    /// By the groups of the pattern.
    captured: Vec<Option<&'p str>>,
}

/// What follows the prefix of a path that fits, and what the groups of the pattern captured.
type Fit<'p> = (&'p str, Vec<Option<&'p str>>);

/// A path that patterns are not tried on.
struct TooLong;

impl Plugin for Rewrite {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        if config.rules.is_empty() {
            return Err("`rules` is empty: nothing would be rewritten".into());
        }
        let last = config.rules.len() - 1;
        let mut rules = Vec::new();
        for (index, rule) in config.rules.into_iter().enumerate() {
            let rule = Checked::new(rule).map_err(|why| format!("rules[{index}]{why}"))?;
            if matches!(rule.condition, Condition::Always) && index < last {
                return Err(format!(
                    "rules[{index}] has neither `match` nor `strip-prefix`, so that it fits every \
                     path, and what follows it is never applied"
                )
                .into());
            }
            rules.push(rule);
        }
        Ok(Rewrite { rules })
    }
}

impl RequestTransformer for Rewrite {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        let path = request.path();
        let chosen = match self.choose(&path) {
            Ok(chosen) => chosen,
            Err(TooLong) => {
                let detail = format!(
                    "the path has more than {PATTERN_PATH_BYTES_MAX} bytes, and cannot be rewritten"
                );
                return Ok(Outcome::Respond(Reply::problem(414, &detail)));
            }
        };
        if self.is_anothers(&path, chosen.as_ref().map(|choice| choice.index)) {
            let detail = "the path of this request is one rule's to us and another's to others";
            return Ok(Outcome::Respond(Reply::problem(400, detail)));
        }
        let Some(Choice {
            index,
            rule,
            rest,
            captured,
        }) = chosen
        else {
            return Ok(Outcome::Next);
        };
        let faulty = |error| format!("rules[{index}]: {error}");
        let refused = rule
            .apply(request, &path, rest, &captured)
            .map_err(faulty)?;
        if let Err(why) = refused {
            // To send it on as it was would be to send it where it was not meant to go.
            log::warn(&format!("answered 400: rules[{index}]: {why}"));
            let detail = "the path or the query of this request cannot be rewritten";
            return Ok(Outcome::Respond(Reply::problem(400, detail)));
        }
        Ok(Outcome::Next)
    }
}

export!(Rewrite: RequestTransformer);

impl Rewrite {
    /// The first rule that fits a path.
    fn choose<'p>(&self, path: &'p str) -> std::result::Result<Option<Choice<'_, 'p>>, TooLong> {
        let mut normal = None;
        for (index, rule) in self.rules.iter().enumerate() {
            if let Some((rest, captured)) = rule.condition.fits(path, &mut normal)? {
                return Ok(Some(Choice {
                    index,
                    rule,
                    rest,
                    captured,
                }));
            }
        }
        Ok(None)
    }

    /// Whether a lenient server may take the path for one that another rule is for. As for routes, it does
    /// not matter if such a server takes it for one that no rule is for.
    fn is_anothers(&self, path: &str, chosen: Option<usize>) -> bool {
        let Ok(readings) = readings::paths(path) else {
            return true;
        };
        readings.iter().any(|reading| match self.choose(reading) {
            Ok(other) => other.is_some_and(|other| Some(other.index) != chosen),
            Err(TooLong) => true,
        })
    }
}

impl Condition {
    /// If it does: what follows the prefix, and what the groups captured.
    fn fits<'p>(
        &self,
        path: &'p str,
        normal: &mut Option<Normal<'p>>,
    ) -> std::result::Result<Option<Fit<'p>>, TooLong> {
        Ok(match self {
            Condition::Always => Some((path, Vec::new())),
            Condition::Prefix(prefix) => prefix.strip(path).map(|rest| (rest, Vec::new())),
            Condition::Pattern(_) if path.len() > PATTERN_PATH_BYTES_MAX => return Err(TooLong),
            Condition::Pattern(pattern) => {
                let normal = normal.get_or_insert_with(|| Normal::new(path));
                pattern.captures(normal.text()).map(|groups| {
                    let sent = groups.iter().map(|group| {
                        let group = group?;
                        Some(normal.sent(group.start(), group.end()))
                    });
                    (path, sent.collect())
                })
            }
        })
    }
}

impl Checked {
    /// The error follows directly on the rule's place.
    fn new(rule: Rule) -> Result<Checked, String> {
        let condition = match (&rule.pattern, &rule.strip_prefix) {
            (Some(_), Some(_)) => {
                return Err(
                    ": `match` and `strip-prefix` are both given: a rule has one condition".into(),
                );
            }
            (Some(text), None) => {
                Condition::Pattern(pattern(text).map_err(|why| format!(".match: {why}"))?)
            }
            (None, Some(text)) => Condition::Prefix(
                Prefix::parse(text).map_err(|why| format!(".strip-prefix {why}"))?,
            ),
            (None, None) => Condition::Always,
        };
        let groups = match &condition {
            Condition::Pattern(pattern) => pattern
                .capture_names()
                .map(|name| name.map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        if rule.to.is_some() && (rule.strip_prefix.is_some() || rule.add_prefix.is_some()) {
            return Err(
                ": `to` is the whole path: leave out `strip-prefix` and `add-prefix`".into(),
            );
        }
        if let Some(prefix) = &rule.add_prefix {
            path::check_prefix(prefix).map_err(|why| format!(".add-prefix {why}"))?;
        }
        let to = rule.to.map(|text| target(&text, &groups)).transpose();
        let query = rule
            .query
            .map(|query| Changes::new(query, &groups))
            .transpose();
        if rule
            .authority
            .as_deref()
            .is_some_and(|it| !is_authority(it))
        {
            return Err(".authority must be a host, with or without a port".into());
        }
        let checked = Checked {
            condition,
            add_prefix: rule.add_prefix,
            to: to.map_err(|why| format!(".to {why}"))?,
            query: query.map_err(|why| format!(".query: {why}"))?,
            authority: rule.authority,
        };
        if checked.to.is_none()
            && checked.add_prefix.is_none()
            && checked.query.is_none()
            && checked.authority.is_none()
            && !matches!(checked.condition, Condition::Prefix(_))
        {
            return Err(" changes nothing: give `to`, `add-prefix`, `query` or `authority`".into());
        }
        Ok(checked)
    }

    /// The inner error says what is not fit to be sent.
    fn apply(
        &self,
        request: &mut EditableRequest<'_>,
        path: &str,
        rest: &str,
        captured: &[Option<&str>],
    ) -> Result<Result<(), String>> {
        let new_path = match (&self.to, &self.add_prefix) {
            (Some(template), _) => match template.path(request, path, captured)? {
                Ok(path) => path,
                Err(absent) => return Ok(Err(absent)),
            },
            (None, Some(prefix)) => format!("{prefix}{rest}"),
            (None, None) if rest.is_empty() => "/".to_owned(),
            (None, None) => rest.to_owned(),
        };
        let query = request.query();
        let new_query = match &self.query {
            Some(changes) => changes.apply(query.as_deref(), request, path, captured)?,
            None => query.clone(),
        };
        // To some servers, and to all that make links of it, this is another host.
        if new_path != path && new_path.starts_with("//") {
            return Ok(Err(format!("{new_path:?} begins with two slashes")));
        }
        // What shrinks goes first: in between, path and query must fit into one target.
        let shrinks = new_path.len() <= path.len();
        for is_path in [shrinks, !shrinks] {
            let edited = match is_path {
                true if new_path != path => request.set_path(&new_path),
                false if new_query != query => request.set_query(new_query.as_deref()),
                _ => Ok(()),
            };
            if let Err(why) = edited {
                return Ok(Err(why.to_string()));
            }
        }
        if let Some(authority) = &self.authority {
            request.set_authority(authority)?;
        }
        Ok(Ok(()))
    }
}

/// Compiles a pattern, and searches once: what a search needs is then in the snapshot.
fn pattern(text: &str) -> Result<Regex, String> {
    // By itself first: `a)|(b` must not become valid by what is put around it.
    let build = |text: &str| {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(PATTERN_BYTES_MAX).build()
    };
    build(text).map_err(|error| error.to_string())?;
    let pattern = build(&format!(r"\A(?:{text})\z")).map_err(|error| error.to_string())?;
    let _ = pattern.captures("/");
    Ok(pattern)
}

/// The error continues a sentence that begins with `to`.
fn target(text: &str, groups: &[Option<String>]) -> Result<Template, String> {
    let template = Template::parse(text, groups)?;
    if !text.starts_with('/') {
        return Err("must begin with a slash".into());
    }
    // What is put in may be nothing, or anything: a letter shows what the text around it is.
    path::check(&template.sample("x"))?;
    Ok(template)
}

/// A host with an optional port (RFC 3986, section 3.2.2), without a user.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let inside = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host_fits = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            !host.is_empty() && host.bytes().all(fits)
        }
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host_fits && port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
