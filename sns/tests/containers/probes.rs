//! Every kind of probe, with success, failure and a time that is over.

use super::host::{Host, IMAGE, is_running, shell, sleeper, starts, unit};

/// Listens on 8080 when its file is there; the shell script of a container.
const SERVES: &str = "mkdir /www; echo well > /www/health; exec httpd -f -p 8080 -h /www";

#[test]
fn probes_that_succeed() {
    let http = "\
startupProbe:
  timeout: 60
  tcp: {port: 8080}
readinessProbe:
  timeout: 60
  http: {port: 8080, path: /health}
livenessProbe:
  timeout: 60
  http: {port: 8080, path: /health}";
    let command = "\
startupProbe:
  timeout: 60
  cmd: [test, -e, /tmp/started]
readinessProbe:
  timeout: 60
  cmd: [test, -e, /tmp/ready]
livenessProbe:
  timeout: 60
  cmd: ['true']";
    let exit = "startupProbe:\n  timeout: 60\n  exit: true";
    let sections = format!(
        "containers:\n{}{}{}",
        shell("first", "echo prepared; exit 0", exit),
        shell("served", SERVES, http),
        shell("asked", "touch /tmp/started; exec sleep 600", command),
    );
    let host = Host::of(&sections);
    // It runs, and is not ready before its last probe is.
    host.wait("web:1.0.0", "it to run", is_running);
    assert!(!host.status("web:1.0.0").unwrap().readiness);
    host.exec("asked", &["touch", "/tmp/ready"]);
    let status = host.wait("web:1.0.0", "it to be ready", |now| now.readiness);
    assert_eq!(starts(&status, "served"), 1);
    // And not when it is no longer.
    host.exec("asked", &["rm", "/tmp/ready"]);
    host.wait("web:1.0.0", "it not to be ready", |now| !now.readiness);
    // The log says what fails, once for each time that it begins to.
    let log = host.verb("web:1.0.0", &["logs"]).stdout;
    assert_eq!(log.matches("asked: readiness probe: ").count(), 2, "{log}");
}

/// A pod whose only container never passes this startup probe says so, and is tried again.
#[track_caller]
fn check_startup(script: &str, probe: &str, expected: &str) {
    let keys = format!("restart: always\nstopTimeout: 1\nstartupProbe:\n  timeout: 1\n  {probe}");
    let host = Host::of(&format!("containers:\n{}", shell("main", script, &keys)));
    let status = host.wait("web:1.0.0", "a second try", |now| {
        starts(now, "main") >= 2 && !now.message.is_empty()
    });
    assert!(status.message.contains(expected), "{}", status.message);
    assert!(!status.readiness && !is_running(&status), "{status:#?}");
}

#[test]
fn a_program_that_fails_to_prepare() {
    check_startup("exit 3", "exit: true", "main");
}

#[test]
fn a_program_that_takes_too_long_to_prepare() {
    check_startup("exec sleep 600", "exit: true", "main");
}

#[test]
fn a_startup_command_that_fails() {
    check_startup("exec sleep 600", "cmd: ['false']", "main");
}

#[test]
fn a_startup_command_that_hangs() {
    check_startup("exec sleep 600", "cmd: [sleep, '600']", "main");
}

#[test]
fn a_port_that_nobody_listens_on() {
    check_startup("exec sleep 600", "tcp: {port: 8080}", "main");
}

#[test]
fn a_page_that_is_not_there() {
    check_startup(SERVES, "http: {port: 8080, path: /nothing}", "main");
}

#[test]
fn a_server_that_never_answers() {
    let silent = "exec nc -lk -p 8080 -e sleep 600";
    check_startup(silent, "http: {port: 8080, path: /}", "main");
}

#[test]
fn one_that_fails_its_liveness_probe_is_started_again() {
    let keys = "restart: always\nstopTimeout: 1\nlivenessProbe:\n  timeout: 5\n  cmd: [test, '!', -e, /tmp/sick]";
    let sections = format!(
        "containers:\n{}{}",
        shell("main", "exec sleep 600", keys),
        sleeper("other", "restart: always")
    );
    let host = Host::ready(&sections);
    let before = host.status("web:1.0.0").unwrap();
    host.exec("main", &["touch", "/tmp/sick"]);
    let after = host.wait("web:1.0.0", "it to be started again", |now| {
        starts(now, "main") == 2 && now.readiness
    });
    assert_eq!(unit(&before, "other").pid, unit(&after, "other").pid);
}

#[test]
fn a_readiness_probe_that_hangs_ends_with_all_that_it_began() {
    let keys = "readinessProbe:\n  timeout: 1\n  cmd: [sleep, '4711']";
    let text = shell("main", "exec sleep 600", keys);
    assert!(text.contains(IMAGE));
    let host = Host::of(&format!("containers:\n{text}"));
    host.wait("web:1.0.0", "it to run", is_running);
    // Twice: the one before has ended, or there would be two.
    let probes = || host.exec("main", &["sh", "-c", "ps | grep '[s]leep 4711' | wc -l"]);
    host.until("a probe", || probes() == "1\n");
    host.until("no probe", || probes() == "0\n");
    host.until("the next probe", || probes() == "1\n");
    assert!(!host.status("web:1.0.0").unwrap().readiness);
    // podman keeps a record of each command whose end it has not seen, and waits for it at the end.
    let sessions = [
        "inspect",
        "--format",
        "{{len .ExecIDs}}",
        &host.containers().join(" "),
    ];
    host.until("podman to know that they have ended", || {
        host.podman.run(&sessions).unwrap().trim() == "0"
    });
}
