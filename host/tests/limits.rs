//! What a unit may use at most, with real processes and the real kernel. It needs root, because it makes the
//! control groups that a service manager would make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hostfiles::PodPhase;
use testkit::{Daemon, wait_until};

use crate::groups::Groups;
use crate::host::{Host, LIMIT, is_alive, is_running, kill, pid, shell};

const WEB: &str = "web:1.0.0";

fn daemon(host: &Host, groups: &Groups) -> Daemon {
    let home = host.home().path().to_owned();
    let command = host.command(&[home.to_str().unwrap()]);
    Daemon::start(&mut groups.wrap(&command), &home).unwrap()
}

fn record(host: &Host) -> serde_json::Value {
    let text = fs::read(host.release(WEB).run_dir().join("main.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The directories of the unit's group.
fn directories(host: &Host) -> Vec<PathBuf> {
    let record = record(host);
    let parts = record.pointer("/group/parts").unwrap().as_array().unwrap();
    let path = |part: &serde_json::Value| part.get("directory").unwrap().as_str().unwrap().into();
    parts.iter().map(path).collect()
}

/// The content of a file of the group.
fn file(directories: &[PathBuf], names: &[&str]) -> String {
    let paths = directories
        .iter()
        .flat_map(|group| names.iter().map(|name| group.join(name)));
    let found = paths
        .filter_map(|path| fs::read_to_string(path).ok())
        .next();
    found.unwrap().trim().to_owned()
}

fn wait_until_gone(directories: &[PathBuf]) {
    wait_until("the groups to be removed", LIMIT, || {
        Ok(directories
            .iter()
            .all(|group| !group.exists())
            .then_some(()))
    })
    .unwrap();
}

#[test]
fn what_needs_more_memory_than_it_may_have_is_killed_and_says_so() {
    let (host, groups) = (Host::new(), Groups::new());
    // It reads a line that never ends.
    let script = "exec tail /dev/zero";
    let keys = "limits: {memoryBytes: 33554432}";
    host.pod(WEB, "running", &shell("main", keys, script));
    let _daemon = daemon(&host, &groups);
    let status = host.wait(WEB, "the end of the unit", |status| {
        status.units[0].status == "exited"
    });
    assert_eq!(status.units[0].exit_code, Some(137), "{status:#?}");
    let said = "main exited with 137 (killed for memory: limit 32M)";
    assert!(status.message.contains(said), "{}", status.message);
    wait_until_gone(&directories(&host));
}

#[test]
fn a_child_that_needs_more_memory_is_killed_as_well() {
    let (host, groups) = (Host::new(), Groups::new());
    let script = "tail /dev/zero; exit 3";
    let keys = "limits: {memoryBytes: 33554432}";
    host.pod(WEB, "running", &shell("main", keys, script));
    let _daemon = daemon(&host, &groups);
    let status = host.wait(WEB, "the end of the unit", |status| {
        status.units[0].status == "exited"
    });
    assert!(
        status.message.contains("killed for memory: limit 32M"),
        "{}",
        status.message
    );
}

#[test]
fn processor_time_and_processes_are_limited_and_nothing_is_left() {
    let (host, groups) = (Host::new(), Groups::new());
    // The shell ends when it cannot start another process.
    let script = "read line; while :; do sleep 600 & done";
    let keys = "limits: {cpuMillis: 500, pids: 8}";
    let keys = format!("{keys}; mounts: [{{volume: conf, dest: /conf}}]");
    let script = script.replace("read line", "until [ -e conf/text ]; do sleep 0.05; done");
    host.pod(WEB, "running", &shell("main", &keys, &script));
    let _daemon = daemon(&host, &groups);
    host.wait(WEB, "the pod to run", is_running);
    let of_unit = directories(&host);
    assert_eq!(file(&of_unit, &["pids.max"]), "8");
    let quota = file(&of_unit, &["cpu.max", "cpu.cfs_quota_us"]);
    assert!(quota.starts_with("50000"), "{quota}");
    let name = of_unit[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("web-1.0.0-main-"), "{name}");
    host.config(WEB, "go on\n");
    let status = host.wait(WEB, "the end of the unit", |status| {
        status.units[0].status == "exited"
    });
    assert_ne!(status.units[0].exit_code, Some(0));
    host.wait_for_line(WEB, "main", "stderr", "fork");
    wait_until_gone(&of_unit);
}

#[test]
fn what_left_its_session_and_its_environment_ends_with_a_shim_that_was_killed() {
    let (host, groups) = (Host::new(), Groups::new());
    let script = "env -i setsid sleep 600 & echo child $!; wait";
    let keys = "limits: {pids: 100}; restart: always";
    host.pod(WEB, "running", &shell("main", keys, script));
    let _daemon = daemon(&host, &groups);
    let status = host.wait(WEB, "the pod to run", is_running);
    host.wait_for_line(WEB, "main", "stdout", "child");
    let in_group = || -> Vec<u32> {
        let text = file(&directories(&host), &["cgroup.procs"]);
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let hidden = wait_until("the child to have left", LIMIT, || {
        let hidden =
            |pid: &u32| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| text.is_empty());
        Ok(in_group().into_iter().find(hidden))
    })
    .unwrap();
    let shim = record(&host)
        .pointer("/shim/pid")
        .unwrap()
        .as_u64()
        .unwrap();
    kill(u32::try_from(shim).unwrap());
    host.wait(WEB, "the next start", |next| {
        is_running(next) && pid(next) != pid(&status)
    });
    assert!(!is_alive(hidden), "it has survived its unit");
    assert!(!in_group().contains(&hidden));
    host.state(WEB, "removed");
    host.wait(WEB, "the removal", |status| {
        status.status == PodPhase::Removed
    });
}

#[test]
fn a_group_that_was_left_behind_is_removed_by_the_next_daemon() {
    let (host, groups) = (Host::new(), Groups::new());
    let keys = "limits: {pids: 100}; restart: always";
    host.pod(WEB, "running", &shell("main", keys, "exec sleep 600"));
    let mut first = daemon(&host, &groups);
    let before = pid(&host.wait(WEB, "the pod to run", is_running));
    let running = directories(&host);
    let left: Vec<PathBuf> = running
        .iter()
        .map(|group| {
            let name = group.file_name().unwrap().to_str().unwrap();
            group.with_file_name(name.replace("-main-", "-gone-"))
        })
        .collect();
    left.iter().for_each(|group| fs::create_dir(group).unwrap());
    first.stop().unwrap();
    let second = daemon(&host, &groups);
    wait_until_gone(&left);
    let status = host.wait(WEB, "the second daemon", |status| {
        is_running(status) && status.pid == Some(second.id())
    });
    assert_eq!(pid(&status), before, "the unit was started again");
    assert!(running.iter().all(|group| group.exists()));
}

#[test]
fn without_control_groups_a_unit_with_limits_is_refused_and_others_run() {
    let host = Host::new();
    let keys = "limits: {memoryBytes: 33554432}";
    host.pod(WEB, "running", &shell("main", keys, "exec sleep 600"));
    let free = shell("main", "", "exec sleep 600");
    host.pod("free:1.0.0", "running", &free);
    let home = host.home().path().to_owned();
    let command = host.command(&[home.to_str().unwrap()]);
    let _daemon = Daemon::start(&mut after("umount -R /sys/fs/cgroup", &command), &home).unwrap();
    let status = host.wait(WEB, "the refusal", |status| {
        status.message.contains("not mounted here")
    });
    let said = "main is not started until its pod or plugin changes: the limits of unit main cannot be kept: control groups for memory are not mounted here";
    assert_eq!(status.message, said);
    assert!(
        !host.release(WEB).run_dir().join("main.json").exists(),
        "it was started"
    );
    host.wait("free:1.0.0", "the pod without limits", is_running);
}

/// The same command after this line of a shell, which changes mounts for it alone.
fn after(line: &str, command: &Command) -> Command {
    let mut wrapped = Command::new("unshare");
    wrapped
        .args([
            "--mount",
            "sh",
            "-c",
            &format!("{line}; exec \"$0\" \"$@\""),
        ])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        wrapped.env(name, value.unwrap());
    }
    wrapped
}

#[test]
fn a_hierarchy_that_may_only_be_read_is_no_place_for_limits() {
    let host = Host::new();
    let keys = "limits: {pids: 5}";
    host.pod(WEB, "running", &shell("main", keys, "exec sleep 600"));
    let home = host.home().path().to_owned();
    let command = host.command(&[home.to_str().unwrap()]);
    let seal = "for group in /sys/fs/cgroup/* /sys/fs/cgroup; do mount -o remount,bind,ro $group 2>/dev/null; done";
    let mut wrapped = after(seal, &command);
    let _daemon = Daemon::start(&mut wrapped, &home).unwrap();
    let status = host.wait(WEB, "the refusal", |status| {
        status.message.contains("cannot be kept")
    });
    assert!(
        status.message.contains("Read-only file system"),
        "{}",
        status.message
    );
    assert!(
        !Path::new(&host.release(WEB).run_dir())
            .join("main.json")
            .exists()
    );
}
