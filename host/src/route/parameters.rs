//! The values of a route's parameters.

use std::borrow::Cow;

use super::path::decoded;
use super::template::Capture;

/// The parts of a path that a route's template names. They are cut out of the path on demand, so that a route
/// that does not use them pays nothing.
#[derive(Debug, Clone, Default)]
pub struct Parameters<'p> {
    captures: &'p [Capture],
    path: &'p str,
}

impl<'p> Parameters<'p> {
    pub(super) fn new(captures: &'p [Capture], path: &'p str) -> Parameters<'p> {
        Parameters { captures, path }
    }

    /// Returns the value of a parameter, percent-decoded.
    pub fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        self.raw(name).map(decoded)
    }

    /// Returns the value of a parameter as it is in the path.
    pub fn raw(&self, name: &str) -> Option<&'p str> {
        let capture = self.captures.iter().find(|capture| capture.name == name)?;
        self.cut(capture)
    }

    /// Returns names and percent-decoded values, in the order of the template.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'p, str>)> {
        let captures = self.captures.iter();
        captures.filter_map(|capture| Some((capture.name.as_str(), decoded(self.cut(capture)?))))
    }

    pub fn len(&self) -> usize {
        self.captures.len()
    }

    pub fn is_empty(&self) -> bool {
        self.captures.is_empty()
    }

    fn cut(&self, capture: &Capture) -> Option<&'p str> {
        let mut rest = self.path.strip_prefix('/')?;
        for _ in 0..capture.segment {
            rest = rest.split_once('/')?.1;
        }
        if capture.greedy {
            Some(rest)
        } else {
            rest.split('/').next()
        }
    }
}
