//! Sockets from inside other network namespaces, and probes that go there. It needs root.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socketpair};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use simplenetes_reach::{Door, Family, Process, ReachError, SUBCOMMAND, Way};
use simplenetesd::process::ProcessId;
use testkit::{Podman, User, wait_until};

use crate::host::{is_alive, kill, stop};

const PROGRAM: &str = env!("CARGO_BIN_EXE_simplenetesd");
/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(60);
const NOBODY: u32 = 64_205;
/// Nothing listens there outside.
const INSIDE: &str = "127.0.0.1:1";

/// A process in a network namespace of its own, whose loopback device is up.
struct Inside {
    child: Child,
}

impl Inside {
    fn new() -> Self {
        Self::of(Command::new("unshare").arg("-n"))
    }

    /// Of a command that executes what its further arguments say.
    fn of(command: &mut Command) -> Self {
        let script = "busybox ip link set lo up && echo up && exec sleep 600";
        let mut child = command
            .args(["sh", "-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "up\n");
        Self { child }
    }

    fn process(&self) -> Process {
        process_of(self.child.id())
    }

    fn way(&self) -> Result<Way, ReachError> {
        Way::to(self.process(), PROGRAM.as_ref(), LIMIT)
    }

    fn door(&self) -> Door {
        match self.way() {
            Ok(Way::Inside(door)) => door,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn process_of(pid: u32) -> Process {
    let ProcessId { pid, start_time } = ProcessId::of(pid).unwrap();
    Process { pid, start_time }
}

fn one(door: &mut Door, family: Family) -> OwnedFd {
    door.sockets(family, 1).unwrap().pop().unwrap()
}

fn listener(socket: OwnedFd, address: SocketAddr) -> TcpListener {
    bind(&socket, &address).unwrap();
    listen(&socket, 1).unwrap();
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(false).unwrap();
    listener
}

/// A connection over loopback is made at once: the socket need not block.
fn stream(socket: OwnedFd, address: SocketAddr) -> TcpStream {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false).unwrap();
    connect(&stream, &address).unwrap();
    stream
}

/// Talks to itself inside, at this address.
fn talk(mut door: Door, family: Family, address: SocketAddr) {
    let listener = listener(one(&mut door, family), address);
    let mut near = stream(one(&mut door, family), address);
    let helper = door.helper();
    assert!(is_alive(helper));
    drop(door);
    assert!(!is_alive(helper), "it ends with its door");
    assert!(TcpStream::connect(address).is_err(), "it is not outside");
    let (mut far, _) = listener.accept().unwrap();
    near.write_all(b"sockets outlive the door").unwrap();
    drop(near);
    let mut text = String::new();
    far.read_to_string(&mut text).unwrap();
    assert_eq!(text, "sockets outlive the door");
}

#[test]
fn sockets_are_made_inside() {
    let inside = Inside::new();
    talk(inside.door(), Family::V4, INSIDE.parse().unwrap());
    let loopback = SocketAddr::from((Ipv6Addr::LOCALHOST, 1));
    talk(inside.door(), Family::V6, loopback);
    let mut door = inside.door();
    assert_eq!(door.sockets(Family::V4, 64).unwrap().len(), 64);
    assert_eq!(door.sockets(Family::V4, 0).unwrap().len(), 0);
    let too_many = door.sockets(Family::V4, 65).unwrap_err();
    assert!(matches!(too_many, ReachError::Socket { .. }), "{too_many}");
    // It goes on.
    one(&mut door, Family::V6);
}

#[test]
fn a_neighbour_is_here_and_nobody_is_entered_by_a_number() {
    let mut neighbour = Command::new("sleep").arg("600").spawn().unwrap();
    let way = Way::to(process_of(neighbour.id()), PROGRAM.as_ref(), LIMIT);
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
    assert!(matches!(way, Ok(Way::Here)), "{way:?}");

    let mut inside = Inside::new();
    let process = inside.process();
    let earlier = Process {
        start_time: process.start_time - 1,
        ..process
    };
    let check = |process| {
        let way = Way::to(process, PROGRAM.as_ref(), LIMIT);
        assert!(matches!(way, Err(ReachError::Ended { .. })), "{way:?}");
    };
    check(earlier);
    // A door that is open stays so: the namespace lives as long as the helper in it.
    let mut door = inside.door();
    inside.child.kill().unwrap();
    // It has ended, and nobody has collected it yet.
    let ended = || Ok((!is_alive(process.pid)).then_some(()));
    wait_until("the end", LIMIT, ended).unwrap();
    check(process);
    inside.child.wait().unwrap();
    check(process);
    one(&mut door, Family::V4);
}

#[test]
fn a_helper_that_does_not_help_is_told() {
    let inside = Inside::new();
    let mut door = inside.door();
    kill(door.helper());
    for _ in 0..2 {
        let error = door.sockets(Family::V4, 1).unwrap_err();
        assert!(matches!(error, ReachError::Helper { .. }), "{error:?}");
    }
    let check = |program: &Path, limit, expected: &str| {
        let error = Way::to(inside.process(), program, limit).unwrap_err();
        assert!(format!("{error:?}").contains(expected), "{error:?}");
    };
    check("/nowhere/simplenetesd".as_ref(), LIMIT, "Start");
    check("/bin/true".as_ref(), LIMIT, "it has ended");
    let folder = tempfile::tempdir().unwrap();
    let deaf = folder.path().join("deaf");
    fs::write(&deaf, "#!/bin/sh\nexec sleep 600\n").unwrap();
    open_to_all(&deaf);
    check(&deaf, Duration::from_millis(50), "no answer in time");
    check(&deaf, Duration::ZERO, "no answer in time");
    // One that stands still does not hold up the end of its door.
    let door = inside.door();
    stop(door.helper());
    drop(door);
}

fn helper(stdin: Stdio) -> Child {
    let mut command = Command::new(PROGRAM);
    command.arg(SUBCOMMAND).stdin(stdin);
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_helper_ends_with_its_parent_and_talks_to_nobody_else() {
    let flags = SocketFlags::CLOEXEC;
    let pair = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let (ours, theirs) = pair();
    let mut orphan = helper(theirs.into());
    // As the kernel does when a parent ends, however that happens.
    drop(ours);
    assert!(orphan.wait().unwrap().success());

    let (ours, theirs) = pair();
    let stranger = helper(theirs.into());
    rustix::io::write(&ours, b"go!").unwrap();
    for lost in [stranger, helper(Stdio::null())] {
        let output = lost.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("started by other programs only"), "{text}");
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn as_nobody<T: Send>(work: impl FnOnce(&Path) -> T + Send) -> T {
    as_user(NOBODY, NOBODY, work)
}

/// In a thread of a user without rights, with the program where that user may execute it.
fn as_user<T: Send>(uid: u32, gid: u32, work: impl FnOnce(&Path) -> T + Send) -> T {
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    let program: PathBuf = folder.path().join("simplenetesd");
    fs::copy(PROGRAM, &program).unwrap();
    let without_rights = || {
        use rustix::process::{Gid, Uid};
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        work(&program)
    };
    std::thread::scope(|scope| scope.spawn(without_rights).join().unwrap())
}

#[test]
fn whoever_is_not_root_enters_through_user_namespaces() {
    let nested = "busybox ip link set lo up && exec unshare -Ur \"$0\" \"$@\"";
    as_nobody(|program| {
        for words in [&["-Urn"][..], &["-Urn", "sh", "-c", nested]] {
            let inside = Inside::of(Command::new("unshare").args(words));
            let way = Way::to(inside.process(), program, LIMIT);
            let Ok(Way::Inside(door)) = way else {
                panic!("{words:?}: {way:?}");
            };
            // Who is root inside cannot trace it: to the kernel it is a process of the real root.
            let helper = fs::metadata(format!("/proc/{}/environ", door.helper()));
            assert_eq!(helper.unwrap().uid(), 0);
            talk(door, Family::V4, INSIDE.parse().unwrap());
        }
    });
}

#[test]
fn what_belongs_to_others_is_closed() {
    let of_root = Inside::new();
    let mut own = Command::new("unshare");
    own.args(["-n", "setpriv", "--clear-groups"])
        .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
    // The loopback device is root's as well.
    let mut own = Inside {
        child: own.args(["sleep", "600"]).spawn().unwrap(),
    };
    let is_own = || {
        let name = fs::read_to_string(format!("/proc/{}/comm", own.child.id()))?;
        Ok((name == "sleep\n").then_some(()))
    };
    wait_until("the other user", LIMIT, is_own).unwrap();
    as_nobody(|program| {
        for process in [of_root.process(), own.process()] {
            let way = Way::to(process, program, LIMIT);
            assert!(matches!(way, Ok(Way::Closed)), "{way:?}");
        }
    });
    own.child.kill().unwrap();
}

const IMAGE: &str = "localhost/test:1";

/// The process of a container in a pod that publishes nothing: it serves pages, and none of them.
fn container(podman: &Podman, options: &[&str]) -> Process {
    podman.image(IMAGE, &[]).unwrap();
    let pod = [&["pod", "create", "--name", "apart"], options].concat();
    podman.run(&pod).unwrap();
    let run = ["run", "-d", "--pod", "apart", "--name", "one", IMAGE];
    let serve = ["httpd", "-f", "-p", "8080", "-h", "/tmp"];
    podman.run(&[&run[..], &serve].concat()).unwrap();
    let pid = podman.run(&["inspect", "-f", "{{.State.Pid}}", "one"]);
    process_of(pid.unwrap().trim().parse().unwrap())
}

/// Fetches a page from inside.
fn fetch(way: Result<Way, ReachError>) {
    let Ok(Way::Inside(mut door)) = way else {
        panic!("{way:?}");
    };
    let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let dial = || {
        let stream = TcpStream::from(one(&mut door, Family::V4));
        stream.set_nonblocking(false)?;
        // The server may still be starting.
        Ok(connect(&stream, &address).ok().map(|()| stream))
    };
    let mut stream = wait_until("the server", LIMIT, dial).unwrap();
    stream.write_all(b"GET /none HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 404"), "{page}");
}

#[test]
fn a_container_of_root_is_reached() {
    let podman = Podman::new().unwrap();
    let process = container(&podman, &[]);
    fetch(Way::to(process, PROGRAM.as_ref(), LIMIT));
    let way = as_nobody(|program| Way::to(process, program, LIMIT));
    assert!(matches!(way, Ok(Way::Closed)), "{way:?}");
    podman.run(&["kill", "one"]).unwrap();
    let way = Way::to(process, PROGRAM.as_ref(), LIMIT);
    assert!(matches!(way, Err(ReachError::Ended { .. })), "{way:?}");
}

#[test]
fn a_container_of_an_ordinary_user_is_reached_by_him_and_by_root() {
    // The second has a user namespace of its own in that of the user's podman.
    for options in [&[][..], &["--userns", "keep-id"]] {
        let user = User::new().unwrap();
        let podman = Podman::of(&user).unwrap();
        let process = container(&podman, options);
        as_user(user.uid(), user.gid(), |program| {
            fetch(Way::to(process, program, LIMIT));
        });
        fetch(Way::to(process, PROGRAM.as_ref(), LIMIT));
        let way = as_nobody(|program| Way::to(process, program, LIMIT));
        assert!(matches!(way, Ok(Way::Closed)), "{way:?}");
    }
}
