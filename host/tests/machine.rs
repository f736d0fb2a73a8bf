//! The daemon of the machine: several owners, real processes that run as them, and every process of the
//! daemon killed in turn. It needs root.

mod encrypted;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use hostfiles::{HostHome, PodStatus, read_if_present};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::wait_until;

use crate::groups::Groups;
use crate::host::{Host, is_alive, is_running, kill, pid, shell};
use crate::probes::{apart, server};

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(90);

const ALICE: u32 = 64_201;
const BOB: u32 = 64_202;
const MANY: u32 = 64_203;

/// A directory that is `/` for the daemon of the machine, with users of its own.
struct Machine {
    folder: TempDir,
    daemon: Option<Child>,
    homes: Vec<PathBuf>,
    /// Removed last: after the units.
    groups: Groups,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A temporary folder is closed to other users.
        open_to_all(folder.path());
        let passwd = format!(
            "root:x:0:0::{0}/root:/bin/sh\nalice:x:{ALICE}:{ALICE}::{0}/home/alice:/bin/sh\nbob:x:{BOB}:{BOB}::{0}/home/bob:/bin/sh\n",
            folder.path().display()
        );
        Host::put(&folder.path().join("etc/passwd"), passwd.as_bytes());
        let group = format!("many:x:{MANY}:bob,alice\nnone:x:{BOB}:carol\n");
        Host::put(&folder.path().join("etc/group"), group.as_bytes());
        Self {
            folder,
            daemon: None,
            homes: Vec::new(),
            groups: Groups::new(),
        }
    }

    /// A host home of this user with one pod, `web:1.0.0`.
    fn home(&mut self, user: &str, uid: u32, volumes: &str, unit: &str) -> HostHome {
        let template = Host::new();
        template.pod("web:1.0.0", "running", unit);
        let text = fs::read_to_string(template.release("web:1.0.0").pod()).unwrap();
        let text = text.replace("  type: config\n", &format!("  type: config\n{volumes}"));
        Host::put(&template.release("web:1.0.0").pod(), text.as_bytes());
        let owner = self.path(&format!("home/{user}"));
        fs::create_dir_all(owner.parent().unwrap()).unwrap();
        fs::create_dir_all(&owner).unwrap();
        chown(&owner, Some(uid), Some(uid)).unwrap();
        // As `sns host init` and a sync would: there at once, and whole.
        let new = self.path("new");
        copy(template.home().path(), &new, uid);
        let home = owner.join("cluster");
        fs::rename(new, &home).unwrap();
        self.homes.push(home.clone());
        HostHome::new(home)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn start(&mut self, program: &Path) {
        let mut command = Command::new(program);
        command
            .args(["--machine", self.folder.path().to_str().unwrap()])
            .args(["--homes", self.path("home/*/*").to_str().unwrap()])
            .args(["--ramdisk-max", "16"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SNS_RESCAN_SECONDS", "86400")
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env("SECRET_OF_ROOT", "1");
        let mut command = self.groups.wrap(&command);
        self.daemon = Some(command.process_group(0).spawn().unwrap());
    }

    fn restart(&mut self) {
        self.start(Path::new(env!("CARGO_BIN_EXE_simplenetesd")));
    }

    fn id(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// The worker of a home: the child of the daemon whose command line names it.
    fn worker(&self, home: &HostHome) -> u32 {
        let path = home.path().to_str().unwrap();
        let found = wait_until("a worker", LIMIT, || {
            Ok(workers(path)
                .into_iter()
                .find(|worker| parent(*worker) == Some(self.id())))
        });
        found.unwrap()
    }

    /// Ends the daemon with this signal, and waits until it has and its workers have.
    fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        kill_process(process(daemon.id()), signal).unwrap();
        let ended = wait_until("the daemon to end", LIMIT, || Ok(daemon.try_wait()?)).unwrap();
        for home in &self.homes {
            let path = home.to_str().unwrap();
            wait_until("the workers to end", LIMIT, || {
                Ok(workers(path).is_empty().then_some(()))
            })
            .unwrap();
        }
        ended
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = kill_process(process(daemon.id()), Signal::TERM);
            let _ = wait_until("the daemon to end", LIMIT, || Ok(daemon.try_wait()?));
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // The guard ends the units on record and unmounts the ramdisks.
        for home in &self.homes {
            drop(testkit::Daemon::start(&mut Command::new("true"), home));
        }
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path, uid: u32) {
    fs::create_dir(to).unwrap();
    chown(to, Some(uid), Some(uid)).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target, uid);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            chown(&target, Some(uid), Some(uid)).unwrap();
        }
    }
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// The processes that serve this home.
fn workers(home: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| {
        let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split_terminator('\0').collect();
        words.last() == Some(&"--worker") && words.contains(&home) && is_alive(*id)
    })
    .collect()
}

