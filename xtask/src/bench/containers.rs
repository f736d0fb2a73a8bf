//! Fifty pods of one container each, under a real podman: how fast they start beside a loop of `podman run`, and
//! how often podman is asked when nothing happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::{Cluster, Daemon, Podman};

use super::one_host::{HOST, prepare, quiet};
use super::table::{Better, Figure, Row, shown};
use super::timing::{median_of, time};

const PODS: usize = 50;
/// Ours and the loop take turns, so that a disturbance of the machine meets both.
const ROUNDS: usize = 3;
const IMAGE: &str = "localhost/bench:1";
/// No fifty pods take longer.
const LIMIT: Duration = Duration::from_secs(300);
/// How often a status is read; small beside the start of a container.
const LOOK: Duration = Duration::from_millis(20);
/// After so long everything that follows from the starts has been done.
const CALM: Duration = Duration::from_secs(10);
const IDLE_MINUTES: u32 = 3;

/// The pods under their daemon. Who starts containers is dropped before the containers.
struct Pods {
    daemon: Daemon,
    cluster: Cluster,
    podman: Podman,
}

/// Starts the pods and the loop in turns, then watches the last pods while nothing happens.
pub(super) fn measure(programs: &Path) -> Result<[Row; 2]> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..ROUNDS {
        // One set of containers at a time.
        drop(last.take());
        theirs.push(loop_of_runs()?);
        let (pods, took) = Pods::start(programs)?;
        ours.push(took);
        last = Some(pods);
    }
    let looks = match last {
        Some(pods) => pods.looks_per_minute()?,
        None => f64::NAN,
    };
    let (ours, theirs) = (median_of(ours)?, median_of(theirs)?);
    Ok([
        Row {
            what: "start of 50 container pods",
            original: "podman run",
            figure: Figure::Ratio {
                target: 1.15,
                ratio: ours.as_secs_f64() / theirs.as_secs_f64(),
                better: Better::Less,
                peer: shown(theirs),
            },
        },
        Row {
            what: "uses of podman a minute, 50 container pods, idle",
            original: "500",
            figure: Figure::Count {
                target: 1.0,
                ours: looks,
            },
        },
    ])
}

/// The containers alone, as a script would start them.
fn loop_of_runs() -> Result<Duration> {
    let podman = Podman::new()?;
    podman.image(IMAGE, &[])?;
    time(|| {
        (0..PODS).try_for_each(|number| {
            let name = format!("--name={}", pod_name(number));
            let run = ["run", "--detach", "--rm", &name, IMAGE, "sleep", "600"];
            podman.run(&run).map(drop)
        })
    })
}

impl Pods {
    /// Brings the pods to a host without a daemon, then starts that and waits until all run.
    fn start(programs: &Path) -> Result<(Self, Duration)> {
        let podman = Podman::new()?;
        podman.image(IMAGE, &[])?;
        let text = format!(
            "api: 1.0.0-beta2\npodVersion: 1.0.0\ncontainers:\n    - name: main\n      image: {IMAGE}\n      \
             command: [sleep, '600']\n      restart: always\n      stopTimeout: 1\n"
        );
        let names: Vec<String> = (0..PODS).map(pod_name).collect();
        let pods: Vec<_> = names.iter().map(|name| (name.as_str(), &*text)).collect();
        let cluster = prepare(programs, &pods)?;
        let mut command = quiet(cluster.daemon(HOST));
        command.envs(podman.environment());
        let path = cluster.search_path()?;
        command.env("PATH", format!("{}:{path}", podman.bin().display()));
        let start = Instant::now();
        let daemon = Daemon::start(&mut command, &cluster.host_home(HOST))?;
        let pods = Self {
            daemon,
            cluster,
            podman,
        };
        pods.await_all(start)?;
        Ok((pods, start.elapsed()))
    }

    fn await_all(&self, start: Instant) -> Result<()> {
        let mut waiting: Vec<PathBuf> = (0..PODS).map(|pod| self.status(pod)).collect();
        while !waiting.is_empty() {
            ensure!(
                start.elapsed() < LIMIT,
                "{} of {PODS} pods do not run after {} s",
                waiting.len(),
                LIMIT.as_secs()
            );
            thread::sleep(LOOK);
            waiting.retain(|status| !is_running(status));
        }
        Ok(())
    }

    fn status(&self, pod: usize) -> PathBuf {
        let pods = self.cluster.host_home(HOST).join("pods");
        pods.join(pod_name(pod)).join("release/1.0.0/.pod.status")
    }

    /// How often podman is called while nothing happens, for whatever reason.
    fn looks_per_minute(mut self) -> Result<f64> {
        let calls = self.podman.path().join("calls");
        self.podman
            .intercept(&format!("echo \"$*\" >> {}", calls.display()))?;
        thread::sleep(CALM);
        let count = || {
            let text = fs::read_to_string(&calls).unwrap_or_default();
            text.lines().count()
        };
        let before = count();
        thread::sleep(Duration::from_secs(60) * IDLE_MINUTES);
        ensure!(self.daemon.is_running()?, "the daemon has ended");
        let looks = u32::try_from(count().saturating_sub(before))?;
        Ok(f64::from(looks) / f64::from(IDLE_MINUTES))
    }
}

fn is_running(status: &Path) -> bool {
    let text = fs::read_to_string(status).unwrap_or_default();
    text.lines().any(|line| line == "status: running")
}

fn pod_name(number: usize) -> String {
    format!("pod{number:02}")
}
