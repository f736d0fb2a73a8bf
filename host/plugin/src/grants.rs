//! What a plugin may do on a host: the operator's word in `plugins.yaml`, in the same form as the
//! wishes of a manifest.
//!
//! An empty grant means that nothing is allowed. Each recorded step is checked here, against the grant
//! and against what the pod itself declares; who runs it is not this module's business.

mod check;
mod usage;
mod words;

use names::SecretName;
use serde::{Deserialize, Serialize};

pub(crate) use check::Checker;
pub use usage::{Usage, UsageError};

/// Everything that is granted to one plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Grants {
    /// Programs that it may have run, each with its closed argument patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<ProgramGrant>,
    /// Directories below the release directory in which it may write, link and remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<DirectoryGrant>,
    /// Secrets of the host that it may have filled in, by name. It never sees what they hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretGrant>,
    /// It may have signals sent to units that a shim started.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub signals: bool,
}

/// One program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProgramGrant {
    /// Its name, or `{pod:program}`: any program that the pod declares.
    pub program: String,
    /// The file that the name stands for on this host; looked up on the daemon's path when empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The allowed forms of its arguments, as usage lines (see [`Usage`]).
    pub arguments: Vec<Usage>,
    /// Environment variables that may be set. `{pod:env}` stands for those that the pod declares, with
    /// their declared values; a name, or `NAME_*` for all that begin with `NAME_`, may have any value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Names of variables that may be passed on from the daemon's own environment, as they are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inherit: Vec<String>,
    /// It may be given something to read from standard input.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stdin: bool,
    /// It may run as the user that the pod declares.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub user: bool,
    /// Why, for the operator.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One directory below the release directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DirectoryGrant {
    /// Its path, relative to the release directory.
    pub path: String,
    /// Files may be written there as well. Without it: directories, links to what the release or the
    /// pod declares, and removal, so that nothing of the plugin's own making can be run there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
    /// Why, for the operator.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One secret of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretGrant {
    /// The name of its file in `secrets/` of the host home.
    pub name: SecretName,
    /// Why, for the operator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Grants {
    /// One readable line for each thing that is granted.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for grant in &self.programs {
            for usage in &grant.arguments {
                lines.push(with_reason(
                    format!("run `{} {usage}`", grant.program),
                    &grant.reason,
                ));
            }
            if !grant.environment.is_empty() {
                lines.push(format!(
                    "give `{}` the environment {}",
                    grant.program,
                    grant.environment.join(" ")
                ));
            }
            if !grant.inherit.is_empty() {
                lines.push(format!(
                    "pass {} on to `{}`",
                    grant.inherit.join(" "),
                    grant.program
                ));
            }
            if grant.stdin {
                lines.push(format!(
                    "write to the standard input of `{}`",
                    grant.program
                ));
            }
            if grant.user {
                lines.push(format!(
                    "run `{}` as the user that the pod declares",
                    grant.program
                ));
            }
        }
        for grant in &self.directories {
            let what = if grant.files {
                "files, directories and links"
            } else {
                "directories and links"
            };
            let line = format!("make and remove {what} in `{}` of a release", grant.path);
            lines.push(with_reason(line, &grant.reason));
        }
        for grant in &self.secrets {
            let line = format!("have the secret `{}` of the host filled in", grant.name);
            lines.push(with_reason(line, &grant.reason));
        }
        if self.signals {
            lines.push("send signals to units".to_owned());
        }
        lines
    }

    /// What `self` allows and `other` does not, as readable lines.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        let known: Vec<String> = other.without_reasons().lines();
        self.without_reasons()
            .lines()
            .into_iter()
            .filter(|line| !known.contains(line))
            .collect()
    }

    fn without_reasons(&self) -> Self {
        let mut grants = self.clone();
        grants
            .programs
            .iter_mut()
            .for_each(|grant| grant.reason.clear());
        grants
            .directories
            .iter_mut()
            .for_each(|grant| grant.reason.clear());
        grants
            .secrets
            .iter_mut()
            .for_each(|grant| grant.reason.clear());
        grants
    }
}

fn with_reason(line: String, reason: &str) -> String {
    if reason.is_empty() {
        line
    } else {
        format!("{line}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(yaml: &str) -> Grants {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn an_upgrade_that_asks_for_more_shows_the_difference_and_reasons_do_not_count() {
        let old = grants("programs: [{program: podman, arguments: [ps], reason: to look}]");
        let new = grants(
            "{programs: [{program: podman, arguments: [ps, 'rm {pod:name}'], reason: other words}], secrets: [{name: db}], signals: true}",
        );
        assert_eq!(
            new.beyond(&old),
            [
                "run `podman rm {pod:name}`",
                "have the secret `db` of the host filled in",
                "send signals to units",
            ]
        );
        assert_eq!(old.beyond(&new), Vec::<String>::new());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let grants = grants(
            "{programs: [{program: a, arguments: ['[-x | -y {pod:port}]... {pod:args}'], user: true}], directories: [{path: root}], secrets: [{name: db, reason: to log in}]}",
        );
        let text = serde_yaml::to_string(&grants).unwrap();
        assert_eq!(serde_yaml::from_str::<Grants>(&text).unwrap(), grants);
    }

    #[test]
    fn a_misspelt_key_is_no_grant() {
        assert!(serde_yaml::from_str::<Grants>("signal: true").is_err());
    }
}
