//! A trie over path segments. At each node a literal child is tried before the parameter child, and that before
//! the one for all that is left; a search that fails further down backtracks to the next. Only one way leads to
//! each node, so a search visits each at most once, whatever the path.
//!
//! With thousands of routes the cost of a search is its memory accesses, so the parts are small and each kind
//! is contiguous: a step down reads a cache line of the table, the text to compare with, and the node.

use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use hashbrown::HashTable;

use super::leaf::Leaf;
use super::path;
use super::template::{Rest, Segment};

/// The root. It is no node's child: as a child it means none.
const ROOT: u32 = 0;
/// A leaf without routes.
const EMPTY: u32 = 0;

#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    leaves: Vec<Leaf>,
    literals: HashTable<Literal>,
    hasher: RandomState,
    /// The segments of all literals.
    texts: String,
}

/// What follows a prefix of segments, as indices.
#[derive(Debug, Clone, Copy)]
struct Node {
    parameter: u32,
    /// The routes whose template ends here.
    leaf: u32,
    /// The routes whose template ends here in a parameter for all that is left, for paths where something is
    /// left.
    rest: u32,
    /// Those of them whose parameter may be empty, for paths where nothing is left.
    nothing: u32,
}

/// The step from one node to another, by a segment.
#[derive(Debug, Clone, Copy)]
struct Literal {
    from: u32,
    to: u32,
    /// The segment's start in [`Trie::texts`], and its length.
    at: u32,
    bytes: u32,
}

impl Default for Trie {
    fn default() -> Self {
        Trie {
            nodes: vec![Node::LEAST],
            leaves: vec![Leaf::default()],
            literals: HashTable::new(),
            hasher: RandomState::new(),
            texts: String::new(),
        }
    }
}

impl Node {
    const LEAST: Node = Node {
        parameter: ROOT,
        leaf: EMPTY,
        rest: EMPTY,
        nothing: EMPTY,
    };
}

/// Returns an index as it is stored. A configuration that fits in memory has fewer parts than 2^32.
pub(super) fn index(number: usize) -> u32 {
    u32::try_from(number).expect("there are fewer than 2^32 segments of routes")
}

impl Trie {
    /// Calls `insert` with each leaf for a template's requests; creates missing ones.
    pub fn each_leaf(&mut self, segments: &[Segment], mut insert: impl FnMut(&mut Leaf)) {
        let mut at = ROOT as usize;
        let mut rest = None;
        for segment in segments {
            at = match segment {
                Segment::Literal(text) => self.below(at, text),
                Segment::Parameter if self.nodes[at].parameter != ROOT => {
                    self.nodes[at].parameter as usize
                }
                Segment::Parameter => {
                    let made = self.node();
                    self.nodes[at].parameter = index(made);
                    made
                }
                Segment::Rest(which) => {
                    rest = Some(*which);
                    break;
                }
            };
        }
        let node = &mut self.nodes[at];
        let leaves = match rest {
            None => vec![&mut node.leaf],
            Some(Rest::Some) => vec![&mut node.rest],
            Some(Rest::Any) => vec![&mut node.rest, &mut node.nothing],
        };
        for leaf in leaves {
            if *leaf == EMPTY {
                *leaf = index(self.leaves.len());
                self.leaves.push(Leaf::default());
            }
            insert(&mut self.leaves[*leaf as usize]);
        }
    }

    fn node(&mut self) -> usize {
        self.nodes.push(Node::LEAST);
        self.nodes.len() - 1
    }

    /// Returns the node that a literal segment leads to; creates a missing one.
    fn below(&mut self, from: usize, segment: &str) -> usize {
        let from = index(from);
        if let Some(to) = self.literal(from, segment) {
            return to as usize;
        }
        let to = self.node();
        let literal = Literal {
            from,
            to: index(to),
            at: index(self.texts.len()),
            bytes: index(segment.len()),
        };
        self.texts.push_str(segment);
        let (hasher, texts) = (&self.hasher, &self.texts);
        let hash = |literal: &Literal| hasher.hash_one((literal.from, literal.text(texts)));
        self.literals.insert_unique(hash(&literal), literal, hash);
        to
    }

    fn literal(&self, from: u32, segment: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((from, segment));
        let is = |literal: &Literal| literal.from == from && literal.text(&self.texts) == segment;
        Some(self.literals.find(hash, is)?.to)
    }

    /// Visits the leaves that a path leads to, best first, until `visit` breaks.
    pub fn walk<B>(
        &self,
        path: &str,
        visit: &mut impl FnMut(&Leaf) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.walk_below(ROOT, path.strip_prefix('/'), visit)
    }

    /// As [`Trie::walk`], from a node on. `None` is the end of the path, which is not the same as an
    /// empty last segment.
    fn walk_below<B>(
        &self,
        node: u32,
        rest: Option<&str>,
        visit: &mut impl FnMut(&Leaf) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Node {
            parameter,
            leaf,
            rest: some,
            nothing,
        } = self.nodes[node as usize];
        let Some(rest) = rest else {
            return visit(&self.leaves[leaf as usize]);
        };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        if let Some(to) = self.literal(node, &path::decoded(segment)) {
            self.walk_below(to, after, visit)?;
        }
        if parameter != ROOT && !segment.is_empty() {
            self.walk_below(parameter, after, visit)?;
        }
        match if rest.is_empty() { nothing } else { some } {
            EMPTY => ControlFlow::Continue(()),
            leaf => visit(&self.leaves[leaf as usize]),
        }
    }
}

impl Literal {
    fn text<'t>(&self, texts: &'t str) -> &'t str {
        let at = self.at as usize;
        texts.get(at..at + self.bytes as usize).unwrap_or_default()
    }
}
