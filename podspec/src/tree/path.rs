//! From a path such as `processes[0].command[1]` to a place.

use super::{Content, Node};
use crate::Place;

impl Node {
    /// The place of the value that a path names, or of its nearest ancestor that exists.
    pub(crate) fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        let mut rest = path;
        while let Some((next, behind)) = node.step(rest) {
            node = next;
            rest = behind;
        }
        node.place
    }

    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(&'n Node, &'p str)> {
        match &self.content {
            Content::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                Some((items.get(index.parse::<usize>().ok()?)?, rest))
            }
            // Keys may hold dots themselves, so the longest key that fits wins.
            Content::Map(entries) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let fitting = entries.iter().filter_map(|entry| {
                    let rest = path.strip_prefix(entry.key.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '[']))
                        .then_some((&entry.value, rest))
                });
                fitting.min_by_key(|(_, rest)| rest.len())
            }
            Content::Null | Content::Scalar { .. } => None,
        }
    }
}
