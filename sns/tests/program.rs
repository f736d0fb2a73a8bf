//! Programs that a host gets from the project: a sync brings them, and a unit that runs an earlier one goes on with the
//! new one, in the case of the cluster proxy without losing a connection.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use testkit::{Daemon, free_port, program, wait_until};

use crate::bench::{Bench, write};

const WAIT: Duration = Duration::from_secs(60);

/// The proxy, on a port that nobody else has.
fn pod(port: u16) -> String {
    format!(
        "api: 1.0.0-beta2\nruntime: native\npodVersion: 1.0.0\nvolumes:\n  - name: conf\n    type: config\nprocesses:\n  - name: gate\n    command: [sns-proxy]\n    args: [mnt/conf/proxy.conf]\n    restart: always\n    signal:\n      - sig: HUP\n    mounts:\n      - volume: conf\n        dest: /mnt/conf\n    readinessProbe:\n      timeout: 10\n      tcp:\n        port: {port}\n"
    )
}

struct Stage {
    bench: Bench,
    _daemon: Daemon,
    backend: TcpListener,
    cluster_port: u16,
}

impl Stage {
    /// A host whose proxy comes from the project.
    fn new() -> Self {
        let (port, cluster_port) = (free_port().unwrap(), free_port().unwrap());
        let bench = Bench::new().with_plugins();
        bench.add_host("laptop", &format!("127.0.0.1:{port}"));
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = bench.cluster.folder().join("gate");
        let target = backend.local_addr().unwrap().port();
        write(
            &folder.join("mappings"),
            &format!("{cluster_port}:{target}:10:false\n"),
        );
        let conf = format!(
            "HOSTSCONF {home}/hosts.conf\nPORTSCONF {}\nCLUSTERPORTS 1024-65535\n",
            folder.join("mappings").display(),
            home = bench.cluster.host_home("laptop").display()
        );
        let files = [("pod.yaml", pod(port)), ("config/conf/proxy.conf", conf)];
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        bench.attach("gate", "laptop", &files);
        let stage = bench.cluster.folder().join("first/sns-proxy");
        fs::create_dir_all(stage.parent().unwrap()).unwrap();
        fs::copy(program("sns-proxy").unwrap(), &stage).unwrap();
        bench.ok(&["host", "program", &stage.display().to_string(), "laptop"]);
        bench.ok(&["pod", "compile", "gate"]);
        bench.commit();
        bench.ok(&["cluster", "sync"]);
        let home = bench.cluster.host_home("laptop");
        let daemon = Daemon::start(&mut bench.cluster.daemon("laptop"), &home).unwrap();
        let stage = Self {
            bench,
            _daemon: daemon,
            backend,
            cluster_port,
        };
        let ready = || {
            let asked = stage.bench.run(&["pod", "ps", "gate", "-r", "-q"]);
            Ok((asked.code == 0).then_some(()))
        };
        wait_until("the proxy to be ready", WAIT, ready).unwrap();
        stage
    }

    fn home(&self) -> PathBuf {
        self.bench.cluster.host_home("laptop")
    }

    /// The process of the proxy, and the file that it executes.
    fn process(&self) -> (u32, String) {
        let programs = self.home().join("programs");
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
        let ours = pids.filter_map(|pid| {
            let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            let text = exe.display().to_string();
            text.starts_with(&programs.display().to_string())
                .then_some((pid, text))
        });
        ours.min().unwrap()
    }
}

#[test]
fn a_new_proxy_arrives_and_takes_over_in_place() {
    let stage = Stage::new();
    let (pid, exe) = stage.process();
    assert!(exe.ends_with("/programs/sns-proxy"), "{exe}");
    let mut client = TcpStream::connect(("127.0.0.1", stage.cluster_port)).unwrap();
    client.write_all(b"ping").unwrap();
    let (mut served, _) = stage.backend.accept().unwrap();
    let mut heard = [0; 4];
    served.read_exact(&mut heard).unwrap();

    let next = stage.bench.cluster.folder().join("second/sns-proxy");
    let mut bytes = fs::read(program("sns-proxy").unwrap()).unwrap();
    // The same program, and not the same file.
    bytes.extend(b"second");
    fs::create_dir_all(next.parent().unwrap()).unwrap();
    hostfiles::replace(&next, &bytes, 0o755).unwrap();
    stage
        .bench
        .ok(&["host", "program", &next.display().to_string(), "laptop"]);
    stage.bench.commit();
    let synced = stage.bench.ok(&["cluster", "sync"]);
    assert!(synced.contains("+ program sns-proxy"), "{synced}");
    let executes_it = || {
        let exe = fs::metadata(format!("/proc/{pid}/exe")).map(|found| found.len());
        Ok((exe.ok() == Some(bytes.len() as u64)).then_some(()))
    };
    wait_until("the new proxy to have taken over", WAIT, executes_it).unwrap();
    assert_eq!(stage.process().0, pid, "it is the same process");
    served.write_all(b"pong").unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"pong");

    // Only the program that is in use stays in the project.
    let kept = fs::read_dir(stage.bench.cluster.project().join("_programs"));
    assert_eq!(kept.unwrap().count(), 1);
    stage
        .bench
        .ok(&["host", "program", "sns-proxy", "--forget", "laptop"]);
    stage.bench.commit();
    let synced = stage.bench.ok(&["cluster", "sync"]);
    assert!(synced.contains("- program sns-proxy"), "{synced}");
    assert!(!stage.home().join("programs/sns-proxy").exists());
}

#[test]
fn what_is_no_program_is_refused() {
    let bench = Bench::with_host();
    bench.write("notes", "text\n");
    for (words, code) in [
        (&["host", "program", "notes", "laptop"][..], 3),
        (&["host", "program", "nonesuch", "laptop"], 7),
        (&["host", "program", "/bin/sh", "--name=../sh", "laptop"], 2),
        (&["host", "program", "/bin/sh", "labtop"], 3),
        (&["host", "program", "sh", "--forget", "laptop"], 3),
        (&["host", "program"], 2),
    ] {
        let outcome = bench.run(words);
        assert_eq!(outcome.code, code, "{words:?}: {outcome}");
    }
    bench.ok(&["host", "program", "/bin/sh", "laptop"]);
    let listed = bench.ok(&["host", "program", "--list"]);
    assert!(listed.starts_with("laptop sh "), "{listed}");
    let path = fs::read_dir(bench.cluster.project().join("_programs"));
    let path = path.unwrap().next().unwrap().unwrap().path();
    hostfiles::replace(&path, b"another", 0o755).unwrap();
    bench.commit();
    let refused = bench.run(&["cluster", "sync"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert!(
        refused.stderr.contains("programs.txt of host laptop"),
        "{refused}"
    );
}
