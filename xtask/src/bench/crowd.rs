//! One host with two hundred pods: what the daemon costs when nothing happens, and how fast it is with
//! them when something does.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Cluster, Daemon, wait_until};

use super::one_host::{HOST, LIMIT, await_sign, prepare, quiet};
use super::table::{Figure, Row};
use super::timing::median;

const PODS: usize = 200;

/// Each round ends the unit of another pod: the second end of the same unit would be followed by a pause.
const ROUNDS: usize = 20;

/// How long the daemon is watched while nothing happens; twice the longest period of its clocks.
const IDLE: Duration = Duration::from_secs(120);
/// The kernel tells times in hundredths of a second (USER_HZ) on every machine that we build for.
const TICK: Duration = Duration::from_millis(10);

/// After so long everything that follows from the starts has been done.
const CALM: Duration = Duration::from_secs(10);

/// A unit that writes its process id down first.
const POD: &str = "\
api: 1.0.0-beta2
runtime: native
podVersion: 1.0.0
processes:
    - name: main
      command: [busybox, sh, -c]
      args: ['echo $$ > new; busybox mv new started; exec busybox sleep 100000']
      restart: always
";

/// The pods and the daemon that keeps them.
pub(super) struct Crowd {
    /// Ended before its host home is removed, in which it is recorded what has to end with it.
    daemon: Daemon,
    cluster: Cluster,
}

impl Crowd {
    /// Compiles the pods, syncs them to a local host and waits until all of them run.
    pub(super) fn gather(programs: &Path) -> Result<Self> {
        let names: Vec<String> = (0..PODS).map(pod_name).collect();
        let pods: Vec<_> = names.iter().map(|name| (name.as_str(), POD)).collect();
        let cluster = prepare(programs, &pods)?;
        let daemon = Daemon::start(&mut quiet(cluster.daemon(HOST)), &cluster.host_home(HOST))?;
        let crowd = Self { cluster, daemon };
        for pod in 0..PODS {
            await_sign(&crowd.sign(pod))?;
        }
        Ok(crowd)
    }

    /// Kills a unit and waits until the next process of it runs.
    pub(super) fn restart(&self) -> Result<Row> {
        let ours = median(ROUNDS, |round| {
            let sign = self.sign(round);
            let process = process_of(&sign)?;
            fs::remove_file(&sign)?;
            let start = Instant::now();
            kill_process(process, Signal::KILL)?;
            await_sign(&sign)?;
            Ok(start.elapsed())
        })?;
        Ok(Row {
            what: "exit of a unit to its next process, 200 pods",
            original: "up to 7 s",
            figure: Figure::Time {
                target: Duration::from_millis(200),
                ours,
            },
        })
    }

    /// Memory and time of the daemon while nothing happens.
    pub(super) fn idle(&self) -> Result<[Row; 2]> {
        thread::sleep(CALM);
        let before = self.busy()?;
        thread::sleep(IDLE);
        let busy = self.busy()?.saturating_sub(before);
        Ok([
            Row {
                what: "daemon with 200 pods, idle: memory",
                original: "200 shells",
                figure: Figure::Memory {
                    target: 64 << 20,
                    ours: self.memory()?,
                },
            },
            Row {
                what: "daemon with 200 pods, idle: part of a core",
                original: "-",
                figure: Figure::Core {
                    target: 0.005,
                    ours: busy.as_secs_f64() / IDLE.as_secs_f64(),
                },
            },
        ])
    }

    fn sign(&self, pod: usize) -> PathBuf {
        let pods = self.cluster.host_home(HOST).join("pods");
        pods.join(pod_name(pod))
            .join("release/1.0.0/root/main/started")
    }

    /// The resident memory of the daemon in bytes.
    fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.context("the kernel tells no memory")?.parse()?;
        Ok(kibibytes << 10)
    }

    /// The time that the daemon has worked so far, all its threads together.
    fn busy(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.daemon.id()))?;
        let (_, after_name) = stat.rsplit_once(')').context("the kernel tells no times")?;
        // The fields 14 and 15 of proc_pid_stat(5); the first after the name is the third.
        let times = after_name.split_ascii_whitespace().skip(11).take(2);
        let ticks: u32 = times.map(str::parse::<u32>).sum::<Result<_, _>>()?;
        Ok(TICK * ticks)
    }
}

fn pod_name(number: usize) -> String {
    format!("pod{number:03}")
}

fn process_of(sign: &Path) -> Result<Pid> {
    let id = wait_until(
        "the process id",
        LIMIT,
        || Ok(fs::read_to_string(sign).ok()),
    )?;
    Pid::from_raw(id.trim().parse()?).context("the unit wrote no process id")
}
