//! A pod that is a program of its own (`runtime: executable`): a shell script of the original's shape, driven
//! by the real daemon through its verbs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hostfiles::{Placed, PodAction, PodPhase, PodStatus, PodVerb, replace};
use testkit::{Daemon, wait_until};

use crate::host::{Host, LIMIT, is_alive, kill};

const TOOL: &str = "tool:1.0.0";
const ROUTE: &str = "61000:30000:10:false\n";

/// A host with the script as its only pod.
fn host(state: &str) -> (Host, Left) {
    let host = Host::new();
    let release = host.release(TOOL);
    Host::put(&release.pod(), include_bytes!("foreign/pod.sh"));
    fs::set_permissions(release.pod(), fs::Permissions::from_mode(0o755)).unwrap();
    Host::put(&release.portmappings(), ROUTE.as_bytes());
    host.config(TOOL, "one");
    host.state(TOOL, state);
    let left = Left(release.path().to_owned());
    (host, left)
}

fn mark(host: &Host, name: &str) {
    Host::put(&host.release(TOOL).path().join(name), b"");
}

/// What the program was told, a line each.
fn calls(host: &Host) -> String {
    fs::read_to_string(host.release(TOOL).path().join("calls")).unwrap_or_default()
}

#[track_caller]
fn wait_for_calls(host: &Host, expected: &str) {
    let found = wait_until(expected, LIMIT, || {
        Ok((calls(host) == expected).then_some(()))
    });
    found.unwrap_or_else(|error| panic!("{error}: {}{}", calls(host), said(host)));
}

fn said(host: &Host) -> String {
    let log = host.release(TOOL).log_dir().join("tool-1.0.0-stdout.log");
    fs::read_to_string(log).unwrap_or_default()
}

#[track_caller]
fn wait_until_said(host: &Host, text: &str) {
    let found = wait_until(text, LIMIT, || Ok(said(host).contains(text).then_some(())));
    found.unwrap_or_else(|error| panic!("{error}: {}", said(host)));
}

/// The process that hangs.
fn hanging(host: &Host) -> u32 {
    let path = host.release(TOOL).path().join("hanging");
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

fn ask(host: &Host, verb: PodVerb, words: &[&str]) {
    let action = PodAction {
        words: words.iter().map(ToString::to_string).collect(),
        ..PodAction::new(verb)
    };
    action.place(&host.release(TOOL).action()).unwrap();
}

fn is(phase: PodPhase) -> impl Fn(&PodStatus) -> bool {
    move |status| status.status == phase
}

fn pid(host: &Host) -> u32 {
    host.status(TOOL).unwrap().pid.unwrap()
}

/// Ends what a test that failed has left.
struct Left(std::path::PathBuf);

impl Drop for Left {
    fn drop(&mut self) {
        let pids = fs::read_to_string(self.0.join("pids")).unwrap_or_default();
        for pid in pids.lines().filter_map(|line| line.parse().ok()) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "sleep" {
                kill(pid);
            }
        }
    }
}

const RUN: &str = "run --host-interface=127.0.0.1\n";
const NO_ROUTE: &str = "\n";

#[test]
fn it_runs_is_stopped_and_removed() {
    let (host, _left) = host("running");
    let _daemon = host.daemon();
    host.wait(TOOL, "up", is(PodPhase::Running));
    host.wait_for_routes(ROUTE);
    let first = pid(&host);
    assert!(is_alive(first));
    host.state(TOOL, "stopped");
    host.wait(TOOL, "down", is(PodPhase::Exited));
    host.wait_for_routes(NO_ROUTE);
    assert!(!is_alive(first));
    wait_until_said(&host, "`stop` is done");
    host.state(TOOL, "running");
    host.wait(TOOL, "up again", is(PodPhase::Running));
    let second = pid(&host);
    host.state(TOOL, "removed");
    host.wait(TOOL, "gone", is(PodPhase::Removed));
    assert!(!is_alive(second));
    assert_eq!(calls(&host), format!("{RUN}stop\n{RUN}rm\n"));
    let run_dir = host.release(TOOL).run_dir();
    let forgotten = wait_until("nothing to be remembered", LIMIT, || {
        Ok((!run_dir.exists()).then_some(()))
    });
    forgotten.unwrap();
}

