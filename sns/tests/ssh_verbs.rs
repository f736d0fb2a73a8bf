//! `sns pod rerun · signal · shell · exec · logs` and `sns host logs` with hosts behind real SSH servers. The pod is a
//! program that obeys the Pod API, so no daemon is needed to drive it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use insta::assert_snapshot;
use testkit::{Outcome, Sshd, Terminal, login_name, make_ssh_key, program, wait_until};

use crate::bench::{Bench, PROGRAM, write};

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(30);

/// A pod that is told something and says so.
const TALKS: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
verb=$1
shift
case $verb in
exec | shell)
    while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
    shift
    [ "$verb" = shell ] && exec sh
    exec "$@" ;;
rerun) echo "$verb $*" >>told; echo "again: $*" ;;
*) echo "no $verb here" >&2; exit 3 ;;
esac
"#;

/// A project whose hosts are behind servers.
struct Stage {
    bench: Bench,
    servers: Vec<(&'static str, Sshd)>,
}

impl Stage {
    /// Hosts that have the pod.
    fn new(hosts: &[&'static str]) -> Self {
        let mut stage = Self {
            bench: Bench::new(),
            servers: Vec::new(),
        };
        for host in hosts {
            stage.add(host);
        }
        stage.bench.ok(&["pod", "compile", "web"]);
        stage.bench.commit();
        stage.bench.ok(&["cluster", "sync"]);
        stage
    }

    fn add(&mut self, host: &'static str) {
        let server = Sshd::new().unwrap();
        self.bench.ok(&[
            "host",
            "register",
            host,
            &format!("--address={}", server.address()),
            &format!("--user-name={}", login_name().unwrap()),
            "--keyfile=../../id",
            &format!("--dir-home={}", server.home().join("cluster").display()),
        ]);
        let key = self.bench.cluster.project().join("../id");
        if !key.exists() {
            make_ssh_key(&key, "ed25519", "").unwrap();
        }
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        server.authorize(&public).unwrap();
        self.bench.ok(&["host", "init", host]);
        let files: &[(&str, &str)] = match self.servers.is_empty() {
            true => &[("pod.yaml", PROGRAM), ("run.sh", TALKS)],
            false => &[],
        };
        self.bench.attach("web", host, files);
        self.servers.push((host, server));
    }

    fn server(&mut self, host: &str) -> &mut Sshd {
        let found = self.servers.iter_mut().find(|(name, _)| *name == host);
        &mut found.unwrap().1
    }

    fn release(&mut self, host: &str) -> PathBuf {
        let home = self.server(host).home().join("cluster");
        home.join("pods/web/release/1.0.0")
    }

    /// Writes the log of a unit.
    fn log(&mut self, host: &str, unit: &str, stream: &str, text: &str) {
        let name = format!("log/{unit}-web-1.0.0-{stream}.log");
        write(&self.release(host).join(name), text);
    }

    /// Adds to it.
    fn go_on(&mut self, host: &str, unit: &str, text: &str) {
        let name = format!("log/{unit}-web-1.0.0-stdout.log");
        let path = self.release(host).join(name);
        let mut file = fs::File::options().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The outcome of a command, without what is different each time.
    fn show(&self, arguments: &[&str]) -> String {
        self.bench.show(arguments)
    }
}

/// A command that goes on, and its lines.
struct Follow {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Follow {
    fn start(stage: &Stage, arguments: &[&str]) -> Self {
        let mut sns = stage.bench.cluster.sns(arguments);
        sns.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = sns.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Waits until it ends by itself.
    fn finish(mut self) -> (Option<i32>, Vec<String>, String) {
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        let mut stderr = self.child.stderr.take().unwrap();
        let said = std::io::read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), rest, said)
    }
}

#[test]
fn logs_of_two_hosts_are_merged_by_time() {
    let mut stage = Stage::new(&["one", "three"]);
    stage.log("one", "main", "stdout", "100 0 a\n103 0 d\n103 1 e\n");
    stage.log("one", "side", "stderr", "101 0 b\n");
    stage.log("three", "main", "stdout", "100 1 a2\n102 0 c\n103 1 e2\n");
    assert_snapshot!(stage.show(&["pod", "logs", "web", "-d", "name,stream"]), @r"
    $ sns pod logs web -d name,stream
    one   main stdout a
    three main stdout a2
    one   side stderr b
    three main stdout c
    one   main stdout d
    one   main stdout e
    three main stdout e2
    [exit 0]
    ");
    assert_snapshot!(stage.show(&["pod", "logs", "web", "main", "-l", "-3", "-d", "none"]), @r"
    $ sns pod logs web main -l -3 -d none
    one   d
    one   e
    three e2
    [exit 0]
    ");
    assert_snapshot!(stage.show(&["pod", "logs", "web", "-l", "2", "-d", "none", "-t", "101"]), @r"
    $ sns pod logs web -l 2 -d none -t 101
    one   b
    three c
    [exit 0]
    ");
    let json = stage
        .bench
        .ok(&["pod", "logs", "web", "-s", "stderr", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "host": "one", "release": "web:1.0.0", "unit": "side", "stream": "stderr",
            "seconds": 101, "index": 0, "text": "b",
        }])
    );
    stage.server("three").kill();
    let shown = stage.bench.run(&["pod", "logs", "web", "-d", "none"]);
    assert_eq!(shown.stdout, "one   a\none   b\none   d\none   e\n");
    assert!(
        shown.stderr.contains("could not reach host three")
            && shown
                .stderr
                .contains("logs failed on 1 of 2: web:1.0.0@three"),
        "{shown}"
    );
    assert_eq!(shown.code, 8);
    let shown = stage.bench.run(&["pod", "logs", "web@three", "--json"]);
    assert_eq!((shown.code, shown.stdout.as_str()), (8, ""), "{shown}");
}

#[test]
fn logs_of_two_hosts_are_followed_and_one_that_is_cut_off_is_told() {
    let mut stage = Stage::new(&["one", "two"]);
    stage.log("one", "main", "stdout", "100 0 a\n102 0 c\n");
    stage.log("two", "main", "stdout", "101 0 b\n");
    let follow = ["pod", "logs", "web", "main", "-f", "-d", "name", "-l", "-2"];
    let mut follow = Follow::start(&stage, &follow);
    assert_eq!(follow.next(), "two main b");
    assert_eq!(follow.next(), "one main c");
    stage.go_on("two", "main", "103 0 d\n");
    assert_eq!(follow.next(), "two main d");
    stage.go_on("one", "main", "104 0 e\n");
    assert_eq!(follow.next(), "one main e");
    stage.server("two").kill();
    let mut said = BufReader::new(follow.child.stderr.take().unwrap()).lines();
    let told = said.next().unwrap().unwrap();
    assert!(
        told.contains("the connection to host two was lost"),
        "{told}"
    );
    stage.go_on("one", "main", "105 0 f\n");
    assert_eq!(follow.next(), "one main f");
    stage.server("one").kill();
    let told: Vec<String> = said.map(Result::unwrap).collect();
    let last = told.last().unwrap();
    assert!(last.contains("logs failed on 2 of 2"), "{told:?}");
    assert_eq!(follow.child.wait().unwrap().code(), Some(8));
}

/// True while a program there follows the logs of a release.
fn is_followed(release: &Path) -> bool {
    let release = release.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut words = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    words.any(|words| {
        let words = String::from_utf8_lossy(&words);
        words.contains(&release) && words.contains("--follow")
    })
}

#[test]
fn what_follows_ends_there_with_its_reader_here() {
    let mut stage = Stage::new(&["one", "two"]);
    stage.log("one", "main", "stdout", "100 0 a\n");
    stage.server("two").kill();
    let release = stage.release("one");
    let mut follow = Follow::start(&stage, &["pod", "logs", "web", "-f", "-d", "none"]);
    assert_eq!(follow.next(), "one a");
    let mut said = BufReader::new(follow.child.stderr.take().unwrap()).lines();
    let told = said.next().unwrap().unwrap();
    assert!(told.contains("could not reach host two"), "{told}");
    assert!(is_followed(&release));
    drop(follow.lines);
    stage.go_on("one", "main", "101 0 b\n");
    assert_eq!(follow.child.wait().unwrap().code(), Some(0));
    let ended = || Ok((!is_followed(&release)).then_some(()));
    wait_until("the program there to end", LIMIT, ended).unwrap();
}

#[test]
fn what_is_followed_can_be_json_and_ends_with_its_only_host() {
    let mut stage = Stage::new(&["one"]);
    stage.log("one", "main", "stdout", "100 0 a\n");
    let mut follow = Follow::start(&stage, &["pod", "logs", "web@one", "-f", "--json"]);
    let line: serde_json::Value = serde_json::from_str(&follow.next()).unwrap();
    assert_eq!((&line["text"], &line["host"]), (&"a".into(), &"one".into()));
    stage.server("one").kill();
    let (code, rest, said) = follow.finish();
    assert_eq!((code, rest), (Some(8), Vec::new()), "{said}");
    assert!(
        said.contains("the connection to host one was lost"),
        "{said}"
    );
}

#[test]
fn a_unit_that_a_program_does_not_have_is_told_with_those_that_it_has() {
    let mut stage = Stage::new(&["one"]);
    stage.log("one", "main", "stdout", "100 0 a\n");
    assert_snapshot!(stage.show(&["pod", "logs", "web", "mian"]), @r"
    $ sns pod logs web mian
    | error: web:1.0.0@one: logs failed (exit status 1)
    |   pod web:1.0.0 has no unit `mian`: expected main
    [exit 3]
    ");
}

#[test]
fn a_host_that_is_down_does_not_hold_up_a_rerun_on_the_other() {
    let mut stage = Stage::new(&["one", "two"]);
    assert_snapshot!(stage.show(&["pod", "rerun", "web", "main"]), @r"
    $ sns pod rerun web main
    one again: main
    web:1.0.0@one rerun: done
    two again: main
    web:1.0.0@two rerun: done
    [exit 0]
    ");
    stage.server("one").kill();
    let outcome = stage.bench.run(&["pod", "rerun", "web", "--kill"]);
    assert_eq!(outcome.code, 8, "{outcome}");
    assert_eq!(
        outcome.stdout,
        "two again: --kill\nweb:1.0.0@two rerun: done\n"
    );
    assert!(
        outcome.stderr.contains("could not reach host one")
            && outcome
                .stderr
                .contains("rerun failed on 1 of 2: web:1.0.0@one"),
        "{outcome}"
    );
    let told = stage.release("two").join("told");
    assert_eq!(
        fs::read_to_string(told).unwrap(),
        "rerun main\nrerun --kill\n"
    );
    // A host that says no counts more than one that may be back in a minute.
    let outcome = stage.bench.run(&["pod", "signal", "web"]);
    assert_eq!(outcome.code, 3, "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("web:1.0.0@two: signal failed (exit status 3)")
            && outcome.stderr.contains("no signal here"),
        "{outcome}"
    );
}

#[test]
fn exec_carries_bytes_and_exit_codes() {
    let stage = Stage::new(&["one"]);
    let every: Vec<u8> = (0..=u8::MAX).cycle().take(300_001).collect();
    let mut sns = stage
        .bench
        .cluster
        .sns(&["pod", "exec", "web", "--", "cat"]);
    let mut child = sns
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = every.clone();
    let feeds = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    feeds.join().unwrap();
    assert!(output.status.success() && output.stdout == every);
    let words = ["pod", "exec", "web", "--", "sh", "-c"];
    let run = |script: &str| stage.bench.run(&[&words[..], &[script]].concat());
    let outcome = run("echo out; echo 'it'\\''s' \"a  b\" >&2; exit 7");
    assert_eq!(
        (
            outcome.code,
            outcome.stdout.as_str(),
            outcome.stderr.as_str()
        ),
        (7, "out\n", "it's a  b\n")
    );
    assert_eq!(run("kill -KILL $$").code, 137);
    for code in [1, 127] {
        let outcome = run(&format!("exit {code}"));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (code, ""));
    }
}

#[test]
fn what_is_not_on_a_far_host_is_said() {
    let mut stage = Stage::new(&["one"]);
    fs::remove_file(stage.release("one").join("pod")).unwrap();
    for words in [
        &["pod", "exec", "web", "--", "true"][..],
        &["pod", "rerun", "web"],
        &["pod", "logs", "web"],
    ] {
        let outcome = stage.bench.run(words);
        assert_eq!(outcome.code, 3, "{outcome}");
        assert!(
            outcome.stderr.contains("web:1.0.0@one is not on its host")
                && outcome.stderr.contains("sns cluster sync"),
            "{outcome}"
        );
    }
}

/// `sns` at a terminal of its own.
fn at_terminal(bench: &Bench, arguments: &[&str]) -> Terminal {
    let mut sns = bench.cluster.command("env");
    sns.env("TERM", "xterm-test");
    sns.arg(program("sns").unwrap()).args(arguments);
    Terminal::start(&sns, 91, 31).unwrap()
}

#[test]
fn a_shell_in_a_pod_has_a_terminal() {
    let stage = Stage::new(&["one"]);
    let mut terminal = at_terminal(&stage.bench, &["pod", "shell", "web"]);
    terminal.type_in("stty size; echo $TERM; exit 6\n").unwrap();
    terminal.wait_for("31 91\r\n").unwrap();
    terminal.wait_for("xterm-test\r\n").unwrap();
    let (status, said) = terminal.finish().unwrap();
    assert_eq!(status.code(), Some(6), "{said}");
}

#[test]
fn names_are_coloured_at_a_terminal_only() {
    let mut stage = Stage::new(&["one", "two"]);
    stage.log("one", "main", "stdout", "100 0 a\n");
    let words = ["pod", "logs", "web", "-d", "name"];
    let (_, said) = at_terminal(&stage.bench, &words).finish().unwrap();
    assert_eq!(said, "\u{1b}[36mone\u{1b}[0m \u{1b}[35mmain\u{1b}[0m a\r\n");
    assert_eq!(stage.bench.ok(&words), "one main a\n");
}

#[test]
fn ctrl_c_is_for_the_command_also_on_this_machine() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", TALKS)]);
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    let script = "trap 'echo caught; exit 9' INT; echo read''y; while :; do read line; done";
    let mut terminal = at_terminal(&bench, &["pod", "exec", "web", "--", "sh", "-c", script]);
    terminal.wait_for("ready\r\n").unwrap();
    terminal.type_in("\u{3}").unwrap();
    terminal.wait_for("caught\r\n").unwrap();
    let (status, said) = terminal.finish().unwrap();
    assert_eq!(status.code(), Some(9), "{said}");
}

/// Lets the key in at a server for nothing but saying what it is asked for.
fn echo_only(server: &Sshd, public: &str, whom: &str) {
    let line = format!("command=\"echo {whom}: $SSH_ORIGINAL_COMMAND\" {public}");
    fs::remove_file(server.home().join("authorized")).unwrap();
    write(&server.home().join("authorized"), &line);
}

#[test]
fn the_log_of_the_daemon_is_asked_for_as_whoever_may_read_it() {
    let mut stage = Stage::new(&["one"]);
    let public = fs::read_to_string(stage.bench.cluster.project().join("../id.pub")).unwrap();
    echo_only(stage.server("one"), &public, "user");
    assert_snapshot!(stage.show(&["host", "logs", "one"]), @r"
    $ sns host logs one
    user: exec journalctl --no-pager -u simplenetesd --user-unit simplenetesd
    [exit 0]
    ");
    let super_user = stage
        .bench
        .read("one/host.env")
        .replace("../../id", "../../super");
    stage.bench.write("one/host-superuser.env", &super_user);
    let key = stage.bench.cluster.project().join("../super");
    let public = make_ssh_key(&key, "ed25519", "").unwrap();
    echo_only(stage.server("one"), &public, "super");
    let said = stage.bench.ok(&["host", "logs", "one", "-f", "-l", "20"]);
    assert!(
        said.starts_with("super: exec ") && said.ends_with("-u simplenetesd -f -n 20\n"),
        "{said}"
    );
}

#[test]
fn a_host_without_a_journal_says_so() {
    let bench = Bench::with_host().with_variables([("PATH", "/nonexistent".to_owned())]);
    let outcome: Outcome = bench.run(&["host", "logs", "laptop"]);
    assert_eq!(outcome.code, 3, "{outcome}");
    assert!(
        outcome.stderr.contains("host laptop has no journalctl"),
        "{outcome}"
    );
}
