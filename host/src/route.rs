//! Pure: a request's host, method and path to the route that serves it.
//!
//! A trie over path segments. At each node a literal child is tried before the parameter child, and
//! that before the greedy one; what fails further down comes back and tries the next. Every node is
//! reached by one way only, so a search visits each node at most once, whatever the path.

mod host;
mod path;
mod predicate;
mod template;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::Method;

pub use host::HostPattern;
pub use path::{Parameters, check as check_path};
pub use predicate::{FieldTest, Predicate, Wanted};
pub use template::PathTemplate;

use template::Segment;

/// Which requests a route serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Empty: any.
    pub methods: Vec<Method>,
    /// Empty: any.
    pub hosts: Vec<HostPattern>,
    pub path: PathTemplate,
    /// Settles what the other rules leave open; higher wins.
    pub priority: i32,
}

/// Two routes that can match the same request and that no rule puts in an order. The indices are
/// those of the routes given to [`Router::build`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub first: usize,
    pub second: usize,
    pub message: String,
}

/// What serves a request.
#[derive(Debug)]
pub enum Found<'p> {
    Route {
        /// Of the routes given to [`Router::build`].
        index: usize,
        parameters: Parameters<'p>,
    },
    /// Routes serve this path and host with other methods: these, sorted by name.
    MethodNotAllowed {
        allow: Vec<Method>,
    },
    Nothing,
    /// Not a path that a route and an upstream are sure to read alike; says why. The client's fault.
    BadPath(&'static str),
}

#[derive(Debug, Default)]
pub struct Router {
    root: Node,
    /// By route: what its template captures.
    captures: Vec<Arc<[template::Capture]>>,
}

/// What follows a prefix of segments.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    parameter: Option<Box<Node>>,
    /// The routes whose template ends here.
    leaf: Leaf,
    /// The routes whose template ends in a greedy parameter here.
    greedy: Leaf,
}

/// The routes of one path shape, by the host they ask for.
#[derive(Debug, Default)]
struct Leaf {
    exact: HashMap<String, Vec<Candidate>>,
    /// By suffix.
    wildcard: HashMap<String, Vec<Candidate>>,
    any: Vec<Candidate>,
}

/// Sorted in a leaf: those that name methods first, then by priority.
#[derive(Debug)]
struct Candidate {
    route: usize,
    /// Empty: any.
    methods: Vec<Method>,
    priority: i32,
}

impl Router {
    /// All conflicts are reported, not only the first.
    pub fn build<'a>(
        routes: impl IntoIterator<Item = (&'a str, &'a Match)>,
    ) -> Result<Router, Vec<Conflict>> {
        let mut router = Router::default();
        let mut names = Vec::new();
        let mut taken = HashMap::new();
        let mut conflicts: Vec<Conflict> = Vec::new();
        for (index, (name, matches)) in routes.into_iter().enumerate() {
            names.push(name);
            router.captures.push(matches.path.captures());
            let mut note = |first: usize, what: String| {
                let known = |known: &Conflict| (known.first, known.second) == (first, index);
                if !conflicts
                    .iter()
                    .rev()
                    .take_while(|c| c.second == index)
                    .any(known)
                {
                    let other = names.get(first).copied().unwrap_or_default();
                    let message = format!("the routes `{other}` and `{name}` both match {what}");
                    conflicts.push(Conflict {
                        first,
                        second: index,
                        message,
                    });
                }
            };
            claim(&mut taken, index, matches, &mut note);
            router.root.insert(index, matches);
        }
        if conflicts.is_empty() {
            Ok(router)
        } else {
            Err(conflicts)
        }
    }

    pub fn find<'p>(&self, method: &Method, host: Option<&str>, path: &'p str) -> Found<'p> {
        if path == "*" && method == Method::OPTIONS {
            return Found::Nothing;
        }
        if let Err(why) = path::check(path) {
            return Found::BadPath(why);
        }
        let host = host.map(host::normal);
        let host = host.as_deref();
        if let Some(index) = self.look_up(method, host, path) {
            // An upstream that reads the path in another way must not be led past another route's
            // chain.
            if let Some(other) = path::as_others_read(path)
                && self
                    .look_up(method, host, &other)
                    .is_some_and(|route| route != index)
            {
                return Found::BadPath("the path is one route's to us and another's to others");
            }
            let captures = self.captures.get(index).cloned().unwrap_or_default();
            return Found::Route {
                index,
                parameters: Parameters::new(captures, path),
            };
        }
        let rest = path.strip_prefix('/');
        // Only now is it worth knowing which methods would have fitted.
        let mut allow: Vec<Method> = Vec::new();
        let _: ControlFlow<()> = self.root.walk(rest, &mut |leaf: &Leaf| {
            let candidates = leaf.of_host(host).chain([&leaf.any]).flatten();
            allow.extend(candidates.flat_map(|candidate| &candidate.methods).cloned());
            ControlFlow::Continue(())
        });
        allow.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        allow.dedup();
        if allow.is_empty() {
            Found::Nothing
        } else {
            Found::MethodNotAllowed { allow }
        }
    }

    fn look_up(&self, method: &Method, host: Option<&str>, path: &str) -> Option<usize> {
        let mut fits = |leaf: &Leaf| match leaf.find(method, host) {
            Some(route) => ControlFlow::Break(route),
            None => ControlFlow::Continue(()),
        };
        self.root
            .walk(path.strip_prefix('/'), &mut fits)
            .break_value()
    }
}

