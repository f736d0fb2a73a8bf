//! From what the user named (`web`, `web:1.0.0@laptop`) to hosts and releases of the project.

use hostfiles::ReleaseDir;
use names::{HostName, PodName, PodState, PodVersion, ReleaseId};

use super::{Cluster, Host};
use crate::command_error::CommandError;
use crate::designation::{Designation, Version};
use crate::suggest::did_you_mean;

/// One release on one host.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    /// The host.
    pub(crate) host: Host,
    /// The release.
    pub(crate) id: ReleaseId,
    /// Its directory in the project.
    pub(crate) dir: ReleaseDir,
}

/// What is meant when no version is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionDefault {
    /// Every version.
    All,
    /// The highest version that is no pre-release.
    Latest,
}

impl Selected {
    /// What should become of it; without a file that is its removal.
    pub(crate) fn state(&self) -> Result<PodState, CommandError> {
        Ok(hostfiles::read_if_present(&self.dir.state())?.unwrap_or(PodState::Removed))
    }
}

impl std::fmt::Display for Selected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.id, self.host.name)
    }
}

impl Cluster<'_> {
    /// The hosts that a pod is attached to: the named one, or all that are not disabled. At least one.
    pub(crate) fn hosts_of(
        &self,
        pod: &PodName,
        named: Option<&HostName>,
    ) -> Result<Vec<Host>, CommandError> {
        let found = self.find_hosts(pod, named)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let at = named.map_or("HOST", HostName::as_str);
        let attach = format!("attach it with `sns host attach {pod}@{at}`");
        Err(self.not_attached(pod, named)?.hint(attach))
    }

    /// The same for a pod that should not be attached any longer.
    pub(crate) fn hosts_to_leave(
        &self,
        pod: &PodName,
        named: Option<&HostName>,
    ) -> Result<Vec<Host>, CommandError> {
        let found = self.find_hosts(pod, named)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let mut attached = Vec::new();
        for host in self.hosts()? {
            let pods = host.attached()?;
            attached.extend(pods.iter().map(|pod| format!("{pod}@{}", host.name)));
        }
        let list = match attached.is_empty() {
            true => "no pod is attached to any host".to_owned(),
            false => format!("attached pods: {}", attached.join(", ")),
        };
        Err(self.not_attached(pod, named)?.hint(list))
    }

    fn find_hosts(
        &self,
        pod: &PodName,
        named: Option<&HostName>,
    ) -> Result<Vec<Host>, CommandError> {
        let mut hosts = match named {
            Some(name) => vec![self.host(name)?],
            None => self.hosts()?,
        };
        hosts.retain(|host| host.has(pod) && (named.is_some() || !host.is_disabled()));
        Ok(hosts)
    }

    /// All releases of the project that a designation means. At least one.
    pub(crate) fn releases(
        &self,
        named: &Designation,
        default: VersionDefault,
    ) -> Result<Vec<Selected>, CommandError> {
        let mut found = Vec::new();
        for host in self.hosts_of(&named.pod, named.host.as_ref())? {
            let releases = host.releases()?;
            let of_pod = releases.into_iter().filter(|id| id.pod == named.pod);
            found.extend(of_pod.map(|id| Selected {
                dir: host.dir.release(&id),
                host: host.clone(),
                id,
            }));
        }
        let wanted = match (&named.version, default) {
            (Version::Unsaid, VersionDefault::All) => None,
            (Version::Exact(version), _) => Some(version.clone()),
            _ => Some(latest(&found).ok_or_else(|| no_latest(named, &found))?),
        };
        if let Some(wanted) = wanted {
            let known: Vec<String> = found
                .iter()
                .map(|release| release.id.version.to_string())
                .collect();
            found.retain(|release| release.id.version == wanted);
            if found.is_empty() {
                return Err(no_version(named, &wanted, known));
            }
        }
        Ok(found)
    }

    fn not_attached(
        &self,
        pod: &PodName,
        host: Option<&HostName>,
    ) -> Result<CommandError, CommandError> {
        let known = self.attached_pods()?;
        let place = host.map_or_else(
            || "any host that takes part".to_owned(),
            |host| format!("host {host}"),
        );
        let error = CommandError::mistake(format!("pod `{pod}` is not attached to {place}"));
        let suggestion = if known.contains(pod) {
            None
        } else {
            did_you_mean(pod.as_str(), known.iter().map(PodName::as_str))
        };
        Ok(error.hint_if(suggestion))
    }
}

fn latest(found: &[Selected]) -> Option<PodVersion> {
    let released = found
        .iter()
        .map(|release| &release.id.version)
        .filter(|version| !version.is_pre_release());
    released.max().cloned()
}

fn no_latest(named: &Designation, found: &[Selected]) -> CommandError {
    let pod = &named.pod;
    match found.last() {
        Some(release) => CommandError::mistake(format!(
            "all versions of pod {pod} are pre-releases, and `latest` is never one"
        ))
        .hint(format!("name the version, as in {}", release.id)),
        None => CommandError::mistake(format!("no version of pod {pod} is compiled"))
            .hint(format!("compile it with `sns pod compile {pod}`")),
    }
}

fn no_version(named: &Designation, wanted: &PodVersion, mut known: Vec<String>) -> CommandError {
    known.sort();
    known.dedup();
    let hint = if known.is_empty() {
        format!("compile it with `sns pod compile {}`", named.pod)
    } else {
        format!("compiled versions: {}", known.join(", "))
    };
    let place = named
        .host
        .as_ref()
        .map(|host| format!(" on host {host}"))
        .unwrap_or_default();
    CommandError::mistake(format!(
        "there is no version {wanted} of pod {}{place}",
        named.pod
    ))
    .hint(hint)
}
