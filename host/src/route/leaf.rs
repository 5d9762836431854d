//! The routes of one path shape, by host and method.

use std::collections::HashMap;

use http::Method;

use super::host;
use super::host::HostPattern;
use super::matching::Match;

#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// Routes for any host. Most paths have one route, which is found here.
    any: Candidates,
    /// Routes for certain hosts.
    hosts: Option<Box<Hosts>>,
}

#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<String, Candidates>,
    /// By suffix.
    wildcard: HashMap<String, Candidates>,
}

/// Routes in the order in which they are tried: those that name methods first, then by priority.
#[derive(Debug, Default)]
struct Candidates {
    first: Option<Candidate>,
    more: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    route: u32,
    priority: i32,
    methods: Methods,
}

/// The methods that a route names; none means any.
#[derive(Debug)]
struct Methods {
    /// A bit for each of [`KNOWN`].
    known: u16,
    others: Option<Box<[Method]>>,
}

const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

fn bit(method: &Method) -> Option<u16> {
    let at = KNOWN.iter().position(|known| known == method)?;
    Some(1 << at)
}

impl Methods {
    fn of(methods: &[Method]) -> Methods {
        let others = methods.iter().filter(|method| bit(method).is_none());
        let others: Box<[Method]> = others.cloned().collect();
        Methods {
            known: methods.iter().filter_map(bit).fold(0, |all, one| all | one),
            others: (!others.is_empty()).then_some(others),
        }
    }

    fn is_any(&self) -> bool {
        self.known == 0 && self.others.is_none()
    }

    fn name(&self, method: &Method) -> bool {
        match bit(method) {
            Some(bit) => self.known & bit != 0,
            None => self.others().contains(method),
        }
    }

    fn others(&self) -> &[Method] {
        self.others.as_deref().unwrap_or_default()
    }

    fn iter(&self) -> impl Iterator<Item = &Method> {
        let known = KNOWN.iter().filter(|method| self.name(method));
        known.chain(self.others())
    }
}

impl Candidates {
    fn insert(&mut self, candidate: Candidate) {
        let mut all: Vec<Candidate> = self.first.take().into_iter().collect();
        all.append(&mut self.more);
        all.push(candidate);
        all.sort_by_key(|one| (one.methods.is_any(), std::cmp::Reverse(one.priority)));
        let mut all = all.into_iter();
        self.first = all.next();
        self.more = all.collect();
    }

    fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.first.iter().chain(&self.more)
    }
}

impl Leaf {
    pub fn insert(&mut self, host: Option<&HostPattern>, route: u32, matches: &Match) {
        let candidates = match host {
            None => &mut self.any,
            Some(host) => {
                let hosts = self.hosts.get_or_insert_default();
                let (by_name, name) = match host {
                    HostPattern::Exact(name) => (&mut hosts.exact, name),
                    HostPattern::Wildcard(suffix) => (&mut hosts.wildcard, suffix),
                };
                by_name.entry(name.clone()).or_default()
            }
        };
        candidates.insert(Candidate {
            route,
            priority: matches.priority,
            methods: Methods::of(&matches.methods),
        });
    }

    /// Returns the route for a request. Routes with more conditions come first: host and methods, then host
    /// alone, then methods alone, then neither.
    pub fn find(&self, method: &Method, host: Option<&str>) -> Option<u32> {
        let named = |one: &&Candidate| one.methods.name(method);
        let open = |one: &&Candidate| one.methods.is_any();
        let with_host = || self.of_host(host).flat_map(Candidates::iter);
        let found = with_host()
            .find(named)
            .or_else(|| with_host().find(open))
            .or_else(|| self.any.iter().find(|one| named(one) || open(one)));
        found.map(|one| one.route)
    }

    /// Returns the methods that the routes here name for this host.
    pub fn methods(&self, host: Option<&str>) -> impl Iterator<Item = &Method> {
        let candidates = self.of_host(host).chain([&self.any]);
        candidates
            .flat_map(Candidates::iter)
            .flat_map(|one| one.methods.iter())
    }

    /// Returns the routes for this host: by its whole name, then by ever shorter suffixes.
    fn of_host(&self, host: Option<&str>) -> impl Iterator<Item = &Candidates> {
        let both = self.hosts.as_deref().zip(host);
        both.into_iter().flat_map(|(hosts, host)| {
            let suffixes = host::suffixes(host).take_while(|_| !hosts.wildcard.is_empty());
            let wildcard = suffixes.filter_map(|suffix| hosts.wildcard.get(suffix));
            hosts.exact.get(host).into_iter().chain(wildcard)
        })
    }
}
