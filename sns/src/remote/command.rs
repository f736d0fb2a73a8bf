//! What is run on a host: a program with its arguments, never a line of shell; and how it ended.

use std::fmt;

/// A program, its arguments, and the directory that it is started in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    words: Vec<String>,
    directory: Option<String>,
}

impl Command {
    /// The program of that name or path.
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self {
            words: vec![program.into()],
            directory: None,
        }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// More arguments.
    pub(crate) fn args(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Starts it in this directory instead of the home of the user; a relative one lies below that home.
    pub(crate) fn in_directory(mut self, directory: impl Into<String>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The program and its arguments.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The directory, where one was named.
    pub(super) fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// The program, for messages.
    pub(super) fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// Codes by which a shell says that a program was not started; a local host says the same.
pub(super) const NOT_FOUND: u8 = 127;
pub(super) const NOT_STARTED: u8 = 126;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By a signal, named without `SIG`.
    Signal(String),
}

impl Exit {
    /// True when it did what it was asked for.
    pub(crate) fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }

    /// True when the program is not there, as a shell says it; a program that was started may say the same.
    pub(crate) fn is_not_found(&self) -> bool {
        *self == Self::Code(NOT_FOUND)
    }

    /// The code that a shell has for it: 128 and the signal's number for one that was killed.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Code(code) => *code,
            Self::Signal(name) => {
                let known = SIGNALS.iter().find(|(_, known)| known == name);
                known.map_or(u8::MAX, |(number, _)| 128 + number)
            }
        }
    }

    /// One that was killed by the signal of this number.
    pub(super) fn by_signal(number: i32) -> Self {
        let known = SIGNALS
            .iter()
            .find(|(known, _)| i32::from(*known) == number);
        Self::Signal(known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned()))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(name) => write!(f, "ended by SIG{name}"),
        }
    }
}

/// The signals that SSH has names for (RFC 4254, section 6.10), with their numbers on Linux.
const SIGNALS: [(u8, &str); 13] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (6, "ABRT"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
];

/// What a command said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// All that it wrote to its standard output.
    pub(crate) stdout: Vec<u8>,
    /// The last that it wrote to its standard error.
    pub(crate) stderr: String,
    /// How it ended.
    pub(crate) exit: Exit,
}
