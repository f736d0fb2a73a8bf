//! A pod that is a program of its own (`runtime: executable`), from its pod.yaml to its end, with the real
//! daemon; and programs that do wrong, each of which `sns pod ps` names.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use testkit::{Daemon, Outcome, wait_until};

use crate::bench::{Bench, PROGRAM};

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(60);
const YAML: &str = include_str!("../../examples/executable/pod.yaml");
const SCRIPT: &str = include_str!("../../examples/executable/pod.sh");

/// A host with pods that are programs; what they have left ends with it.
struct Programs {
    bench: Bench,
    pods: Vec<&'static str>,
}

impl Programs {
    fn new(pods: &[(&'static str, &str, &str)]) -> Self {
        let bench = Bench::with_host();
        for (pod, yaml, script) in pods {
            bench.attach(pod, "laptop", &[("pod.yaml", yaml), ("run.sh", script)]);
            bench.ok(&["pod", "compile", pod]);
        }
        let programs = Self {
            bench,
            pods: pods.iter().map(|(pod, ..)| *pod).collect(),
        };
        programs.sync();
        programs
    }

    fn sync(&self) {
        self.bench.commit();
        self.bench.ok(&["cluster", "sync"]);
    }

    fn daemon(&self) -> Daemon {
        let home = self.bench.cluster.host_home("laptop");
        let mut command = self.bench.cluster.daemon("laptop");
        // A verb that hangs should not hang for long.
        command.env("SNS_VERB_SECONDS", "5");
        // A change that is not noticed must not be found by the safety net.
        command.env("SNS_RESCAN_SECONDS", "86400");
        Daemon::start(&mut command, &home).unwrap()
    }

    fn file(&self, pod: &str, name: &str) -> PathBuf {
        let home = self.bench.cluster.host_home("laptop");
        home.join("pods").join(pod).join("release/1.0.0").join(name)
    }

    fn read(&self, pod: &str, name: &str) -> String {
        fs::read_to_string(self.file(pod, name)).unwrap_or_default()
    }

    fn field(&self, pod: &str, key: &str) -> String {
        let status = self.read(pod, ".pod.status");
        let found = status.lines().find_map(|line| line.strip_prefix(key));
        found.unwrap_or_default().trim().to_owned()
    }

    fn ps(&self, pod: &str) -> String {
        self.bench.run(&["pod", "ps", pod]).stdout
    }

    #[track_caller]
    fn wait_for(&self, pod: &str, text: &str) {
        let found = wait_until(text, LIMIT, || {
            Ok(self.ps(pod).contains(text).then_some(()))
        });
        found.unwrap_or_else(|error| panic!("{error}: {}", self.ps(pod)));
    }

    fn state(&self, pod: &str, state: &str) {
        let state = format!("--state={state}");
        self.bench.ok(&["pod", "state", pod, &state]);
        self.sync();
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for pod in &self.pods {
            for key in ["pid:", "server:"] {
                let pid = self.field(pod, key);
                // Most have ended, and their numbers mean nobody or nothing.
                if pid.parse::<u32>().is_ok_and(is_alive) {
                    let _ = Outcome::of(self.bench.cluster.command("kill").args(["-9", &pid]));
                }
            }
        }
    }
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// What a web server answers; none when nobody listens.
fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_program_is_compiled_synced_run_stopped_and_removed() {
    let port = free_port();
    let yaml = YAML
        .replace("${HOSTPORTAUTO1}", &port.to_string())
        .replace("${CLUSTERPORTAUTO1}", "61000")
        .replace("pod.sh", "run.sh");
    let programs = Programs::new(&[("shop", &yaml, SCRIPT)]);
    let daemon = programs.daemon();
    programs.wait_for("shop", "status: running\n");
    let pid = programs.field("shop", "pid:");
    assert!(get(port).unwrap().contains("served by shop-1.0.0"));
    let replicas = programs.bench.ok(&["pod", "ps", "shop", "--readiness"]);
    assert_eq!(replicas, "1/1\n");
    let ps = programs.ps("shop");
    assert!(!ps.contains("message"), "{ps}");
    let home = programs.bench.cluster.host_home("laptop");
    let routes = || fs::read_to_string(home.join("portmappings.conf")).unwrap_or_default();
    let route = format!("61000:{port}:4096:false\n");
    let wait_for_routes = |expected: &str| {
        let found = wait_until("routes", LIMIT, || Ok((routes() == expected).then_some(())));
        found.unwrap_or_else(|error| panic!("{error}: {}", routes()));
    };
    wait_for_routes(&route);
    let logs = programs.bench.ok(&["pod", "logs", "shop"]);
    assert!(
        logs.contains("`run --host-interface=127.0.0.1` is done"),
        "{logs}"
    );

    // The daemon ends and comes back, and the pod does not notice.
    drop(daemon);
    assert!(programs.ps("shop").contains("no daemon drives it"));
    assert!(get(port).is_some());
    fs::remove_file(home.join("portmappings.conf")).unwrap();
    let _daemon = programs.daemon();
    wait_for_routes(&route);
    assert_eq!(programs.field("shop", "pid:"), pid);

    programs.bench.ok(&["pod", "rerun", "shop"]);
    programs.wait_for("shop", "status: running\n");
    assert_ne!(programs.field("shop", "pid:"), pid);

    programs.state("shop", "stopped");
    programs.wait_for("shop", "status: exited\n");
    wait_for_routes("\n");
    assert_eq!(get(port), None);
    programs.state("shop", "removed");
    programs.wait_for("shop", "status: removed\n");
    assert!(!programs.file("shop", "www").exists());
}

#[test]
fn programs_that_do_wrong_are_bounded_and_named() {
    let up = "#!/bin/sh\necho \"$1\" >>calls\n[ \"$1\" = run ] || exit 0\nsleep 600 >/dev/null 2>&1 &\n\
        printf 'pod: a-1.0.0\\nupdated: %s\\nstatus: running\\npid: %s\\nreadiness: 1\\n' \"$(date +%s)\" $! >.new\n\
        mv .new .pod.status\n";
    let programs = Programs::new(&[
        ("hang", PROGRAM, "#!/bin/sh\necho $$ >hanging\nsleep 600\n"),
        (
            "odd",
            PROGRAM,
            "#!/bin/sh\nhead -c 100000 /dev/urandom >.pod.status\n",
        ),
        (
            "fail",
            PROGRAM,
            "#!/bin/sh\necho 'no luck \u{1b}[2J today' >&2\nexit 3\n",
        ),
        (
            "flood",
            PROGRAM,
            "#!/bin/sh\nyes | head -c 3000000\nyes no | head -c 3000000 >&2\nexit 1\n",
        ),
        ("lost", PROGRAM, "#!/no/such/interpreter\n"),
        ("quiet", PROGRAM, "#!/bin/sh\nexit 0\n"),
        ("plain", PROGRAM, up),
        ("gone", PROGRAM, up),
    ]);
    let _daemon = programs.daemon();
    programs.wait_for("hang", "`run` failed: ");
    programs.wait_for("hang", "no end after 5000 ms");
    programs.wait_for("odd", "its .pod.status cannot be understood");
    programs.wait_for(
        "fail",
        "`run` failed: ended with 3: no luck  [2J today; tries: ",
    );
    programs.wait_for("flood", "`run` failed: ended with 1: no; tries: ");
    programs.wait_for(
        "lost",
        "is the interpreter that its first line names on this host?",
    );
    programs.wait_for("quiet", "has written no .pod.status, so it gets no traffic");
    let logs = fs::read_dir(programs.file("flood", "log")).unwrap();
    let bytes: u64 = logs.map(|log| log.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 1_000_000, "{bytes} bytes of logs");

    programs.wait_for("plain", "status: running\n");
    programs.wait_for("gone", "status: running\n");
    let mode = |mode| {
        let path = programs.file("plain", "pod");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    programs.wait_for("plain", "is not executable: chmod +x ");
    fs::remove_file(programs.file("gone", "pod")).unwrap();
    programs.wait_for("gone", "is gone or damaged, so no verb can be called");
    // Their status is their own: nobody has written into it, so nothing is run twice.
    for pod in ["plain", "gone"] {
        assert!(programs.ps(pod).contains("status: running\n"));
    }
    hostfiles::replace(&programs.file("gone", "pod"), up.as_bytes(), 0o755).unwrap();
    mode(0o755);
    for pod in ["plain", "gone"] {
        let healed = wait_until("nothing to be said", LIMIT, || {
            Ok((!programs.ps(pod).contains("message")).then_some(()))
        });
        healed.unwrap_or_else(|error| panic!("{error}: {}", programs.ps(pod)));
        assert_eq!(programs.read(pod, "calls"), "run\n");
    }
}
