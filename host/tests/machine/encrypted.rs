//! Encrypted configs of users who are not root: in memory that root has mounted, in their own, or nowhere.

use std::os::unix::fs::PermissionsExt;

use seal::{Audience, Keys, Reader, Role};

use super::*;

const VOLUMES: &str = "  encrypted: true\n";

/// A host home of alice whose pod has an encrypted config.
fn home(machine: &mut Machine) -> HostHome {
    let alice = machine.home("alice", ALICE, VOLUMES, &sleeper());
    let keys = Keys::generate();
    let key = keys.to_text("of a test");
    assert!(hostfiles::replace(&alice.age_key(), key.as_bytes(), 0o600).unwrap());
    let reader = Reader::new(Role::Host, "laptop", keys.recipient()).unwrap();
    let text = seal::seal(b"correct horse", &Audience::from([reader])).unwrap();
    let release = alice.release(&"web:1.0.0".parse().unwrap());
    let config = release.config(&"conf".parse().unwrap());
    Host::put(&config.join("db"), text.as_bytes());
    for path in [alice.age_key(), config.join("db"), config] {
        chown(path, Some(ALICE), Some(ALICE)).unwrap();
    }
    alice
}

/// The daemon of alice herself.
fn daemon(machine: &Machine, alice: &HostHome, runtime: Option<&Path>) -> testkit::Daemon {
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
    if let Some(runtime) = runtime {
        command.env("XDG_RUNTIME_DIR", runtime);
    }
    testkit::Daemon::start(&mut command, alice.path()).unwrap()
}

fn place(alice: &HostHome) -> PathBuf {
    let release = alice.release(&"web:1.0.0".parse().unwrap());
    release.ramdisk(&"conf".parse().unwrap())
}

fn is_there(place: &Path) {
    let read = fs::read_to_string(place.join("db")).unwrap();
    assert_eq!(read, "correct horse");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.parent().unwrap()), 0o700);
    assert_eq!((mode(place), mode(&place.join("db"))), (0o755, 0o444));
}

fn remove(alice: &HostHome) {
    let release = alice.release(&"web:1.0.0".parse().unwrap());
    Host::put(&release.state(), b"removed\n");
    let ramdisk = release.path().join("ramdisk");
    wait_until("the plain files to be gone", LIMIT, || {
        Ok((!ramdisk.exists()).then_some(()))
    })
    .unwrap();
}

#[test]
fn root_mounts_memory_for_it() {
    let mut machine = Machine::new();
    let alice = home(&mut machine);
    machine.restart();
    status(&alice, is_running);
    assert_eq!(mounts(machine.folder.path()), [place(&alice)]);
    is_there(&place(&alice));
    kill(machine.worker(&alice));
    machine.worker(&alice);
    is_there(&place(&alice));
    remove(&alice);
    assert!(mounts(machine.folder.path()).is_empty());
}

#[test]
fn without_root_it_lies_in_the_memory_of_the_user() {
    let mut machine = Machine::new();
    let alice = home(&mut machine);
    let runtime = tempfile::tempdir_in("/dev/shm").unwrap();
    chown(runtime.path(), Some(ALICE), Some(ALICE)).unwrap();
    fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut daemon = daemon(&machine, &alice, Some(runtime.path()));
    let now = status(&alice, is_running);
    assert_eq!(now.message, "");
    is_there(&place(&alice));
    assert!(fs::symlink_metadata(place(&alice)).unwrap().is_symlink());
    remove(&alice);
    let left = fs::read_dir(runtime.path().join("simplenetes/ramdisk")).unwrap();
    assert_eq!(left.count(), 0);
    daemon.stop().unwrap();
}

#[test]
fn where_nothing_is_in_memory_the_pod_is_not_started() {
    let mut machine = Machine::new();
    let alice = home(&mut machine);
    let mut daemon = daemon(&machine, &alice, None);
    let part =
        "the config conf is encrypted and may lie in memory only, but there is no XDG_RUNTIME_DIR";
    let now = status(&alice, |now| now.message.contains(part));
    assert!(!is_running(&now));
    assert!(
        !now.message.contains("plain directories"),
        "{}",
        now.message
    );
    assert!(fs::symlink_metadata(place(&alice)).is_err());
    daemon.stop().unwrap();
}
