//! The part of a cluster that a sync is about.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use names::{HostName, PodName};

use crate::command_error::CommandError;
use crate::project::Host;
use crate::suggest::did_you_mean;

/// What stands behind `--only`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnlyTarget {
    host: HostName,
    pod: Option<PodName>,
}

impl FromStr for OnlyTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, pod) = match text.split_once('/') {
            Some((host, pod)) => (host, Some(pod)),
            None => (text, None),
        };
        let host = host
            .parse()
            .map_err(|_| format!("`{host}` is no name of a host"))?;
        let pod = pod.map(str::parse).transpose();
        let pod = pod.map_err(|_| format!("`{text}` has no name of a pod behind the slash"))?;
        Ok(Self { host, pod })
    }
}

/// Which hosts, and which of their pods; all of them where nothing is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Only(BTreeMap<HostName, Option<BTreeSet<PodName>>>);

impl Only {
    /// What was named. A host that is named by itself is meant whole.
    pub(crate) fn of(targets: &[OnlyTarget]) -> Self {
        let mut named: BTreeMap<HostName, Option<BTreeSet<PodName>>> = BTreeMap::new();
        for OnlyTarget { host, pod } in targets {
            let pods = named
                .entry(host.clone())
                .or_insert_with(|| Some(BTreeSet::new()));
            match (pods.as_mut(), pod) {
                (Some(pods), Some(pod)) => drop(pods.insert(pod.clone())),
                (_, None) => *pods = None,
                (None, Some(_)) => {}
            }
        }
        Self(named)
    }

    /// True when the host is meant.
    pub(crate) fn has(&self, host: &HostName) -> bool {
        self.0.is_empty() || self.0.contains_key(host)
    }

    /// The pods that are meant on a host; none when all are.
    pub(super) fn pods(&self, host: &HostName) -> Option<&BTreeSet<PodName>> {
        self.0.get(host)?.as_ref()
    }

    /// Refuses hosts and pods that there are not.
    pub(crate) fn check(&self, hosts: &[Host]) -> Result<(), CommandError> {
        for (name, pods) in &self.0 {
            let Some(host) = hosts.iter().find(|host| host.name == *name) else {
                let known = hosts.iter().map(|host| host.name.as_str());
                return Err(CommandError::mistake(format!(
                    "there is no host `{name}` in the project"
                ))
                .hint_if(did_you_mean(name.as_str(), known)));
            };
            if host.is_disabled() {
                return Err(CommandError::mistake(format!(
                    "host {name} is disabled, so no sync touches it"
                ))
                .hint(format!("`sns host state {name} -s active` changes that")));
            }
            let attached = host.attached()?;
            let released: Vec<PodName> = host.releases()?.into_iter().map(|id| id.pod).collect();
            let is_known = |pod: &&PodName| attached.contains(pod) || released.contains(pod);
            if let Some(pod) = pods.iter().flatten().find(|pod| !is_known(pod)) {
                let known = attached.iter().map(PodName::as_str);
                return Err(
                    CommandError::mistake(format!("host {name} has no pod `{pod}`"))
                        .hint_if(did_you_mean(pod.as_str(), known)),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(words: &[&str]) -> Only {
        let targets: Vec<OnlyTarget> = words.iter().map(|word| word.parse().unwrap()).collect();
        Only::of(&targets)
    }

    #[test]
    fn a_host_that_is_named_by_itself_is_meant_whole() {
        let (one, other) = ("one".parse().unwrap(), "other".parse().unwrap());
        assert!(only(&[]).has(&one));
        assert_eq!(only(&[]).pods(&one), None);
        assert!(!only(&["one"]).has(&other));
        let pods = only(&["one/web", "one/api"]);
        assert_eq!(pods.pods(&one).map(BTreeSet::len), Some(2));
        for whole in [["one/web", "one"], ["one", "one/web"]] {
            assert_eq!(only(&whole).pods(&one), None, "{whole:?}");
        }
        "one/".parse::<OnlyTarget>().unwrap_err();
        "/web".parse::<OnlyTarget>().unwrap_err();
    }
}