#[test]
fn a_daemon_that_is_started_anew_calls_no_verb() {
    let (host, _left) = host("running");
    let daemon = host.daemon();
    host.wait_for_routes(ROUTE);
    let before = pid(&host);
    drop(daemon);
    assert!(is_alive(before));
    let described = || fs::read_to_string(host.home().endpoints_conf()).unwrap_or_default();
    let before_it_ended = described();
    assert_eq!(before_it_ended.lines().count(), 1, "{before_it_ended}");
    fs::remove_file(host.home().portmappings_conf()).unwrap();
    fs::remove_file(host.home().endpoints_conf()).unwrap();
    let daemon = host.daemon();
    host.wait_for_routes(ROUTE);
    assert_eq!(described(), before_it_ended);
    drop(daemon);
    // What happened meanwhile is made good.
    kill(before);
    host.config(TOOL, "two");
    let _daemon = host.daemon();
    host.wait(TOOL, "up again", |status| status.pid != Some(before));
    host.wait_for_routes(ROUTE);
    assert_eq!(calls(&host), format!("{RUN}{RUN}"));
}

#[test]
fn a_daemon_that_is_killed_while_a_verb_runs_leaves_it_to_its_end() {
    let (host, _left) = host("running");
    mark(&host, "slow-run");
    let daemon = host.daemon();
    wait_for_calls(&host, RUN);
    drop(daemon);
    let _daemon = host.daemon();
    fs::remove_file(host.release(TOOL).path().join("slow-run")).unwrap();
    host.wait_for_routes(ROUTE);
    assert_eq!(calls(&host), RUN);
}

#[test]
fn one_that_crashes_is_run_again_and_one_that_ends_is_not() {
    let (host, _left) = host("running");
    let _daemon = host.daemon();
    host.wait_for_routes(ROUTE);
    let first = pid(&host);
    kill(first);
    host.wait(TOOL, "up again", |status| status.pid != Some(first));
    host.wait_for_routes(ROUTE);
    let pod = host.release(TOOL).pod();
    let stopped = host.run(&["pod", pod.to_str().unwrap(), "stop"]);
    assert!(stopped.status.success());
    host.wait_for_routes(NO_ROUTE);
    ask(&host, PodVerb::Signal, &["main"]);
    wait_for_calls(&host, &format!("{RUN}{RUN}stop\nsignal main\n"));
    ask(&host, PodVerb::Rerun, &[]);
    host.wait(TOOL, "up once more", is(PodPhase::Running));
    host.wait_for_routes(ROUTE);
    assert!(calls(&host).ends_with("rerun --host-interface=127.0.0.1\n"));
}

#[test]
fn what_it_is_told_is_what_has_changed() {
    let (host, _left) = host("running");
    mark(&host, "fail-reload-configs");
    let _daemon = host.daemon();
    host.wait_for_routes(ROUTE);
    host.config(TOOL, "two");
    let told = "reload-configs conf\n";
    // It is told again, and then left alone with its config.
    wait_for_calls(&host, &format!("{RUN}{told}{told}{told}"));
    fs::remove_file(host.release(TOOL).path().join("fail-reload-configs")).unwrap();
    host.config(TOOL, "three");
    wait_for_calls(&host, &format!("{RUN}{told}{told}{told}{told}"));
    ask(&host, PodVerb::Rerun, &["main"]);
    wait_until_said(&host, "`rerun main` is done");
}

#[test]
fn one_that_cannot_is_tried_again_and_says_why() {
    let (host, _left) = host("running");
    mark(&host, "fail-run");
    let _daemon = host.daemon();
    wait_for_calls(&host, &RUN.repeat(3));
    let log = host.release(TOOL).log_dir().join("tool-1.0.0-stderr.log");
    assert!(fs::read_to_string(log).unwrap().contains(" run cannot\n"));
    assert!(said(&host).contains("failed: ended with 3"));
    fs::remove_file(host.release(TOOL).path().join("fail-run")).unwrap();
    host.wait_for_routes(ROUTE);
}

#[test]
fn a_verb_that_hangs_ends_at_its_deadline() {
    let (host, _left) = host("running");
    mark(&host, "hang-run");
    let home = host.home().path().to_owned();
    let mut command = host.command(&[home.to_str().unwrap()]);
    let _daemon = Daemon::start(command.env("SNS_VERB_SECONDS", "1"), &home).unwrap();
    wait_until_said(&host, "no end after 1000 ms");
    fs::remove_file(host.release(TOOL).path().join("hang-run")).unwrap();
    host.wait_for_routes(ROUTE);
    assert!(!is_alive(hanging(&host)));
}

