//! Configurations of the tests about plugins: one listener, one upstream, and a chain.

use std::fmt::Write as _;
use std::path::Path;

use tollgate_tests::{Origin, guest};

/// What a configuration is put together from.
#[derive(Clone)]
pub struct Scene {
    upstream: String,
    text: String,
    chain: Vec<String>,
    routes: String,
}

impl Scene {
    pub fn new(origin: &Origin) -> Scene {
        Scene::at(&origin.url())
    }

    /// With an upstream at this URL.
    pub fn at(upstream: &str) -> Scene {
        Scene {
            upstream: upstream.to_owned(),
            text: "[listeners.public]\naddress = \"127.0.0.1:0\"\n".to_owned(),
            chain: Vec::new(),
            routes: String::new(),
        }
    }

    /// For `check`, which asks no upstream.
    pub fn unserved() -> Scene {
        Scene::at("http://127.0.0.1:1")
    }

    /// The hostile guest as plugin `hostile`; `more` are further lines of its section.
    pub fn hostile(self, more: &str) -> Scene {
        self.plugin("hostile", &guest("guest_hostile"), more)
    }

    pub fn plugin(mut self, name: &str, wasm: &Path, more: &str) -> Scene {
        let wasm = wasm.display();
        let _ = writeln!(self.text, "[plugins.{name}]\nwasm = \"{wasm}\"\n{more}");
        self
    }

    /// A policy, last in the chain of the default route; `more` are lines of its section.
    pub fn policy(mut self, name: &str, plugin: &str, more: &str) -> Scene {
        let _ = writeln!(
            self.text,
            "[policies.{name}]\nplugin = \"{plugin}\"\n{more}"
        );
        self.chain.push(name.to_owned());
        self
    }

    /// More lines, outside of the sections above.
    pub fn with(mut self, lines: &str) -> Scene {
        self.text.push_str(lines);
        self.text.push('\n');
        self
    }

    /// A route of its own. Without any, all paths but `/` are the route `all` with every policy.
    pub fn route(mut self, name: &str, path: &str, chain: &[&str]) -> Scene {
        let _ = writeln!(
            self.routes,
            "[routes.{name}]\nmatch = \"{path}\"\nchain = {chain:?}\nupstream = \"origin\""
        );
        self
    }

    pub fn toml(&self) -> String {
        let Scene {
            upstream,
            text,
            chain,
            routes,
        } = self;
        let default = format!(
            "[routes.all]\nmatch = \"/{{rest+}}\"\nchain = {chain:?}\nupstream = \"origin\"\n"
        );
        let routes = if routes.is_empty() { &default } else { routes };
        format!("{text}\n[upstreams.origin]\nservers = [\"{upstream}\"]\n{routes}")
    }
}
