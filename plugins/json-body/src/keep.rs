//! What is left of a document of which the rest is removed.

use crate::document::Node;
use crate::path::{Path, Step};

/// What is left of a value.
pub enum Keep {
    All,
    Some(Vec<(Step, Keep)>),
}

impl Keep {
    pub fn new(paths: Vec<Path>) -> Keep {
        let mut root = Keep::Some(Vec::new());
        for path in paths {
            root.add(&path);
        }
        root
    }

    fn add(&mut self, path: &[Step]) {
        let (Keep::Some(steps), [first, rest @ ..]) = (&mut *self, path) else {
            *self = Keep::All;
            return;
        };
        match steps.iter_mut().find(|(step, _)| step == first) {
            Some((_, keep)) => keep.add(rest),
            None => {
                let mut keep = Keep::Some(Vec::new());
                keep.add(rest);
                steps.push((first.clone(), keep));
            }
        }
    }
}

/// Leaves what any of `keeps` names. Answers whether the value is of a kind that they speak of: of
/// another nothing is known, and so nothing may be left.
pub fn project(
    node: &mut Node<'_>,
    keeps: &[&Keep],
    changed: &mut bool,
) -> serde_json::Result<bool> {
    let mut steps = Vec::new();
    for keep in keeps {
        match keep {
            Keep::All => return Ok(true),
            Keep::Some(some) => steps.extend(some),
        }
    }
    node.open()?;
    match node {
        Node::Object(members) if steps.iter().any(|(step, _)| step.is_for_objects()) => {
            let mut kept = Vec::with_capacity(members.len());
            for (name, mut value) in std::mem::take(members) {
                let within = steps.iter().filter(|(step, _)| step.is_for_member(&name));
                let within: Vec<&Keep> = within.map(|(_, keep)| keep).collect();
                if !within.is_empty() && project(&mut value, &within, changed)? {
                    kept.push((name, value));
                } else {
                    *changed = true;
                }
            }
            *members = kept;
        }
        Node::Array(elements) if steps.iter().any(|(step, _)| step.is_for_arrays()) => {
            let mut kept = Vec::with_capacity(elements.len());
            for (index, mut value) in std::mem::take(elements).into_iter().enumerate() {
                let within = steps.iter().filter(|(step, _)| step.is_for_element(index));
                let within: Vec<&Keep> = within.map(|(_, keep)| keep).collect();
                if !within.is_empty() && project(&mut value, &within, changed)? {
                    kept.push(value);
                } else {
                    *changed = true;
                }
            }
            *elements = kept;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