fn field(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn parent(pid: u32) -> Option<u32> {
    field(pid, "PPid")?.parse().ok()
}

fn mounts(below: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let paths = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4).map(PathBuf::from));
    paths.filter(|path| path.starts_with(below)).collect()
}

fn status(home: &HostHome, is_so: impl Fn(&PodStatus) -> bool) -> PodStatus {
    let path = home.release(&"web:1.0.0".parse().unwrap()).status();
    let read = || read_if_present::<PodStatus>(&path).unwrap();
    let found = wait_until("the status", LIMIT, || Ok(read().filter(&is_so)));
    found.unwrap_or_else(|error| panic!("{error}: {:#?}", read()))
}

fn sleeper() -> String {
    shell("main", "restart: always", "exec sleep 600")
}

#[test]
fn a_worker_has_the_rights_of_its_owner_and_no_others() {
    let mut machine = Machine::new();
    let alice = machine.home("alice", ALICE, "", &sleeper());
    let listener = UnixDatagram::bind(machine.path("notify")).unwrap();
    machine.restart();
    let mut text = [0; 200];
    let length = listener.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"READY=1\nSTATUS=serving 1 host home\n");
    let worker = machine.worker(&alice);
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
    assert_eq!(field(worker, "Uid"), Some(four(ALICE)));
    assert_eq!(field(worker, "Gid"), Some(four(ALICE)));
    assert_eq!(field(worker, "Groups"), Some(format!("{ALICE} {MANY}")));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(worker, set), Some("0".repeat(16)), "{set}");
    }
    assert_eq!(
        field(worker, "NoNewPrivs"),
        Some("0".into()),
        "podman needs newuidmap"
    );
    let environment = fs::read_to_string(format!("/proc/{worker}/environ")).unwrap();
    let runtime = machine.path(&format!("run/user/{ALICE}"));
    for expected in [
        format!("HOME={}", machine.path("home/alice").display()),
        "USER=alice".into(),
        format!("XDG_RUNTIME_DIR={}", runtime.display()),
    ] {
        assert!(
            environment.split('\0').any(|line| line == expected),
            "{expected}: {environment}"
        );
    }
    assert!(!environment.contains("SECRET") && !environment.contains("NOTIFY"));
    // It shares neither session nor terminal with root, nor anything that root writes into.
    let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!((fields[3], fields[4]), (worker.to_string().as_str(), "0"));
    let stderr = fs::read_link(format!("/proc/{worker}/fd/2")).unwrap();
    assert!(stderr.to_str().unwrap().starts_with("pipe:"), "{stderr:?}");
    let meta = fs::metadata(runtime).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (ALICE, 0o700));
    // Its unit is the owner's, and root's daemon holds nothing that loads plugins.
    let unit = pid(&status(&alice, is_running));
    assert_eq!(field(unit, "Uid"), Some(four(ALICE)));
    let meta = fs::metadata(machine.path("home/alice/.cache/simplenetes")).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (ALICE, 0o700));
    assert!(machine.end(Signal::TERM).success());
    assert!(is_alive(unit), "pods are left running");
}

#[test]
fn a_worker_without_rights_limits_the_units_of_its_owner() {
    let mut machine = Machine::new();
    let keys = "limits: {memoryBytes: 33554432, cpuMillis: 500, pids: 50}";
    let hog = shell("main", keys, "exec tail /dev/zero");
    let alice = machine.home("alice", ALICE, "", &hog);
    let quiet = shell("main", keys, "exec sleep 600");
    let bob = machine.home("bob", BOB, "", &quiet);
    machine.restart();
    let killed = status(&alice, |status| {
        status.message.contains("killed for memory")
    });
    assert_eq!(killed.units[0].exit_code, Some(137), "{killed:#?}");
    let unit = pid(&status(&bob, is_running));
    let groups = fs::read_to_string(format!("/proc/{unit}/cgroup")).unwrap();
    let own = format!("/simplenetes/user-{BOB}/simplenetes/web-1.0.0-main-");
    assert!(groups.contains(&own), "{groups}");
}

