//! podman that is missing, fails or hangs: said in one line, and nobody else is disturbed.

use std::fs;

use crate::bench::write;

use super::host::{Host, IMAGE, has_ended, is_running, shell, sleeper, starts, unit, yaml};

fn one(keys: &str) -> String {
    yaml("1.0.0", &format!("containers:\n{}", sleeper("main", keys)))
}

#[test]
fn without_podman_it_is_said_what_to_install() {
    let host = Host::new();
    host.pod("web", &[("pod.yaml", &one("restart: always"))]);
    let programs = testkit::program("simplenetesd").unwrap();
    let mut command = host.program("simplenetesd");
    command
        .arg(host.home())
        .env("PATH", programs.parent().unwrap());
    host.start_as(&mut command);
    host.wait_for_reason("web:1.0.0", "podman");
}

#[test]
fn a_podman_that_fails_is_quoted_and_tried_again() {
    let host = Host::new();
    host.podman
        .intercept("case $1 in run) echo 'Error: the disk is full' >&2; exit 125;; esac")
        .unwrap();
    host.pod("web", &[("pod.yaml", &one("restart: always"))]);
    host.start();
    host.wait_for_reason("web:1.0.0", "the disk is full");
    host.podman.intercept("").unwrap();
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
    assert_eq!(host.containers().len(), 1);
}

#[test]
fn a_podman_that_hangs_holds_up_its_pod_alone() {
    let host = Host::new();
    host.pod("neighbour", &[("pod.yaml", &one("restart: always"))]);
    host.start();
    let before = host.wait("neighbour:1.0.0", "it to run", |now| now.readiness);
    // Only what concerns the other pod hangs.
    host.podman
        .intercept("case \"$1 $*\" in run*web-1.0.0*) echo hangs >&2; exec sleep 600;; esac")
        .unwrap();
    host.pod("web", &[("pod.yaml", &one("restart: always"))]);
    host.until("podman to hang", || {
        host.podman.processes().iter().any(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"))
        })
    });
    // The neighbour is restarted, stopped and run again meanwhile.
    host.bench.ok(&["pod", "rerun", "neighbour", "main"]);
    let after = host.wait("neighbour:1.0.0", "it to run again", |now| {
        starts(now, "main") == 2 && now.readiness
    });
    assert_ne!(unit(&before, "main").pid, unit(&after, "main").pid);
    host.state("neighbour", "stopped");
    host.wait("neighbour:1.0.0", "it to end", has_ended);
    assert!(!is_running(&host.status("web:1.0.0").unwrap()));
    host.podman.intercept("").unwrap();
}

#[test]
fn all_of_podman_hangs_and_pods_can_be_stopped() {
    let script = "trap 'echo bye; exit 0' TERM; echo here; sleep 600 & wait";
    let text = yaml(
        "1.0.0",
        &format!("containers:\n{}", shell("main", script, "restart: always")),
    );
    let host = Host::new();
    host.pod("web", &[("pod.yaml", &text)]);
    host.start();
    let status = host.wait("web:1.0.0", "it to run", |now| now.readiness);
    host.wait_for_line("main", "here");
    let pid = unit(&status, "main").pid.unwrap();
    host.podman.intercept("exec sleep 600").unwrap();
    host.state("web", "stopped");
    host.until("the container to end", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    });
    assert!(host.said("main").contains("bye"));
    host.podman.intercept("").unwrap();
}

#[test]
fn a_changed_specification_is_noticed() {
    let host = Host::new();
    host.pod("web", &[("pod.yaml", &one("restart: always"))]);
    host.start();
    let before = host.wait("web:1.0.0", "it to run", |now| now.readiness);
    // As a sync with a new plugin or by hand.
    let file = host.release("web:1.0.0").join("pod");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(IMAGE));
    let changed = text.replace("sleep 600 & wait", "sleep 601 & wait");
    assert_ne!(text, changed);
    write(&file, &changed);
    host.wait("web:1.0.0", "it to be noticed", |now| {
        now.message.contains("rerun") || unit(now, "main").pid != unit(&before, "main").pid
    });
}
