//! Hosts that are reached by SSH: `sns host register`, `trust` and `shell` against real servers of OpenSSH.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use insta::assert_snapshot;
use testkit::{Outcome, SshAgent, Sshd, Terminal, login_name, make_ssh_key, program};

use crate::bench::Bench;

/// A project, and a server that is the host `worker1` of it.
struct Stage {
    bench: Bench,
    server: Sshd,
}

impl Stage {
    /// The server runs, and no host is registered.
    fn empty() -> Self {
        Self {
            bench: Bench::new(),
            server: Sshd::new().unwrap(),
        }
    }

    /// The host is registered and trusted, and its key file is let in.
    fn new() -> Self {
        let stage = Self::empty();
        stage.add("worker1", &["--dir-home=/"]);
        stage
    }

    /// Registers a host at the server, with a key file that is let in.
    fn add(&self, host: &str, more: &[&str]) {
        let (address, user) = (self.address(), user());
        let register = ["host", "register", host, &address, &user, "--keyfile=id"];
        self.bench.ok(&[&register[..], more].concat());
        let public = make_ssh_key(&self.key(host), "ed25519", "").unwrap();
        self.server.authorize(&public).unwrap();
    }

    fn address(&self) -> String {
        format!("--address={}", self.server.address())
    }

    fn key(&self, host: &str) -> PathBuf {
        self.bench.cluster.project().join(host).join("id")
    }

    /// Changes a line of the settings of a host.
    fn set(&self, host: &str, key: &str, value: &str) {
        let path = format!("{host}/host.env");
        let text = self.bench.read(&path);
        let other = |line: &&str| !line.starts_with(&format!("{key}="));
        let kept: Vec<&str> = text.lines().filter(other).collect();
        let changed = format!("{}\n{key}={value}\n", kept.join("\n"));
        self.bench.write(&path, &changed);
    }

    /// The outcome of a command, without what is different each time.
    fn show(&self, arguments: &[&str]) -> String {
        self.hide(&self.bench.show(arguments))
    }

    fn hide(&self, text: &str) -> String {
        let shown = text.replace(&self.server.address().to_string(), "[SERVER]");
        let shown = shown.replace(&login_name().unwrap(), "[USER]");
        let shown = shown.replace(&self.server.fingerprint().unwrap(), "SHA256:[SERVER]");
        hide_fingerprints(&shown)
    }

    /// `sns` in a session of its own: whoever asks finds no terminal, wherever the test was started.
    fn without_terminal(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.bench.cluster.command("setsid");
        command
            .arg("--wait")
            .arg(program("sns").unwrap())
            .args(arguments);
        Outcome::of(&mut command).unwrap()
    }
}

/// The user of the test, who is the one on its hosts.
fn user() -> String {
    format!("--user-name={}", login_name().unwrap())
}

/// Each fingerprint that is left is another key's.
fn hide_fingerprints(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("SHA256:") {
        shown.push_str(before);
        if after.starts_with('[') {
            shown.push_str("SHA256:");
            rest = after;
        } else {
            shown.push_str("SHA256:[OTHER]");
            rest = after.get(43..).unwrap_or_default();
        }
    }
    shown + rest
}