#[test]
fn a_worker_without_rights_probes_the_units_of_its_owner_where_they_listen() {
    let mut machine = Machine::new();
    let keys = "readinessProbe: {timeoutSeconds: 9, check: {http: {port: 8080, path: /health}}}";
    let unit = apart("main", "-Urn", keys, &server("127.0.0.1:8080"));
    let alice = machine.home("alice", ALICE, "", &unit);
    machine.restart();
    status(&alice, |status| status.readiness);
}

#[test]
fn whatever_is_killed_no_pod_notices() {
    let mut machine = Machine::new();
    let alice = machine.home("alice", ALICE, "", &sleeper());
    let bob = machine.home("bob", BOB, "", &sleeper());
    machine.restart();
    let units = [&alice, &bob].map(|home| pid(&status(home, is_running)));
    let same = |why: &str| {
        for (home, unit) in [&alice, &bob].into_iter().zip(units) {
            let now = status(home, is_running);
            assert_eq!(pid(&now), unit, "{why}");
            assert!(is_alive(unit), "{why}");
        }
    };
    let (first, other) = (machine.worker(&alice), machine.worker(&bob));
    kill(first);
    let again = wait_until("another worker", LIMIT, || {
        Ok(Some(machine.worker(&alice)).filter(|worker| *worker != first))
    });
    again.unwrap();
    same("a worker was killed");
    assert_eq!(machine.worker(&bob), other, "another owner does not notice");
    machine.end(Signal::KILL);
    same("root's daemon was killed");
    // Another copy of the program is an upgrade.
    let upgraded = machine.path("simplenetesd");
    fs::copy(env!("CARGO_BIN_EXE_simplenetesd"), &upgraded).unwrap();
    let plugins = Path::new(env!("CARGO_BIN_EXE_simplenetesd")).with_file_name("plugins");
    symlink(plugins, machine.path("plugins")).unwrap();
    machine.start(&upgraded);
    machine.worker(&alice);
    machine.worker(&bob);
    same("upgraded");
    assert!(machine.end(Signal::TERM).success());
    same("ended");
    machine.restart();
    // A unit that ends while all is new is restarted: the workers do drive.
    kill(units[0]);
    status(&alice, |now| {
        let own = now.units.first().and_then(|unit| unit.pid);
        is_running(now) && own.is_some_and(|pid| pid != units[0])
    });
    assert!(is_alive(units[1]));
}

#[test]
fn killed_at_any_moment_the_daemon_finds_its_pods_again() {
    let mut machine = Machine::new();
    let alice = machine.home("alice", ALICE, "", &sleeper());
    machine.restart();
    let unit = pid(&status(&alice, is_running));
    let seed = testkit::soak::seed();
    eprintln!("SOAK_SEED={seed}");
    for round in 0..testkit::soak::count(100) {
        // A worker is killed while it begins, or a while later.
        let worker = machine.worker(&alice);
        let moment = seed.wrapping_mul(u64::from(round) * 2 + 1) >> 57;
        std::thread::sleep(Duration::from_millis(moment));
        if round % 2 == 0 {
            kill(worker);
        }
        machine.end(Signal::KILL);
        assert!(is_alive(unit), "round {round}");
        machine.restart();
    }
    machine.worker(&alice);
    let now = status(&alice, |now| {
        is_running(now)
            && now
                .pid
                .is_some_and(|pid| workers(alice.path().to_str().unwrap()).contains(&pid))
    });
    assert_eq!(pid(&now), unit);
    let sleepers = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let owner = entry.metadata().is_ok_and(|meta| meta.uid() == ALICE);
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let place = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        owner && line.starts_with(b"sleep\0") && place.starts_with(machine.folder.path())
    });
    assert_eq!(sleepers.count(), 1, "none twice");
}

