//! Tells browsers which pages of other origins may use the API: the CORS protocol (Fetch standard,
//! section 3.3). README.md says how it is configured.

mod origins;

use std::time::Duration;

use origins::Origins;
use tollgate_plugin::{
    EditableRequest, EditableResponse, Outcome, Plugin, Reply, Request, RequestTransformer,
    ResponseTransformer, Result, export,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// Who may read answers: `https://app.example.com`, `https://*.example.com`, or `*` for every
    /// page there is.
    origins: Vec<String>,
    /// The methods that are allowed beside GET, HEAD and POST. Left out: the one that is asked for.
    methods: Option<Vec<String>>,
    /// The request headers that are allowed beside those of every form. Left out: those that are
    /// asked for.
    headers: Option<Vec<String>>,
    /// The response headers that pages may read beside the usual ones, or `*`.
    #[serde(default)]
    expose: Vec<String>,
    /// Whether browsers may send cookies and other credentials. Not with `*`.
    #[serde(default)]
    credentials: bool,
    /// How long a browser may keep the answer to a preflight.
    #[serde(default = "max_age_default")]
    max_age: String,
    /// Whether pages of public networks may call, if this API is in a private one.
    #[serde(default)]
    private_network: bool,
}

/// Twice the time in which somebody who changes the policy still looks at it. Chromium keeps no answer
/// for longer than two hours, Firefox none for longer than a day.
fn max_age_default() -> String {
    "10m".into()
}

struct Cors {
    origins: Origins,
    /// None: what is asked for.
    methods: Option<String>,
    /// None: what is asked for.
    headers: Option<String>,
    expose: String,
    credentials: bool,
    max_age_s: String,
    private_network: bool,
    /// What the answer to a preflight depends on.
    preflight_vary: String,
}

/// Where the way in notes the origin for the way out, which sees the header only if no entry further
/// in removed it.
const ORIGIN_NOTE: &str = "origin";

impl Plugin for Cors {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let origins = Origins::new(&config.origins)?;
        let any = matches!(origins, Origins::Any);
        if any && config.credentials {
            return Err(
                "`credentials` cannot be given to the origin `*`: browsers refuse that; \
                        name the origins"
                    .into(),
            );
        }
        let any_exposed = config.expose.iter().any(|name| name == "*");
        if any_exposed && (config.credentials || config.expose.len() > 1) {
            return Err(
                "`expose`: `*` is for itself alone, and not for requests with `credentials`".into(),
            );
        }
        let asked = |list: &Option<Vec<String>>, name| {
            let text = list.as_ref().map(|names| tokens(name, names));
            text.transpose()
        };
        let small = |name: &&String| name.bytes().any(|byte| byte.is_ascii_lowercase());
        if let Some(name) = config.methods.iter().flatten().find(small) {
            return Err(
                format!("`methods`: {name:?} is no method; they have capital letters").into(),
            );
        }
        let methods = asked(&config.methods, "methods")?;
        let headers = asked(&config.headers, "headers")?;
        let depends = [
            (!any, "Origin"),
            (methods.is_none(), "Access-Control-Request-Method"),
            (headers.is_none(), "Access-Control-Request-Headers"),
            (
                config.private_network,
                "Access-Control-Request-Private-Network",
            ),
        ];
        let vary: Vec<&str> = depends
            .into_iter()
            .filter_map(|(depends, name)| depends.then_some(name))
            .collect();
        Ok(Cors {
            origins,
            methods,
            headers,
            expose: if any_exposed {
                "*".into()
            } else {
                tokens("expose", &config.expose)?
            },
            credentials: config.credentials,
            max_age_s: duration(&config.max_age)?.as_secs().to_string(),
            private_network: config.private_network,
            preflight_vary: vary.join(", "),
        })
    }
}

/// A list as it stands in a header.
fn tokens(list: &str, names: &[String]) -> Result<String> {
    for (index, name) in names.iter().enumerate() {
        if name == "*" {
            return Err(format!(
                "{list}[{index}]: leave `{list}` out to allow all that are asked for"
            )
            .into());
        }
        if !is_token(name) {
            return Err(format!("{list}[{index}]: {name:?} is no name").into());
        }
    }
    Ok(names.join(", "))
}