/// What makes two routes the same to the rules: path shape, host, method (`None` for any) and
/// priority. Hosts of equal rank match the same request only if they are the same, and routes that
/// name methods rank above those that do not, so equality is all there is to conflicts.
type Claim<'a> = (
    Vec<&'a Segment>,
    Option<&'a HostPattern>,
    Option<&'a Method>,
    i32,
);

fn claim<'a>(
    taken: &mut HashMap<Claim<'a>, usize>,
    index: usize,
    matches: &'a Match,
    note: &mut impl FnMut(usize, String),
) {
    for host in each(&matches.hosts) {
        for method in each(&matches.methods) {
            let shape = matches.path.segments().iter().collect();
            match taken.entry((shape, host, method, matches.priority)) {
                Entry::Occupied(first) if *first.get() == index => {}
                Entry::Occupied(first) => {
                    let method = method.map_or("any method".to_owned(), Method::to_string);
                    let host = host.map(|host| format!(" at {host}")).unwrap_or_default();
                    note(
                        *first.get(),
                        format!("{} with {method}{host}", matches.path),
                    );
                }
                Entry::Vacant(entry) => {
                    entry.insert(index);
                }
            }
        }
    }
}

/// Each of them, or `None` once for an empty list, which means any.
fn each<T>(all: &[T]) -> impl Iterator<Item = Option<&T>> {
    all.iter().map(Some).chain(all.is_empty().then_some(None))
}

impl Node {
    fn insert(&mut self, route: usize, matches: &Match) {
        let mut node = self;
        let mut greedy = false;
        for segment in matches.path.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter => node.parameter.get_or_insert_default(),
                Segment::Greedy => {
                    greedy = true;
                    break;
                }
            };
        }
        let leaf = if greedy {
            &mut node.greedy
        } else {
            &mut node.leaf
        };
        for host in each(&matches.hosts) {
            leaf.insert(host, route, matches);
        }
    }

    /// Visits the leaves that the rest of a path leads to, best first, until one breaks. `None` is
    /// the end of the path, which is not the same as an empty last segment.
    fn walk<B>(
        &self,
        rest: Option<&str>,
        visit: &mut impl FnMut(&Leaf) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(rest) = rest else {
            return visit(&self.leaf);
        };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        if !self.literals.is_empty()
            && let Some(node) = self.literals.get(path::decoded(segment).as_ref())
        {
            node.walk(after, visit)?;
        }
        if let Some(node) = &self.parameter
            && !segment.is_empty()
        {
            node.walk(after, visit)?;
        }
        if rest.is_empty() {
            ControlFlow::Continue(())
        } else {
            visit(&self.greedy)
        }
    }
}

impl Leaf {
    fn insert(&mut self, host: Option<&HostPattern>, route: usize, matches: &Match) {
        let candidates = match host {
            Some(HostPattern::Exact(host)) => self.exact.entry(host.clone()).or_default(),
            Some(HostPattern::Wildcard(suffix)) => self.wildcard.entry(suffix.clone()).or_default(),
            None => &mut self.any,
        };
        let Match {
            methods, priority, ..
        } = matches;
        candidates.push(Candidate {
            route,
            methods: methods.clone(),
            priority: *priority,
        });
        candidates.sort_by_key(|one| (one.methods.is_empty(), std::cmp::Reverse(one.priority)));
    }

    /// More predicates first: host and methods, then host alone, then methods alone, then none.
    fn find(&self, method: &Method, host: Option<&str>) -> Option<usize> {
        let named = |one: &&Candidate| one.methods.contains(method);
        let open = |one: &&Candidate| one.methods.is_empty();
        let with_host = || self.of_host(host).flatten();
        let found = with_host()
            .find(named)
            .or_else(|| with_host().find(open))
            .or_else(|| self.any.iter().find(|one| named(one) || open(one)));
        found.map(|one| one.route)
    }

    /// Those that ask for this host: by its whole name, then by ever shorter suffixes.
    fn of_host(&self, host: Option<&str>) -> impl Iterator<Item = &Vec<Candidate>> {
        let exact = host.and_then(|host| self.exact.get(host));
        let host = host.filter(|_| !self.wildcard.is_empty());
        let suffixes = host.into_iter().flat_map(host::suffixes);
        exact
            .into_iter()
            .chain(suffixes.filter_map(|suffix| self.wildcard.get(suffix)))
    }
}
