//! `pod.yaml` → release folders, one for each host that the pod is attached to and that has none of this
//! version. All hosts are compiled before the first folder appears, so a mistake leaves nothing behind.

mod automatic_ports;
mod inputs;
mod program;
mod release_files;
mod resolve;
mod revisions;
mod standalone;
mod told;
mod units;

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use hostfiles::ClusterVars;
use names::{HostName, PodName, PodState, ReleaseId};
use podspec::Header;

use crate::command_error::{CommandError, Kind};
use crate::config_dirs;
use crate::designation::Designation;
use crate::diagnostics;
use crate::directories::Staged;
use crate::git;
use crate::plugins::PluginLoader;
use crate::pod_sources::PodSource;
use crate::ports::{self, Assigner};
use crate::project::{Cluster, Host, Selected};
use crate::secrets;
use crate::ui::Ui;
use release_files::Resolved;
use revisions::Revisions;
pub(crate) use standalone::{Standalone, Wanted};
use told::Told;

/// What a compile works with.
pub(crate) struct Compiler<'a> {
    cluster: &'a Cluster<'a>,
    ui: &'a Ui,
    pod: PodName,
    source: PodSource,
    /// The author's text, before any variable is replaced.
    text: String,
    header: Header,
    hosts: Vec<Host>,
}

/// What became of a compile.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The hosts that got a new release folder.
    pub(crate) compiled: Vec<Host>,
    /// The hosts that had this version already.
    pub(crate) existing: Vec<Host>,
    /// Those of them whose release was compiled from another pod.yaml or other variables.
    pub(crate) outdated: Vec<Host>,
    /// What was found wrong in the text, as JSON.
    pub(crate) diagnostics: Vec<serde_json::Value>,
}

/// What is the same for all hosts of one compile.
struct Run<'a> {
    vars: ClusterVars,
    ports: Assigner,
    plugins: PluginLoader<'a>,
    told: Told<'a>,
}

/// A compiled pod of one host that is not in its place yet.
struct StagedRelease {
    host: Host,
    folder: Staged,
}

impl StagedRelease {
    /// The same, as a release that can be read.
    fn selected(&self, id: ReleaseId) -> Selected {
        Selected {
            host: self.host.clone(),
            id,
            dir: hostfiles::ReleaseDir::new(self.folder.path()),
        }
    }
}

impl<'a> Compiler<'a> {
    /// Finds the pod, its hosts and its version.
    pub(crate) fn new(
        cluster: &'a Cluster<'a>,
        named: &Designation,
        ui: &'a Ui,
    ) -> Result<Self, CommandError> {
        let pod = named.pod.clone();
        let hosts = cluster.hosts_of(&pod, named.host.as_ref())?;
        let links: Vec<(Host, String)> = hosts
            .iter()
            .filter_map(|host| Some((host.clone(), link(host, &pod)?)))
            .collect();
        let source = PodSource::find(
            cluster,
            &pod,
            links.first().map(|(_, link)| link.as_str()),
            ui,
        )?;
        check_links(&source, &links)?;
        let text = source.pod_yaml()?;
        let header = header_of(&pod, &text, &source.shown(cluster, &pod), ui)?;
        Ok(Self {
            cluster,
            ui,
            pod,
            source,
            text,
            header,
            hosts,
        })
    }

    /// The release that is compiled.
    pub(crate) fn release(&self) -> ReleaseId {
        ReleaseId {
            pod: self.pod.clone(),
            version: self.header.pod_version.clone(),
        }
    }

    /// Compiles for every host that does not have this version. What was found is in the outcome, also after
    /// a failure.
    pub(crate) fn run(&self, outcome: &mut Outcome) -> Result<(), CommandError> {
        let release = self.release();
        let (existing, missing): (Vec<Host>, Vec<Host>) = self
            .hosts
            .iter()
            .cloned()
            .partition(|host| host.dir.release(&release).path().exists());
        outcome.outdated = existing
            .iter()
            .filter(|host| self.has_other_inputs(host))
            .cloned()
            .collect();
        outcome.existing = existing;
        if missing.is_empty() {
            return Ok(());
        }
        let mut run = Run {
            vars: self.cluster.vars()?,
            ports: automatic_ports::assigner(self.cluster, &release, &self.text, &missing)?,
            plugins: PluginLoader::new(self.cluster.environment, self.ui),
            told: Told::new(
                self.ui,
                self.source.shown(self.cluster, &self.pod),
                &self.text,
                &mut outcome.diagnostics,
            ),
        };
        self.compile_all(&mut run, &missing)?;
        outcome.compiled = missing;
        Ok(())
    }

