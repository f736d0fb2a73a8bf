//! Processes of which the daemon knows nothing: they are taken over, or ended before others start.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

use hostfiles::PodPhase;

use crate::host::{Host, is_alive, is_running, kill, pid, shell};

const WEB: &str = "web:1.0.0";
const LIMIT: Duration = Duration::from_secs(60);

/// What a driver asks a shim for.
fn request(host: &Host, script: &str) -> String {
    let release = host.release(WEB);
    fs::create_dir_all(release.path()).unwrap();
    serde_json::json!({
        "release": release.path(), "id": WEB, "unit": "main", "startCount": 1,
        "launch": launch(script),
    })
    .to_string()
}

fn launch(script: &str) -> serde_json::Value {
    serde_json::json!({
        "program": "/bin/sh", "args": ["-c", script], "env": [["PATH", "/usr/bin:/bin"]],
        "workingDirectory": "/", "user": null, "root": null, "stdin": [],
    })
}

/// A shim whose daemon was killed before it could write down anything.
fn shim_without_daemon(host: &Host) -> Child {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = host.command(&["shim"]);
    command.stdin(OwnedFd::from(theirs));
    let shim = command.spawn().unwrap();
    drop(command);
    writeln!(ours, "{}", request(host, "exec sleep 600")).unwrap();
    let mut answer = String::new();
    BufReader::new(ours).read_line(&mut answer).unwrap();
    assert!(answer.contains("pid"), "{answer}");
    shim
}

