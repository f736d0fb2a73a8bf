//! The calls of this module against real servers of OpenSSH, and against this machine.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use hostfiles::{Format as _, HostEnv, HostState, Project, SshHostKeys};
use sha2::{Digest as _, Sha256};
use testkit::{Sshd, login_name, make_ssh_key};

use super::*;
use crate::command_error::{CommandError, Kind};

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

#[test]
fn keys_of_all_kinds_log_in() {
    let (world, server) = (World::new(), Sshd::new().unwrap());
    let remotes = world.remotes();
    let kinds = [
        "ed25519",
        "ecdsa -b 256",
        "ecdsa -b 384",
        "ecdsa -b 521",
        "rsa",
        "rsa -m PEM",
        "rsa -m PKCS8",
        "ecdsa -m PEM",
        "ecdsa -m PKCS8",
    ];
    for (number, kind) in kinds.iter().enumerate() {
        let name = format!("h{number}");
        let key = world.folder.path().join(&name).join("id");
        server
            .authorize(&make_ssh_key(&key, kind, "").unwrap())
            .unwrap();
        let host = world.host_at(&name, &server, "");
        let connected = remotes
            .connect(&host)
            .map(|remote| remote.host().to_owned());
        assert_eq!(connected.unwrap(), name, "{kind}");
    }
}

#[test]
fn servers_with_keys_of_all_kinds_are_known() {
    let world = World::new();
    for kind in ["ecdsa", "rsa", "ed25519"] {
        let server = Sshd::with(kind, "").unwrap();
        let host = world.host_at(kind, &server, "");
        let remotes = world.remotes();
        let key = remotes.scan(&host).unwrap().unwrap();
        assert_eq!(fingerprint(&key), server.fingerprint().unwrap());
        assert!(remotes.connect(&host).is_ok(), "{kind}");
    }
}

#[test]
fn old_servers_are_reached_with_what_they_have() {
    let lines = "KexAlgorithms diffie-hellman-group14-sha256\nCiphers aes128-ctr\nMACs hmac-sha2-256\n\
                 PubkeyAcceptedAlgorithms rsa-sha2-256\n";
    let (world, server) = (World::new(), Sshd::with("rsa", lines).unwrap());
    let key = world.folder.path().join("worker1/id");
    server
        .authorize(&make_ssh_key(&key, "rsa", "").unwrap())
        .unwrap();
    let host = world.host_at("worker1", &server, "");
    world
        .remotes()
        .connect(&host)
        .map_err(CommandError::from)
        .map(drop)
        .unwrap();
}

#[test]
fn ten_jump_hosts_and_much_in_both_directions() {
    let (world, server) = (World::new(), Sshd::new().unwrap());
    world.host_at("h0", &server, "");
    for number in 1..=10 {
        world.host_at(
            &format!("h{number}"),
            &server,
            &format!("JUMPHOST=../h{}", number - 1),
        );
    }
    let host = world.host_at("h10", &server, "JUMPHOST=../h9");
    let remotes = world.remotes();
    let remote = remotes.connect(&host).unwrap();
    // Without room between the connections they would wait for each other here.
    let bytes: Vec<u8> = (0..=250).cycle().take(10_000_003).collect();
    let out = remote.output(&Command::new("cat"), &bytes).unwrap();
    assert!(out.stdout == bytes);
}

#[test]
fn many_hosts_share_the_connection_to_their_jump_host() {
    let (world, server, jump_server) = (World::new(), Sshd::new().unwrap(), Sshd::new().unwrap());
    world.host_at("backdoor", &jump_server, "");
    let hosts: Vec<Host> = (0..12)
        .map(|number| world.host_at(&format!("h{number}"), &server, "JUMPHOST=../backdoor"))
        .collect();
    let remotes = world.remotes();
    thread::scope(|scope| {
        for host in &hosts {
            scope.spawn(|| {
                remotes
                    .connect(host)
                    .unwrap()
                    .output(&sh("true"), b"")
                    .unwrap()
            });
        }
    });
    let logins = |server: &Sshd| server.log().matches("Accepted publickey").count();
    assert_eq!((logins(&jump_server), logins(&server)), (1, 12));
}