#[test]
fn a_run_that_hangs_is_broken_off_when_it_is_not_wanted_any_more() {
    let (host, _left) = host("running");
    mark(&host, "hang-run");
    let _daemon = host.daemon();
    let hanging = wait_until("a verb that hangs", LIMIT, || {
        let path = host.release(TOOL).path().join("hanging");
        Ok(path.exists().then(|| hanging(&host)))
    });
    host.state(TOOL, "stopped");
    host.wait(TOOL, "down", is(PodPhase::Exited));
    assert!(!is_alive(hanging.unwrap()));
    assert_eq!(calls(&host), format!("{RUN}stop\n"));
}

#[test]
fn traffic_goes_where_the_status_says_so_and_can_be_believed() {
    let (host, _left) = host("running");
    mark(&host, "unready");
    let _daemon = host.daemon();
    host.wait(TOOL, "up", is(PodPhase::Running));
    host.wait_for_routes(NO_ROUTE);
    let path = host.release(TOOL).status();
    let good = fs::read_to_string(&path)
        .unwrap()
        .replace("readiness: 0", "readiness: 1");
    let (begin, _) = good.split_once("updated:").unwrap();
    let old = format!(
        "{begin}updated: 1\nstatus: running\npid: {}\nreadiness: 1\n",
        pid(&host)
    );
    for bad in ["status: running\n", "\0", &old, &"x: y\n".repeat(20_000)] {
        Host::put(&path, good.as_bytes());
        host.wait_for_routes(ROUTE);
        Host::put(&path, bad.as_bytes());
        host.wait_for_routes(NO_ROUTE);
    }
    assert_eq!(
        calls(&host),
        RUN,
        "what cannot be understood is no reason to do something"
    );
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    wait_until_said(&host, "cannot read");
}

#[test]
fn a_place_that_becomes_a_program_later_is_driven_as_one() {
    let (host, _left) = host("running");
    let pod = host.release(TOOL).pod();
    Host::put(&pod, b"half a program");
    let _daemon = host.daemon();
    host.wait(TOOL, "a refusal", |status| {
        status.message.contains("not a compiled pod")
    });
    replace(&pod, include_bytes!("foreign/pod.sh"), 0o755).unwrap();
    host.wait_for_routes(ROUTE);
    assert_eq!(calls(&host), RUN);
}

#[test]
fn a_request_waits_for_the_one_before() {
    let (host, _left) = host("running");
    mark(&host, "slow-signal");
    let _daemon = host.daemon();
    host.wait_for_routes(ROUTE);
    ask(&host, PodVerb::Signal, &["one"]);
    wait_for_calls(&host, &format!("{RUN}signal one\n"));
    ask(&host, PodVerb::Signal, &["two"]);
    let third = PodAction::new(PodVerb::Stop).place(&host.release(TOOL).action());
    assert_eq!(third.unwrap(), Placed::Busy);
    fs::remove_file(host.release(TOOL).path().join("slow-signal")).unwrap();
    wait_for_calls(&host, &format!("{RUN}signal one\nsignal two\n"));
}

#[test]
fn a_request_that_waits_for_a_verb_outlives_the_daemon() {
    let (host, _left) = host("running");
    mark(&host, "slow-run");
    let daemon = host.daemon();
    wait_for_calls(&host, RUN);
    ask(&host, PodVerb::Signal, &["one"]);
    drop(daemon);
    let _daemon = host.daemon();
    assert!(host.release(TOOL).action().exists());
    fs::remove_file(host.release(TOOL).path().join("slow-run")).unwrap();
    wait_for_calls(&host, &format!("{RUN}signal one\n"));
}

#[test]
fn by_hand_it_is_the_program_itself() {
    let (host, _left) = host("stopped");
    let pod = host.release(TOOL).pod();
    let output = host.run(&["pod", pod.to_str().unwrap(), "ps", "--anything"]);
    assert_eq!(output.stdout, b"status: non-existing\n");
    let unknown = host.run(&["pod", pod.to_str().unwrap(), "dance"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(calls(&host), "ps --anything\ndance\n");
    assert_eq!(unknown.stderr, b"unknown verb: dance\n");
}