#[test]
fn homes_come_and_go_while_the_daemon_runs() {
    let mut machine = Machine::new();
    fs::create_dir_all(machine.path("home")).unwrap();
    machine.restart();
    let alice = machine.home("alice", ALICE, "", &sleeper());
    let unit = pid(&status(&alice, is_running));
    // A worker that does not end when its home is gone holds up nobody.
    let worker = machine.worker(&alice);
    kill_process(process(worker), Signal::STOP).unwrap();
    fs::rename(alice.cluster_id(), alice.path().join("aside")).unwrap();
    let bob = machine.home("bob", BOB, "", &sleeper());
    status(&bob, is_running);
    kill_process(process(worker), Signal::CONT).unwrap();
    let path = alice.path().to_str().unwrap();
    wait_until("its worker to end", LIMIT, || {
        Ok((!is_alive(worker)).then_some(()))
    })
    .unwrap();
    assert!(workers(path).is_empty() && is_alive(unit));
    fs::rename(alice.path().join("aside"), alice.cluster_id()).unwrap();
    machine.worker(&alice);
    machine.worker(&bob);
}

#[test]
fn ramdisks_come_from_root_and_go_with_the_release() {
    let mut machine = Machine::new();
    let volumes = "- name: cache\n  type: ramdisk\n  sizeMib: 2\n";
    let alice = machine.home("alice", ALICE, volumes, &sleeper());
    let greedy = "- name: cache\n  type: ramdisk\n  sizeMib: 64\n";
    let bob = machine.home("bob", BOB, greedy, &sleeper());
    machine.restart();
    status(&alice, is_running);
    let release = alice.release(&"web:1.0.0".parse().unwrap());
    let ramdisk = release.ramdisk(&"cache".parse().unwrap());
    assert_eq!(
        mounts(machine.folder.path()),
        std::slice::from_ref(&ramdisk)
    );
    assert_eq!(fs::metadata(&ramdisk).unwrap().uid(), ALICE);
    let refused = status(&bob, |now| now.message.contains("too much"));
    assert!(!is_running(&refused));
    // It is still there, with what it holds, when another worker serves the home.
    Host::put(&ramdisk.join("kept"), b"1");
    kill(machine.worker(&alice));
    machine.worker(&alice);
    assert!(ramdisk.join("kept").exists());
    Host::put(&release.state(), b"removed\n");
    wait_until("the ramdisk to be gone", LIMIT, || {
        Ok(mounts(machine.folder.path()).is_empty().then_some(()))
    })
    .unwrap();
}

#[test]
fn without_root_a_ramdisk_is_a_directory_and_ps_says_so() {
    let mut machine = Machine::new();
    let volumes = "- name: cache\n  type: ramdisk\n  sizeMib: 2\n";
    let alice = machine.home("alice", ALICE, volumes, &sleeper());
    // The directory in which it was built may be closed to her.
    let program = machine.path("simplenetesd");
    fs::copy(env!("CARGO_BIN_EXE_simplenetesd"), &program).unwrap();
    let mut command = Command::new(program);
    command
        .arg(alice.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", machine.path("home/alice"))
        .uid(ALICE)
        .gid(ALICE);
    let mut daemon = testkit::Daemon::start(&mut command, alice.path()).unwrap();
    status(&alice, |now| {
        is_running(now) && now.message.contains("plain directories")
    });
    assert!(mounts(machine.folder.path()).is_empty());
    let release = alice.release(&"web:1.0.0".parse().unwrap());
    Host::put(&release.state(), b"removed\n");
    let ramdisk = release.path().join("ramdisk");
    wait_until("the directory to be gone", LIMIT, || {
        Ok((!ramdisk.exists()).then_some(()))
    })
    .unwrap();
    daemon.stop().unwrap();
}

#[test]
fn a_home_of_root_has_a_worker_that_is_root() {
    let mut machine = Machine::new();
    let volumes = "- name: cache\n  type: ramdisk\n  sizeMib: 2\n";
    let root = machine.home("root", 0, volumes, &sleeper());
    machine.restart();
    let unit = pid(&status(&root, is_running));
    assert_eq!(field(unit, "Uid"), Some("0 0 0 0".into()));
    let worker = machine.worker(&root);
    assert_eq!(field(worker, "Uid"), Some("0 0 0 0".into()));
    let ramdisks = mounts(machine.folder.path());
    assert_eq!(ramdisks.len(), 1, "{ramdisks:?}");
    assert_eq!(fs::metadata(&ramdisks[0]).unwrap().uid(), 0);
}

#[test]
fn only_root_serves_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("simplenetesd");
    open_to_all(folder.path());
    fs::copy(env!("CARGO_BIN_EXE_simplenetesd"), &program).unwrap();
    let refused = Command::new(&program)
        .uid(ALICE)
        .gid(ALICE)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("only root") && said.contains("simplenetesd ~/my-cluster"),
        "{said}"
    );
}
