//! The upstreams of a configuration. One that is as it was is taken over; of one that was edited, the servers that
//! stay keep their connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config;
use crate::upstream::{Servers, Timeouts, Upstream};

/// Those of one use, each with connections of its own, beside what was written of it.
#[derive(Default)]
pub struct Upstreams(BTreeMap<String, (config::Upstream, Arc<Upstream>)>);

impl Upstreams {
    pub fn new<'c>(
        written: impl Iterator<Item = &'c config::Upstream>,
        previous: Option<&Upstreams>,
        servers: &Servers,
    ) -> Self {
        let upstream = |written: &config::Upstream| {
            let before = previous.and_then(|previous| previous.0.get(&written.name));
            let kept = before.filter(|(before, _)| before == written);
            let upstream = match kept {
                Some((_, upstream)) => Arc::clone(upstream),
                None => Arc::new(made(written, servers)),
            };
            (written.name.clone(), (written.clone(), upstream))
        };
        Upstreams(written.map(upstream).collect())
    }

    pub fn get(&self, name: &str) -> Option<Arc<Upstream>> {
        let (_, upstream) = self.0.get(name)?;
        Some(Arc::clone(upstream))
    }
}

fn made(written: &config::Upstream, known: &Servers) -> Upstream {
    let servers = written
        .servers
        .iter()
        .map(|server| (server.authority.clone(), server.weight));
    let timeouts = Timeouts {
        connect: written.timeouts.connect,
        first_byte: written.timeouts.first_byte,
        total: written.timeouts.total,
    };
    Upstream::new(written.name.as_str().into(), servers, timeouts, known)
}
