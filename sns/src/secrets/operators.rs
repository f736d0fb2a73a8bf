//! `operators.txt`: the public keys of those who may change secrets, each below a comment with the name. It is a
//! recipients file of age: `age -R operators.txt` reads it too.

use seal::{Reader, Recipient, Role};

use crate::command_error::{CommandError, Kind};
use crate::project::Cluster;

const HEAD: &str =
    "# Who may change the secrets of this cluster: a name, below it the public age key.\n";

/// The text of the file. Lines that are not understood are refused, and none is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operators {
    text: String,
    readers: Vec<Reader>,
}

impl Operators {
    /// Reads the file; without one there are no operators.
    pub(crate) fn read(cluster: &Cluster<'_>) -> Result<Self, CommandError> {
        let path = cluster.files.operators();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HEAD.to_owned(),
            Err(error) => {
                return Err(CommandError::files(
                    format!("could not read {}", path.display()),
                    error,
                ));
            }
        };
        Self::parse(text).map_err(|(line, why)| {
            let place = cluster.shown(&path);
            CommandError::new(Kind::Diagnostics, format!("{place}:{line}: {why}")).hint(
                "each line is a public key `age1…`, a comment with the name of its owner above it",
            )
        })
    }

    fn parse(text: String) -> Result<Self, (usize, String)> {
        let mut readers: Vec<Reader> = Vec::new();
        let mut name = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let wrong = |why: String| (index + 1, why);
            if let Some(comment) = line.strip_prefix('#') {
                name = Some(comment.trim().to_owned());
            } else if !line.is_empty() {
                let recipient: Recipient =
                    line.parse().map_err(|error| wrong(format!("{error}")))?;
                let unnamed = || recipient.as_str().chars().take(12).collect();
                let name = name.take().unwrap_or_else(unnamed);
                let reader = Reader::new(Role::Operator, &name, recipient);
                let reader = reader.map_err(|error| wrong(error.to_string()))?;
                let same = |known: &&Reader| {
                    known.name() == reader.name() || known.recipient() == reader.recipient()
                };
                if let Some(known) = readers.iter().find(same) {
                    return Err(wrong(format!("{known} is there already")));
                }
                readers.push(reader);
            }
        }
        Ok(Self { text, readers })
    }

    /// All of them.
    pub(crate) fn readers(&self) -> &[Reader] {
        &self.readers
    }

    /// The operator of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&Reader> {
        self.readers.iter().find(|reader| reader.name() == name)
    }

    /// Adds one. Gives false when he is there already.
    pub(crate) fn add(&mut self, reader: &Reader) -> Result<bool, CommandError> {
        if self.readers.contains(reader) {
            return Ok(false);
        }
        let clash = |known: &&Reader| {
            known.name() == reader.name() || known.recipient() == reader.recipient()
        };
        if let Some(known) = self.readers.iter().find(clash) {
            return Err(CommandError::mistake(format!(
                "{known} is there already with the key {}",
                known.recipient()
            ))
            .hint(format!(
                "take that out first: sns secret operator rm {}",
                known.name()
            )));
        }
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        let lines = format!("\n# {}\n{}\n", reader.name(), reader.recipient());
        self.text.push_str(&lines);
        self.readers.push(reader.clone());
        Ok(true)
    }

    /// Takes one out, with the comment above his key.
    pub(crate) fn remove(&mut self, reader: &Reader) {
        let mut kept: Vec<&str> = Vec::new();
        for line in self.text.lines() {
            if line.trim() != reader.recipient().as_str() {
                kept.push(line);
                continue;
            }
            let is_his =
                |line: &&str| line.trim().strip_prefix('#').map(str::trim) == Some(reader.name());
            if kept.last().is_some_and(is_his) {
                kept.pop();
            }
            if kept.last().is_some_and(|line| line.trim().is_empty()) {
                kept.pop();
            }
        }
        self.text = kept.iter().map(|line| format!("{line}\n")).collect();
        self.readers.retain(|known| known != reader);
    }

    /// Writes the file.
    pub(crate) fn write(&self, cluster: &Cluster<'_>) -> Result<(), CommandError> {
        hostfiles::replace(&cluster.files.operators(), self.text.as_bytes(), 0o644)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use seal::Identity;

    use super::*;

    fn reader(name: &str) -> Reader {
        Reader::new(Role::Operator, name, Identity::generate().recipient()).unwrap()
    }

    #[test]
    fn operators_come_and_go_and_other_lines_stay() {
        let (anna, bob) = (reader("anna"), reader("bob"));
        let mut operators = Operators::parse(HEAD.to_owned()).unwrap();
        for one in [&anna, &bob] {
            assert!(operators.add(one).unwrap());
            assert!(!operators.add(one).unwrap());
        }
        assert_eq!(Operators::parse(operators.text.clone()).unwrap(), operators);
        let of_anna = format!("{HEAD}\n# anna\n{}\n", anna.recipient());
        operators.remove(&bob);
        assert_eq!(operators.text, of_anna);
        let clash = operators.add(&reader("anna")).unwrap_err().to_string();
        assert!(clash.contains("operator anna is there already"), "{clash}");
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line() {
        let key = Identity::generate().recipient();
        let check = |text: String, line: usize, part: &str| {
            let (found, why) = Operators::parse(text).unwrap_err();
            assert!(found == line && why.contains(part), "{found}: {why}");
        };
        check("# anna\nage1x\n".into(), 2, "no age recipient");
        check(
            format!("# anna\n{key}\n# bob\n{key}\n"),
            4,
            "operator anna is there already",
        );
        check(format!("# two words\n{key}\n"), 2, "cannot name a reader");
        let unnamed = Operators::parse(format!("{key}\n")).unwrap();
        assert!(key.as_str().starts_with(unnamed.readers[0].name()));
    }
}
