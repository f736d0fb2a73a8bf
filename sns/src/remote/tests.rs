//! The calls of this module against real servers of OpenSSH, and against this machine.

use std::fs;
use std::io::{Read as _, Write as _};
use std::thread;

use hostfiles::{Format as _, HostEnv, HostState, Project, SshHostKeys};
use sha2::{Digest as _, Sha256};
use testkit::{Sshd, login_name, make_ssh_key};

use super::*;

/// A project whose hosts are servers of this test.
struct World {
    folder: tempfile::TempDir,
    environment: Environment,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = Environment::read().unwrap();
        environment.home = Some(folder.path().join("home"));
        environment.ssh_agent = None;
        fs::create_dir(folder.path().join("home")).unwrap();
        Self {
            folder,
            environment,
        }
    }

    /// A host with these settings, and more lines.
    fn host(&self, name: &str, settings: &str) -> Host {
        let dir = Project::new(self.folder.path()).host(&name.parse().unwrap());
        fs::create_dir_all(dir.path()).unwrap();
        let env = HostEnv::parse(settings).unwrap();
        hostfiles::write(&dir.host_env(), &env).unwrap();
        Host {
            name: name.parse().unwrap(),
            dir,
            env,
            state: HostState::Active,
        }
    }

    /// A host at that server, whose key is pinned, with a key file that is let in.
    fn host_at(&self, name: &str, server: &Sshd, more: &str) -> Host {
        let host = self.host(name, &settings(server, more));
        let pinned = SshHostKeys::parse(&server.host_key().unwrap()).unwrap();
        hostfiles::write(&host.dir.ssh_host_keys(), &pinned).unwrap();
        let key = host.dir.path().join("id");
        if !key.exists() {
            let public = make_ssh_key(&key, "ed25519", "").unwrap();
            server.authorize(&public).unwrap();
        }
        host
    }

    fn local(&self) -> Host {
        self.host("laptop", "HOST=local\n")
    }

    fn remotes(&self) -> Remotes {
        Remotes::new(&self.environment).unwrap()
    }
}

fn settings(server: &Sshd, more: &str) -> String {
    let (ip, port, user) = (
        server.address().ip(),
        server.address().port(),
        login_name().unwrap(),
    );
    format!("HOST={ip}\nPORT={port}\nUSER={user}\nKEYFILE=id\n{more}\n")
}

fn sh(line: &str) -> Command {
    Command::new("sh").arg("-c").arg(line)
}

/// The same things at a host over SSH and at one on this machine.
fn everywhere(check: impl Fn(&Remote)) {
    let (world, server) = (World::new(), Sshd::new().unwrap());
    let remotes = world.remotes();
    check(&remotes.connect(&world.local()).unwrap());
    check(
        &remotes
            .connect(&world.host_at("worker1", &server, ""))
            .unwrap(),
    );
}

#[test]
fn output_and_exit_codes() {
    everywhere(|remote| {
        let out = remote
            .output(&sh("cat; echo why >&2; exit 3"), b"hello")
            .unwrap();
        let expected = Output {
            stdout: b"hello".to_vec(),
            stderr: "why\n".to_owned(),
            exit: Exit::Code(3),
        };
        assert_eq!(out, expected);
        let out = remote.output(&sh("kill -9 $$"), b"").unwrap();
        assert_eq!(
            (out.exit.code(), out.exit),
            (137, Exit::Signal("KILL".to_owned()))
        );
    });
}

#[test]
fn what_cannot_be_started_has_the_code_of_a_shell() {
    everywhere(|remote| {
        let code = |command: Command| {
            let mut running = remote.run(&command).unwrap();
            let exit = running.wait().unwrap();
            assert!(!running.errors().is_empty(), "{command:?} says why");
            exit
        };
        assert_eq!(code(Command::new("no-such-program")), Exit::Code(127));
        assert_eq!(code(Command::new("/etc/passwd")), Exit::Code(126));
        assert_eq!(code(sh("exit 0").in_directory("no/such")), Exit::Code(126));
    });
}

#[test]
fn the_end_of_the_input_arrives_while_the_output_goes_on() {
    everywhere(|remote| {
        let mut running = remote.run(&sh("cat; echo end; cat")).unwrap();
        let mut stdin = running.stdin.take().unwrap();
        stdin.write_all(b"to ").unwrap();
        stdin.write_all(b"the ").unwrap();
        stdin.close();
        let mut said = String::new();
        running
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(said, "to the end\n");
        assert_eq!(running.finish().unwrap(), Exit::Code(0));
    });
}

#[test]
fn fifty_megabytes_each_way() {
    let bytes: Vec<u8> = (0..=250).cycle().take(50_000_003).collect();
    let digest = |bytes: &[u8]| Sha256::digest(bytes).to_vec();
    everywhere(|remote| {
        let out = remote.output(&Command::new("cat"), &bytes).unwrap();
        assert!(
            digest(&out.stdout) == digest(&bytes),
            "what comes back is what was sent"
        );
        let out = remote.output(&Command::new("sha256sum"), &bytes).unwrap();
        let hex: String = digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(String::from_utf8_lossy(&out.stdout), format!("{hex}  -\n"));
    });
}

#[test]
fn many_commands_share_one_connection() {
    let (world, server) = (World::new(), Sshd::new().unwrap());
    let (remotes, host) = (world.remotes(), world.host_at("worker1", &server, ""));
    let said = || {
        let remote = remotes.connect(&host).unwrap();
        assert!(!remote.is_local());
        let line = "echo $PPID; cat";
        let out = remote.output(&sh(line), b"").unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let parents: BTreeSet<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(said)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(parents.len(), 1, "{parents:?}");
    remotes.forget_connections();
    assert!(!parents.contains(&said()), "a fresh connection");
}
