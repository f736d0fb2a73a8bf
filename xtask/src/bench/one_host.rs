//! One host with its daemon: from a changed file to a started process.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use testkit::{Cluster, Daemon, Outcome, wait_until};

use super::table::{Figure, Row};
use super::timing::median;

const ROUNDS: usize = 10;
/// The only host.
pub(super) const HOST: &str = "laptop";
/// No pod takes longer for anything.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// How often the bench looks for the sign of life; small beside what is measured.
const LOOK: Duration = Duration::from_micros(200);

/// A process whose first act is a sign of life in its own directory.
const POD: &str = "\
api: 1.0.0-beta2
runtime: native
podVersion: 1.0.0
processes:
    - name: main
      command: [busybox, sh, -c]
      args: ['busybox touch started; exec busybox sleep 1000']
";

/// Writes `running` over `stopped` and waits for the process.
pub(super) fn state_change(programs: &Path) -> Result<Row> {
    let cluster = prepare(programs, &[("one", POD)])?;
    let home = cluster.host_home(HOST);
    let _daemon = Daemon::start(&mut quiet(cluster.daemon(HOST)), &home)?;
    let release = home.join("pods/one/release/1.0.0");
    let sign = release.join("root/main/started");
    await_sign(&sign)?;
    let ours = median(ROUNDS, |_| {
        set(&release, "stopped")?;
        wait_until("the pod to stop", LIMIT, || {
            Ok(has_exited(&release).then_some(()))
        })?;
        std::fs::remove_file(&sign).ok();
        let start = Instant::now();
        set(&release, "running")?;
        await_sign(&sign)?;
        Ok(start.elapsed())
    })?;
    Ok(Row {
        what: "state change on disk to started process",
        original: "6 s to 13 s",
        figure: Figure::Time {
            target: Duration::from_millis(50),
            ours,
        },
    })
}

/// The command with nothing to read and nobody who reads.
pub(super) fn quiet(mut command: Command) -> Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A local host with these pods, which are wanted to run; no daemon drives them yet.
pub(super) fn prepare(programs: &Path, pods: &[(&str, &str)]) -> Result<Cluster> {
    let cluster = Cluster::with_programs(programs)?;
    let sns = |arguments: &[&str]| {
        Outcome::of(&mut cluster.sns(arguments))?
            .success()
            .map(drop)
    };
    let project = cluster.project();
    let name = project
        .file_name()
        .context("the project has no name")?
        .to_string_lossy();
    sns(&["cluster", "create", &name])?;
    cluster.add_host(HOST, SocketAddr::from((Ipv4Addr::LOCALHOST, 32767)))?;
    for (pod, text) in pods {
        cluster.add_pod(pod, &[("pod.yaml", text)])?;
        sns(&["host", "attach", &format!("{pod}@{HOST}")])?;
        sns(&["pod", "compile", pod])?;
    }
    cluster.commit("The pods")?;
    sns(&["cluster", "sync"])?;
    Ok(cluster)
}

/// As a sync does it: beside, then renamed.
fn set(release: &Path, state: &str) -> Result<()> {
    let path = release.join("pod.state");
    let mut beside = tempfile::Builder::new()
        .prefix(".bench")
        .tempfile_in(release)?;
    writeln!(beside, "{state}")?;
    beside
        .persist(&path)
        .with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(())
}

fn has_exited(release: &Path) -> bool {
    let status = std::fs::read_to_string(release.join(".pod.status")).unwrap_or_default();
    status.lines().any(|line| line == "status: exited")
}

/// Waits for the sign of life of a unit.
pub(super) fn await_sign(sign: &Path) -> Result<()> {
    let start = Instant::now();
    while !sign.exists() {
        ensure!(
            start.elapsed() < LIMIT,
            "waited {} s for {}",
            LIMIT.as_secs(),
            sign.display()
        );
        thread::sleep(LOOK);
    }
    Ok(())
}
