//! YAML text as a tree whose every key and value knows its place.
//!
//! Scalars keep the text that the author wrote, so `1.10` is not turned into 1.1 before anybody has
//! asked for a number. Size, depth and aliases are bounded. What the tree means is not known here.

mod build;
mod json;
mod path;

use crate::Place;

pub(crate) use build::parse;

/// Longest text that is read, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of lists and maps.
pub(crate) const DEPTH_MAX: usize = 64;
/// Most nodes of one tree, with all aliases replaced by what they name.
pub(crate) const NODES_MAX: usize = 100_000;

/// A value and where it begins in the author's text.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar as text; `plain` when it stands without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One entry of a map. Keys are unique in their map.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// What the node is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.content {
            Content::Null => "nothing",
            Content::Scalar { .. } => "a single value",
            Content::List(items) if items.is_empty() => "an empty list",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The number of nodes of the tree.
    fn size(&self) -> usize {
        let below: usize = match &self.content {
            Content::Null | Content::Scalar { .. } => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        };
        below + 1
    }
}
