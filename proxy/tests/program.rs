//! The program itself: its arguments, its signals, its exit status.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use hostfiles::replace;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cluster::{PORT, RELAY, address};

/// The program that these tests are about.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sns-proxy");

pub(crate) fn command(arguments: &[&Path]) -> Command {
    command_of(Path::new(PROGRAM), arguments)
}

/// The same of a copy.
pub(crate) fn command_of(program: &Path, arguments: &[&Path]) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program is what these tests are about"
    )]
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn shown(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    format!("{}{out}{err}", output.status.code().unwrap())
}

/// A program that runs until the test is over.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(conf: &Path) -> Self {
        Self::of(command(&[conf]))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn said(&mut self, part: &str) {
        let found = self.lines.by_ref().any(|line| {
            let line = line.unwrap();
            // Shown only when the test fails.
            println!("{line}");
            line.contains(part)
        });
        assert!(found, "it never said `{part}`");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_reloads_and_ends_when_told() {
    let (folder, ip) = (TempDir::new().unwrap(), address());
    let conf = folder.path().join("proxy.conf");
    let configure = |more: &str| {
        let text = format!("HOSTSCONF hosts.conf\nPORTSCONF portmappings.conf\n{more}\n");
        replace(&conf, text.as_bytes(), 0o644).unwrap();
    };
    configure(&format!("HOST {ip}"));
    let mut running = Running::start(&conf);
    running.said(&format!("info: listening on {ip}:{RELAY}"));
    TcpStream::connect((ip, RELAY)).unwrap();

    configure(&format!("HOST {ip}\nPORT 40000"));
    running.signal(Signal::HUP);
    running.said(&format!("info: listening on {ip}:40000"));

    running.signal(Signal::TERM);
    running.said(&format!("info: closed {ip}:40000"));
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn a_wrong_file_is_told_with_line_and_hint() {
    let folder = TempDir::new().unwrap();
    let conf = folder.path().join("proxy.conf");
    replace(&conf, b"HOSTSCONF h\nPORTCONF p\n", 0o644).unwrap();
    let expected = format!(
        "1{0}:2: error: unknown key `PORTCONF`\n  hint: did you mean `PORTSCONF`?\n\
         {0}: error: PORTSCONF is missing\n  hint: write `PORTSCONF path`; a relative path begins at the \
         folder of this file\n",
        conf.display()
    );
    for arguments in [&[conf.as_path()][..], &[Path::new("check"), &conf]] {
        assert_eq!(shown(&command(arguments).output().unwrap()), expected);
    }
}

#[test]
fn check_reads_everything_that_is_there() {
    let folder = TempDir::new().unwrap();
    let conf = folder.path().join("proxy.conf");
    replace(&conf, b"HOSTSCONF h\nPORTSCONF p\n", 0o644).unwrap();
    let check = || shown(&command(&[Path::new("check"), &conf]).output().unwrap());
    let at = folder.path().display();
    assert_eq!(
        check(),
        format!(
            "0{at}/proxy.conf is fine\n\
             listens nowhere yet: hosts.conf has no first line, and proxy.conf no HOST\n\
             not there yet: {at}/h, {at}/p\n"
        )
    );
    let settings = "HOSTSCONF h\nPORTSCONF p\nCLUSTERPORTSCONF c\nENDPOINTSCONF e\nCLUSTERPORTS 61000-65535\n\
                    METRICSSOCKET m\n";
    let write = |name: &str, text: &str| {
        replace(&folder.path().join(name), text.as_bytes(), 0o644).unwrap();
    };
    write("proxy.conf", settings);
    write("h", "10.0.0.1:32767\n10.0.0.2:32767\n10.0.0.3:40000\n");
    write("p", "61000:30000:1:true\n");
    write("c", "8080\n61000\n61001\n61002\n61005\n");
    write(
        "e",
        "cluster=61000 host=30000 target=80 pid=1234 start=5 max=10\n",
    );
    assert_eq!(
        check(),
        format!(
            "0{at}/proxy.conf is fine\n\
             listens for other proxies: 10.0.0.1:32767\n\
             listens on cluster ports: 61000-61002, 61005\n\
             barred, because CLUSTERPORTS does not name them: 8080\n\
             other proxies: 10.0.0.2:32767, 10.0.0.3:40000\n\
             shows metrics at: {at}/m\n"
        )
    );
    // All files that are wrong are told, endpoints.conf among them.
    write("p", "61000:30000\n");
    write("e", "cluster=61000\n");
    let found = check();
    let wrong: Vec<&str> = found.lines().collect();
    let [mappings, endpoints] = wrong.as_slice() else {
        panic!("{found}")
    };
    assert!(
        mappings.starts_with(&format!("1cannot understand {at}/p")),
        "{found}"
    );
    assert!(
        endpoints.starts_with(&format!("cannot understand {at}/e")),
        "{found}"
    );
}

#[test]
fn wrong_arguments_are_told() {
    let check = |arguments: &[&str], parts: &[&str]| {
        let arguments: Vec<&Path> = arguments.iter().map(Path::new).collect();
        let found = shown(&command(&arguments).output().unwrap());
        let all = parts.iter().all(|part| found.contains(part));
        assert!(found.starts_with('2') && all, "{arguments:?}: {found}");
    };
    check(&[], &["FILE"]);
    check(&["check"], &["<FILE>"]);
    check(
        &["chekc", "proxy.conf"],
        &[
            "error: there is no command `chekc`",
            "did you mean `check`?",
        ],
    );
    check(&["a", "b"], &["check, top, metrics, upgrade, completions"]);
    check(&["check", "a", "b"], &["'b'"]);
    check(&["--chekc", "a"], &["--chekc"]);
    check(&["top", "--port", "x", "a"], &["--port", "'x'"]);
    check(&["completions", "cmd"], &["bash", "fish"]);
    let found = shown(
        &command(&[Path::new("completions"), Path::new("bash")])
            .output()
            .unwrap(),
    );
    assert!(found.starts_with("0_sns__proxy()"), "{found}");
    assert!(found.contains("metrics"), "{found}");
}

#[test]
fn help_teaches_every_key() {
    let help = shown(&command(&[Path::new("--help")]).output().unwrap());
    for word in [
        "METRICSSOCKET",
        "ENDPOINTSCONF",
        "LOG_FORMAT",
        "sns-proxy top ",
        "Exit status",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

/// A running program that shows metrics, one of its clients, and the backend that this one has reached.
fn serving(socket: &str) -> (TempDir, Running, TcpStream, TcpStream) {
    let (folder, ip) = (TempDir::new().unwrap(), address());
    let backend = TcpListener::bind((ip, 0)).unwrap();
    let mapping = format!("{PORT}:{}:10:false", backend.local_addr().unwrap().port());
    let conf = format!("HOSTSCONF h\nPORTSCONF p\nHOST {ip}\nMETRICSSOCKET {socket}\n");
    for (name, text) in [("proxy.conf", conf), ("p", mapping)] {
        replace(&folder.path().join(name), text.as_bytes(), 0o644).unwrap();
    }
    let mut running = Running::start(&folder.path().join("proxy.conf"));
    running.said(&format!("listening on {ip}:{PORT}"));
    let client = TcpStream::connect((ip, PORT)).unwrap();
    let (server, _) = backend.accept().unwrap();
    (folder, running, client, server)
}

#[test]
fn top_and_metrics_ask_the_running_proxy() {
    let (folder, running, mut client, mut server) = serving("metrics.sock");
    let conf = folder.path().join("proxy.conf");
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    let ask = |words: &[&str]| {
        let mut arguments: Vec<&Path> = words.iter().map(Path::new).collect();
        arguments.push(&conf);
        shown(&command(&arguments).output().unwrap())
    };
    let metrics = ask(&["metrics"]);
    let line = format!("sns_proxy_accepts_total{{cluster_port=\"{PORT}\"}} 1\n");
    assert!(
        metrics.starts_with("0# HELP ") && metrics.contains(&line),
        "{metrics}"
    );

    let (from, to) = (client.local_addr().unwrap(), server.local_addr().unwrap());
    for words in [
        &["top", "--once"][..],
        &["top"],
        &["top", "--port", "61000"],
    ] {
        let table = ask(words);
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let [_, heading, row] = lines.as_slice() else {
            panic!("{words:?}: {table}")
        };
        let title = format!("0{}: 1 connection", conf.display());
        assert!(table.starts_with(&title), "{table}");
        assert_eq!(heading[..5], ["CLIENT", "PORT", "BACKEND", "POD", "STATE"]);
        let expected = [&from.to_string(), "61000", &to.to_string(), "-", "joined"];
        assert_eq!(row[..5], expected);
        assert_eq!((row[6], row[7], row[9]), ("4B", "0B", "copy"));
        assert!(!table.contains('\x1b'), "no colours: {table}");
    }
    let lines = ask(&["top", "--json"]);
    let mut lines = lines[1..].lines();
    let row: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(
        (&row["client"], &row["up_bytes"]),
        (&from.to_string().into(), &4.into())
    );
    assert_eq!(lines.next(), Some("{\"connections\":1,\"left_out\":0}"));
    assert_eq!(
        ask(&["top", "--once", "--port", "61001"]).lines().count(),
        2
    );

    // Nobody answers any more.
    running.signal(Signal::KILL);
    drop(running);
    for verb in ["top", "metrics"] {
        let found = ask(&[verb]);
        let at = folder.path().join("metrics.sock");
        let expected = format!("1cannot ask the proxy at {}. Does it run", at.display());
        assert!(found.starts_with(&expected), "{found}");
    }
    replace(&conf, b"HOSTSCONF h\nPORTSCONF p\n", 0o644).unwrap();
    let found = ask(&["top"]);
    assert!(
        found.contains("it names no METRICSSOCKET. Write "),
        "{found}"
    );
}

#[test]
fn a_socket_may_lie_deep() {
    let deep = "d".repeat(100);
    let (folder, mut running, ..) = serving(&format!("{deep}/metrics.sock"));
    std::fs::create_dir(folder.path().join(deep)).unwrap();
    running.said("showing metrics at");
    let conf = folder.path().join("proxy.conf");
    let found = shown(&command(&[Path::new("metrics"), &conf]).output().unwrap());
    assert!(found.starts_with("0# HELP "), "{found}");
}

#[test]
fn the_socket_of_a_killed_program_is_replaced() {
    let (folder, running, ..) = serving("metrics.sock");
    running.signal(Signal::KILL);
    drop(running);
    assert!(folder.path().join("metrics.sock").exists());
    let mut running = Running::start(&folder.path().join("proxy.conf"));
    running.said("info: showing metrics at");
}

#[test]
fn events_are_json_where_that_is_wanted() {
    let (folder, ip) = (TempDir::new().unwrap(), address());
    let conf = folder.path().join("proxy.conf");
    replace(
        &conf,
        format!("HOSTSCONF h\nPORTSCONF p\nHOST {ip}\n").as_bytes(),
        0o644,
    )
    .unwrap();
    let mut json = command(&[&conf]);
    json.env("LOG_FORMAT", "json");
    let mut running = Running::of(json);
    let at = format!("{ip}:{RELAY}");
    let opened = running.lines.by_ref().find_map(|line| {
        let record: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(record["ts"].as_str().unwrap().ends_with('Z'), "{record}");
        (record["event"] == "port_opened").then_some(record)
    });
    let record = opened.unwrap();
    assert_eq!(
        (&record["level"], &record["address"]),
        (&"info".into(), &at.clone().into())
    );
    assert_eq!(record["message"], format!("listening on {at}"));
    running.signal(Signal::TERM);
    assert!(running.child.wait().unwrap().success());

    // Also why it cannot start.
    let mut nowhere = command(&[Path::new("/nowhere")]);
    let output = nowhere.env("LOG_FORMAT", "json").output().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(
        (&record["event"], &record["level"]),
        (&"failed".into(), &"error".into())
    );
    assert!(record["ts"].is_string(), "{record}");

    let mut wrong = command(&[&conf]);
    wrong.env("LOG_FORMAT", "xml");
    let expected = "1LOG_FORMAT cannot be `xml`: use text or json\n";
    assert_eq!(shown(&wrong.output().unwrap()), expected);
}

#[test]
fn a_missing_file_is_told() {
    let output = command(&[Path::new("/nowhere/proxy.conf")])
        .output()
        .unwrap();
    assert_eq!(
        shown(&output),
        "1cannot read /nowhere/proxy.conf: No such file or directory (os error 2)\n"
    );
}
