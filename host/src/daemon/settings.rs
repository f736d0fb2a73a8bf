//! What the daemon takes from its surroundings when it starts: environment and places.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::open_files::OpenFiles;
use crate::ramdisk::Ramdisks;
use crate::watch::SAFETY_RESCAN;

/// A verb may fetch an image, which takes a while.
const VERB_MAX: Duration = Duration::from_secs(600);

/// Settings of the daemon.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's own executable; programs and plugins are looked for beside it.
    pub executable: PathBuf,
    /// Where translated plugins are kept.
    pub cache: PathBuf,
    /// The directory with first-party plugins, instead of the usual ones (`SIMPLENETES_PLUGINS`).
    pub plugins: Option<PathBuf>,
    /// Where plugins lie for pods that belong to no host, with a `plugins.yaml`
    /// (`XDG_CONFIG_HOME/simplenetes`).
    pub user_files: PathBuf,
    /// Where programs are looked for (`PATH`).
    pub path: OsString,
    /// After so long without a change everything is read again (`SNS_RESCAN_SECONDS`): a safety net for
    /// changes that the kernel does not tell.
    pub safety_rescan: Duration,
    /// A verb of a foreign pod, a program that obeys the Pod API, has so long (`SNS_VERB_SECONDS`); then it
    /// is ended.
    pub verb_max: Duration,
    /// Where ramdisks come from, when root's daemon gives them; else the daemon sees for itself.
    pub ramdisks: Option<Ramdisks>,
    /// The directory of the user that lasts as long as he is logged in, in memory as a rule (`XDG_RUNTIME_DIR`).
    pub runtime_directory: Option<PathBuf>,
    /// How many files may be open.
    pub open_files: OpenFiles,
}

/// The directory of the user that lasts as long as he is logged in, in memory as a rule (`XDG_RUNTIME_DIR`).
#[must_use]
pub fn runtime_directory() -> Option<PathBuf> {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    directory.filter(|directory| directory.is_absolute())
}

impl Settings {
    /// The settings in the environment of this process.
    ///
    /// # Errors
    /// The executable or a place for the cache is not known.
    pub fn from_environment() -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let seconds = |name: &str| {
            let seconds = variable(name).and_then(|text| text.to_str()?.parse().ok());
            seconds
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs)
        };
        let caches = variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .ok_or_else(|| {
                anyhow::anyhow!("no place for the cache of plugins: set HOME or XDG_CACHE_HOME")
            })?;
        let user_files = variable("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")))
            .unwrap_or_else(|| PathBuf::from("/etc"));
        Ok(Self {
            user_files: user_files.join("simplenetes"),
            executable: std::env::current_exe()?,
            cache: caches.join("simplenetes"),
            plugins: variable("SIMPLENETES_PLUGINS").map(PathBuf::from),
            path: variable("PATH").unwrap_or_default(),
            safety_rescan: seconds("SNS_RESCAN_SECONDS").unwrap_or(SAFETY_RESCAN),
            verb_max: seconds("SNS_VERB_SECONDS").unwrap_or(VERB_MAX),
            ramdisks: None,
            runtime_directory: runtime_directory(),
            open_files: OpenFiles::raise(),
        })
    }
}