#[test]
fn a_jump_host_that_passes_nothing_on_is_named() {
    let closed = Sshd::with("ed25519", "AllowTcpForwarding no").unwrap();
    let (world, server) = (World::new(), Sshd::new().unwrap());
    world.host_at("backdoor", &closed, "");
    let host = world.host_at("worker1", &server, "JUMPHOST=../backdoor");
    let error = CommandError::from(world.remotes().connect(&host).err().unwrap());
    let text = error.to_string();
    assert!(
        text.starts_with(
            "could not reach host worker1 through backdoor: the jump host backdoor could not"
        ),
        "{text}"
    );
    assert!(text.ends_with("(AllowTcpForwarding)"), "{text}");
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[test]
fn a_port_that_says_nothing_is_left_in_time() {
    let world = World::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let more = format!("HOST=127.0.0.1\nPORT={port}\nUSER=x\nFLAGS=-oConnectTimeout=1\n");
    let error = world
        .remotes()
        .connect(&world.host("worker1", &more))
        .err()
        .unwrap();
    let text = CommandError::from(error).to_string();
    assert_eq!(
        text,
        format!(
            "could not reach host worker1: 127.0.0.1:{port} did not answer as an SSH server within 1 s"
        )
    );
}

#[test]
fn a_port_that_says_something_else_is_told() {
    let world = World::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let host = world.host("worker1", &format!("HOST=127.0.0.1\nPORT={port}\nUSER=x\n"));
    let talks = thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let error = CommandError::from(world.remotes().connect(&host).err().unwrap());
    talks.join().unwrap();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
}

/// A wire to a server that can be cut.
struct Wire {
    port: u16,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(server: &Sshd) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, target) = (listener.local_addr().unwrap().port(), server.address());
        let streams = Arc::<Mutex<Vec<TcpStream>>>::default();
        let kept = Arc::clone(&streams);
        thread::spawn(move || {
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(target).unwrap();
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut from, &mut to));
            }
            lock(&kept).extend([near, far]);
        });
        Self { port, streams }
    }

    fn cut(&self) {
        for stream in lock(&self.streams).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_connection_that_is_cut_ends_everything_at_once() {
    let (world, server) = (World::new(), Sshd::new().unwrap());
    let wire = Wire::to(&server);
    let host = world.host_at("worker1", &server, "");
    let mut env = host.env.clone();
    env.set("PORT", &wire.port.to_string());
    let host = Host { env, ..host };
    let remotes = world.remotes();
    let remote = remotes.connect(&host).unwrap();
    let reads = remote.run(&sh("echo ready; exec sleep 600")).unwrap();
    let mut full = remote.run(&sh("exec sleep 600")).unwrap();
    let (mut reads, mut stdin) = (reads, full.stdin.take().unwrap());
    let mut stdout = reads.stdout.take().unwrap();
    let mut line = [0; 6];
    stdout.read_exact(&mut line).unwrap();
    // It takes what the other end has room for, and then waits.
    let writes = thread::spawn(move || {
        loop {
            if let Err(error) = stdin.write_all(&[0; 100_000]) {
                break error.kind();
            }
        }
    });
    wire.cut();
    assert_eq!(stdout.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(writes.join().unwrap(), io::ErrorKind::BrokenPipe);
    for running in [reads, full] {
        let error = CommandError::from(running.finish().unwrap_err());
        assert!(
            error
                .to_string()
                .starts_with("the connection to host worker1 was lost: "),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::Unreachable);
    }
    assert!(remote.run(&sh("true")).is_err());
}

#[test]
fn a_command_ends_with_its_value() {
    everywhere(|remote| {
        let mut running = remote.run(&sh("echo $$; exec cat")).unwrap();
        let mut line = String::new();
        BufReader::new(running.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let process = Path::new("/proc").join(line.trim());
        assert!(process.exists());
        drop(running);
        let ended = || Ok((!process.exists()).then_some(()));
        testkit::wait_until("the command to end", Duration::from_secs(30), ended).unwrap();
    });
}

#[test]
fn errors_are_passed_on() {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    everywhere(|remote| {
        let shared = Shared::default();
        let errors = Errors::To(Box::new(shared.clone()));
        let line = "seq 100000 >&2; echo out; echo end >&2; exit 7";
        let mut running = remote.run_with(&sh(line), errors).unwrap();
        assert_eq!(running.wait().unwrap(), Exit::Code(7));
        let all = lock(&shared.0).clone();
        assert_eq!(all.len(), 588_895 + 4);
        assert!(all.ends_with(running.errors().as_bytes()));
    });
}

#[test]
fn output_without_end_is_refused() {
    everywhere(|remote| {
        let error = remote.output(&sh("exec cat /dev/zero"), b"").unwrap_err();
        assert!(matches!(error, RemoteError::TooMuch { .. }), "{error}");
    });
}

#[test]
fn a_command_that_takes_nothing_holds_up_no_other() {
    let (world, server) = (World::new(), Sshd::new().unwrap());
    let remotes = world.remotes();
    let remote = remotes
        .connect(&world.host_at("worker1", &server, ""))
        .unwrap();
    let mut full = remote.run(&sh("exec sleep 600")).unwrap();
    let mut stdin = full.stdin.take().unwrap();
    // More than the other end has room for.
    let writes = thread::spawn(move || stdin.write_all(&vec![0; 20_000_000]).is_err());
    for _ in 0..20 {
        assert_eq!(
            remote.output(&sh("cat"), b"through").unwrap().stdout,
            b"through"
        );
    }
    drop(full);
    assert!(writes.join().unwrap(), "the writer is told");
}
