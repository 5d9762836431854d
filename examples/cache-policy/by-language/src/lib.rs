use std::time::Duration;

use tollgate_plugin::{
    CacheLookup, CacheStore, EntryKey, Plugin, Request, Response, Result, Retention, Storage,
    export,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ByLanguage {
    /// The languages that the upstream speaks, such as `en`; the first for all who know none of them.
    languages: Vec<String>,
    /// For how many seconds an answer is kept that says nothing of it itself.
    fresh: u32,
}

impl Plugin for ByLanguage {
    type Config = Self;
    fn configure(config: Self) -> Result<Self> {
        match config.languages.is_empty() {
            true => Err("`languages` is empty".into()),
            false => Ok(config),
        }
    }
}

impl ByLanguage {
    /// `en-GB;q=0.8` is `en` here. Clients write what they like best first, so weights are not read.
    fn language(&self, request: &Request) -> &str {
        let accepted = request.header_text("accept-language").unwrap_or_default();
        let spoken = accepted.split(',').find_map(|range| {
            let primary = range.split(['-', ';']).next().unwrap_or_default().trim();
            let mut spoken = self.languages.iter();
            spoken.find(|language| language.eq_ignore_ascii_case(primary))
        });
        spoken.unwrap_or(&self.languages[0])
    }
}

impl CacheLookup for ByLanguage {
    fn lookup(&self, request: &Request) -> Result<EntryKey> {
        if request.method() != "GET" || request.header("authorization").is_some() {
            return Ok(EntryKey::Bypass);
        }
        let page = [
            request.authority(),
            request.path(),
            request.query().unwrap_or_default(),
        ];
        Ok(EntryKey::keyed(
            [self.language(request).to_owned()].into_iter().chain(page),
        ))
    }
}

impl CacheStore for ByLanguage {
    fn store(&self, request: &Request, response: &Response) -> Result<Storage> {
        if response.header("set-cookie").is_some() {
            return Ok(Storage::Never);
        }
        // What the upstream says itself, it means.
        if response.status() != 200 || response.header("cache-control").is_some() {
            return Ok(Storage::Standard);
        }
        let fresh = Duration::from_secs(self.fresh.into());
        let section = request
            .path()
            .split('/')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let retention = Retention::fresh(fresh).stale_if_error(10 * fresh);
        Ok(retention.tag(section).tag(self.language(request)).into())
    }
}

export!(ByLanguage: CacheLookup, CacheStore);

#[cfg(test)]
mod tests;
