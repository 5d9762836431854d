//! One request and its response, with the gateway's findings about them. The chain's entries read and edit
//! this.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use super::body::{Content, RequestBody};
use super::owned;
use super::target::Target;
use crate::limits;

/// A message pair on its way through a chain.
pub struct Exchange {
    pub id: Arc<str>,
    /// Settled in [`super::forwarded`], like `client`.
    pub scheme: &'static str,
    /// `None` if a trusted proxy does not name it.
    pub client: Option<IpAddr>,
    pub route: Arc<str>,
    /// Variables of the route, its API and the gateway.
    pub variables: Arc<BTreeMap<String, String>>,
    /// The route's path parameters, decoded.
    pub parameters: Vec<(String, String)>,
    /// For a CORS preflight: the method that it asks for, by which it was routed.
    pub preflight: Option<Method>,
    pub request: RequestHead,
    /// How often the request has passed a gateway of this kind, this one included.
    pub passes: usize,
    /// The names of the request's fields that entries wrote; the others are the client's.
    pub written: Vec<HeaderName>,
    pub request_body: RequestBody,
    /// `Some` once the upstream, a plugin or the gateway has answered.
    pub response: Option<ResponseHead>,
    pub response_body: Content,
    pub caller: Option<Caller>,
    pub attributes: Attributes,
}