    fn compile_all(&self, run: &mut Run<'_>, hosts: &[Host]) -> Result<(), CommandError> {
        let revisions = Revisions::read(self.cluster, &self.pod, &self.source)?;
        if let Some(warning) = revisions.warning() {
            self.ui.warning(&warning);
        }
        let mut staged = Vec::new();
        for host in hosts {
            self.ui.note(&format!(
                "compiling {} for host {} …",
                self.release(),
                host.name
            ));
            staged.push(self.stage(run, host)?);
        }
        self.check_cluster_ports(&staged)?;
        let action = format!("COMPILE_POD {} {revisions}", self.release());
        publish(staged, |host| {
            self.cluster.log_pod(host, &self.pod, &action)
        })
    }

    /// Refuses a cluster port that another running pod has by accident: after a merge, a release that is
    /// compiled for one host more may keep a port that was chosen for another pod meanwhile.
    fn check_cluster_ports(&self, staged: &[StagedRelease]) -> Result<(), CommandError> {
        let mut uses = self.cluster.port_uses()?;
        for release in staged {
            uses.extend(release.selected(self.release()).port_uses()?);
        }
        let own = self.release();
        let accidents = ports::shared_cluster_ports(&uses, |port_use| port_use.release == own);
        if accidents.is_empty() {
            return Ok(());
        }
        Err(CommandError::mistake(format!("{own} was not compiled: ports clash"))
            .listing(accidents)
            .hint("raise podVersion in the pod.yaml that has ${CLUSTERPORTAUTO…} and compile it: it gets another port")
            .hint("to share a cluster port on purpose, write its number in both pod.yaml"))
    }

    /// Compiles for one host into a folder that nobody sees yet.
    fn stage(&self, run: &mut Run<'_>, host: &Host) -> Result<StagedRelease, CommandError> {
        let (pod, preprocessed) = self.resolve(run, host)?;
        warn_of_loopback(run, host, &pod);
        let folder = Staged::begin(host.dir.release(&self.release()).path().to_owned())?;
        let files = hostfiles::ReleaseDir::new(folder.path());
        config_dirs::copy_into_release(
            &self.cluster.files.config_dir(&self.pod),
            &files.configs_dir(),
        )?;
        let head = ports::first_line(&run.ports.assigned(&host.name));
        hostfiles::replace(
            &files.source(),
            format!("{head}{preprocessed}").as_bytes(),
            0o644,
        )?;
        if let Resolved::Compiled(pod) = &pod {
            secrets::check_for_host(self.cluster, host, pod, &files.configs_dir())?;
        }
        release_files::write(&files, &pod)?;
        hostfiles::write(&files.state(), &PodState::Running)?;
        Ok(StagedRelease {
            host: host.clone(),
            folder,
        })
    }
}

/// Warns once for each host.
fn warn_of_loopback(run: &mut Run<'_>, host: &Host, pod: &Resolved) {
    let runtime = match pod {
        Resolved::Compiled(pod) => pod.runtime.as_str(),
        Resolved::Program(..) => "",
    };
    if let Some(message) = loopback_warning(&host.name, runtime, host.router_ip()) {
        let hint = "set ROUTERADDRESS in its host.env to an address of the machine's network";
        run.told.warn(&message, hint);
    }
}

/// The first line of hosts.conf is what containers know as `proxy`; their own loopback is not the host's.
fn loopback_warning(host: &HostName, runtime: &str, router: Option<IpAddr>) -> Option<String> {
    let ip = router.filter(|ip| runtime == "podman" && ip.is_loopback())?;
    Some(format!(
        "containers on host {host} cannot reach the proxy at {ip}: their loopback is their own"
    ))
}

