//! Host homes that a sync cannot change are refused while nothing has changed yet.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use hostfiles::HostHome;
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use simplenetes_sync::far::{FarError, InitError, Obstacle, ReachError, Takeover, init};
use simplenetes_sync::{Far, Options, journal_open};

use crate::world::{World, cluster, commits, holder, write};

/// Gives up what root may do beyond others, for this thread.
fn without_rights() {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets).unwrap();
}

/// A host with one release, whose config, routes and release list change with the next sync.
fn world() -> World {
    let world = World::new();
    let stays = world.add("web:1.0.0", "running", "one");
    world.sync();
    write(&stays.path().join("config/conf/main.cfg"), "two", 0o644);
    world.add("api:1.0.0", "running", "one");
    world
}

fn refused(world: &World) -> ReachError {
    let old = world.snapshot();
    let error = world.try_sync(None, &Options::default()).unwrap_err();
    assert!(!journal_open(&world.home));
    assert_eq!(world.snapshot(), old, "{error}");
    let FarError::Reach(error) = error else {
        unreachable!("refused for another reason: {error}")
    };
    error
}

#[test]
fn a_directory_without_write_permission() {
    without_rights();
    for directory in [
        "pods",
        "pods/web/release/1.0.0/config",
        "pods/web/release/1.0.0/config/conf",
    ] {
        let world = world();
        let path = world.home.path().join(directory);
        fs::set_permissions(&path, Permissions::from_mode(0o555)).unwrap();
        let error = refused(&world);
        assert_eq!((&error.path, error.why), (&path, Obstacle::NotWritable));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        world.sync();
    }
}

#[test]
fn a_directory_that_goes_and_cannot_be_emptied() {
    without_rights();
    let world = world();
    let config = world.on_host("web:1.0.0").config(&"conf".parse().unwrap());
    let former = config.join(fs::read_link(config.join("..data")).unwrap());
    let path = former.join("bin");
    fs::set_permissions(&path, Permissions::from_mode(0o555)).unwrap();
    let error = refused(&world);
    assert_eq!((&error.path, error.why), (&path, Obstacle::NotWritable));
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_link_or_a_file_in_the_place_of_a_directory() {
    for (directory, makes_link, expected) in [
        ("pods", true, Obstacle::Link),
        ("pods/web/release/1.0.0/config", true, Obstacle::Link),
        ("pods/web/release/1.0.0/config/conf", true, Obstacle::Link),
        ("pods/api", false, Obstacle::NoDirectory),
    ] {
        let world = world();
        let path = world.home.path().join(directory);
        if makes_link {
            let outside = world.directory.path().join("outside");
            move_aside(&path, &outside);
            symlink(&outside, &path).unwrap();
        } else {
            write(&path, "in the way", 0o644);
        }
        let error = refused(&world);
        assert_eq!((&error.path, error.why), (&path, expected));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test moves a whole directory aside, which is no file that anybody reads"
)]
fn move_aside(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let world = world();
    let precious = world.directory.path().join("precious");
    write(&precious, "precious", 0o644);
    let lock = world.home.sync_dir().join("lock");
    fs::remove_file(&lock).unwrap();
    symlink(&precious, &lock).unwrap();
    let error = world.try_sync(None, &Options::default()).unwrap_err();
    assert!(matches!(error, FarError::Lock(_)), "{error}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");

    fs::remove_dir_all(world.home.sync_dir()).unwrap();
    let outside = world.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, world.home.sync_dir()).unwrap();
    let error = world.try_sync(None, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn the_home_of_another_user() {
    let world = World::new();
    // Only root can give a directory away; everybody else finds one that is root's.
    let home = if geteuid().is_root() {
        chown(world.home.path(), Some(65_533), None).unwrap();
        world.home.clone()
    } else {
        HostHome::new("/")
    };
    let error = Far::open(home.clone(), &cluster(), &holder()).unwrap_err();
    assert!(matches!(error, FarError::Owner(_)), "{error}");
    assert!(error.to_string().contains(": run it as "), "{error}");
    let error = init(&home, &cluster(), Takeover::Refused).unwrap_err();
    assert!(matches!(error, InitError::Owner(_)), "{error}");
}

#[test]
fn a_home_that_cannot_be_written_is_not_ready() {
    without_rights();
    let world = World::new();
    for path in [
        world.home.pods_dir(),
        world.home.plugins_dir(),
        world.home.path().to_owned(),
    ] {
        fs::set_permissions(&path, Permissions::from_mode(0o555)).unwrap();
        let error = init(&world.home, &cluster(), Takeover::Refused).unwrap_err();
        assert!(matches!(&error, InitError::Reach(at) if at.path == path));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let far = Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
    let error = init(&world.home, &cluster(), Takeover::Refused).unwrap_err();
    assert!(matches!(error, InitError::Lock(_)), "{error}");
    drop(far);
    assert!(!init(&world.home, &cluster(), Takeover::Refused).unwrap());
}

#[test]
fn what_cannot_be_looked_at_is_not_absent() {
    without_rights();
    let world = World::new();
    let directory = world.home.sync_dir();
    assert!(!journal_open(&world.home));
    fs::set_permissions(&directory, Permissions::from_mode(0o000)).unwrap();
    assert!(journal_open(&world.home));
    simplenetes_sync::recover(&world.home).unwrap_err();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();

    fs::set_permissions(world.home.path(), Permissions::from_mode(0o000)).unwrap();
    let error = Far::open(world.home.clone(), &cluster(), &holder()).unwrap_err();
    fs::set_permissions(world.home.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(error, FarError::Read(_)), "{error}");
}

#[test]
fn unreadable_commits_are_refused_unless_forced() {
    let world = World::new();
    write(&world.home.commit_chain(), "no commits\n", 0o644);
    let ours = commits(&["aaaaaaa"]);
    let far = Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
    let error = far.check(ours.hashes(), false).unwrap_err();
    assert!(matches!(error, FarError::UnknownCommits(_)), "{error}");
    far.check(ours.hashes(), true).unwrap();
}
