//! Routing, as pure code: from a request's host, method and path to the route that serves it.

mod host;
mod leaf;
mod matching;
mod parameters;
mod path;
mod predicate;
mod template;
#[cfg(test)]
mod tests;
mod trie;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::Method;
use tollgate_readings::TooMany;

pub use host::HostPattern;
pub use matching::Match;
pub use parameters::Parameters;
pub use path::check as check_path;
pub use predicate::{FieldTest, Predicate, Wanted};
pub use template::PathTemplate;

use leaf::Leaf;
use template::{Capture, Rest, Segment};
use trie::Trie;

/// Two routes that can match the same request, and that no rule orders. The indices are those of the routes
/// given to [`Router::build`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub first: usize,
    pub second: usize,
    pub message: String,
}

/// The result of routing a request.
#[derive(Debug)]
pub enum Routed<'p> {
    Route {
        /// Index of the routes given to [`Router::build`].
        index: usize,
        parameters: Parameters<'p>,
    },
    /// Routes serve this path and host only with these methods, sorted by name.
    MethodNotAllowed {
        allow: Vec<Method>,
    },
    Nothing,
    /// A path that a route and an upstream may read differently; says why. The client's fault.
    BadPath(&'static str),
}

#[derive(Debug, Default)]
pub struct Router {
    trie: Trie,
    /// Each route's captures, by index.
    captures: Vec<Arc<[Capture]>>,
}

impl Router {
    /// Builds a router. Reports all conflicts, not only the first.
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
            router.trie.each_leaf(matches.path.segments(), |leaf| {
                for host in each(&matches.hosts) {
                    leaf.insert(host, trie::index(index), matches);
                }
            });
        }
        if conflicts.is_empty() {
            Ok(router)
        } else {
            Err(conflicts)
        }
    }

    pub fn find<'p>(&'p self, method: &Method, host: Option<&str>, path: &'p str) -> Routed<'p> {
        let plain = path::is_plain(path);
        if !plain && let Err(why) = path::check(path) {
            return Routed::BadPath(why);
        }
        let host = host.map(host::normal);
        let host = host.as_deref();
        if let Some(index) = self.look_up(method, host, path) {
            // An upstream that reads the path differently must not be reached past another route's chain.
            if !plain {
                let is_anothers = |reading: &String| {
                    self.look_up(method, host, reading)
                        .is_some_and(|route| route != index)
                };
                match tollgate_readings::paths(path) {
                    Ok(readings) if !readings.iter().any(is_anothers) => {}
                    Ok(_) => {
                        let why = "the path is one route's to us and another's to others";
                        return Routed::BadPath(why);
                    }
                    Err(TooMany) => {
                        return Routed::BadPath("the path can be read in too many ways");
                    }
                }
            }
            let captures = self.captures.get(index).map(|captures| &**captures);
            return Routed::Route {
                index,
                parameters: Parameters::new(captures.unwrap_or_default(), path),
            };
        }
        // Only now are the methods that would have fitted needed.
        let mut allow: Vec<Method> = Vec::new();
        let _: ControlFlow<()> = self.trie.walk(path, &mut |leaf: &Leaf| {
            allow.extend(leaf.methods(host).cloned());
            ControlFlow::Continue(())
        });
        allow.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        allow.dedup();
        if allow.is_empty() {
            Routed::Nothing
        } else {
            Routed::MethodNotAllowed { allow }
        }
    }

    fn look_up(&self, method: &Method, host: Option<&str>, path: &str) -> Option<usize> {
        let mut fits = |leaf: &Leaf| match leaf.find(method, host) {
            Some(route) => ControlFlow::Break(route),
            None => ControlFlow::Continue(()),
        };
        let route = self.trie.walk(path, &mut fits).break_value()?;
        usize::try_from(route).ok()
    }
}

/// What the rules compare: path shape, host, method (`None` for any) and priority. Hosts of equal rank match
/// the same request only if they are the same, and routes that name methods rank above those that do not, so
/// routes conflict exactly if a claim is equal.
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
            let shape = matches.path.segments().iter().map(shape).collect();
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

/// Returns the shape that a segment shares with those that match the same: `{name+}` and `{name*}` only
/// differ if nothing is left.
fn shape(segment: &Segment) -> &Segment {
    match segment {
        Segment::Rest(_) => &Segment::Rest(Rest::Some),
        segment => segment,
    }
}

/// Returns each of them, or one `None` for an empty list, which means any.
fn each<T>(all: &[T]) -> impl Iterator<Item = Option<&T>> {
    all.iter().map(Some).chain(all.is_empty().then_some(None))
}
