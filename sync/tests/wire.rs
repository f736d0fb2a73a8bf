//! Both ends of a sync over a connection that lives, is cut anywhere, or has a liar at its other end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use hostfiles::HostHome;
use names::ReleaseId;
use simplenetes_sync::far::{self, Hooks, Settled};
use simplenetes_sync::near::{Delivery, Link, LinkError};
use simplenetes_sync::wire::{
    Confirmation, HostKeys, Refusal, RefusalKind, Seen, Standing, StandingKind, Traffic, WireError,
};
use simplenetes_sync::{Options, Tree, plan, recover};

use crate::faults::options;
use crate::world::{World, cluster, commits, holder, write};

/// What the daemon does for a far end, in this process.
#[derive(Default)]
struct Daemon {
    refuses_plugins: bool,
    settled: Option<mpsc::Sender<Settled>>,
}

impl Hooks for Daemon {
    fn try_plugins(
        &mut self,
        arriving: &BTreeMap<String, PathBuf>,
        _: &str,
    ) -> Result<(), Refusal> {
        match self.refuses_plugins {
            true => Err(Refusal {
                kind: RefusalKind::Plugin,
                message: format!("{:?} does not load", arriving.keys()),
                causes: Vec::new(),
            }),
            false => Ok(()),
        }
    }

    fn wait_to_be_confirmed(&mut self, home: &HostHome, lock: File) -> io::Result<()> {
        let (home, settled) = (home.clone(), self.settled.take());
        let (sender, ready) = mpsc::channel();
        thread::spawn(move || {
            let became = far::settle(&home, lock, || sender.send(()).unwrap());
            settled.map(|settled| settled.send(became.unwrap()))
        });
        ready.recv().map_err(io::Error::other)
    }

    fn standing(&mut self, _: &HostHome, release: &ReleaseId) -> Standing {
        Standing {
            kind: StandingKind::NonExisting,
            text: release.to_string(),
        }
    }

    fn ensure_keys(&mut self, _: &HostHome, host: &str) -> Result<HostKeys, Refusal> {
        Ok(HostKeys {
            is_new: false,
            is_changed: true,
            age_recipient: format!("age1{host}"),
            proxy: Vec::new(),
        })
    }

    fn rekey(&mut self, _: &HostHome, _: &str, _: bool, _: bool) -> Result<HostKeys, Refusal> {
        unreachable!("no test asks for it")
    }
}

type Served = JoinHandle<Result<(), WireError>>;

/// Serves one connection in a thread.
fn serve(world: &World, mut daemon: Daemon) -> (UnixStream, Served) {
    let (near, far) = UnixStream::pair().unwrap();
    let home = world.home.clone();
    let served = thread::spawn(move || {
        let reader = far.try_clone().unwrap();
        far::serve(home, "simplenetesd test", reader, far, &mut daemon)
    });
    (near, served)
}

/// A writer that ends the connection after so many frames, or with its own end.
struct Cut {
    stream: UnixStream,
    frames_left: usize,
}

impl Drop for Cut {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// The near end writes one frame at a time.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.frames_left == 0 {
            self.stream.shutdown(std::net::Shutdown::Both)?;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.frames_left -= 1;
        self.stream.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn link(world: &World, daemon: Daemon) -> (Link, Served) {
    let (stream, served) = serve(world, daemon);
    let reader = stream.try_clone().unwrap();
    let writer = Cut {
        stream,
        frames_left: usize::MAX,
    };
    let link = Link::open(reader, writer, "sns test").unwrap();
    assert_eq!(link.program, "simplenetesd test");
    (link, served)
}

fn has(seen: &Seen, wanted: &Tree) -> Tree {
    seen.present.clone().unwrap_or_else(|| wanted.clone())
}

/// A whole sync over a connection. Gives what was sent and whether there was anything to do.
fn sync(
    world: &World,
    link: &Link,
    confirmation: Option<&Confirmation>,
) -> Result<(Traffic, bool), LinkError> {
    let wanted = world.wanted();
    let seen = link.lock(&cluster(), &wanted.tree, &holder())?;
    let present = has(&seen, &wanted.tree);
    let plan = plan::plan(&wanted.tree, &present, &options());
    let chain = commits(&["aaaaaaa", "bbbbbbb"]);
    if plan.is_empty() {
        link.record(&chain, &wanted.tree)?;
        return Ok((link.traffic(), false));
    }
    let delivery = Delivery {
        plan: &plan,
        wanted: &wanted,
        present: &present,
        chain: Some(&chain),
        confirmation,
    };
    let told = Cell::new((0, 0));
    link.stage(&delivery, &mut |done, total| told.set((done, total)))?;
    let (done, total) = told.get();
    assert!(done <= total);
    link.apply()?;
    Ok((link.traffic(), true))
}

fn one_sync(world: &World) -> (Traffic, bool) {
    let (link, served) = link(world, Daemon::default());
    let synced = sync(world, &link, None).unwrap();
    drop(link);
    served.join().unwrap().unwrap();
    synced
}

/// Bytes that do not repeat, which packing does not make fewer.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(byte).collect()
}