#[test]
fn a_host_is_registered_with_its_key() {
    let stage = Stage::empty();
    let address = stage.address();
    assert_snapshot!(stage.show(&["host", "register", "worker1", &address]), @r"
    $ sns host register worker1 --address=127.0.0.1:[PORT]
    | ok: host worker1 registered at [PROJECT]/worker1
    | ok: host worker1 is known by its key ssh-ed25519 SHA256:[SERVER]
    | hint: compare that with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the host itself
    [exit 0]
    ");
    let key = stage.server.host_key().unwrap();
    let pinned = stage.bench.read("worker1/host-key.txt");
    assert_eq!(pinned.trim(), key.trim().trim_end_matches(" test"));
    assert!(
        stage
            .bench
            .read("log.txt")
            .contains("TRUST_HOST worker1 SHA256:")
    );
    assert_snapshot!(stage.show(&["host", "trust", "worker1"]), @r"
    $ sns host trust worker1
    | ok: host worker1 is trusted already: ssh-ed25519 SHA256:[SERVER]
    [exit 0]
    ");
}

#[test]
fn a_fingerprint_is_insisted_on() {
    let stage = Stage::empty();
    let (address, good) = (stage.address(), stage.server.fingerprint().unwrap());
    let right = format!("--fingerprint={good}");
    let wrong = format!("--fingerprint=SHA256:{}", "A".repeat(43));
    assert_snapshot!(stage.show(&["host", "register", "worker1", &address, &right, "--dir-home=a"]), @r"
    $ sns host register worker1 --address=127.0.0.1:[PORT] --fingerprint=SHA256:[SERVER] --dir-home=a
    | ok: host worker1 registered at [PROJECT]/worker1
    | ok: host worker1 is known by its key ssh-ed25519 SHA256:[SERVER]
    [exit 0]
    ");
    assert_snapshot!(stage.show(&["host", "register", "worker2", &address, &wrong, "--dir-home=b"]), @r"
    $ sns host register worker2 --address=127.0.0.1:[PORT] --fingerprint=SHA256:[OTHER] --dir-home=b
    | ok: host worker2 registered at [PROJECT]/worker2
    | error: host worker2 shows another key than you expect, and is not trusted
    |   expected    SHA256:[OTHER]
    |   it shows    SHA256:[SERVER]
    [exit 5]
    ");
    assert!(
        !stage
            .bench
            .cluster
            .project()
            .join("worker2/host-key.txt")
            .exists()
    );
    assert_snapshot!(stage.show(&["host", "trust", "worker2", &wrong]), @r"
    $ sns host trust worker2 --fingerprint=SHA256:[OTHER]
    | error: host worker2 shows another key than you expect, and is not trusted
    |   expected    SHA256:[OTHER]
    |   it shows    SHA256:[SERVER]
    [exit 5]
    ");
    let misspelt = ["host", "trust", "worker2", "--fingerprint=SHA256:x"];
    assert_eq!(stage.bench.run(&misspelt).code, 2);
}

#[test]
fn a_host_that_is_not_there_is_registered_all_the_same() {
    let mut stage = Stage::empty();
    stage.server.kill();
    let address = stage.address();
    assert_snapshot!(stage.show(&["host", "register", "worker1", &address]), @r"
    $ sns host register worker1 --address=127.0.0.1:[PORT]
    | ok: host worker1 registered at [PROJECT]/worker1
    | warning: its key is not known yet: could not reach host worker1: could not connect to 127.0.0.1:[PORT]: Connection refused (os error 111)
    | hint: once it can be reached: `sns host trust worker1`
    [exit 0]
    ");
    assert_snapshot!(stage.show(&["host", "trust", "worker1"]), @r"
    $ sns host trust worker1
    | error: could not reach host worker1
    |   because: could not connect to 127.0.0.1:[PORT]
    |   because: Connection refused (os error 111)
    [exit 8]
    ");
    assert_snapshot!(stage.show(&["host", "register", "worker2", &address, "--no-scan", "--dir-home=b"]), @r"
    $ sns host register worker2 --address=127.0.0.1:[PORT] --no-scan --dir-home=b
    | ok: host worker2 registered at [PROJECT]/worker2
    [exit 0]
    ");
}

#[test]
fn a_host_with_another_key_is_refused_loudly() {
    let mut stage = Stage::new();
    stage.server.kill();
    let address = stage.server.address();
    let other = Sshd::at(address.ip(), Some(address.port()), "ed25519", "").unwrap();
    assert_snapshot!(stage.show(&["host", "shell", "worker1", "--", "true"]), @r"
    $ sns host shell worker1 -- true
    | error: could not reach host worker1
    |   because: 127.0.0.1:[PORT] IS NOT THE HOST THAT THE PROJECT KNOWS, or somebody listens in between: its key is none of worker1/host-key.txt
    |   the project knows ssh-ed25519 SHA256:[SERVER]
    |   it shows          ssh-ed25519 SHA256:[OTHER]
    | hint: only if you know why its key changed: `sns host trust worker1 --replace`
    [exit 5]
    ");
    assert_snapshot!(stage.show(&["host", "trust", "worker1"]), @r"
    $ sns host trust worker1
    | error: host worker1 shows another key than the project knows
    |   the project knows ssh-ed25519 SHA256:[SERVER]
    |   it shows          ssh-ed25519 SHA256:[OTHER]
    | hint: if you know why its key changed: `sns host trust worker1 --replace`
    [exit 5]
    ");
    stage.server = other;
    assert_snapshot!(stage.show(&["host", "trust", "worker1", "--replace"]), @r"
    $ sns host trust worker1 --replace
    | ok: host worker1 is known by its key ssh-ed25519 SHA256:[SERVER]
    | hint: compare that with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the host itself
    [exit 0]
    ");
    stage.bench.ok(&["host", "trust", "worker1", "--forget"]);
    assert_snapshot!(stage.show(&["host", "shell", "worker1", "--", "true"]), @r"
    $ sns host shell worker1 -- true
    | error: could not reach host worker1
    |   because: nobody has said that 127.0.0.1:[PORT] may be trusted: the project has no worker1/host-key.txt
    |   it shows ssh-ed25519 SHA256:[SERVER]
    | hint: compare the fingerprint with the one on the host itself, then `sns host trust worker1`
    [exit 5]
    ");
    assert_snapshot!(stage.show(&["host", "trust", "worker1", "--forget"]), @r"
    $ sns host trust worker1 --forget
    | ok: no key of host worker1 was known
    [exit 0]
    ");
}

#[test]
fn a_shell_has_the_streams_and_the_end_of_the_command() {
    let stage = Stage::new();
    let shell = |line: &str| stage.bench.run(&["host", "shell", "worker1", "--", line]);
    let outcome = shell("pwd; echo why >&2; exit 9");
    assert_eq!(
        (
            outcome.stdout.as_str(),
            outcome.stderr.as_str(),
            outcome.code
        ),
        ("/\n", "why\n", 9)
    );
    assert_eq!(shell("kill -TERM $$").code, 143);
    assert_eq!(shell("true").code, 0);
    stage.set("worker1", "HOSTHOME", "/no/such");
    assert_eq!(shell("true").code, 126);
}

#[test]
fn a_shell_on_this_machine_is_the_same() {
    let bench = Bench::with_host();
    let outcome = bench.run(&["host", "shell", "laptop", "--", "pwd; exit 9"]);
    assert_eq!(
        (bench.redact(&outcome.stdout).as_str(), outcome.code),
        ("[HOSTS]/laptop\n", 9)
    );
    assert_snapshot!(bench.show(&["host", "shell", "laptop", "-s"]), @r"
    $ sns host shell laptop -s
    | error: host laptop has no super user
    | hint: only hosts that are reached by SSH have one
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["host", "trust", "laptop"]), @r"
    $ sns host trust laptop
    | error: host laptop is this machine: nobody has to be trusted
    [exit 3]
    ");
}

#[test]
fn the_super_user_logs_in_with_his_own_key() {
    let stage = Stage::empty();
    let super_user = format!("--super-user-name={}", login_name().unwrap());
    stage.add("worker1", &[&super_user]);
    let public = make_ssh_key(
        &stage.key("worker1").with_file_name("id_rsa_super"),
        "ed25519",
        "",
    )
    .unwrap();
    let shell = ["host", "shell", "worker1", "-s", "--", "pwd"];
    assert_eq!(stage.bench.run(&shell).code, 8);
    stage.server.authorize(&public).unwrap();
    let home = stage.bench.ok(&shell);
    assert!(home.starts_with('/') && !home.contains("worker1"), "{home}");
    stage.add("worker2", &[]);
    assert_snapshot!(stage.show(&["host", "shell", "worker2", "-s"]), @r"
    $ sns host shell worker2 -s
    | error: host worker2 has no super user
    | hint: `sns host setup superuser worker2` makes one; write host-superuser.env beside its host.env if there is one
    [exit 3]
    ");
}

#[test]
fn who_is_not_let_in_learns_what_was_tried() {
    let stage = Stage::new();
    make_ssh_key(&stage.key("worker1").with_file_name("other"), "ed25519", "").unwrap();
    stage.set("worker1", "KEYFILE", "other");
    assert_snapshot!(stage.show(&["host", "shell", "worker1", "--", "true"]), @r"
    $ sns host shell worker1 -- true
    | error: could not reach host worker1
    |   because: 127.0.0.1:[PORT] does not let user [USER] in
    |   key file [PROJECT]/worker1/other (ssh-ed25519 SHA256:[OTHER]): refused
    |   ssh-agent: none (SSH_AUTH_SOCK is not set)
    [exit 8]
    ");
    stage.set("worker1", "KEYFILE", "missing");
    assert_snapshot!(stage.show(&["host", "shell", "worker1", "--", "true"]), @r"
    $ sns host shell worker1 -- true
    | error: could not reach host worker1
    |   because: 127.0.0.1:[PORT] does not let user [USER] in
    |   key file [PROJECT]/worker1/missing: it does not exist
    |   ssh-agent: none (SSH_AUTH_SOCK is not set)
    [exit 8]
    ");
    stage.set("worker1", "USER", "");
    assert_snapshot!(stage.show(&["host", "shell", "worker1", "--", "true"]), @r"
    $ sns host shell worker1 -- true
    | error: cannot tell how to reach host worker1
    |   because: [PROJECT]/worker1/host.env has no USER
    [exit 3]
    ");
}

#[test]
fn an_agent_has_the_key() {
    let agent = SshAgent::new().unwrap();
    let mut stage = Stage::new();
    stage.bench = stage
        .bench
        .with_variables([("SSH_AUTH_SOCK", agent.socket().display().to_string())]);
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    stage
        .server
        .authorize(&make_ssh_key(&own, "rsa", "").unwrap())
        .unwrap();
    make_ssh_key(&other, "ed25519", "").unwrap();
    agent.add(&other).unwrap();
    stage.set("worker1", "KEYFILE", "");
    assert_snapshot!(stage.show(&["host", "shell", "worker1", "--", "true"]), @r"
    $ sns host shell worker1 -- true
    | error: could not reach host worker1
    |   because: 127.0.0.1:[PORT] does not let user [USER] in
    |   ssh-agent: test (ssh-ed25519 SHA256:[OTHER]): refused
    [exit 8]
    ");
    agent.add(&own).unwrap();
    assert_eq!(
        stage
            .bench
            .ok(&["host", "shell", "worker1", "--", "echo in"]),
        "in\n"
    );
    // A key file that is refused, or that is not there, does not stop the agent.
    for file in ["other", "missing"] {
        let path = stage.key("worker1").with_file_name("other");
        if !path.exists() {
            make_ssh_key(&path, "ed25519", "").unwrap();
        }
        stage.set("worker1", "KEYFILE", file);
        assert_eq!(
            stage
                .bench
                .ok(&["host", "shell", "worker1", "--", "echo in"]),
            "in\n"
        );
    }
}

#[test]
fn a_passphrase_is_asked_for_once() {
    let stage = Stage::new();
    let key = stage.key("worker1").with_file_name("locked");
    stage
        .server
        .authorize(&make_ssh_key(&key, "ed25519", "open sesame").unwrap())
        .unwrap();
    stage.set("worker1", "KEYFILE", "locked");
    stage.bench.ok(&[
        "host",
        "register",
        "worker2",
        &stage.address(),
        &user(),
        "--keyfile=../worker1/locked",
        "--jump-host=../worker1",
        "--no-scan",
    ]);
    fs::copy(
        key.with_file_name("host-key.txt"),
        key.with_file_name("../worker2/host-key.txt"),
    )
    .unwrap();
    stage.set("worker2", "HOSTHOME", "/");
    let mut sns = stage.bench.cluster.command("env");
    sns.arg(program("sns").unwrap())
        .args(["host", "shell", "worker2", "--", "echo in"]);
    let mut terminal = Terminal::start(&sns, 80, 24).unwrap();
    terminal.wait_for("locked: ").unwrap();
    terminal.type_in_secret("wrong\n").unwrap();
    terminal.wait_for("locked: ").unwrap();
    terminal.type_in_secret("open sesame\n").unwrap();
    let (status, said) = terminal.finish().unwrap();
    assert!(status.success() && said.contains("in\r\n"), "{said}");
    assert!(
        !said.contains("Passphrase") && !said.contains("sesame"),
        "{said}"
    );
    let mut terminal = Terminal::start(&sns, 80, 24).unwrap();
    terminal.wait_for("locked: ").unwrap();
    terminal.type_in_secret("\u{3}").unwrap();
    let (status, _) = terminal.finish().unwrap();
    assert!(
        !status.success() && !terminal.hides_input().unwrap(),
        "{status}"
    );

    let outcome = stage.without_terminal(&["host", "shell", "worker1", "--", "true"]);
    assert_snapshot!(stage.hide(&stage.bench.redact(&outcome.stderr)), @r"
    error: could not reach host worker1
      because: 127.0.0.1:[PORT] does not let user [USER] in
      key file [PROJECT]/worker1/locked: it wants a passphrase, and there is no terminal to ask for it
      ssh-agent: none (SSH_AUTH_SOCK is not set)
    hint: give it to an ssh-agent: `ssh-add [PROJECT]/worker1/locked`
    ");
    assert_eq!(outcome.code, 8);
    let agent = SshAgent::new().unwrap();
    let open = key.with_file_name("opened");
    fs::copy(&key, &open).unwrap();
    let mut keygen = stage.bench.cluster.command("ssh-keygen");
    keygen
        .args(["-q", "-p", "-P", "open sesame", "-N", "", "-f"])
        .arg(&open);
    Outcome::of(&mut keygen).unwrap().success().unwrap();
    agent.add(&open).unwrap();
    let bench = stage
        .bench
        .with_variables([("SSH_AUTH_SOCK", agent.socket().display().to_string())]);
    assert_eq!(
        bench.ok(&["host", "shell", "worker1", "--", "echo in"]),
        "in\n"
    );
}

#[test]
fn a_person_has_a_terminal_there() {
    let stage = Stage::new();
    let mut sns = stage.bench.cluster.command("env");
    sns.env("TERM", "xterm-test");
    sns.arg(program("sns").unwrap())
        .args(["host", "shell", "worker1"]);
    let mut terminal = Terminal::start(&sns, 91, 31).unwrap();
    terminal.type_in("stty size; echo $TERM in $PWD\n").unwrap();
    terminal.wait_for("31 91\r\n").unwrap();
    terminal.wait_for("xterm-test in /\r\n").unwrap();
    // The size arrives beside what is typed, so it is asked for until it is there.
    terminal
        .type_in("trap 'stty size; exit 5' WINCH; echo read''y; while :; do read line; done\n")
        .unwrap();
    terminal.wait_for("ready\r\n").unwrap();
    terminal.resize(92, 32).unwrap();
    terminal.wait_for("32 92\r\n").unwrap();
    let (status, said) = terminal.finish().unwrap();
    assert_eq!(status.code(), Some(5), "{said}");
}

#[test]
fn what_is_odd_about_the_settings_is_said() {
    let stage = Stage::new();
    stage.set("worker1", "FLAGS", "-oConnectTimeout=5 -oCompression=yes");
    fs::set_permissions(stage.key("worker1"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_snapshot!(stage.show(&["host", "shell", "worker1", "--", "true"]), @r"
    $ sns host shell worker1 -- true
    | warning: FLAGS of host worker1 has `-oCompression=yes`, which is not understood and has no effect
    | warning: the key file [PROJECT]/worker1/id is open to others (mode 644); close it with `chmod 600 [PROJECT]/worker1/id`
    [exit 0]
    ");
}

#[test]
fn a_way_of_three_hosts_and_what_is_wrong_with_it() {
    let stage = Stage::new();
    stage.add("worker2", &["--jump-host=../worker1", "--dir-home=b"]);
    stage.add("worker3", &["--jump-host=../worker2", "--dir-home=/tmp"]);
    assert_eq!(
        stage.bench.ok(&["host", "shell", "worker3", "--", "pwd"]),
        "/tmp\n"
    );
    let shell = ["host", "shell", "worker3", "--", "true"];
    let pinned = stage.bench.read("worker2/host-key.txt");
    stage.bench.ok(&["host", "trust", "worker2", "--forget"]);
    assert_snapshot!(stage.show(&shell), @r"
    $ sns host shell worker3 -- true
    | error: could not reach host worker3
    |   because: could not reach its jump host worker2
    |   because: nobody has said that 127.0.0.1:[PORT] may be trusted: the project has no worker2/host-key.txt
    |   it shows ssh-ed25519 SHA256:[SERVER]
    | hint: compare the fingerprint with the one on the host itself, then `sns host trust worker2`
    [exit 5]
    ");
    stage.bench.write("worker2/host-key.txt", &pinned);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody: SocketAddr = taken.local_addr().unwrap();
    drop(taken);
    stage.set("worker3", "PORT", &nobody.port().to_string());
    let shown = stage.show(&shell).replace(&nobody.to_string(), "[NOBODY]");
    assert_snapshot!(shown, @r"
    $ sns host shell worker3 -- true
    | error: could not reach host worker3 through worker1, worker2
    |   because: the jump host worker2 could not connect to 127.0.0.1:[PORT]: nobody takes a connection there
    [exit 8]
    ");
    stage.set("worker1", "JUMPHOST", "../worker3");
    assert_snapshot!(stage.show(&shell), @r"
    $ sns host shell worker3 -- true
    | error: cannot tell how to reach host worker3
    |   because: its jump hosts lead in a circle: worker3 → worker2 → worker1 → worker3
    [exit 3]
    ");
    stage.set("worker1", "JUMPHOST", "../worker9");
    assert_snapshot!(stage.show(&shell), @r"
    $ sns host shell worker3 -- true
    | error: cannot tell how to reach host worker3
    |   because: [PROJECT]/worker1/host.env has JUMPHOST=../worker9, and there is no host.env at [PROJECT]/worker1/../worker9
    [exit 3]
    ");
}

#[test]
fn a_command_that_nobody_listens_to_ends() {
    let stage = Stage::new();
    let mut sns = stage
        .bench
        .cluster
        .sns(&["host", "shell", "worker1", "--", "cat /dev/zero"]);
    let mut child = sns
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut some = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141));
}
