//! The users of a host: that they are there, and by which keys they come in.

use super::facts::Facts;
use super::step::{Action, Plan, Put, run};

/// Longer names are refused by the programs that make users.
const NAME_LENGTH_MAX: usize = 32;

/// A user that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its name.
    pub(crate) name: String,
    /// What it is good for, as in "runs the pods".
    pub(crate) purpose: &'static str,
    /// Public keys, one line each, that let it in.
    pub(crate) keys: Vec<String>,
    /// Whether no other key lets it in.
    pub(crate) is_strict: bool,
}

/// Reads the name of a user. It becomes an argument and part of a file's name on the host.
pub(crate) fn user_name(text: &str) -> Result<String, String> {
    let starts = |c: char| c.is_ascii_lowercase() || c == '_';
    let goes_on = |c: char| starts(c) || c.is_ascii_digit() || c == '-';
    let fits =
        text.len() <= NAME_LENGTH_MAX && text.starts_with(starts) && text.chars().all(goes_on);
    match fits {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is no name of a user: expected small letters, digits, `-` and `_`, a letter first, {NAME_LENGTH_MAX} at most"
        )),
    }
}

impl Account {
    /// Has the user made, where it is missing.
    pub(crate) fn plan_user(&self, plan: &mut Plan, facts: &Facts) {
        let name = self.name.as_str();
        if facts.users.contains(name) {
            return;
        }
        let words: &[&str] = match facts.has("useradd") {
            // Ranges of numbers are given in a step of their own, to whoever needs them.
            true => &[
                "useradd",
                "-m",
                "-s",
                "/bin/sh",
                "-K",
                "SUB_UID_COUNT=0",
                "-K",
                "SUB_GID_COUNT=0",
                name,
            ],
            false => &["adduser", "-D", "-s", "/bin/sh", name],
        };
        plan.add_proven(
            format!("make the user {name}"),
            format!("it {}, and is not there yet", self.purpose),
            run(words),
            &["id", "-u", name],
        );
        plan.add(
            format!("give {name} a password that nobody can type"),
            "a server without PAM does not let in a user whose password is locked, not even by key",
            Action::Run {
                words: ["chpasswd", "-e"].map(str::to_owned).to_vec(),
                input: format!("{name}:*\n"),
            },
        );
    }

    /// Has its keys let in.
    pub(crate) fn plan_keys(&self, plan: &mut Plan, facts: &Facts) {
        let present = facts.keys.get(&self.name).map_or(&[][..], Vec::as_slice);
        let missing: Vec<&String> = self
            .keys
            .iter()
            .filter(|key| !present.iter().any(|line| blob(line) == blob(key)))
            .collect();
        let wanted: Vec<&String> = match self.is_strict {
            true => self.keys.iter().collect(),
            false => present.iter().chain(missing.iter().copied()).collect(),
        };
        let is_right = match self.is_strict {
            true => present.iter().eq(wanted.iter().copied()),
            false => missing.is_empty(),
        };
        if is_right {
            return;
        }
        let lines: Vec<String> = wanted.into_iter().map(|line| format!("{line}\n")).collect();
        let put = Put {
            path: "~/.ssh/authorized_keys".to_owned(),
            owner: Some(self.name.clone()),
            mode: 0o600,
            ..Put::text("", lines.concat())
        };
        let why = match self.is_strict {
            true => "the keys of the project, and no others, should let it in",
            false => "a key of the project does not let it in yet",
        };
        plan.add(
            format!("write the keys that let {} in", self.name),
            why,
            Action::Put(put),
        );
    }
}

/// The key itself: the word after its kind, wherever options or comments stand.
fn blob(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    words.find(|word| {
        word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-")
    })?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAnew sns";
    const OTHER: &str = "from=\"10.0.0.0/8\" ssh-rsa AAAAother me";

    fn account(is_strict: bool) -> Account {
        Account {
            name: "sns".to_owned(),
            purpose: "runs the pods",
            keys: vec![KEY.to_owned()],
            is_strict,
        }
    }

    fn keys_written(present: &[&str], is_strict: bool) -> Option<String> {
        let mut facts = Facts::default();
        let lines = present.iter().map(|line| (*line).to_owned()).collect();
        facts.keys.insert("sns".to_owned(), lines);
        let mut plan = Plan::default();
        account(is_strict).plan_keys(&mut plan, &facts);
        plan.steps.pop().map(|step| match step.action {
            Action::Put(put) => String::from_utf8(put.content).unwrap(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn keys_are_added_and_others_stay_unless_that_is_strict() {
        assert_eq!(keys_written(&[], false), Some(format!("{KEY}\n")));
        assert_eq!(
            keys_written(&[OTHER], false),
            Some(format!("{OTHER}\n{KEY}\n"))
        );
        assert_eq!(
            keys_written(&[OTHER, "ssh-ed25519 AAAAnew old comment"], false),
            None
        );
        assert_eq!(keys_written(&[OTHER, KEY], true), Some(format!("{KEY}\n")));
        assert_eq!(keys_written(&[KEY], true), None);
    }

    #[test]
    fn a_user_is_made_once() {
        let mut facts = Facts::default();
        let made = |facts: &Facts| {
            let mut plan = Plan::default();
            account(false).plan_user(&mut plan, facts);
            plan.steps
        };
        let first_word = |facts: &Facts| match &made(facts)[0].action {
            Action::Run { words, .. } => words[0].clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(first_word(&facts), "adduser");
        facts.tools.insert("useradd".to_owned());
        assert_eq!(first_word(&facts), "useradd");
        facts.users.insert("sns".to_owned());
        assert_eq!(made(&facts), []);
    }

    #[test]
    fn names_of_users() {
        for good in ["sns", "_sns-2"] {
            assert_eq!(user_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "-a", "a b", "a/b", "Root", "1a", "a.b", &"a".repeat(33)] {
            assert!(user_name(bad).is_err(), "{bad}");
        }
    }
}