/// Names of methods and headers (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Written as the gateway's own durations are, without milliseconds: the header has whole seconds.
fn duration(text: &str) -> Result<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    number
        .parse::<u32>()
        .ok()
        .zip(seconds)
        .map(|(number, seconds)| Duration::from_secs(u64::from(number) * seconds))
        .ok_or_else(|| {
            format!(
                "`max-age`: {text:?} must be a whole number and one of the units s, m, h, as in \
                 \"10m\""
            )
            .into()
        })
}

impl RequestTransformer for Cors {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        let options = request.method() == "OPTIONS";
        if !options && matches!(self.origins, Origins::Any) {
            return Ok(Outcome::Next);
        }
        let origin = request.header_values("origin");
        if origin.is_empty() {
            return Ok(Outcome::Next);
        }
        let allowed = match origin.as_slice() {
            [origin] => self.origins.allowed(origin),
            _ => None,
        };
        if options && request.header("access-control-request-method").is_some() {
            return Ok(Outcome::Respond(match allowed {
                Some(origin) => self.preflight(request, origin),
                None => Reply::problem(403, "pages of this origin may not use this API")
                    .header("vary", &self.preflight_vary),
            }));
        }
        match allowed {
            Some(origin) if origin != "*" => request.set_attribute(ORIGIN_NOTE, origin)?,
            _ => {}
        }
        Ok(Outcome::Next)
    }
}

impl ResponseTransformer for Cors {
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        // One place decides: two `Access-Control-Allow-Origin` are an error to browsers, and what
        // the upstream allows is not what this configuration says.
        for name in response.header_names() {
            if name.starts_with("access-control-") {
                response.remove_header(&name)?;
            }
        }
        let origin = match self.origins {
            Origins::Any => Some("*".to_owned()),
            Origins::Listed { .. } => {
                // On every answer, also to those who named no origin: a cache must not give theirs to
                // a page.
                if !varies_by_origin(response) {
                    response.append_header("vary", "Origin")?;
                }
                request.own_attribute(ORIGIN_NOTE)
            }
        };
        if let Some(origin) = origin {
            response.set_header("access-control-allow-origin", origin)?;
            if self.credentials {
                response.set_header("access-control-allow-credentials", "true")?;
            }
            if !self.expose.is_empty() {
                response.set_header("access-control-expose-headers", &self.expose)?;
            }
        }
        Ok(Outcome::Next)
    }
}

export!(Cors: RequestTransformer, ResponseTransformer);

impl Cors {
    /// Answers a preflight of an allowed origin with what is allowed. Whether that is enough is the
    /// browser's to say, and its console names what is missing.
    fn preflight(&self, request: &Request, origin: &str) -> Reply {
        let method = match &self.methods {
            Some(methods) => methods.clone(),
            None => asked(request, "access-control-request-method"),
        };
        let headers = match &self.headers {
            Some(headers) => headers.clone(),
            None => asked(request, "access-control-request-headers"),
        };
        let private = self.private_network
            && request.header("access-control-request-private-network") == Some(b"true".to_vec());
        let fields = [
            ("access-control-allow-origin", origin),
            (
                "access-control-allow-credentials",
                if self.credentials { "true" } else { "" },
            ),
            ("access-control-allow-methods", &method),
            ("access-control-allow-headers", &headers),
            (
                "access-control-allow-private-network",
                if private { "true" } else { "" },
            ),
            ("access-control-max-age", &self.max_age_s),
            ("vary", &self.preflight_vary),
        ];
        fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(Reply::new(204), |reply, (name, value)| {
                reply.header(name, value)
            })
    }
}

/// The names that a request header lists, in one line. Nothing if one of them is no name: no browser
/// sends that, and it is not to be sent back.
fn asked(request: &Request, header: &str) -> String {
    let lines = request.header_values(header);
    let mut names = Vec::new();
    for line in &lines {
        let Ok(line) = str::from_utf8(line) else {
            return String::new();
        };
        for name in line.split(',').map(|name| name.trim_matches([' ', '\t'])) {
            match name {
                // A list may have empty places (RFC 9110, section 5.6.1).
                "" => {}
                name if is_token(name) => names.push(name),
                _ => return String::new(),
            }
        }
    }
    names.join(", ")
}

fn varies_by_origin(response: &EditableResponse<'_>) -> bool {
    response.header_values("vary").iter().any(|line| {
        line.split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
    })
}

#[cfg(test)]
mod tests;
