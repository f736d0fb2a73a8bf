//! Whatever is killed or fails when: the host is wholly old or wholly new, never between.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use simplenetes_sync::far::{Effect, FarError, Gate, Recovered, recover_through};
use simplenetes_sync::{Options, journal_open, recover};

use crate::world::{World, write};

/// What goes wrong at one effect, counted from 0.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing happens from here on: the machine is gone.
    Stop,
    /// This one effect finds no space.
    Full,
}

pub(crate) struct At {
    fault: Option<(usize, Fault)>,
    count: Arc<AtomicUsize>,
}

impl At {
    /// Lets everything happen, and counts.
    pub(crate) fn counting() -> (Box<Self>, Arc<AtomicUsize>) {
        let count = Arc::<AtomicUsize>::default();
        let gate = Self {
            fault: None,
            count: Arc::clone(&count),
        };
        (Box::new(gate), count)
    }

    pub(crate) fn new(at: usize, fault: Fault) -> Box<Self> {
        Box::new(Self {
            fault: Some((at, fault)),
            count: Arc::default(),
        })
    }
}

impl Gate for At {
    fn pass(&mut self, _: Effect, _: &Path) -> io::Result<()> {
        let now = self.count.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Some((at, Fault::Stop)) if now >= at => Err(io::Error::other("stopped")),
            Some((at, Fault::Full)) if now == at => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

/// A host with one release, and a project that wants something else of everything.
pub(crate) fn world() -> World {
    let world = World::new();
    let stays = world.add("web:1.0.0", "running", "one");
    write(
        &stays.ingress(),
        "bind 80\nprotocol http\nclusterport 61000\n",
        0o644,
    );
    let goes = world.add("old:1.0.0", "running", "one");
    world.sync();
    std::fs::remove_dir_all(goes.path()).unwrap();
    std::fs::remove_file(stays.ingress()).unwrap();
    std::fs::remove_file(stays.path().join("config/conf/.hidden")).unwrap();
    write(&stays.path().join("config/conf/main.cfg"), "two", 0o644);
    write(&stays.path().join("config/conf/new/deep"), "n", 0o644);
    write(&stays.pod(), "#!/bin/sh\n# changed\n", 0o755);
    write(&stays.state(), "stopped\n", 0o644);
    world.add("api:1.0.0", "running", "one");
    let plugins = "plugins: []\n";
    write(
        &world.project.host(&crate::world::host()).plugins_yaml(),
        plugins,
        0o644,
    );
    world
}

pub(crate) fn options() -> Options {
    Options {
        overwrite: ["web:1.0.0".parse().unwrap()].into(),
        pods: None,
    }
}

/// How many effects the sync has when nothing goes wrong, and what the host looks like after it.
fn undisturbed() -> (
    usize,
    std::collections::BTreeMap<std::path::PathBuf, String>,
) {
    let world = world();
    let (gate, count) = At::counting();
    world.try_sync(Some(gate), &options()).unwrap();
    (count.load(Ordering::Relaxed), world.snapshot())
}

#[test]
fn killed_before_any_effect_the_host_is_old_or_new() {
    let (effects, new) = undisturbed();
    assert!(
        effects > 40,
        "the sync of this test has {effects} effects, too few to show anything"
    );
    let mut finished = 0;
    for at in 0..effects {
        let world = world();
        let old = world.snapshot();
        world
            .try_sync(Some(At::new(at, Fault::Stop)), &options())
            .err();
        let is_open = journal_open(&world.home);
        let recovered = recover(&world.home).unwrap();
        let now = world.snapshot();
        if is_open {
            assert_eq!(recovered, Recovered::Finished);
            assert_eq!(now, new, "stopped before effect {at}");
            finished += 1;
        } else {
            assert!(
                now == old || now == new,
                "stopped before effect {at}: neither old nor new"
            );
        }
        assert!(!journal_open(&world.home) && !world.home.sync_dir().join("stage").exists());
        world.sync_with(&options());
        assert_eq!(
            world.snapshot(),
            new,
            "the next sync after a stop before effect {at}"
        );
    }
    assert!(
        finished > 10,
        "only {finished} stops were after the point of no return"
    );
}

#[test]
fn killed_again_while_recovering() {
    let (effects, new) = undisturbed();
    for at in (0..effects).step_by(5) {
        for again in 0..12 {
            let world = world();
            let old = world.snapshot();
            world
                .try_sync(Some(At::new(at, Fault::Stop)), &options())
                .err();
            recover_through(&world.home, At::new(again, Fault::Stop)).err();
            recover(&world.home).unwrap();
            let now = world.snapshot();
            assert!(
                now == old || now == new,
                "stopped before effect {at}, then before {again} of the recovery"
            );
        }
    }
}

#[test]
fn a_full_disk_leaves_the_host_as_it_was_and_names_the_path() {
    let (effects, new) = undisturbed();
    let mut unchanged = 0;
    for at in 0..effects {
        let world = world();
        let old = world.snapshot();
        match world.try_sync(Some(At::new(at, Fault::Full)), &options()) {
            Err(FarError::Unchanged(error)) => {
                assert!(error.path.starts_with(world.home.path()), "{error}");
                assert_eq!(world.snapshot(), old, "no space at effect {at}: {error}");
                assert!(
                    !world.home.sync_dir().join("stage").exists(),
                    "no space at effect {at}: {error}"
                );
                unchanged += 1;
            }
            // After the point of no return what is reserved keeps this from happening; if it does all the
            // same, nobody takes anything from the host until it is finished.
            Err(FarError::Unfinished(error)) => {
                assert!(error.path.starts_with(world.home.path()), "{error}");
                recover(&world.home).unwrap();
                assert_eq!(world.snapshot(), new, "no space at effect {at}: {error}");
            }
            Err(other) => panic!("no space at effect {at}: {other}"),
            Ok(_) => assert_eq!(world.snapshot(), new, "no space at effect {at}"),
        }
    }
    assert!(
        unchanged > 20,
        "only {unchanged} effects were before the point of no return"
    );
}
