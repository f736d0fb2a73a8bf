//! The terminal: the only file that prints. Results go to stdout, everything else to stderr; colours
//! appear only on a terminal.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, BufRead as _, IsTerminal as _, Stderr, Stdout, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use crate::command_error::{CommandError, Kind};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const DONE: Style = AnsiColor::Green.on_default();

/// Names beside one another are told apart by these.
const NAMES: [Style; 6] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Green.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Blue.on_default(),
    AnsiColor::BrightRed.on_default(),
];

/// A part of a line of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// Text as it is.
    Plain(Cow<'t, str>),
    /// The host with this number.
    Host(usize, &'t str),
    /// A unit of a pod.
    Unit(Cow<'t, str>),
}

impl Part<'_> {
    /// Without its colour.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Unit(text) => text,
            Self::Host(_, text) => text,
        }
    }

    fn style(&self) -> Style {
        let number = match self {
            Self::Plain(_) => return Style::new(),
            Self::Host(number, _) => *number,
            // The same unit has the same colour, whoever is asked when.
            Self::Unit(name) => name.bytes().map(usize::from).sum(),
        };
        NAMES.get(number % NAMES.len()).copied().unwrap_or_default()
    }
}

/// Where a command says what it found and did.
#[derive(Debug)]
pub(crate) struct Ui {
    stdout: RefCell<AutoStream<Stdout>>,
    stderr: RefCell<AutoStream<Stderr>>,
    /// The first failure to write a result; a message that cannot be shown is no failure.
    stdout_failure: RefCell<Option<io::Error>>,
}

impl Ui {
    /// The terminal of this process.
    pub(crate) fn new() -> Self {
        Self {
            stdout: RefCell::new(AutoStream::auto(io::stdout())),
            stderr: RefCell::new(AutoStream::auto(io::stderr())),
            stdout_failure: RefCell::new(None),
        }
    }

    /// One line of the result.
    pub(crate) fn result(&self, line: &str) {
        self.raw(format!("{line}\n").as_bytes());
    }

    /// One line of the result, in parts.
    pub(crate) fn parts(&self, parts: &[Part<'_>]) {
        let painted = |part: &Part<'_>| {
            let (style, text) = (part.style(), part.text());
            format!("{style}{text}{style:#}")
        };
        let words: Vec<String> = parts.iter().map(painted).collect();
        self.result(&words.join(" "));
    }

    /// False when the reader of the results has gone.
    pub(crate) fn is_heard(&self) -> bool {
        self.stdout_failure.borrow().is_none()
    }

    /// The result as JSON.
    pub(crate) fn json(&self, value: &serde_json::Value) {
        self.result(&format!("{value:#}"));
    }

    /// Bytes of the result as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        if let Err(error) = self.stdout.borrow_mut().write_all(bytes) {
            self.stdout_failure.borrow_mut().get_or_insert(error);
        }
    }

    /// Something was done.
    pub(crate) fn done(&self, message: &str) {
        self.say(&format!("{DONE}ok{DONE:#}: {message}"));
    }

    /// What is going on, while it takes long, or what follows from what was done.
    pub(crate) fn note(&self, message: &str) {
        self.say(message);
    }

    /// Something that is likely not as the user wants it.
    pub(crate) fn warning(&self, message: &str) {
        self.say(&format!("{WARNING}warning{WARNING:#}: {message}"));
    }

    /// What the user can do about the message before.
    pub(crate) fn hint(&self, hint: &str) {
        self.say(&format!("{HINT}hint{HINT:#}: {hint}"));
    }

    /// Asks the user, who says yes by `y`. Without a terminal nobody can be asked.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, CommandError> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(CommandError::refused("there is no terminal to ask on")
                .hint("--yes does it without asking"));
        }
        let _ = write!(self.stderr.borrow_mut(), "{question} [y/N] ");
        let mut answer = String::new();
        // Who is gone has not said yes.
        let _ = stdin.lock().read_line(&mut answer);
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// A mistake in a file that people write: its lines, the first of which says `error` or `warning`.
    pub(crate) fn diagnostic(&self, lines: &[String]) {
        for (number, line) in lines.iter().enumerate() {
            let coloured = if number == 0 {
                let line = line.replacen(": error: ", &format!(": {ERROR}error{ERROR:#}: "), 1);
                line.replacen(
                    ": warning: ",
                    &format!(": {WARNING}warning{WARNING:#}: "),
                    1,
                )
            } else {
                line.clone()
            };
            self.say(&coloured);
        }
    }

    /// Why the command failed.
    pub(crate) fn failure(&self, error: &CommandError) {
        if matches!(error.kind(), Kind::No | Kind::Changes | Kind::Theirs(_)) {
            return;
        }
        let chain = error.chain();
        let mut texts = chain.iter();
        if let Some(message) = texts.next() {
            self.say(&format!("{ERROR}error{ERROR:#}: {message}"));
        }
        for cause in texts {
            self.say(&format!("  because: {cause}"));
        }
        error
            .details()
            .iter()
            .for_each(|detail| self.say(&format!("  {detail}")));
        for hint in error.hints() {
            self.hint(hint);
        }
    }

    /// Tells whether all results could be written. A reader that went away early is no failure.
    pub(crate) fn finish(&self) -> Result<(), CommandError> {
        let flushed = self.stdout.borrow_mut().flush().err();
        match self.stdout_failure.take().or(flushed) {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let failure = CommandError::files("could not write the result", error);
                self.failure(&failure);
                Err(failure)
            }
            _ => Ok(()),
        }
    }

    /// One message. There is nobody to tell when stderr is gone.
    fn say(&self, message: &str) {
        let _ = writeln!(self.stderr.borrow_mut(), "{message}");
    }
}