fn write_bytes(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    hostfiles::replace(path, bytes, 0o644).unwrap();
}

#[test]
fn a_host_gets_all_and_then_there_is_nothing_to_do() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    assert!(one_sync(&world).1);
    assert_eq!(
        fs::read_to_string(
            world
                .on_host("web:1.0.0")
                .path()
                .join("config/conf/main.cfg")
        )
        .unwrap(),
        "one"
    );
    let (traffic, did_something) = one_sync(&world);
    assert!(!did_something);
    assert!(
        traffic.sent < 2000 && traffic.received < 1000,
        "{traffic:?}"
    );
}

#[test]
fn what_was_changed_by_hand_is_told() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    one_sync(&world);
    let (link, _served) = link(&world, Daemon::default());
    let wanted = world.wanted();
    let look = || link.look(&cluster(), &wanted.tree).unwrap();
    let seen = look();
    assert_eq!((seen.present, seen.drift.unwrap().steps.len()), (None, 0));
    write(&world.on_host("web:1.0.0").state(), "stopped\n", 0o644);
    let drift = look().drift.unwrap().to_string();
    assert_eq!(drift, "~ web:1.0.0 stopped -> running\n");
}

#[test]
fn nothing_that_the_host_has_is_sent_again() {
    let world = World::new();
    let first = world.add("web:1.0.0", "running", "one");
    let body = noise(500_000);
    write_bytes(&first.path().join("config/conf/body"), &body);
    let (traffic, _) = one_sync(&world);
    assert!(traffic.sent > 500_000, "{traffic:?}");
    let second = world.add("web:1.0.1", "running", "one");
    write_bytes(&second.path().join("config/conf/copy"), &body);
    let (traffic, _) = one_sync(&world);
    assert!(traffic.sent < 20_000, "{traffic:?}");
    let copy = world.on_host("web:1.0.1").path().join("config/conf/copy");
    assert!(fs::read(copy).unwrap() == body);
}

#[test]
fn of_a_large_file_only_the_pieces_that_changed_travel() {
    let world = World::new();
    let release = world.add("web:1.0.0", "running", "one");
    let path = release.path().join("config/conf/large");
    let mut body = noise(6_000_000);
    write_bytes(&path, &body);
    let (traffic, _) = one_sync(&world);
    assert!(traffic.sent > 6_000_000, "{traffic:?}");
    body.splice(2_000_000..2_000_100, *b"something else");
    // A piece that comes twice in one file travels once.
    let again = body.get(3_000_000..4_000_000).unwrap().to_vec();
    body.extend(again);
    write_bytes(&path, &body);
    let (traffic, _) = one_sync(&world);
    assert!(traffic.sent < 900_000, "{traffic:?}");
    let large = world.on_host("web:1.0.0").path().join("config/conf/large");
    assert!(fs::read(large).unwrap() == body);
    assert!(!world.home.sync_dir().join("incoming").exists());
}

/// A project that wants something else of everything, and a large file.
fn world_with_large_file() -> World {
    let world = crate::faults::world();
    let release = world.release("api:1.0.0");
    write_bytes(&release.path().join("config/conf/large"), &noise(1_500_000));
    world
}

