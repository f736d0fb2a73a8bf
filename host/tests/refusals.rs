//! What the daemon refuses, and how it says so.

use std::fs;
use std::process::Output;

use crate::host::{Host, is_running, shell};

#[track_caller]
fn check(output: &Output, code: i32, message: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(message), "{said}");
}

#[test]
fn a_home_that_is_none() {
    let host = Host::new();
    check(
        &host.run(&["/no/such/home"]),
        1,
        "[ERROR] there is no host home at /no/such/home",
    );
    let home = host.home();
    fs::remove_file(home.cluster_id()).unwrap();
    check(
        &host.run(&[home.path().to_str().unwrap()]),
        1,
        "it has no file `cluster-id.txt`",
    );
    fs::remove_dir_all(home.pods_dir()).unwrap();
    check(
        &host.run(&[home.path().to_str().unwrap()]),
        1,
        "it has no directory `pods`",
    );
}

#[test]
fn a_home_that_another_daemon_serves() {
    let host = Host::new();
    host.pod("web:1.0.0", "stopped", "- name: main\n");
    let _daemon = host.daemon();
    host.wait("web:1.0.0", "the first daemon", |_| true);
    check(
        &host.run(&[host.home().path().to_str().unwrap()]),
        1,
        "another simplenetesd serves",
    );
}

#[test]
fn a_home_that_belongs_to_someone_else() {
    let host = Host::new();
    let home = host.home().path().to_owned();
    if std::os::unix::fs::chown(&home, Some(65_534), None).is_err() {
        // Only root can give a directory away; the root directory is someone else's then.
        let refused = host.run(&["/"]);
        return check(&refused, 1, "/");
    }
    check(
        &host.run(&[home.to_str().unwrap()]),
        1,
        "belongs to user 65534, and this is user 0",
    );
}

#[test]
fn a_command_line_that_is_wrong() {
    let host = Host::new();
    check(&host.run(&["--worker"]), 2, "HOSTHOME");
    check(&host.run(&["--no-such-option"]), 2, "--no-such-option");
    let unit_for = |home: &str| host.run(&["systemd-unit", "--user", home]);
    check(&unit_for("/no/such/home"), 1, "there is no host home at");
    check(&unit_for("/usr"), 1, "/usr is not a host home");
}

#[test]
fn help_and_version() {
    let host = Host::new();
    let help = host.run(&["--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.status.success() && text.contains("HOSTHOME") && text.contains("Exit status:"),
        "{text}"
    );
    assert!(!text.contains("shim"), "{text}");
    let version = String::from_utf8(host.run(&["--version"]).stdout).unwrap();
    assert_eq!(
        version,
        format!("simplenetesd {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_cache_that_cannot_be_used_is_no_reason_not_to_serve() {
    let host = Host::new();
    host.pod("web:1.0.0", "running", &shell("main", "", "exec sleep 600"));
    let home = host.home().path().to_owned();
    let mut command = host.command(&[home.to_str().unwrap()]);
    command.env("XDG_CACHE_HOME", host.home().cluster_id());
    let _daemon = testkit::Daemon::start(&mut command, &home).unwrap();
    host.wait("web:1.0.0", "the pod to run", is_running);
}

#[test]
fn a_users_pod_is_changed_by_the_user_alone() {
    let host = Host::new();
    host.pod("web:1.0.0", "stopped", "- name: main\n");
    let release = host.release("web:1.0.0");
    let pod = release.pod().display().to_string();
    let beside = release.path().join("ramdisk");
    fs::create_dir(&beside).unwrap();
    // It is this user's again at the end: the folder goes.
    let give = |owner: u32| std::os::unix::fs::chown(release.path(), Some(owner), None).unwrap();
    give(64_302);
    let verbs: [&[&str]; 5] = [
        &["stop"],
        &["keep"],
        &["exec", "--", "true"],
        &["create-ramdisks", "--delete"],
        &["reload-configs", "conf"],
    ];
    for verb in verbs {
        let words = [&["pod", pod.as_str()], verb].concat();
        check(
            &host.run(&words),
            1,
            "as the owner, with `sudo -u '#64302' /",
        );
    }
    assert!(beside.exists());
    // Reading does no harm.
    check(&host.run(&["pod", &pod, "info"]), 0, "");
    hostfiles::replace(&release.pod(), b"#!/bin/sh\necho executed\n", 0o755).unwrap();
    let foreign = host.run(&["pod", &pod, "ps"]);
    check(&foreign, 1, "belongs to user 64302");
    assert_eq!(foreign.stdout, b"");
    give(0);
    assert_eq!(host.run(&["pod", &pod, "ps"]).stdout, b"executed\n");
}
