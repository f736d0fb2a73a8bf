//! Closed argument patterns, written as usage lines: `run [--env {pod:env} | --rm]... {pod:image}`.
//!
//! A word stands for itself; `{…}` in it for a value that the pod declares; `[a | b c]` for one of the
//! alternatives or nothing; `…` directly behind a bracket (`]...`) for any number of times. There is no
//! wildcard: what is not listed is not allowed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use names::SecretName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::content::secret_word;
use crate::declared::{Declared, Placeholder};

/// One allowed form of the arguments of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    text: String,
    items: Vec<Item>,
}

/// Why a text is not a usage line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an argument pattern: {problem}")]
pub struct UsageError {
    text: String,
    problem: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Word(Vec<Piece>),
    /// All the arguments that the pod declares for the program.
    Args,
    Group {
        alternatives: Vec<Vec<Item>>,
        repeated: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

impl Usage {
    /// True when these arguments have this form, with values that the pod declares.
    /// `own` is the program when the grant is for those of the pod.
    pub(crate) fn allows(&self, own: Option<&str>, args: &[String], declared: &Declared) -> bool {
        let matcher = Matcher {
            own,
            args,
            declared,
        };
        matcher
            .ends(&self.items, BTreeSet::from([0]))
            .contains(&args.len())
    }
}

impl FromStr for Usage {
    type Err = UsageError;

    fn from_str(text: &str) -> Result<Self, UsageError> {
        let spaced = text
            .replace("]...", " ]... ")
            .replace('[', " [ ")
            .replace('|', " | ");
        let spaced = spaced.replace(']', " ]").replace("] ...", "]...");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut parser = Parser {
            words: &words,
            at: 0,
        };
        let refused = |problem: String| UsageError {
            text: text.to_owned(),
            problem,
        };
        let items = parser.items().map_err(refused)?;
        if parser.at < words.len() {
            return Err(refused(
                "a bracket is closed that was never opened".to_owned(),
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            items,
        })
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl Parser<'_> {
    fn items(&mut self) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        while let Some(&word) = self.words.get(self.at) {
            match word {
                "]" | "]..." | "|" => break,
                "[" => {
                    self.at += 1;
                    items.push(self.group()?);
                }
                "{pod:args}" => {
                    self.at += 1;
                    items.push(Item::Args);
                }
                _ => {
                    self.at += 1;
                    items.push(Item::Word(pieces(word)?));
                }
            }
        }
        Ok(items)
    }

    fn group(&mut self) -> Result<Item, String> {
        let mut alternatives = Vec::new();
        loop {
            let items = self.items()?;
            if items.is_empty() {
                return Err("an alternative in brackets is empty".to_owned());
            }
            alternatives.push(items);
            let end = self.words.get(self.at).copied();
            self.at += 1;
            match end {
                Some("|") => {}
                Some("]") => {
                    return Ok(Item::Group {
                        alternatives,
                        repeated: false,
                    });
                }
                Some("]...") => {
                    return Ok(Item::Group {
                        alternatives,
                        repeated: true,
                    });
                }
                _ => return Err("a bracket is not closed".to_owned()),
            }
        }
    }
}

fn pieces(word: &str) -> Result<Vec<Piece>, String> {
    if word.contains('*') {
        return Err("`*` is no wildcard here: list what is allowed".to_owned());
    }
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or("a `{` is not closed")?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(placeholder(name)?);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn placeholder(name: &str) -> Result<Piece, String> {
    if let Some(secret) = name.strip_prefix("secret:") {
        let secret: SecretName = secret.parse().map_err(|error| format!("{error}"))?;
        return Ok(Piece::Text(secret_word(&secret)));
    }
    let known = Placeholder::named(name).map(Piece::Value);
    known.ok_or_else(|| {
        let known = Placeholder::list();
        format!("`{{{name}}}` is not known; known are {known}, {{secret:NAME}}")
    })
}

/// Follows all ways through a pattern at once, so no pattern takes more than arguments × items steps.
struct Matcher<'a> {
    own: Option<&'a str>,
    args: &'a [String],
    declared: &'a Declared,
}

impl Matcher<'_> {
    /// The positions that can be reached behind `items` from any of `starts`.
    fn ends(&self, items: &[Item], starts: BTreeSet<usize>) -> BTreeSet<usize> {
        items
            .iter()
            .fold(starts, |positions, item| self.step(item, &positions))
    }

    fn step(&self, item: &Item, starts: &BTreeSet<usize>) -> BTreeSet<usize> {
        match item {
            Item::Word(pieces) => starts
                .iter()
                .filter(|&&start| {
                    self.args
                        .get(start)
                        .is_some_and(|arg| self.word(pieces, arg))
                })
                .map(|start| start + 1)
                .collect(),
            Item::Args => starts
                .iter()
                .flat_map(|&start| self.declared_args(start))
                .collect(),
            Item::Group {
                alternatives,
                repeated,
            } => {
                let mut reached = starts.clone();
                let mut fresh = starts.clone();
                while !fresh.is_empty() {
                    let next: BTreeSet<usize> = alternatives
                        .iter()
                        .flat_map(|items| self.ends(items, fresh.clone()))
                        .collect();
                    fresh = next.difference(&reached).copied().collect();
                    reached.extend(&fresh);
                    if !repeated {
                        break;
                    }
                }
                reached
            }
        }
    }

    fn declared_args(&self, start: usize) -> Vec<usize> {
        let rest = self.args.get(start..).unwrap_or_default();
        let lists = self.declared.args_of(self.own);
        lists
            .filter(|args| rest.starts_with(args))
            .map(|args| start + args.len())
            .collect()
    }

    fn word(&self, pieces: &[Piece], text: &str) -> bool {
        match pieces.split_first() {
            None => text.is_empty(),
            Some((Piece::Text(expected), others)) => text
                .strip_prefix(expected.as_str())
                .is_some_and(|rest| self.word(others, rest)),
            Some((Piece::Value(placeholder), others)) => {
                self.declared.values(placeholder).any(|value| {
                    text.strip_prefix(value.as_ref())
                        .is_some_and(|rest| self.word(others, rest))
                })
            }
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Declared {
        Declared {
            commands: vec![
                vec!["httpd".to_owned(), "-f".to_owned(), "-p".to_owned()],
                vec!["true".to_owned()],
            ],
            images: vec!["nginx:1".to_owned()],
            ports: vec!["30000:80".to_owned()],
            ..Declared::default()
        }
    }

    fn check(usage: &str, program: &str, args: &str, expected: bool) {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let allowed = usage.parse::<Usage>().unwrap().allows(
            Some(program).filter(|program| *program != "podman"),
            &args,
            &declared(),
        );
        assert_eq!(allowed, expected, "`{usage}` with `{program} {args:?}`");
    }

    #[test]
    fn words_stand_for_themselves() {
        check("ps --all", "podman", "ps --all", true);
        check("ps --all", "podman", "ps", false);
        check("ps --all", "podman", "ps --all --all", false);
        check("", "podman", "", true);
        check("", "podman", "ps", false);
    }

    #[test]
    fn values_must_be_declared_by_the_pod() {
        check("pull {pod:image}", "podman", "pull nginx:1", true);
        check("pull {pod:image}", "podman", "pull nginx:2", false);
        check("--publish={pod:port}", "podman", "--publish=30000:80", true);
        check(
            "--publish={pod:port}",
            "podman",
            "--publish=30001:80",
            false,
        );
        check(
            "--publish={pod:port}",
            "podman",
            "--publish=30000:80:x",
            false,
        );
    }

    #[test]
    fn arguments_belong_to_their_program() {
        check("{pod:args}", "httpd", "-f -p", true);
        check("{pod:args}", "httpd", "-f", false);
        check("{pod:args}", "httpd", "-f -p -x", false);
        check("{pod:args}", "true", "", true);
        check("{pod:args}", "true", "-f -p", false);
    }

    #[test]
    fn another_program_takes_whole_declared_commands() {
        check(
            "exec main {pod:args}",
            "podman",
            "exec main httpd -f -p",
            true,
        );
        check(
            "exec main {pod:args}",
            "podman",
            "exec main sh -c evil",
            false,
        );
    }

    #[test]
    fn groups_are_optional_and_may_repeat_in_any_order() {
        let usage = "run [--rm | --label x | --publish {pod:port}]... [-d] {pod:image}";
        check(usage, "podman", "run nginx:1", true);
        check(
            usage,
            "podman",
            "run --label x --rm --publish 30000:80 --rm -d nginx:1",
            true,
        );
        check(usage, "podman", "run -d --rm nginx:1", false);
        check(usage, "podman", "run --privileged nginx:1", false);
        check(usage, "podman", "run --label --rm nginx:1", false);
    }

    #[test]
    fn mistakes_in_a_pattern_are_named() {
        for (text, part) in [
            ("run *", "wildcard"),
            ("run {anything}", "not known"),
            ("run {pod:image", "not closed"),
            ("run {secret:../x}", "name of a secret"),
            ("run [--rm", "not closed"),
            ("run --rm]", "never opened"),
            ("run []", "empty"),
            ("run [a | ]", "empty"),
        ] {
            let error = text.parse::<Usage>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn nested_repetition_ends() {
        let usage = "[[a]... | [b]...]...";
        check(usage, "x", &"a b ".repeat(200), true);
        check(usage, "x", &format!("{}c", "a b ".repeat(200)), false);
    }
}
