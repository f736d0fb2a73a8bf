//! From YAML events to a tree, with every bound checked on the way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Span, options};

use super::{Content, DEPTH_MAX, Entry, NODES_MAX, Node, TEXT_BYTES_MAX};
use crate::{Diagnostic, Place};

/// Reads one YAML document. `origin` leads from a place in `text` to the author's place. An empty text
/// is an empty document.
///
/// # Errors
/// The text is not YAML, too large, or uses what a pod.yaml may not use. Keys that stand twice are all
/// reported at once; anything else ends the reading.
pub(crate) fn parse(text: &str, origin: &dyn Fn(Place) -> Place) -> Result<Node, Vec<Diagnostic>> {
    let start = origin(Place { line: 1, column: 1 });
    if text.len() > TEXT_BYTES_MAX {
        let problem =
            Diagnostic::error("", format!("the text has {} bytes", text.len())).at(Some(start));
        return Err(vec![
            problem.expecting(format!("at most {TEXT_BYTES_MAX} bytes")),
        ]);
    }
    let mut builder = Builder::new(origin);
    for event in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
        let step = match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => {
                let place = builder.place(error.marker().line(), error.marker().col());
                Err(not_yaml(&error.info()).at(Some(place)))
            }
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            return Err(builder.problems);
        }
    }
    if builder.problems.is_empty() {
        Ok(builder.root.unwrap_or(Node {
            place: start,
            content: Content::Null,
        }))
    } else {
        Err(builder.problems)
    }
}

/// The parser's words, with what most often is the cause: it notices a mistake where the text stops
/// making sense, which is often a line too late.
fn not_yaml(found: &str) -> Diagnostic {
    const HINTS: [(&[&str], &str); 6] = [
        (
            &["tabs", "found a tab"],
            "indent with blanks, not with tabs",
        ),
        (
            &["unclosed bracket", "mismatched bracket"],
            "close it with `]` or `}` before the next key",
        ),
        (
            &["mapping values"],
            "look at the line before too: a `- ` or its indentation may be wrong; a value with `: ` in it needs quotes",
        ),
        (
            &["unclosed quote", "quoted scalar"],
            "look for a quote (`\"` or `'`) that is not closed, also in the lines before",
        ),
        (
            &[
                "illegal placement of ':'",
                "flow sequence",
                "flow mapping",
                "flow construct",
            ],
            "look at the line before: a bracket (`[` or `{`) may not be closed there",
        ),
        (
            &[
                "expected key",
                "'-' indicator",
                "simple key",
                "block sequence entries",
                "invalid indentation",
                "block mapping",
            ],
            "look at the line before too: a `-`, a `:` or its indentation may be wrong",
        ),
    ];
    let hint = HINTS
        .iter()
        .find(|(words, _)| words.iter().any(|word| found.contains(word)))
        .map(|(_, hint)| (*hint).to_owned());
    Diagnostic::error("", format!("this is not YAML: {found}")).hinting(hint)
}

/// A list or map that is not closed yet.
struct Open {
    place: Place,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    /// The entries so far, and the key that waits for its value.
    Map(Vec<Entry>, Option<(String, Place)>),
}

struct Builder<'o> {
    origin: &'o dyn Fn(Place) -> Place,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    problems: Vec<Diagnostic>,
}

impl<'o> Builder<'o> {
    fn new(origin: &'o dyn Fn(Place) -> Place) -> Self {
        Self {
            origin,
            open: Vec::new(),
            root: None,
            anchors: BTreeMap::new(),
            nodes: 0,
            problems: Vec::new(),
        }
    }

    /// The author's place; the parser counts lines from 1 and columns from 0.
    fn place(&self, line: usize, column: usize) -> Place {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        (self.origin)(Place {
            line: number(line.max(1)),
            column: number(column.saturating_add(1)),
        })
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Diagnostic> {
        let place = self.place(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Diagnostic::error("", "a second document begins here")
                    .at(Some(place))
                    .expecting("one document"))
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => Err(Diagnostic::error(
                "",
                "tags (`!…`) have no meaning in a pod.yaml",
            )
            .at(Some(place))),
            Event::Scalar(text, style, anchor, None) => {
                let content = scalar(text, style);
                self.count(1, place)?;
                self.close(Node { place, content }, anchor)
            }
            Event::SequenceStart(_, anchor, None) => {
                self.begin(place, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, None) => {
                self.begin(place, anchor, OpenKind::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                // An anchor that is still open is not in the list yet, so no tree can hold itself.
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(
                        Diagnostic::error("", "this alias stands inside what it names")
                            .at(Some(place)),
                    );
                };
                self.count(node.size(), place)?;
                self.close(
                    Node {
                        place,
                        content: node.content,
                    },
                    0,
                )
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            let problem = Diagnostic::error(
                "",
                "the text holds too many values, counted with all aliases",
            );
            return Err(problem
                .at(Some(place))
                .expecting(format!("at most {NODES_MAX} values")));
        }
        Ok(())
    }

    fn begin(&mut self, place: Place, anchor: usize, kind: OpenKind) -> Result<(), Diagnostic> {
        self.count(1, place)?;
        if self.open.len() >= DEPTH_MAX {
            let problem =
                Diagnostic::error("", "lists and maps are nested too deep").at(Some(place));
            return Err(problem.expecting(format!("at most {DEPTH_MAX} levels")));
        }
        if let Some(Open {
            kind: OpenKind::Map(_, None),
            ..
        }) = self.open.last()
        {
            return Err(Diagnostic::error("", "a key is a list or a map")
                .at(Some(place))
                .expecting("a word as key"));
        }
        self.open.push(Open {
            place,
            anchor,
            kind,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Diagnostic> {
        let Some(Open {
            place,
            anchor,
            kind,
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let content = match kind {
            OpenKind::List(items) => Content::List(items),
            OpenKind::Map(entries, _) => Content::Map(entries),
        };
        self.close(Node { place, content }, anchor)
    }

    /// Puts a finished node where it belongs.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        if anchor != 0 {
            self.count(node.size(), node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map(entries, waiting)) => match waiting.take() {
                Some((key, place)) => match entries.iter().find(|entry| entry.key == key) {
                    Some(first) => self.problems.push(twice(&key, place, first.place)),
                    None => entries.push(Entry {
                        key,
                        place,
                        value: node,
                    }),
                },
                None => *waiting = Some((key_text(&node)?, node.place)),
            },
        }
        Ok(())
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Content {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") {
        Content::Null
    } else {
        Content::Scalar {
            text: text.into_owned(),
            plain,
        }
    }
}

fn key_text(node: &Node) -> Result<String, Diagnostic> {
    match &node.content {
        Content::Scalar { text, .. } => Ok(text.clone()),
        _ => Err(
            Diagnostic::error("", format!("a key is {}", node.describe()))
                .at(Some(node.place))
                .expecting("a word as key"),
        ),
    }
}

fn twice(key: &str, place: Place, first: Place) -> Diagnostic {
    Diagnostic::error(
        "",
        format!(
            "key `{}` stands twice in the same map",
            crate::spelling::shorten(key)
        ),
    )
    .at(Some(place))
    .hinting(Some(format!("it stands first at line {}", first.line)))
}
