//! What the program takes from the process it runs in, read once at the start, so that no command
//! depends on anything that its arguments do not show.

use std::ffi::OsString;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::clock;
use crate::command_error::{CommandError, Kind};

/// The environment of one run.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Where the user stands.
    pub(crate) current_dir: PathBuf,
    /// `HOME`; relative host homes lie below it.
    pub(crate) home: Option<PathBuf>,
    /// `USER` or `LOGNAME`, for the logs of the project.
    pub(crate) user: String,
    /// `CLUSTERPATH`.
    pub(crate) cluster_path: Option<PathBuf>,
    /// `PODPATH`.
    pub(crate) pod_path: Option<PathBuf>,
    /// `SIMPLENETES_PLUGINS`.
    pub(crate) plugins: Option<PathBuf>,
    /// `XDG_CACHE_HOME`, where translated plugins are kept.
    pub(crate) cache_home: Option<PathBuf>,
    /// The directory of this program.
    pub(crate) program_dir: Option<PathBuf>,
    /// When the command began.
    pub(crate) now: Timestamp,
}

impl Environment {
    /// Reads it.
    pub(crate) fn read() -> Result<Self, CommandError> {
        let current_dir = std::env::current_dir().map_err(|error| {
            CommandError::new(Kind::Files, "could not tell the current directory").caused_by(error)
        })?;
        Ok(Self {
            current_dir,
            home: path("HOME"),
            user: user(),
            cluster_path: path("CLUSTERPATH"),
            pod_path: path("PODPATH"),
            plugins: path("SIMPLENETES_PLUGINS"),
            cache_home: path("XDG_CACHE_HOME"),
            program_dir: std::env::current_exe()
                .ok()
                .and_then(|program| Some(program.parent()?.to_owned())),
            now: clock::now(),
        })
    }

    /// Where translated plugins are kept between runs.
    pub(crate) fn plugin_cache(&self) -> Result<PathBuf, CommandError> {
        let base = self
            .cache_home
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".cache")));
        let base = base.ok_or_else(|| {
            CommandError::new(Kind::Mistake, "there is no place for translated plugins")
                .hint("set HOME or XDG_CACHE_HOME")
        })?;
        Ok(base.join("simplenetes").join("plugins"))
    }
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from)
}

/// The user's name as one word, since it becomes a field of a log line.
fn user() -> String {
    let name = variable("USER").or_else(|| variable("LOGNAME"));
    let name = name.map(|name| {
        name.to_string_lossy()
            .split_whitespace()
            .collect::<String>()
    });
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