#[test]
fn cut_after_any_frame_the_host_is_old_or_new_and_the_next_sync_finishes() {
    let mut news = 0;
    for frames in 0..200 {
        let world = world_with_large_file();
        let old = world.snapshot();
        let (stream, served) = serve(&world, Daemon::default());
        let reader = stream.try_clone().unwrap();
        let cut = Cut {
            stream,
            frames_left: frames,
        };
        let synced = Link::open(reader, cut, "sns test").and_then(|link| sync(&world, &link, None));
        let _ = served.join().unwrap();
        recover(&world.home).unwrap();
        let now = world.snapshot();
        one_sync(&world);
        let new = world.snapshot();
        assert!(now == old || now == new, "cut after {frames} frames");
        assert!(new.len() > old.len());
        news += usize::from(now == new);
        if synced.is_ok() {
            assert!(frames > 10, "only {frames} frames in all");
            assert!(news > 0);
            return;
        }
    }
    panic!("200 frames are not enough for this sync");
}

#[test]
fn what_came_of_a_large_file_is_not_sent_again() {
    let world = World::new();
    let release = world.add("web:1.0.0", "running", "one");
    write_bytes(&release.path().join("config/conf/large"), &noise(8_000_000));
    let (stream, served) = serve(&world, Daemon::default());
    let reader = stream.try_clone().unwrap();
    let cut = Cut {
        stream,
        frames_left: 80,
    };
    Link::open(reader, cut, "sns test")
        .and_then(|link| sync(&world, &link, None))
        .unwrap_err();
    let _ = served.join().unwrap();
    let (traffic, _) = one_sync(&world);
    assert!(traffic.sent < 5_000_000, "{traffic:?}");
}

fn confirmation(seconds: u32) -> Confirmation {
    Confirmation {
        token: "0123456789abcdef".to_owned(),
        seconds,
    }
}

#[test]
fn a_change_that_is_confirmed_over_another_connection_stays() {
    let world = crate::faults::world();
    let (settled, became) = mpsc::channel();
    let daemon = Daemon {
        settled: Some(settled),
        ..Daemon::default()
    };
    let (changing, served) = link(&world, daemon);
    sync(&world, &changing, Some(&confirmation(60))).unwrap();
    drop(changing);
    served.join().unwrap().unwrap();
    let new = world.snapshot();

    // While it waits nobody else can sync, but everybody can look.
    let (other, _) = link(&world, Daemon::default());
    let wanted = world.wanted().tree;
    let seen = other.look(&cluster(), &wanted).unwrap();
    assert_eq!(seen.unconfirmed.as_deref(), Some("bbbbbbb"));
    let held = other.lock(&cluster(), &wanted, &holder()).unwrap_err();
    assert!(matches!(&held, LinkError::Refused(refusal) if refusal.kind == RefusalKind::Locked));

    let (confirming, _) = link(&world, Daemon::default());
    let wrong = Confirmation {
        token: "another".to_owned(),
        ..confirmation(60)
    };
    confirming.confirm(&cluster(), &wrong).unwrap_err();
    confirming.confirm(&cluster(), &confirmation(60)).unwrap();
    assert_eq!(became.recv().unwrap(), Settled::Stays);
    assert_eq!(world.snapshot(), new);
    assert!(!world.home.sync_dir().join("former").exists());
    let again = confirming
        .confirm(&cluster(), &confirmation(60))
        .unwrap_err();
    let LinkError::Refused(refusal) = again else {
        panic!("{again:?}");
    };
    assert_eq!(refusal.kind, RefusalKind::Unconfirmed);
}

#[test]
fn a_change_that_nobody_confirms_is_taken_back_and_told() {
    let world = crate::faults::world();
    let (settled, became) = mpsc::channel();
    let daemon = Daemon {
        settled: Some(settled),
        ..Daemon::default()
    };
    let (changing, _served) = link(&world, daemon);
    sync(&world, &changing, Some(&confirmation(0))).unwrap();
    drop(changing);
    assert_eq!(became.recv().unwrap(), Settled::WentBack);
    let (looking, _) = link(&world, Daemon::default());
    let seen = looking.look(&cluster(), &world.wanted().tree).unwrap();
    let reverted = seen.reverted.unwrap();
    assert_eq!(reverted.commit, "bbbbbbb");
    let late = looking.confirm(&cluster(), &confirmation(0)).unwrap_err();
    assert!(late.to_string().contains("went back by itself"), "{late}");
}