impl Exchange {
    /// Returns the same request without a body or answer, for a background fetch. It outlives the client's
    /// connection, so its head is copied into its own memory.
    pub fn again(&self) -> Exchange {
        Exchange {
            id: Arc::clone(&self.id),
            scheme: self.scheme,
            client: self.client,
            route: Arc::clone(&self.route),
            variables: Arc::clone(&self.variables),
            parameters: self.parameters.clone(),
            preflight: self.preflight.clone(),
            request: RequestHead {
                method: self.request.method.clone(),
                target: self.request.target.owned(),
                headers: owned::fields(&self.request.headers),
                asked: self.request.asked.as_ref().map(owned::value),
            },
            passes: self.passes,
            written: self.written.clone(),
            request_body: RequestBody::whole(Bytes::new()),
            response: None,
            response_body: Content::default(),
            caller: self.caller.clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// Makes this the response.
    pub fn answer(&mut self, head: ResponseHead, body: Content) {
        self.response = Some(head);
        self.response_body = body;
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub struct RequestHead {
    pub method: Method,
    pub target: Target,
    /// The upstream gets `host` as it is here.
    pub headers: HeaderMap,
    /// The authority that the client asked for, if a trusted proxy names another than `host`.
    pub asked: Option<HeaderValue>,
}

impl RequestHead {
    /// Returns the host that the client asked for, with the port if it named one; `None` if it is missing or
    /// not text.
    pub fn authority(&self) -> Option<&str> {
        let asked = self.asked.as_ref();
        asked.or(self.headers.get(HOST))?.to_str().ok()
    }

    /// Returns the host that the upstream gets.
    pub fn host(&self) -> Option<&str> {
        self.headers.get(HOST)?.to_str().ok()
    }

    /// Sets both the host that the upstream gets and the one that was asked for.
    pub fn set_authority(&mut self, authority: HeaderValue) {
        self.headers.insert(HOST, authority);
        self.asked = None;
    }
}

#[derive(Debug, Clone)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

/// What authorizers said about the caller. Neither clients nor other hooks can write it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caller {
    pub principal: String,
    pub usage_key: Option<String>,
    /// Name and JSON text; names are unique.
    pub claims: Vec<(String, String)>,
}

impl Caller {
    /// Returns the size of its texts, in bytes.
    pub fn bytes(&self) -> usize {
        let claims = self.claims.iter();
        self.principal.len()
            + self.usage_key.as_ref().map_or(0, String::len)
            + claims
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
    }

    /// Adds what a further authorizer said: the later principal and usage key replace the earlier, claims add
    /// up.
    pub fn extend(&mut self, later: Caller) {
        self.principal = later.principal;
        self.usage_key = later.usage_key;
        for (name, value) in later.claims {
            match self.claims.iter_mut().find(|(other, _)| *other == name) {
                Some((_, old)) => *old = value,
                None => self.claims.push((name, value)),
            }
        }
    }
}

/// The notes of plugins, each under the plugin and the chain entry that wrote it.
#[derive(Debug, Default, Clone)]
pub struct Attributes {
    /// Shared with the copy from before a call, and with the background copy of the request.
    notes: Vec<Arc<Note>>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Note {
    plugin: Arc<str>,
    policy: Arc<str>,
    name: String,
    value: String,
}

impl Attributes {
    /// Returns the latest note of any entry of this plugin.
    pub fn of_plugin(&self, plugin: &str, name: &str) -> Option<&str> {
        self.find(|note| &*note.plugin == plugin && note.name == name)
    }

    /// Returns the note of one chain entry.
    pub fn of_policy(&self, policy: &str, name: &str) -> Option<&str> {
        self.find(|note| &*note.policy == policy && note.name == name)
    }

    fn find(&self, wanted: impl Fn(&Note) -> bool) -> Option<&str> {
        let note = self.notes.iter().rev().find(|note| wanted(note))?;
        Some(&note.value)
    }

    /// Writes a note, replacing the entry's own of the same name.
    ///
    /// # Errors
    /// If the request's notes would exceed [`limits::message::ATTRIBUTE_BYTES_MAX`].
    pub fn set(
        &mut self,
        plugin: &Arc<str>,
        policy: &Arc<str>,
        name: &str,
        value: &str,
    ) -> Result<(), String> {
        let old = self
            .notes
            .iter()
            .position(|note| note.policy == *policy && note.name == name);
        let freed = old.map_or(0, |index| name.len() + self.notes[index].value.len());
        let bytes = self.bytes - freed + name.len() + value.len();
        if bytes > limits::message::ATTRIBUTE_BYTES_MAX
            || self.notes.len() >= limits::message::ATTRIBUTES_MAX
        {
            return Err(format!(
                "the request's attributes would exceed {} bytes or {} notes",
                limits::message::ATTRIBUTE_BYTES_MAX,
                limits::message::ATTRIBUTES_MAX
            ));
        }
        // The latest write comes last, so that `of_plugin` finds it first.
        if let Some(index) = old {
            self.notes.remove(index);
        }
        self.notes.push(Arc::new(Note {
            plugin: Arc::clone(plugin),
            policy: Arc::clone(policy),
            name: name.to_owned(),
            value: value.to_owned(),
        }));
        self.bytes = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_belong_to_their_writers() {
        let (jwt, key) = (Arc::from("jwt"), Arc::from("api-key"));
        let (first, second, third) = (Arc::from("a"), Arc::from("b"), Arc::from("c"));
        let mut attributes = Attributes::default();
        attributes.set(&jwt, &first, "n", "1").unwrap();
        attributes.set(&jwt, &second, "n", "2").unwrap();
        attributes.set(&key, &third, "n", "3").unwrap();
        assert_eq!(attributes.of_plugin("jwt", "n"), Some("2"));
        attributes.set(&jwt, &first, "n", "4").unwrap();
        assert_eq!(attributes.of_plugin("jwt", "n"), Some("4"));
        assert_eq!(attributes.of_policy("b", "n"), Some("2"));
        assert_eq!(attributes.of_plugin("nobody", "n"), None);
    }

    #[test]
    fn notes_are_bounded_and_replacing_frees() {
        let (plugin, policy) = (Arc::from("p"), Arc::from("q"));
        let mut attributes = Attributes::default();
        let large = "x".repeat(limits::message::ATTRIBUTE_BYTES_MAX - 1);
        attributes.set(&plugin, &policy, "n", &large).unwrap();
        assert!(attributes.set(&plugin, &policy, "m", "1").is_err());
        attributes.set(&plugin, &policy, "n", "").unwrap();
        attributes.set(&plugin, &policy, "m", "1").unwrap();
    }

    #[test]
    fn claims_add_up() {
        let mut caller = Caller {
            principal: "a".into(),
            usage_key: Some("k".into()),
            claims: vec![("x".into(), "1".into()), ("y".into(), "1".into())],
        };
        caller.extend(Caller {
            principal: "b".into(),
            usage_key: None,
            claims: vec![("y".into(), "2".into()), ("z".into(), "2".into())],
        });
        assert_eq!(caller.principal, "b");
        assert_eq!(caller.usage_key, None);
        let claims: Vec<String> = caller
            .claims
            .iter()
            .map(|(n, v)| format!("{n}{v}"))
            .collect();
        assert_eq!(claims, ["x1", "y2", "z2"]);
    }
}