/// Lets all folders appear, each after its line in the log: whoever is killed between the two leaves a line
/// too much, never a release that nobody knows the origin of. When one cannot, those of this run disappear
/// again.
fn publish(
    staged: Vec<StagedRelease>,
    log: impl Fn(&Host) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut published: Vec<PathBuf> = Vec::new();
    for StagedRelease { host, folder } in staged {
        match log(&host).and_then(|()| folder.publish()) {
            Ok(path) => published.push(path),
            Err(error) => {
                for path in &published {
                    // The first failure is the one to tell.
                    let _ = fs::remove_dir_all(path);
                }
                return Err(error.hint(format!("nothing was compiled; host {} failed", host.name)));
            }
        }
    }
    Ok(())
}

/// The link that a host remembers for a pod.
fn link(host: &Host, pod: &PodName) -> Option<String> {
    let text = fs::read_to_string(host.dir.git_url(pod)).ok()?;
    Some(text.trim().to_owned()).filter(|link| !link.is_empty())
}

/// Every host must mean the same repository.
fn check_links(source: &PodSource, links: &[(Host, String)]) -> Result<(), CommandError> {
    let Some(origin) = source.link() else {
        return Ok(());
    };
    match links.iter().find(|(_, link)| !git::same_link(link, &origin)) {
        Some((host, link)) => Err(CommandError::mistake(format!(
            "the pod comes from {origin}, but host {} wants it from {link}",
            host.name
        ))
        .hint("check out the right repository on PODPATH, or correct git.url in the pod's directory of that host")),
        None => Ok(()),
    }
}

/// The head of a pod.yaml with this name; what is wrong with it is shown.
fn header_of(pod: &PodName, text: &str, file: &str, ui: &Ui) -> Result<Header, CommandError> {
    podspec::header(text).map_err(|problems| {
        problems
            .iter()
            .for_each(|problem| ui.diagnostic(&diagnostics::lines(file, text, problem)));
        has_mistakes(pod, problems.len())
    })
}

fn has_mistakes(pod: &PodName, errors: usize) -> CommandError {
    let errors = if errors == 1 {
        "1 error".to_owned()
    } else {
        format!("{errors} errors")
    };
    CommandError::new(
        Kind::Diagnostics,
        format!("pod {pod} was not compiled: {errors} in its pod.yaml"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfiles::Format as _;

    #[test]
    fn only_containers_miss_a_proxy_on_the_loopback() {
        let check = |runtime: &str, router: &str, expected: bool| {
            let host = "laptop".parse().unwrap();
            let warning = loopback_warning(&host, runtime, router.parse().ok());
            assert_eq!(warning.is_some(), expected, "{runtime} {router}");
        };
        check("podman", "127.0.0.1", true);
        check("podman", "127.0.0.9", true);
        check("podman", "::1", true);
        check("podman", "192.168.1.2", false);
        check("podman", "", false);
        check("native", "127.0.0.1", false);
        check("", "127.0.0.1", false);
        let host = "laptop".parse().unwrap();
        assert_eq!(
            loopback_warning(&host, "podman", "127.0.0.1".parse().ok()).as_deref(),
            Some(
                "containers on host laptop cannot reach the proxy at 127.0.0.1: their loopback is their own"
            )
        );
    }

    #[test]
    fn a_release_that_appears_is_in_the_log() {
        let project = tempfile::tempdir().unwrap();
        let place = project.path().join("1.0.0");
        let refused = publish(vec![staged(&place)], |_| {
            assert!(!place.exists(), "the line comes first");
            Err(CommandError::mistake("the log cannot be written"))
        });
        assert!(refused.is_err() && !place.exists());
        publish(vec![staged(&place)], |_| Ok(())).unwrap();
        assert!(place.is_dir());
    }

    fn staged(place: &std::path::Path) -> StagedRelease {
        let host = Host {
            name: "laptop".parse().unwrap(),
            dir: hostfiles::Project::new("/nowhere").host(&"laptop".parse().unwrap()),
            env: hostfiles::HostEnv::parse("").unwrap(),
            state: hostfiles::HostState::Active,
        };
        StagedRelease {
            host,
            folder: Staged::begin(place.to_owned()).unwrap(),
        }
    }
}
