//! `[upstreams]`: where requests go.

use std::collections::BTreeMap;

use http::Uri;
use http::uri::Authority;
use toml::de::DeValue;

use super::reader::{Item, Reader, Table};
use super::{Timeouts, Upstream, UpstreamServer};
use crate::limits;
use crate::quote::quoted;
use crate::route::HostPattern;

const SERVER: &str = "\"http://127.0.0.1:9001\"";

pub(super) fn upstreams(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
) -> BTreeMap<String, Upstream> {
    let mut all = BTreeMap::new();
    for named in reader.named(root, "upstreams") {
        let Some(mut table) = reader.entry(&named) else {
            continue;
        };
        let item = reader.required(&mut table, "servers", &format!("[{SERVER}]"));
        let servers = item.map(|item| servers(reader, &item)).unwrap_or_default();
        let timeouts = table
            .get("timeouts")
            .and_then(|item| timeouts(reader, &item));
        reader.finish(&table, &["tls"]);
        let timeouts = timeouts.unwrap_or_default();
        all.insert(
            named.name.clone(),
            Upstream {
                name: named.name,
                servers,
                timeouts,
            },
        );
    }
    all
}

fn servers(reader: &mut Reader<'_>, item: &Item<'_>) -> Vec<UpstreamServer> {
    let Some(items) = reader.list(item, &format!("[{SERVER}]")) else {
        return Vec::new();
    };
    let most = limits::config::UPSTREAM_SERVERS_MAX;
    if !(1..=most).contains(&items.len()) {
        let message = format!("{} must have 1 to {most} servers", quoted(&item.path));
        reader.problem(item.position, message);
    }
    items
        .iter()
        .filter_map(|item| server(reader, item))
        .collect()
}

fn server(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<UpstreamServer> {
    match item.value {
        DeValue::String(_) => Some(UpstreamServer {
            authority: authority(reader, item)?,
            weight: 1,
        }),
        DeValue::Table(_) => {
            let mut table = reader.table(item, SERVER)?;
            let url = reader.required(&mut table, "url", SERVER);
            let authority = url.and_then(|item| authority(reader, &item));
            let weight = table.get("weight");
            let weight = weight.map(|item| reader.number(&item, limits::config::SERVER_WEIGHT));
            reader.finish(&table, &[]);
            Some(UpstreamServer {
                authority: authority?,
                weight: weight.unwrap_or(Some(1))?,
            })
        }
        _ => {
            reader.wrong_type(
                item,
                &format!("{SERVER} or {{ url = {SERVER}, weight = 2 }}"),
            );
            None
        }
    }
}

/// The messages do not repeat the URL: it may carry a password.
fn authority(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Authority> {
    let text = reader.hidden_text(item, SERVER)?;
    if has_no_password(text) {
        reader.show(item);
    }
    let wanted = format!("{} must be a URL such as {SERVER}", quoted(&item.path));
    let message = match server_url(text) {
        Ok(authority) => return Some(authority),
        Err(Some(why)) => format!("{wanted}: {why}"),
        Err(None) => wanted,
    };
    reader.problem(item.position, message);
    None
}

/// Whether this is a URL that surely has none, wrong as it may be: a scheme, a host, and a port in digits.
fn has_no_password(text: &str) -> bool {
    let Some((_, authority)) = text.split_once("://") else {
        return false;
    };
    let authority = authority.trim_end_matches('/');
    let host = authority.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':');
    let is_address = host.starts_with('[') && host.ends_with(']');
    let fits =
        |c: char| c.is_ascii_alphanumeric() || ".-[]".contains(c) || (is_address && c == ':');
    host.chars().all(fits)
}

fn server_url(text: &str) -> Result<Authority, Option<&'static str>> {
    let scheme = text
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.as_deref() == Some("https") {
        return Err(Some(
            "https is not supported yet, terminate TLS in front of the upstream",
        ));
    }
    if scheme.as_deref() != Some("http") {
        return Err(Some("it must begin with http://"));
    }
    // http::Uri drops a fragment without a word.
    let uri: Uri = text
        .parse()
        .ok()
        .filter(|_| !text.contains('#'))
        .ok_or(None)?;
    let authority = uri.authority().ok_or(None)?;
    if authority.as_str().contains('@') {
        return Err(Some("it cannot have a user and a password"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(Some("it cannot have a path or a query"));
    }
    if !matches!(
        HostPattern::parse(authority.host()),
        Ok(HostPattern::Exact(_))
    ) {
        return Err(Some("its host is not valid"));
    }
    let host = authority.host();
    match authority.as_str().strip_prefix(host) {
        Some("") => format!("{host}:80").parse().map_err(|_| None),
        _ if authority.port_u16().is_some_and(|port| port > 0) => Ok(authority.clone()),
        _ => Err(Some("its port must be from 1 to 65535")),
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: limits::upstream::CONNECT_DEFAULT,
            first_byte: limits::upstream::FIRST_BYTE_DEFAULT,
            total: limits::upstream::TOTAL_DEFAULT,
        }
    }
}

fn timeouts(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Timeouts> {
    let mut table = reader.table(
        item,
        "{ connect = \"2s\", first-byte = \"15s\", total = \"60s\" }",
    )?;
    let mut timeouts = Timeouts::default();
    let mut set = |key, value: &mut _, range| {
        let written = table
            .get(key)
            .and_then(|item| reader.duration(&item, range));
        *value = written.unwrap_or(*value);
    };
    set("connect", &mut timeouts.connect, limits::upstream::CONNECT);
    set(
        "first-byte",
        &mut timeouts.first_byte,
        limits::upstream::FIRST_BYTE,
    );
    set("total", &mut timeouts.total, limits::upstream::TOTAL);
    reader.finish(&table, &[]);
    Some(timeouts)
}