#[test]
fn a_plugin_that_does_not_load_there_changes_nothing() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    let component = b"not a component";
    write_bytes(&world.project.plugins_dir().join("p-1.0.0.wasm"), component);
    let digest = simplenetes_sync::Digest::of(component);
    let list = format!(
        "plugins:\n- name: p\n  version: 1.0.0\n  digest: {digest}\n  source: here\n  grants: {{}}\n"
    );
    let plugins_yaml = world.project.host(&crate::world::host()).plugins_yaml();
    write(&plugins_yaml, &list, 0o644);
    let before = world.snapshot();
    let daemon = Daemon {
        refuses_plugins: true,
        ..Daemon::default()
    };
    let (link, served) = link(&world, daemon);
    let refused = sync(&world, &link, None).unwrap_err();
    assert!(refused.to_string().contains("p-1.0.0.wasm"), "{refused}");
    drop(link);
    served.join().unwrap().unwrap();
    assert_eq!(world.snapshot(), before);
}

#[test]
fn another_cluster_and_a_directory_that_is_none_are_refused_by_kind() {
    let world = World::new();
    let (link, _served) = link(&world, Daemon::default());
    let other = "other-1".parse().unwrap();
    let tree = Tree::default();
    let kind = |error: LinkError| match error {
        LinkError::Refused(refusal) => refusal.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        kind(link.look(&other, &tree).unwrap_err()),
        RefusalKind::OtherCluster
    );
    fs::remove_file(world.home.cluster_id()).unwrap();
    assert_eq!(
        kind(link.look(&cluster(), &tree).unwrap_err()),
        RefusalKind::NoHostHome
    );
    let keys = link
        .init(&cluster(), &crate::world::host(), false, None)
        .unwrap();
    assert!(keys.is_new);
    assert_eq!(keys.age_recipient, "age1h1");
    link.look(&cluster(), &tree).unwrap();
}

/// Says the given bytes instead of asking, and gives what became of the far end.
fn say(world: &World, frames: &[&str]) -> String {
    let (mut stream, served) = serve(world, Daemon::default());
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(&[1]).unwrap();
        stream.write_all(frame.as_bytes()).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    let ended = served.join().unwrap();
    format!("{} {ended:?}", String::from_utf8_lossy(&answers))
}

const HELLO: &str = r#"{"ask":"hello","protocols":[1],"program":"liar"}"#;