fn record(host: &Host) -> serde_json::Value {
    let text = fs::read(host.release(WEB).run_dir().join("main.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn pid_in(record: &serde_json::Value, who: &str) -> u32 {
    let pid = record.pointer(&format!("/{who}/pid")).unwrap();
    u32::try_from(pid.as_u64().unwrap()).unwrap()
}

#[test]
fn a_unit_that_has_a_shim_already_is_taken_over_and_ended_in_order() {
    let host = Host::new();
    host.pod(WEB, "stopped", &shell("main", "", "exec sleep 600"));
    let _daemon = host.daemon();
    host.wait(WEB, "the first look", |_| true);
    let mut shim = shim_without_daemon(&host);
    let survivor = pid_in(&record(&host), "process");
    host.state(WEB, "running");
    let status = host.wait(WEB, "the unit to be taken over", is_running);
    assert_eq!(pid(&status), survivor);
    host.state(WEB, "removed");
    host.wait(WEB, "the removal", |status| {
        status.status == PodPhase::Removed
    });
    assert!(!is_alive(survivor), "removed while it runs");
    shim.wait().unwrap();
}

#[test]
fn a_removal_ends_a_unit_of_which_nobody_knew() {
    let host = Host::new();
    host.pod(WEB, "running", &shell("main", "restart: never", "exit 0"));
    let _daemon = host.daemon();
    host.wait(WEB, "the end of the unit", |status| {
        status.units[0].status == "exited"
    });
    let lock = host.release(WEB).run_dir().join("main.lock");
    let free = || Ok(fs::File::open(&lock)?.try_lock().is_ok().then_some(()));
    testkit::wait_until("the end of the first shim", LIMIT, free).unwrap();
    let mut shim = shim_without_daemon(&host);
    let survivor = pid_in(&record(&host), "process");
    host.state(WEB, "removed");
    host.wait(WEB, "the removal", |status| {
        status.status == PodPhase::Removed
    });
    assert!(!is_alive(survivor), "removed while it runs");
    assert!(!host.release(WEB).run_dir().exists());
    shim.wait().unwrap();
}

#[test]
fn what_a_killed_shim_left_while_no_daemon_ran_is_ended_before_the_next_start() {
    let host = Host::new();
    let script = "sleep 600 & echo child $!; wait";
    host.pod(
        WEB,
        "running",
        &shell("main", "restart: on-failure", script),
    );
    let mut daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    host.wait_for_line(WEB, "main", "stdout", "child");
    let log = fs::read_to_string(host.log(WEB, "main", "stdout")).unwrap();
    let child: u32 = log.trim().rsplit(' ').next().unwrap().parse().unwrap();
    daemon.stop().unwrap();
    let record = record(&host);
    kill(pid_in(&record, "shim"));
    let ended = || Ok((!is_alive(pid_in(&record, "process"))).then_some(()));
    testkit::wait_until("the end of the unit's process", LIMIT, ended).unwrap();
    assert!(is_alive(child), "the kernel ended the child as well");
    let _daemon = host.daemon();
    host.wait(WEB, "the next start", |status| {
        is_running(status) && status.units[0].start_count == 2
    });
    assert!(!is_alive(child), "the child of the first run still runs");
}

#[test]
fn a_program_is_never_started_without_its_shim() {
    let host = Host::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // The shim that it should be the child of is not its parent.
    let mut command = host.command(&["gate", "1"]);
    command.stdin(OwnedFd::from(theirs));
    let mut gate = command.spawn().unwrap();
    drop(command);
    write!(ours, "{}", launch("exec sleep 600")).unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut refusal = String::new();
    ours.read_to_string(&mut refusal).unwrap();
    assert!(
        refusal.contains("the parent of the program has ended"),
        "{refusal}"
    );
    assert_eq!(gate.wait().unwrap().code(), Some(126));
}

#[test]
fn a_unit_cannot_hold_up_the_daemon_with_links_in_its_config() {
    let host = Host::new();
    let script =
        "for link in a b c d e f; do ln -s . mnt/conf/$link; done; echo linked; exec sleep 600";
    let keys = "mounts: [{volume: conf, dest: /mnt/conf}]";
    host.config(WEB, "text\n");
    host.pod(WEB, "running", &shell("main", keys, script));
    host.pod(
        "other:1.0.0",
        "running",
        &shell("main", "", "exec sleep 600"),
    );
    let mut daemon = host.daemon();
    host.wait_for_line(WEB, "main", "stdout", "linked");
    host.wait("other:1.0.0", "the other pod to run", is_running);
    host.state("other:1.0.0", "removed");
    host.wait("other:1.0.0", "its removal", |status| {
        status.status == PodPhase::Removed
    });
    daemon.stop().unwrap();
}

#[test]
fn a_daemon_without_descriptors_ends_no_unit() {
    const PODS: usize = 24;
    let host = Host::new();
    let ids: Vec<String> = (0..PODS).map(|place| format!("pod{place}:1.0.0")).collect();
    for id in &ids {
        host.pod(id, "running", &shell("main", "", "exec sleep 600"));
    }
    let mut daemon = host.daemon();
    let before: Vec<u32> = ids
        .iter()
        .map(|id| pid(&host.wait(id, "the pod to run", is_running)))
        .collect();
    daemon.stop().unwrap();
    let home = host.home().path().to_owned();
    let program = env!("CARGO_BIN_EXE_simplenetesd");
    let script = format!("ulimit -n 32; exec {program} {}", home.display());
    let mut short = host.command(&[]);
    let environment: Vec<_> = short
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    short = std::process::Command::new("sh");
    short.args(["-c", &script]).env_clear().envs(environment);
    let daemon = testkit::Daemon::start(&mut short, &home).unwrap();
    let looked = || {
        let mut statuses = ids.iter().filter_map(|id| host.status(id));
        Ok(statuses
            .any(|status| status.pid == Some(daemon.id()))
            .then_some(()))
    };
    testkit::wait_until("its first look", LIMIT, looked).unwrap();
    // Asked to end it would first finish what it is trying to do.
    kill(daemon.id());
    let killed = || Ok((!is_alive(daemon.id())).then_some(()));
    testkit::wait_until("its end", LIMIT, killed).unwrap();
    let daemon = host.daemon();
    for (id, before) in ids.iter().zip(before) {
        let status = host.wait(id, "the third daemon", |status| {
            is_running(status) && status.pid == Some(daemon.id())
        });
        assert_eq!(pid(&status), before, "{id} was ended");
    }
}
