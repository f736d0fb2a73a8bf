//! `cargo xtask cluster`: the typical cluster of five hosts on this machine, as the tests have it, for trying things by
//! hand. Each host is a network namespace with an SSH server, a daemon and a proxy.
//!
//! Everything lies in temporary folders and is gone afterwards. It needs root.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::{TypicalCluster, fetch, wait_until};

use crate::workspace::Workspace;
use crate::{demo, packages, ui};

/// How long the cluster may take to do what was asked.
const LIMIT: Duration = Duration::from_secs(90);

/// Between two looks whether somebody wants it to end.
const PAUSE: Duration = Duration::from_millis(100);

/// Options of `cargo xtask cluster`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// End after the page was served instead of staying until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
}

/// Builds everything, makes the cluster, and stays; cleans up also after an error or Ctrl-C.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    packages::install(&[&packages::RUN[..], &packages::CONTAINERS].concat())?;
    demo::build(workspace)?;
    let interrupted = demo::interruption()?;
    let mut cluster = TypicalCluster::new().context("the typical cluster needs root")?;
    play(&mut cluster, &interrupted)?;
    if !options.once {
        invite(&cluster)?;
        while !interrupted.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
        }
    }
    ui::print("\n== Cleaning up");
    drop(cluster);
    ui::print("The pods, daemons, servers and networks are gone.");
    Ok(())
}

fn play(cluster: &mut TypicalCluster, interrupted: &AtomicBool) -> Result<()> {
    title("Five hosts behind SSH, four of them behind the backdoor");
    for host in cluster.registrations() {
        let register = cluster.registration(host)?;
        let register: Vec<&str> = register.iter().map(String::as_str).collect();
        show(cluster, &register)?;
        show(cluster, &["host", "init", host])?;
        show(cluster, &["host", "attach", &format!("proxy@{host}")])?;
    }
    cluster.add_website()?;
    show(cluster, &["host", "attach", "website@worker1"])?;
    cluster.cluster.commit("Attach")?;
    for pod in ["proxy", "website"] {
        show(cluster, &["pod", "compile", pod])?;
    }
    title("One sync of all hosts, each confirmed over a fresh connection");
    cluster.cluster.commit("Run the website")?;
    show(cluster, &["cluster", "sync", "--quiet"])?;
    title("The daemon of each host makes it true; a client on worker2 is served by worker1");
    cluster.start_daemons()?;
    let page = cluster.page("worker2")?;
    let served = wait_until("the page at worker2", LIMIT, || {
        ensure!(!interrupted.load(Ordering::Relaxed), "interrupted");
        cluster.at("worker2", || fetch(page, "/").ok())
    })?;
    ui::print(&format!("\nworker2$ curl http://{page}/"));
    ui::print(served.trim_end());
    show(cluster, &["cluster", "ps"])
}

fn title(text: &str) {
    ui::print(&format!("\n== {text}"));
}

/// Runs `sns` as the operator, and shows what a person would see.
fn show(cluster: &TypicalCluster, arguments: &[&str]) -> Result<()> {
    let words = [&["sns"], arguments].concat();
    ui::print(&format!("\n$ {}", demo::line(&words)));
    let outcome = cluster.run("sns", arguments)?;
    ui::print(format!("{}{}", outcome.stderr, outcome.stdout).trim_end());
    outcome.success().map(drop)
}

/// What to try next, as lines to paste.
fn invite(cluster: &TypicalCluster) -> Result<()> {
    title("It is yours until Ctrl-C. In another terminal, as root:");
    let (project, environment) = (cluster.cluster.project(), cluster.cluster.environment());
    // A shell where the operator is: only there the backdoor can be reached.
    let shell = cluster.as_operator("bash")?;
    let words: Vec<_> = std::iter::once(shell.get_program())
        .chain(shell.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    ui::print(&format!("  {}", words.join(" ")));
    ui::print(&format!("  cd {}", project.display()));
    ui::print(&format!("  export PATH={}", cluster.cluster.search_path()?));
    for (name, value) in environment {
        ui::print(&format!("  export {name}={value}"));
    }
    for line in [
        "sns cluster ps                       # all pods of all hosts",
        "sns host shell worker1 -- ip address # a command on a host, through the backdoor",
        "sns host shell worker2 -- busybox wget -qO- http://10.77.0.4:61000/",
        "sns pod logs website                 # what it said",
        "sns pod state website --state=stopped && git commit -am Stop && sns cluster sync",
    ] {
        ui::print(&format!("  {line}"));
    }
    for host in cluster.hosts() {
        let log = cluster.log(host)?;
        ui::print(&format!("The daemon of {host}: {}", log.display()));
    }
    Ok(())
}
