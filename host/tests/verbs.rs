//! The reading verbs of the Pod API.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::json;

use crate::host::{Host, is_running, shell};

const WEB: &str = "web:1.0.0";

fn ask(host: &Host, arguments: &[&str]) -> (i32, String) {
    let pod = host.release(WEB).pod();
    let output = host.run(&[&["pod", pod.to_str().unwrap()], arguments].concat());
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

fn json(host: &Host, arguments: &[&str]) -> serde_json::Value {
    let (code, text) = ask(host, arguments);
    assert_eq!((code, text.lines().count()), (0, 1), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_pod_answers_before_during_and_after_its_run() {
    let host = Host::new();
    let keys = "expose: [{targetPort: 80, hostPort: 30000, maxConn: 1}]; mounts: [{volume: conf, dest: /a}, {volume: conf, dest: /b}]";
    host.pod(
        WEB,
        "running",
        &shell("main", keys, "echo hello; echo oops >&2; exec sleep 600"),
    );
    assert_eq!(
        ask(&host, &["ps"]),
        (0, "pod: web-1.0.0\nstatus: non-existing\n".into())
    );
    assert_eq!(
        json(&host, &["ps", "--json"]),
        json!({ "pod": "web-1.0.0", "status": "non-existing", "ready": false, "units": [] })
    );
    assert_eq!(
        json(&host, &["info", "--json"])["units"][0]["name"],
        json!("main")
    );
    assert_eq!(ask(&host, &["readiness"]), (1, String::new()));
    let (code, info) = ask(&host, &["info"]);
    assert_eq!(code, 0);
    for line in [
        "pod: web-1.0.0\n",
        "      mounts: ./config/conf:/a ./config/conf:/b\n",
        "      ports: 30000:80\n",
        "      restart: never\n",
    ] {
        assert!(info.contains(line), "{info}");
    }
    assert_eq!(
        ask(&host, &["version"]).1,
        "apiVersion 1.0.0-beta2\nruntime native\npodVersion 1.0.0\n"
    );
    let mut daemon = host.daemon();
    host.wait(WEB, "readiness", |status| {
        is_running(status) && status.readiness
    });
    assert_eq!(ask(&host, &["readiness"]).0, 0);
    assert!(ask(&host, &["ps"]).1.contains("\nstatus: running\n"));
    let told = json(&host, &["ps", "--json"]);
    let unit = &told["units"][0];
    assert_eq!(
        (&told["status"], &told["ready"], &told["hostPorts"]),
        (&json!("running"), &json!(true), &json!([30000]))
    );
    assert_eq!(
        (&unit["name"], &unit["startCount"], &unit["exitCode"]),
        (&json!("main"), &json!(1), &json!(null))
    );
    host.wait_for_line(WEB, "main", "stdout", "hello");
    host.wait_for_line(WEB, "main", "stderr", "oops");
    assert_eq!(
        ask(&host, &["logs", "-s", "stderr", "-d", "name,stream"]),
        (0, "main stderr oops\n".into())
    );
    assert_eq!(ask(&host, &["logs", "nobody"]).0, 1);
    assert_eq!(
        ask(&host, &["logs", "-p", "-d", "name"]),
        (0, "<pod> start main\n".into())
    );
    daemon.stop().unwrap();
    assert_eq!(ask(&host, &["ps"]).1, "pod: web-1.0.0\nstatus: unknown\n");
    assert_eq!(ask(&host, &["readiness"]).0, 1);
}

#[test]
fn who_follows_a_silent_pod_ends_with_its_reader() {
    let host = Host::new();
    host.pod(WEB, "stopped", "- name: main\n");
    let pod = host.release(WEB).pod();
    let words = ["pod", pod.to_str().unwrap(), "logs", "--follow", "--json"];
    let mut follow = host.command(&words);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "{}");
    drop(said);
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

#[test]
fn the_files_of_a_pod_that_is_a_program_are_read_without_asking_it() {
    let host = Host::new();
    let release = host.release(WEB);
    Host::put(&release.pod(), b"#!/bin/sh\necho asked for $*\n");
    fs::set_permissions(release.pod(), fs::Permissions::from_mode(0o755)).unwrap();
    let log = release.log_dir();
    Host::put(&log.join("main-web-1.0.0-stdout.log"), b"100 0 a\n");
    Host::put(&log.join("web-1.0.0-stdout.log"), b"101 0 b\n");
    assert_eq!(ask(&host, &["logs"]), (0, "asked for logs\n".into()));
    let (code, said) = ask(&host, &["logs", "--json"]);
    let units: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["unit"].clone())
        .collect();
    assert_eq!((code, units), (0, vec![json!("main"), json!("<pod>")]));
    assert_eq!(ask(&host, &["logs", "--json", "mian"]).0, 1);
}

#[test]
fn help_names_the_verbs() {
    let host = Host::new();
    host.pod(WEB, "stopped", "- name: main\n");
    for arguments in [&[][..], &["help"][..]] {
        let (code, text) = ask(&host, arguments);
        assert!(
            code == 0 && text.contains("readiness") && text.contains("logs"),
            "{text}"
        );
    }
}

#[test]
fn a_shell_gets_its_completions() {
    let host = Host::new();
    let output = host.run(&["completions", "bash"]);
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && script.contains("reload-configs"));
}

#[test]
fn a_verb_that_there_is_not_is_named_with_those_that_there_are() {
    let host = Host::new();
    host.pod(WEB, "stopped", "- name: main\n");
    let pod = host.release(WEB).pod();
    let output = host.run(&["pod", pod.to_str().unwrap(), "dance", "main"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains(
            "no verb `dance` in this version; verbs: version, info, ps, readiness, logs, run, stop, "
        ),
        "{said}"
    );
}

#[test]
fn a_level_that_there_is_not_is_named_with_those_that_there_are() {
    let host = Host::new();
    let output = host
        .command(&["systemd-unit"])
        .env("SNS_LOG_LEVEL", "foo")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("`foo`: expected error, warn, info or debug"),
        "{said}"
    );
}
