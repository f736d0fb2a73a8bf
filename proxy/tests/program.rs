//! The program itself: its arguments, its signals, its exit status.

use std::io::{BufRead, BufReader, Lines};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use hostfiles::replace;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cluster::{RELAY, address};

fn command(arguments: &[&Path]) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program is what these tests are about"
    )]
    let mut command = Command::new(env!("CARGO_BIN_EXE_sns-proxy"));
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
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(conf: &Path) -> Self {
        let mut child = command(&[conf]).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    fn said(&mut self, part: &str) {
        let found = self.lines.by_ref().any(|line| line.unwrap().contains(part));
        assert!(found, "it never said `{part}`");
    }

    fn signal(&self, signal: Signal) {
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
    for arguments in [&[conf.as_path()][..], &[Path::new("--check"), &conf]] {
        assert_eq!(shown(&command(arguments).output().unwrap()), expected);
    }
}

#[test]
fn check_reads_everything_that_is_there() {
    let folder = TempDir::new().unwrap();
    let conf = folder.path().join("proxy.conf");
    replace(&conf, b"HOSTSCONF h\nPORTSCONF p\n", 0o644).unwrap();
    let check = || shown(&command(&[Path::new("--check"), &conf]).output().unwrap());
    assert_eq!(check(), format!("0{} is fine\n", conf.display()));
    for (name, text) in [("e", "cluster=61000\n"), ("p", "61000:30000\n")] {
        replace(&conf, b"HOSTSCONF h\nPORTSCONF p\nENDPOINTSCONF e\n", 0o644).unwrap();
        let file = folder.path().join(name);
        replace(&file, text.as_bytes(), 0o644).unwrap();
        assert!(check().starts_with("1cannot understand "), "{}", check());
        std::fs::remove_file(file).unwrap();
        assert!(check().starts_with('0'), "{}", check());
    }
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
