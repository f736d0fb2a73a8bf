//! What the program takes from the process it runs in, read once at the start, so that no command
//! depends on anything that its arguments do not show.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::clock;
use crate::command_error::{CommandError, Kind};

/// The environment of one run.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Where the user stands.
    pub(crate) current_dir: PathBuf,
    /// `HOME`; relative host homes lie below it.
    pub(crate) home: Option<PathBuf>,
    /// `USER` or `LOGNAME`, or the name that the system has for the user, for the logs of the project.
    pub(crate) user: String,
    /// Who the variables of git say the user is.
    pub(crate) git_names: GitNames,
    /// `CLUSTERPATH`.
    pub(crate) cluster_path: Option<PathBuf>,
    /// `PODPATH`.
    pub(crate) pod_path: Option<PathBuf>,
    /// `SIMPLENETES_PLUGINS`.
    pub(crate) plugins: Option<PathBuf>,
    /// `SNS_AGE_KEY_FILE`, the private key of the operator.
    pub(crate) age_key_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, in memory as a rule.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `SSH_AUTH_SOCK`, the socket of an ssh-agent.
    pub(crate) ssh_agent: Option<PathBuf>,
    /// `TERM`, what sort of terminal this is.
    pub(crate) term: String,
    /// `VISUAL` or `EDITOR`.
    pub(crate) editor: Option<String>,
    /// `XDG_CACHE_HOME`, where translated plugins are kept.
    pub(crate) cache_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, where a user's own plugins are named, and his key lies.
    pub(crate) config_home: Option<PathBuf>,
    /// `PATH`.
    pub(crate) search_path: OsString,
    /// The directory of this program.
    pub(crate) program_dir: Option<PathBuf>,
    /// When the command began.
    pub(crate) now: Timestamp,
}

/// Names for commits, from git's own variables; each wins over git's configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct GitNames {
    /// `GIT_AUTHOR_NAME` and `GIT_AUTHOR_EMAIL`.
    pub(crate) author: GitName,
    /// `GIT_COMMITTER_NAME` and `GIT_COMMITTER_EMAIL`.
    pub(crate) committer: GitName,
}

/// One of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct GitName {
    /// The name.
    pub(crate) name: Option<String>,
    /// The address.
    pub(crate) email: Option<String>,
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
            git_names: GitNames {
                author: git_name("AUTHOR"),
                committer: git_name("COMMITTER"),
            },
            cluster_path: path("CLUSTERPATH"),
            pod_path: path("PODPATH"),
            plugins: path("SIMPLENETES_PLUGINS"),
            age_key_file: path("SNS_AGE_KEY_FILE"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            ssh_agent: path("SSH_AUTH_SOCK"),
            term: variable("TERM").map_or_else(
                || "dumb".to_owned(),
                |term| term.to_string_lossy().into_owned(),
            ),
            editor: variable("VISUAL")
                .or_else(|| variable("EDITOR"))
                .map(|editor| editor.to_string_lossy().into_owned()),
            cache_home: path("XDG_CACHE_HOME"),
            config_home: path("XDG_CONFIG_HOME"),
            search_path: variable("PATH").unwrap_or_default(),
            program_dir: std::env::current_exe()
                .ok()
                .and_then(|program| Some(program.parent()?.to_owned())),
            now: clock::now(),
        })
    }

    /// Where the plugins lie that a user has for pods without a cluster.
    pub(crate) fn user_files(&self) -> Option<PathBuf> {
        let base = self
            .config_home
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(base.join("simplenetes"))
    }

    /// True when `PATH` leads to a program of this name.
    pub(crate) fn has_program(&self, name: &str) -> bool {
        std::env::split_paths(&self.search_path).any(|directory| {
            let meta = fs::metadata(directory.join(name));
            meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
    }

    /// The value of any variable of the process, for a command that was told to take them.
    #[expect(
        clippy::unused_self,
        reason = "whoever has no environment has no variables"
    )]
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
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

fn git_name(role: &str) -> GitName {
    let text = |what: &str| {
        let value = variable(&format!("GIT_{role}_{what}"))?;
        Some(value.to_string_lossy().into_owned())
    };
    GitName {
        name: text("NAME"),
        email: text("EMAIL"),
    }
}

/// The user's name as one word, since it becomes a field of a log line.
fn user() -> String {
    let names = [variable("USER"), variable("LOGNAME")];
    let words = names.into_iter().flatten().map(|name| {
        name.to_string_lossy()
            .split_whitespace()
            .collect::<String>()
    });
    let mut words = words.filter(|word| !word.is_empty());
    words.next().unwrap_or_else(|| {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        user_of(rustix::process::getuid().as_raw(), &users)
    })
}

/// The name that a text like `/etc/passwd` has for a user id; the number itself when it has none.
fn user_of(uid: u32, users: &str) -> String {
    let number = uid.to_string();
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(number.as_str())).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| format!("uid-{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_variables_has_the_name_of_the_system() {
        let users = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n";
        let check = |uid, expected: &str| assert_eq!(user_of(uid, users), expected);
        check(0, "root");
        check(1000, "web");
        check(1001, "uid-1001");
    }
}
