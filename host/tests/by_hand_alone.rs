//! The process that drives one release where there is no daemon: it makes room, and misses nothing.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use hostfiles::PodStatus;
use rustix::fs::{FlockOperation, flock};
use testkit::wait_until;

use crate::host::{Host, LIMIT, is_alive, is_running, kill, pid, shell};

const WEB: &str = "web:1.0.0";

fn begin(host: &Host, words: &[&str]) -> Child {
    let pod = host.release(WEB).pod();
    let words = [&["pod", pod.to_str().unwrap()], words].concat();
    let mut command = host.command(&words);
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn done(asked: Child) {
    let output = asked.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// The processes that drive this release alone, or would like to.
fn keeps(host: &Host) -> Vec<u32> {
    let pod = host.release(WEB).pod();
    let line = format!("pod\0{}\0keep\0", pod.display());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&line) && is_alive(*pid)
    })
    .collect()
}

/// A step of a driver that was killed, which has not ended yet: it holds the lock, and nobody drives.
fn step_of_nobody(host: &Host) -> File {
    let file = File::create(host.release(WEB).lock()).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[test]
fn whoever_queues_behind_a_step_of_nobody_the_daemon_drives_in_the_end_and_alone() {
    for is_daemon_first in [false, true] {
        let host = Host::new();
        host.pod(WEB, "stopped", &shell("main", "", "exec sleep 600"));
        let step = step_of_nobody(&host);
        let early = is_daemon_first.then(|| host.daemon());
        let asked = begin(&host, &["run"]);
        let waits = || Ok((!keeps(&host).is_empty()).then_some(()));
        wait_until("one who wants to drive it alone", LIMIT, waits).unwrap();
        let daemon = early.unwrap_or_else(|| host.daemon());
        drop(step);
        done(asked);
        let told = |status: &PodStatus| status.pid == Some(daemon.id()) && is_running(status);
        host.wait(WEB, "the daemon to drive", told);
        let alone = || Ok(keeps(&host).is_empty().then_some(()));
        wait_until("the daemon to be alone", LIMIT, alone).unwrap();
        done(begin(&host, &["rm"]));
    }
}

#[test]
fn what_a_sync_has_changed_is_read_when_it_is_over() {
    let host = Host::new();
    let unit = shell(
        "main",
        "mounts: [{volume: conf, dest: /mnt/conf}]",
        "exec sleep 600",
    );
    host.config(WEB, "old");
    host.pod(WEB, "stopped", &unit);
    done(begin(&host, &["run"]));
    let before = pid(&host.status(WEB).unwrap());
    let journal = host.home().sync_dir().join("journal.json");
    Host::put(&journal, b"{}");
    host.config(WEB, "new");
    // The driver has seen that, and does not believe it: what it is asked now comes after.
    Host::put(&host.release(WEB).action(), b"signal\nid x\n");
    host.wait(WEB, "the request to be done", |status| {
        status
            .action
            .as_ref()
            .is_some_and(|action| action.id == "x" && action.outcome.is_some())
    });
    assert_eq!(pid(&host.status(WEB).unwrap()), before);
    fs::remove_file(journal).unwrap();
    let is_new = |status: &PodStatus| {
        let pid = status.units.first().and_then(|unit| unit.pid);
        is_running(status) && pid.is_some_and(|pid| pid != before)
    };
    host.wait(WEB, "the unit to be started with its config", is_new);
    done(begin(&host, &["rm"]));
}

#[test]
fn what_is_to_be_stopped_is_not_started_first() {
    for words in [&["stop"][..], &["kill"], &["rm"]] {
        let host = Host::new();
        host.pod(
            WEB,
            "stopped",
            &shell("main", "restart: always", "echo begun; exec sleep 600"),
        );
        done(begin(&host, &["run"]));
        let log = host
            .release(WEB)
            .log_dir()
            .join("main-web-1.0.0-stdout.log");
        let begun = || {
            fs::read_to_string(&log)
                .unwrap_or_default()
                .matches("begun")
                .count()
        };
        wait_until("the unit to begin", LIMIT, || {
            Ok((begun() == 1).then_some(()))
        })
        .unwrap();
        // As after a power cut: who drove it is gone, and so is its unit.
        let status = host.status(WEB).unwrap();
        let unit = pid(&status);
        for process in keeps(&host).into_iter().chain([unit]) {
            kill(process);
        }
        let gone = || Ok((keeps(&host).is_empty() && !is_alive(unit)).then_some(()));
        wait_until("both to be gone", LIMIT, gone).unwrap();
        done(begin(&host, words));
        assert_eq!(begun(), 1, "{words:?}");
    }
}

#[test]
fn whoever_comes_too_late_to_drive_leaves_by_itself() {
    let host = Host::new();
    host.pod(WEB, "stopped", &shell("main", "", "exec sleep 600"));
    for last in ["stop", "rm"] {
        done(begin(&host, &["run"]));
        done(begin(&host, &[last]));
        let gone = || Ok(keeps(&host).is_empty().then_some(()));
        wait_until("the one before to be gone", LIMIT, gone).unwrap();
        // As one that has waited while another did all that was asked.
        done(begin(&host, &["keep"]));
    }
}
