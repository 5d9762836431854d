//! The act `report`: everything that a plugin can read of a request.

use serde::Serialize;
use tollgate_plugin::{Reply, Request, Result};

use crate::escape;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    method: String,
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
    query_parameter_q: Option<String>,
    path_parameter_id: Option<String>,
    /// `name=value`, the value escaped.
    headers: Vec<String>,
    header_names: Vec<String>,
    client_address: String,
    client_certificate: Option<String>,
    id: String,
    route_name: String,
    variable_tier: Option<String>,
    principal: Option<String>,
    usage_key: Option<String>,
    claim_tier: Option<serde_json::Value>,
    own_attribute_note: Option<String>,
    /// The `note` of the plugin that the configuration names.
    attribute_note: Option<String>,
}

pub fn report(request: &Request, plugin: &str) -> Result<Reply> {
    let report = Report {
        method: request.method(),
        scheme: request.scheme(),
        authority: request.authority(),
        path: request.path(),
        query: request.query(),
        query_parameter_q: request.query_parameter("q"),
        path_parameter_id: request.path_parameter("id"),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect(),
        header_names: request.header_names(),
        client_address: request.client_address(),
        client_certificate: request.client_certificate().as_deref().map(escape),
        id: request.id(),
        route_name: request.route_name(),
        variable_tier: request.variable("tier"),
        principal: request.principal(),
        usage_key: request.usage_key(),
        claim_tier: request.claim("tier")?,
        own_attribute_note: request.own_attribute("note"),
        attribute_note: request.attribute(plugin, "note"),
    };
    Reply::json(200, &report)
}