#[test]
fn a_near_end_that_lies_touches_nothing() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    one_sync(&world);
    let before = world.snapshot();
    let lock = format!(
        r#"{{"ask":"lock","cluster":"test-1","wanted":"{}","holder":{{"who":"x","pid":1,"since":null,"why":"y"}}}}"#,
        "0".repeat(64)
    );
    let stage = |tree: &str| {
        format!(
            r#"{{"ask":"stage","plan":{{"steps":[],"held_back":[]}},"wanted":{tree},"chain":null,"recipes":{{}},"confirmation":null}}"#
        )
    };
    let tree = |plugins: &str| {
        format!(
            r#"{{"hosts_conf":null,"cluster_ports_conf":null,"peers_conf":null,"plugins_yaml":null,"plugins":{plugins},"releases":{{}}}}"#
        )
    };
    let out = stage(&tree(&format!(
        r#"{{"../../out.wasm":"{}"}}"#,
        "0".repeat(64)
    )));
    for (frames, expected) in [
        (
            vec![r#"{"ask":"hello","protocols":[99],"program":"x"}"#],
            "speaks versions",
        ),
        (vec![r#"{"ask":"apply"}"#], "expected a greeting"),
        (vec![HELLO, r#"{"ask":"dance"}"#], "Broken"),
        (vec![HELLO, r#"{"ask":"apply"}"#], "not locked"),
        (
            vec![
                HELLO,
                r#"{"ask":"look","cluster":"no cluster","wanted":"x"}"#,
            ],
            "Broken",
        ),
        (vec![HELLO, "not json"], "Broken"),
        (vec![HELLO, &lock, &lock], "is locked"),
        (vec![HELLO, &lock, &out], "no name of a plugin"),
        (
            vec![HELLO, &lock, &stage(&tree("{}")), r#"{"ask":"apply"}"#],
            "among contents",
        ),
    ] {
        let became = say(&world, &frames);
        assert!(became.contains(expected), "{frames:?}: {became}");
    }
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_far_end_that_lies_is_an_error_and_no_more() {
    for (said, expected) in [
        ("", "lost"),
        ("sh: simplenetesd: not found\n", "not found"),
        (
            "simplenetes-sync\n\u{ff}\u{ff}\u{ff}\u{ff}\u{1}",
            "broke the protocol",
        ),
        ("simplenetes-sync\n\0\0\0\x02\x01{}", "broke the protocol"),
        (
            "simplenetes-sync\n\0\0\0\x11\x01{\"answer\":\"done\"}",
            "something else",
        ),
    ] {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut bytes = Vec::new();
        for c in said.chars() {
            bytes.push(u8::try_from(u32::from(c)).unwrap());
        }
        far.write_all(&bytes).unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let error = Link::open(near.try_clone().unwrap(), near, "sns test").unwrap_err();
        let error = error.to_string();
        assert!(error.contains(expected), "{said:?}: {error}");
    }
}

#[test]
fn what_has_become_of_releases_is_told_in_their_order() {
    let world = World::new();
    let (link, _served) = link(&world, Daemon::default());
    let releases = ["web:1.0.0", "api:2.0.0"].map(|id| id.parse().unwrap());
    let told = link.standings(&cluster(), &releases).unwrap();
    let words: Vec<&str> = told.iter().map(|told| told.text.as_str()).collect();
    assert_eq!(words, ["web:1.0.0", "api:2.0.0"]);
}

#[test]
fn what_was_removed_goes_but_for_the_newest_and_what_runs() {
    let world = World::new();
    let versions = ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"];
    for version in versions {
        world.add(&format!("web:{version}"), "running", "one");
    }
    one_sync(&world);
    for version in &versions[..4] {
        let release = world.release(&format!("web:{version}"));
        write(&release.state(), "removed\n", 0o644);
    }
    one_sync(&world);
    // One that the daemon has not taken down yet.
    let status = "pod: web-1.0.0\npodVersion: 1.0.0\nhostPorts: \ncreated: 1\nstarted: 1\nupdated: 1\nstatus: running\npid: 1\nreadiness: 1\ncontainers:\n";
    write(&world.on_host("web:1.0.0").status(), status, 0o644);
    let (link, _served) = link(&world, Daemon::default());
    let collect = |keep, dry_run| -> Vec<String> {
        let gone = link.collect(&cluster(), &holder(), keep, dry_run);
        gone.unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(collect(2, true), ["web:1.1.0"]);
    assert!(world.on_host("web:1.1.0").path().exists());
    assert_eq!(collect(2, false), ["web:1.1.0"]);
    assert!(!world.on_host("web:1.1.0").path().exists());
    assert_eq!(collect(0, false), ["web:1.2.0", "web:1.3.0"]);
    assert!(world.on_host("web:1.0.0").path().exists());
    assert!(world.on_host("web:1.4.0").path().exists());
}

#[test]
fn options_of_a_sync_are_the_near_ends() {
    // A pod that was delivered is held back by the plan, which is made here.
    let world = World::new();
    let release = world.add("web:1.0.0", "running", "one");
    one_sync(&world);
    write(&release.pod(), "#!/bin/sh\n# changed\n", 0o755);
    let wanted = world.wanted();
    let (link, _served) = link(&world, Daemon::default());
    let seen = link.look(&cluster(), &wanted.tree).unwrap();
    let plan = plan::plan(&wanted.tree, &has(&seen, &wanted.tree), &Options::default());
    assert_eq!(plan.held_back.len(), 1);
}
