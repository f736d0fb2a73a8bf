//! Fourteen local hosts with two hundred releases: the cluster that the original was measured with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::{Cluster, Outcome};

use super::table::{Figure, Row};
use super::timing::{median, time};

const HOSTS: usize = 14;

/// Fourteen pods on all hosts and a last one on four: 200 releases.
const PODS: usize = 15;
const HOSTS_OF_LAST_POD: usize = 4;

const COMPILE_ROUNDS: usize = 10;
const SYNC_ROUNDS: usize = 10;

/// A small pod with a config, a probe and a cluster port.
const POD: &str = "\
api: 1.0.0-beta2
runtime: native
podVersion: VERSION
volumes:
    - name: conf
      type: config
processes:
    - name: main
      command: [sleep, '1000']
      restart: always
      mounts:
          - volume: conf
            dest: /mnt/conf
      expose:
          - targetPort: 80
            hostPort: ${HOSTPORTAUTO1}
            clusterPort: ${CLUSTERPORTAUTO1}
";

/// The cluster, with all pods attached.
pub(super) struct Fleet {
    cluster: Cluster,
}

impl Fleet {
    /// Registers the hosts and attaches the pods.
    pub(super) fn make(programs: &Path) -> Result<Self> {
        let cluster = Cluster::with_programs(programs)?;
        let fleet = Self { cluster };
        let project = fleet.cluster.project();
        let name = project
            .file_name()
            .context("the project has no name")?
            .to_string_lossy();
        fleet.sns(&["cluster", "create", &name])?;
        for host in 1..=HOSTS {
            let address = Ipv4Addr::new(127, 0, 1, u8::try_from(host)?);
            fleet
                .cluster
                .add_host(&host_name(host), SocketAddr::from((address, 32767)))?;
        }
        for pod in 1..=PODS {
            let text = POD.replace("VERSION", "1.0.0");
            fleet.cluster.add_pod(
                &pod_name(pod),
                &[("pod.yaml", &text), ("config/conf/a.txt", "a\n")],
            )?;
            let hosts = if pod == PODS {
                HOSTS_OF_LAST_POD
            } else {
                HOSTS
            };
            for host in 1..=hosts {
                fleet.sns(&[
                    "host",
                    "attach",
                    &format!("{}@{}", pod_name(pod), host_name(host)),
                ])?;
            }
        }
        Ok(fleet)
    }

    /// One pod for one host, from pod.yaml to the compiled pod, when all others are compiled: its ports must
    /// be free among theirs.
    pub(super) fn compile(&self) -> Result<Row> {
        for pod in 1..=PODS {
            self.sns(&["pod", "compile", &pod_name(pod)])?;
        }
        let target = format!("{}@{}", pod_name(1), host_name(1));
        let release = self.release();
        let ours = median(COMPILE_ROUNDS, |_| {
            if release.exists() {
                std::fs::remove_dir_all(&release)?;
            }
            time(|| self.sns(&["pod", "compile", &target]))
        })?;
        Ok(Row {
            what: "compile of one pod among 200 releases",
            original: "1.4 s",
            figure: Figure::Time {
                target: Duration::from_millis(20),
                ours,
            },
        })
    }

    /// The sync of all releases, then the syncs of nothing.
    pub(super) fn sync(&self) -> Result<[Row; 2]> {
        self.cluster.commit("All pods on all hosts")?;
        let first = time(|| self.sns(&["cluster", "sync"]))?;
        let again = median(SYNC_ROUNDS, |_| time(|| self.sns(&["cluster", "sync"])))?;
        Ok([
            Row {
                what: "sync of 200 new releases to 14 local hosts",
                original: "10 s",
                figure: Figure::Time {
                    target: Duration::from_secs(1),
                    ours: first,
                },
            },
            Row {
                what: "sync with nothing to do, 14 hosts, 200 releases",
                original: "5 s",
                figure: Figure::Time {
                    target: Duration::from_millis(200),
                    ours: again,
                },
            },
        ])
    }

    /// A compiled pod in the project.
    pub(super) fn compiled_pod(&self) -> PathBuf {
        self.release().join("pod")
    }

    fn release(&self) -> PathBuf {
        let pods = self.cluster.project().join(host_name(1)).join("pods");
        pods.join(pod_name(1)).join("release/1.0.0")
    }

    fn sns(&self, arguments: &[&str]) -> Result<()> {
        Outcome::of(&mut self.cluster.sns(arguments))?
            .success()
            .map(drop)
    }
}

fn host_name(number: usize) -> String {
    format!("host{number:02}")
}

fn pod_name(number: usize) -> String {
    format!("pod{number:02}")
}
