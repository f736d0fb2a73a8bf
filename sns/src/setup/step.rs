//! What is going to be done on a host, as data: a plan that can be read by a person before anything happens.

use simplenetes_sync::Digest;

/// What is to be done, in this order, and what a person should know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is done.
    pub(crate) steps: Vec<Step>,
    /// What is not done and why, and what may surprise.
    pub(crate) notes: Vec<String>,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// In words.
    pub(crate) what: String,
    /// What it is good for.
    pub(crate) why: String,
    /// How.
    pub(crate) action: Action,
    /// A command that succeeds when it is done.
    pub(crate) proof: Option<Vec<String>>,
}

/// How a step is done, as root unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// A file is replaced.
    Put(Put),
    /// A program runs with these arguments and that input.
    Run {
        /// The program and its arguments.
        words: Vec<String>,
        /// What it reads.
        input: String,
    },
    /// Something that may lock everybody out; it goes back by itself unless a fresh connection is made afterwards.
    Guarded(Guarded),
}

/// A file that is replaced whole, or stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Put {
    /// Its path; `~/` is the home of its owner.
    pub(crate) path: String,
    /// Whose it is; none is root.
    pub(crate) owner: Option<String>,
    /// Its permissions.
    pub(crate) mode: u32,
    /// What it holds.
    pub(crate) content: Vec<u8>,
    /// A command that is given the path of the new file, and must succeed before that counts.
    pub(crate) check: Vec<String>,
    /// Whether a person wants to see what it holds.
    pub(crate) is_shown: bool,
}

/// Three scripts with the same arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guarded {
    /// Does it.
    pub(crate) apply: String,
    /// Takes it back, also half of it.
    pub(crate) undo: String,
    /// Makes it last.
    pub(crate) keep: String,
    /// What they are given.
    pub(crate) arguments: Vec<String>,
}

impl Plan {
    /// One more step, which says itself that it is done.
    pub(crate) fn add(&mut self, what: impl Into<String>, why: impl Into<String>, action: Action) {
        self.steps.push(Step {
            what: what.into(),
            why: why.into(),
            action,
            proof: None,
        });
    }

    /// One more step, and how it can be told that it is done.
    pub(crate) fn add_proven(
        &mut self,
        what: impl Into<String>,
        why: impl Into<String>,
        action: Action,
        proof: &[&str],
    ) {
        self.add(what, why, action);
        if let Some(step) = self.steps.last_mut() {
            step.proof = Some(words(proof));
        }
    }

    /// Something to know.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The plan for a person: what and why, and what small files will hold.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, step) in (1..).zip(&self.steps) {
            lines.push(format!("{number}. {}", step.what));
            lines.push(format!("   because {}", step.why));
            if let Action::Put(put) = &step.action
                && put.is_shown
            {
                let text = String::from_utf8_lossy(&put.content).into_owned();
                lines.extend(
                    text.lines()
                        .map(|line| format!("   | {line}").trim_end().to_owned()),
                );
            }
        }
        lines
    }
}

impl Put {
    /// A file of root's whose content a person wants to see.
    pub(crate) fn text(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.to_owned(),
            owner: None,
            mode: 0o644,
            content: content.into(),
            check: Vec::new(),
            is_shown: true,
        }
    }

    /// The same, believed only when a command says yes to it.
    pub(crate) fn checked(mut self, check: &[&str]) -> Self {
        self.check = words(check);
        self
    }

    /// What must arrive.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.content)
    }
}

/// A program and its arguments, with nothing to read.
pub(crate) fn run(line: &[&str]) -> Action {
    Action::Run {
        words: words(line),
        input: String::new(),
    }
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}
