//! `pod.action`: a request to whoever drives a release, one line: a verb and its words.
//!
//! Read once and deleted by the driver. The original knew `rerun` only and refuses all else, so an old
//! daemon ignores the other verbs.

use std::fmt;

use crate::{Format, FormatError};

/// What may be asked for: the verbs of the Pod API that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Remove the volumes too.
    Purge,
}

impl PodVerb {
    /// All verbs.
    pub const ALL: [Self; 12] = [
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
        Self::Purge,
    ];

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
}

impl PodAction {
    /// A request for the whole release.
    #[must_use]
    pub fn new(verb: PodVerb) -> Self {
        Self {
            verb,
            words: Vec::new(),
        }
    }
}

fn is_word(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl Format for PodAction {
    const NAME: &'static str = "pod.action";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let verb = PodVerb::ALL
            .into_iter()
            .find(|verb| verb.as_str() == first)
            .ok_or_else(|| {
                let verbs = PodVerb::ALL.map(PodVerb::as_str).join(", ");
                FormatError::at::<Self>(1, first, format!("one of {verbs}"))
            })?;
        let words: Vec<String> = words.map(str::to_owned).collect();
        match words.iter().find(|word| !is_word(word)) {
            Some(word) => Err(FormatError::at::<Self>(
                1,
                word,
                "a name of lower-case letters, digits, `_` and `-`",
            )),
            None => Ok(Self { verb, words }),
        }
    }

    fn to_text(&self) -> String {
        let mut text = self.verb.as_str().to_owned();
        for word in &self.words {
            text.push(' ');
            text.push_str(word);
        }
        text.push('\n');
        text
    }
}
