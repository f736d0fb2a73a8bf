//! `pod.action`: a request to whoever drives a release: a line with a verb and its words, and a line
//! `id TOKEN`, under which `.pod.status` tells what has become of it.
//!
//! Deleted by the driver when it is kept elsewhere; one that was not taken yet is never overwritten. The original
//! knew `rerun` only, without an id, and refuses all else, so an old daemon ignores the other verbs.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::{Format, FormatError};

/// What may be asked for: the verbs of the Pod API that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodVerb {
    /// Fetch what the pod needs.
    Download,
    /// Make it, do not start it.
    Create,
    /// Start what was made.
    Start,
    /// Stop it with grace.
    Stop,
    /// Stop it without grace.
    Kill,
    /// Make and start it.
    Run,
    /// Stop and remove it, except volumes.
    Rm,
    /// Remove and run it, or cycle the named units.
    Rerun,
    /// Signal the named units, or all.
    Signal,
    /// Tell the units that mount the named configs.
    ReloadConfigs,
    /// Make the volumes.
    CreateVolumes,
    /// Make the ramdisks.
    CreateRamdisks,
    /// Remove the volumes too.
    Purge,
}

impl PodVerb {
    /// All verbs.
    pub const ALL: [Self; 13] = [
        Self::Download,
        Self::Create,
        Self::Start,
        Self::Stop,
        Self::Kill,
        Self::Run,
        Self::Rm,
        Self::Rerun,
        Self::Signal,
        Self::ReloadConfigs,
        Self::CreateVolumes,
        Self::CreateRamdisks,
        Self::Purge,
    ];

    /// The verb of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == word)
    }

    /// The word, as on the command line of a pod.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Run => "run",
            Self::Rm => "rm",
            Self::Rerun => "rerun",
            Self::Signal => "signal",
            Self::ReloadConfigs => "reload-configs",
            Self::CreateVolumes => "create-volumes",
            Self::CreateRamdisks => "create-ramdisks",
            Self::Purge => "purge",
        }
    }
}

impl fmt::Display for PodVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A request to whoever drives a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodAction {
    /// What is asked for.
    pub verb: PodVerb,
    /// Names of units or configs, and plain options such as `--kill`.
    pub words: Vec<String>,
    /// The name of this request among all others: lower-case letters, digits, `_` and `-`.
    pub id: Option<String>,
}

/// What came of handing over a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It lies there now.
    Yes,
    /// An earlier one lies there and was not taken yet.
    Busy,
}

impl PodAction {
    /// Puts the request where the driver finds it, unless an earlier one was not taken yet.
    ///
    /// # Errors
    /// The file system refuses; there is no request then.
    pub fn place(&self, path: &Path) -> io::Result<Placed> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut beside = tempfile::Builder::new()
            .prefix(".pod.action.")
            .suffix(".tmp")
            .tempfile_in(directory)?;
        beside.write_all(self.to_text().as_bytes())?;
        beside.as_file().sync_all()?;
        // A link, other than a renamed file, never takes the place of another.
        match fs::hard_link(beside.path(), path) {
            Ok(()) => Ok(Placed::Yes),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Placed::Busy),
            Err(error) => Err(error),
        }
    }

    /// A request for the whole release.
    #[must_use]
    pub fn new(verb: PodVerb) -> Self {
        Self {
            verb,
            words: Vec::new(),
            id: None,
        }
    }
}

/// No id is longer.
const ID_BYTES_MAX: usize = 64;

fn is_word(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl Format for PodAction {
    const NAME: &'static str = "pod.action";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let mut words = lines.next().unwrap_or_default().split_whitespace();
        let first = words.next().unwrap_or_default();
        let verb = PodVerb::parse(first).ok_or_else(|| {
            let verbs = PodVerb::ALL.map(PodVerb::as_str).join(", ");
            FormatError::at::<Self>(1, first, format!("one of {verbs}"))
        })?;
        let words: Vec<String> = words.map(str::to_owned).collect();
        let id = match lines.next() {
            None => None,
            Some(line) => Some(
                line.strip_prefix("id ")
                    .map(|id| id.trim().to_owned())
                    .filter(|id| is_word(id) && !id.is_empty() && id.len() <= ID_BYTES_MAX)
                    .ok_or_else(|| FormatError::at::<Self>(2, line, "`id` and a name"))?,
            ),
        };
        match words.iter().find(|word| !is_word(word)) {
            Some(word) => Err(FormatError::at::<Self>(
                1,
                word,
                "a name of lower-case letters, digits, `_` and `-`",
            )),
            None => Ok(Self { verb, words, id }),
        }
    }

    fn to_text(&self) -> String {
        let mut text = self.verb.as_str().to_owned();
        for word in &self.words {
            text.push(' ');
            text.push_str(word);
        }
        text.push('\n');
        if let Some(id) = &self.id {
            text.push_str(&format!("id {id}\n"));
        }
        text
    }
}
