//! The verbs that change something, as a person types them: with a daemon, without one, and when one
//! comes or goes meanwhile.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use hostfiles::{PodPhase, PodStatus};
use testkit::wait_until;

use crate::host::{Host, LIMIT, is_alive, is_running, pid, shell};

const WEB: &str = "web:1.0.0";
const STAYS: &str = "trap 'echo told' HUP; echo begun; while :; do sleep 0.05; done";

fn ask(host: &Host, words: &[&str]) -> Output {
    let pod = host.release(WEB).pod();
    host.run(&[&["pod", pod.to_str().unwrap()], words].concat())
}

#[track_caller]
fn done(host: &Host, words: &[&str]) {
    let output = ask(host, words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
}

#[track_caller]
fn refused(host: &Host, words: &[&str], code: i32, expected: &str) {
    let output = ask(host, words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
}

fn phase(host: &Host) -> PodPhase {
    host.status(WEB).unwrap().status
}

/// The process that drives the pod alone; none when nobody does.
fn keep(host: &Host) -> Option<u32> {
    let text = fs::read_to_string(host.release(WEB).lock()).ok()?;
    let holder: serde_json::Value = serde_json::from_str(&text).ok()?;
    let pid = u32::try_from(holder.pointer("/process/pid")?.as_u64()?).ok()?;
    (holder.get("role")? == "keep" && is_alive(pid)).then_some(pid)
}

fn until_nobody_drives(host: &Host) {
    let gone = || Ok(keep(host).is_none().then_some(()));
    wait_until("the end of the driver", LIMIT, gone).unwrap();
}

fn units() -> String {
    let main = shell("main", "restart: always; signal: {sig: HUP}", STAYS);
    main + &shell("side", "restart: always", "exec sleep 600")
}

/// Every verb in the order of a day, whoever drives the pod.
fn day(host: &Host) {
    done(host, &["run"]);
    assert_eq!(phase(host), PodPhase::Running);
    let before = host.status(WEB).unwrap();
    done(host, &["run"]);
    assert_eq!(
        pid(&host.status(WEB).unwrap()),
        pid(&before),
        "it ran already"
    );
    done(host, &["signal", "main"]);
    host.wait_for_line(WEB, "main", "stdout", "told");
    done(host, &["rerun", "side"]);
    let after = host.status(WEB).unwrap();
    assert_eq!(pid(&after), pid(&before), "main was not named");
    let side = |status: &PodStatus| status.units.last().unwrap().pid;
    assert_ne!(side(&after), side(&before));
    done(host, &["download"]);
    done(host, &["create-volumes"]);
    refused(host, &["purge"], 1, "`rm` removes it first");
    refused(
        host,
        &["signal", "mian"],
        1,
        "there is no unit `mian`: expected main, side",
    );
    refused(host, &["signal", "MAIN"], 1, "found `MAIN`");
    done(host, &["stop"]);
    assert_eq!(phase(host), PodPhase::Exited);
    assert!(!is_alive(pid(&before)));
    refused(host, &["start"], 1, "it was not created");
    refused(host, &["reload-configs", "conf"], 1, "the pod does not run");
    done(host, &["rerun", "--kill"]);
    assert_eq!(phase(host), PodPhase::Running);
    done(host, &["kill"]);
    done(host, &["rm", "-k"]);
    assert_eq!(phase(host), PodPhase::Removed);
    done(host, &["create"]);
    assert_eq!(phase(host), PodPhase::Created);
    done(host, &["start"]);
    assert_eq!(phase(host), PodPhase::Running);
    done(host, &["rm"]);
    done(host, &["purge"]);
    assert_eq!(phase(host), PodPhase::Removed);
    assert!(!host.release(WEB).run_dir().exists());
}

#[test]
fn a_run_whose_program_does_not_exist_says_so() {
    let host = Host::new();
    let units = "- name: main\n  restart: always\n  spec: {program: no-such-program, args: []}\n";
    host.pod(WEB, "stopped", units);
    refused(&host, &["run"], 1, "cannot execute no-such-program");
    done(&host, &["rm"]);
}

#[test]
fn a_day_with_a_daemon() {
    let host = Host::new();
    host.pod(WEB, "stopped", &units());
    let _daemon = host.daemon();
    day(&host);
}

#[test]
fn a_day_without_a_daemon() {
    let host = Host::new();
    host.pod(WEB, "stopped", &units());
    day(&host);
    until_nobody_drives(&host);
}

#[test]
fn what_was_created_is_told_although_nobody_drives_it_any_more() {
    let host = Host::new();
    host.pod(WEB, "stopped", &units());
    done(&host, &["create"]);
    until_nobody_drives(&host);
    let told = String::from_utf8(ask(&host, &["ps"]).stdout).unwrap();
    assert!(told.contains("\nstatus: created\n"), "{told}");
    done(&host, &["start"]);
    done(&host, &["rm"]);
}

#[test]
fn each_of_several_askers_is_told_what_has_become_of_its_own_request() {
    let host = Host::new();
    let stubborn = "trap '' TERM; while :; do sleep 0.05; done";
    host.pod(WEB, "running", &shell("main", "stopTimeout: 2", stubborn));
    let _daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    let pod = host.release(WEB).pod();
    let begin = |words: &[&str]| {
        let words = [&["pod", pod.to_str().unwrap()], words].concat();
        let mut command = host.command(&words);
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let stop = begin(&["stop"]);
    host.wait(WEB, "the stop to begin", |status| {
        status.message.contains("to end")
    });
    done(&host, &["run"]);
    let stop = stop.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stop.stderr);
    assert_eq!(stop.status.code(), Some(1), "{said}");
    assert!(said.contains("replaced by a later request: run"), "{said}");
    // What does not contradict goes side by side, and a refusal takes nothing from anybody.
    let mut others = vec![begin(&["rerun"])];
    host.wait(WEB, "the removal to begin", |status| {
        status.message.contains("removed by hand")
    });
    others.extend((0..4).map(|_| begin(&["download"])));
    refused(&host, &["signal", "mian"], 1, "there is no unit `mian`");
    for other in others {
        let output = other.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    assert_eq!(phase(&host), PodPhase::Running);
}

#[test]
fn a_driver_that_is_just_leaving_takes_no_request_with_it() {
    let host = Host::new();
    host.pod(WEB, "stopped", &units());
    for _ in 0..20 {
        done(&host, &["rm"]);
        refused(&host, &["start"], 1, "it was not created");
    }
    until_nobody_drives(&host);
}

#[test]
fn several_ask_at_once_where_nobody_drives_the_pod() {
    let host = Host::new();
    host.pod(WEB, "stopped", &units());
    let pod = host.release(WEB).pod();
    let begin = || {
        let mut command = host.command(&["pod", pod.to_str().unwrap(), "run"]);
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let all: Vec<_> = (0..4).map(|_| begin()).collect();
    for one in all {
        let output = one.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    done(&host, &["rm"]);
    until_nobody_drives(&host);
}

#[test]
fn a_run_that_cannot_come_to_an_end_says_why() {
    let host = Host::new();
    let init = shell(
        "init",
        "startupProbe: {timeoutSeconds: 60, check: exit}",
        "exit 1",
    );
    host.pod(WEB, "running", &(init + &units()));
    let why = "init exited with 1 and its restart policy is never";
    refused(&host, &["run"], 1, why);
    refused(&host, &["rerun", "side"], 1, why);
    done(&host, &["signal"]);
    refused(&host, &["signal", "init"], 1, "unit `init` does not run");
    done(&host, &["rm"]);
    refused(&host, &["signal"], 1, "the pod does not run");
}

#[test]
fn a_pod_that_belongs_to_no_host_runs_where_it_lies() {
    let host = Host::new();
    host.pod(WEB, "stopped", &units());
    let alone = host.release(WEB).path().with_file_name("alone");
    #[expect(clippy::disallowed_methods, reason = "a directory is moved as it is")]
    fs::rename(host.release(WEB).path(), &alone).unwrap();
    fs::remove_file(alone.join("pod.state")).unwrap();
    let pod = alone.join("pod");
    let ask = |verb: &str| {
        let output = host.run(&["pod", pod.to_str().unwrap(), verb]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{verb}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    ask("run");
    assert!(ask("ps").contains("\nstatus: running\n"));
    ask("readiness");
    ask("rm");
    assert!(ask("ps").contains("\nstatus: removed\n"));
}

#[test]
fn a_daemon_takes_over_without_touching_a_process_and_what_is_held_stays_held() {
    let host = Host::new();
    host.pod(WEB, "running", &units());
    done(&host, &["run"]);
    let before = host.status(WEB).unwrap();
    let alone = keep(&host).unwrap();
    let mut daemon = host.daemon();
    let told = |status: &PodStatus| status.pid == Some(daemon.id());
    let after = host.wait(WEB, "the daemon to drive", told);
    assert!(is_running(&after) && !is_alive(alone));
    let pids = |status: &PodStatus| -> Vec<_> {
        status
            .units
            .iter()
            .map(|unit| (unit.pid, unit.start_count))
            .collect()
    };
    assert_eq!(pids(&after), pids(&before));
    daemon.stop().unwrap();
    // Nobody drives it now, and it is stopped by hand all the same.
    done(&host, &["stop"]);
    until_nobody_drives(&host);
    let _daemon = host.daemon();
    let held = host.wait(WEB, "what is held", |status| {
        status.message.contains("held by hand: stopped")
    });
    assert_eq!(held.status, PodPhase::Exited);
    host.state(WEB, "removed");
    host.wait(WEB, "the removal", |status| {
        status.status == PodPhase::Removed
    });
    host.state(WEB, "running");
    host.wait(WEB, "the pod to run", is_running);
}

#[test]
fn a_verb_that_takes_too_long_goes_on_and_says_so() {
    let host = Host::new();
    let stubborn = "trap '' TERM; while :; do sleep 0.05; done";
    host.pod(WEB, "running", &shell("main", "stopTimeout: 3", stubborn));
    let _daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    refused(&host, &["stop", "--timeout", "1"], 1, "not done after 1 s");
    host.wait(WEB, "the stop", |status| status.status == PodPhase::Exited);
}

#[test]
fn wrong_words_are_refused_before_anything_is_done() {
    let host = Host::new();
    host.pod(WEB, "stopped", &units());
    refused(&host, &["reload-configs"], 2, "<CONFIGS>");
    refused(&host, &["run", "--host-interface", "nowhere"], 2, "nowhere");
    refused(&host, &["dance"], 2, "no verb `dance`");
    let output = host.run(&["pod", "/nowhere/pod", "run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no pod at /nowhere/pod"), "{said}");
    assert!(!host.release(WEB).status().exists());
}

#[test]
fn a_command_of_a_person_runs_in_a_unit_and_its_end_is_its_own() {
    let host = Host::new();
    let main = shell(
        "main",
        "mounts: [{volume: conf, dest: /mnt/conf}]",
        "exec sleep 600",
    );
    host.config(WEB, "hello\n");
    host.pod(
        WEB,
        "stopped",
        &(main + &shell("side", "", "exec sleep 600")),
    );
    refused(&host, &["exec", "--", "true"], 1, "unit side does not run");
    done(&host, &["run"]);
    let said = |words: &[&str]| {
        let output = ask(&host, words);
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), said)
    };
    let pwd = |unit: &str| {
        format!(
            "{}\n",
            host.release(WEB).path().join("root").join(unit).display()
        )
    };
    assert_eq!(
        said(&["exec", "--", "pwd"]),
        (0, pwd("side")),
        "the last unit"
    );
    let cat = ["exec", "-c", "main", "--", "cat", "mnt/conf/text"];
    assert_eq!(said(&cat), (0, "hello\n".to_owned()));
    // Words arrive as they are, and the end is the command's own.
    assert_eq!(
        said(&["exec", "--", "printf", "%s|", "a  b", "$HOME"]).1,
        "a  b|$HOME|"
    );
    assert_eq!(said(&["exec", "--", "sh", "-c", "exit 7"]).0, 7);
    assert_eq!(
        said(&["shell", "-c", "main", "--", "echo", "$SNS_UNIT"]),
        (0, "main\n".to_owned())
    );
    refused(
        &host,
        &["exec", "--", "no-such-program"],
        127,
        "cannot execute no-such-program",
    );
    refused(
        &host,
        &["exec", "-c", "mian", "--", "true"],
        1,
        "no unit `mian`: expected main, side",
    );
    refused(&host, &["exec"], 2, "<COMMAND>");
    done(&host, &["rm"]);
}

#[test]
fn a_shell_reads_what_a_person_types() {
    let host = Host::new();
    host.pod(WEB, "stopped", &shell("main", "", "exec sleep 600"));
    done(&host, &["run"]);
    let pod = host.release(WEB).pod();
    let mut shell = host.command(&["pod", pod.to_str().unwrap(), "shell"]);
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(b"echo $SNS_POD; exit 3\n")
        .unwrap();
    let output = shell.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"web\n");
    assert_eq!(output.status.code(), Some(3));
    done(&host, &["rm"]);
}

#[test]
fn a_shell_has_the_terminal_of_the_person() {
    let host = Host::new();
    host.pod(WEB, "stopped", &shell("main", "", "exec sleep 600"));
    done(&host, &["run"]);
    let (pod, daemon) = (host.release(WEB).pod(), env!("CARGO_BIN_EXE_simplenetesd"));
    let line = format!("{daemon} pod {} shell", pod.display());
    // script(1), which every Debian has, gives it a terminal of its own and its exit status.
    let mut terminal = host
        .command_of("script", &["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = terminal.stdin.take().unwrap();
    typed
        .write_all(b"tty; stty -echo; test -t 0 && echo is a $((40 + 2)); exit 5\n")
        .unwrap();
    let output = terminal.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("/dev/pts/") && said.contains("is a 42"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(5), "{said}");
    done(&host, &["rm"]);
}

#[test]
fn a_pod_that_is_taken_away_ends_and_nobody_drives_it_any_more() {
    let host = Host::new();
    host.pod(WEB, "stopped", &shell("main", "", "exec sleep 600"));
    done(&host, &["run"]);
    let (alone, unit) = (keep(&host).unwrap(), pid(&host.status(WEB).unwrap()));
    let gone = || {
        // The driver may put its status into a directory that is just being emptied.
        let _ = fs::remove_dir_all(host.release(WEB).path());
        Ok((!is_alive(alone) && !is_alive(unit)).then_some(()))
    };
    wait_until("the end of driver and unit", LIMIT, gone).unwrap();
}
