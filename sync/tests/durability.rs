//! What a power cut can undo: the order in which a sync writes, brings to disk, and puts into its place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use simplenetes_sync::Options;
use simplenetes_sync::far::{Effect, Gate};

use crate::world::{World, write};

type Acts = Arc<Mutex<Vec<(Effect, PathBuf)>>>;

/// Lets everything happen, and remembers it.
struct Recorder(Acts);

impl Gate for Recorder {
    fn pass(&mut self, effect: Effect, path: &Path) -> io::Result<()> {
        self.0.lock().unwrap().push((effect, path.to_owned()));
        Ok(())
    }
}

#[test]
fn nothing_is_relied_on_before_it_is_on_disk() {
    let world = World::new();
    let source = world.add("web:1.0.0", "running", "one");
    world.sync();
    write(&source.path().join("config/conf/main.cfg"), "two", 0o644);
    world.add("api:1.0.0", "running", "one");
    let acts = Acts::default();
    let recorder = Box::new(Recorder(acts.clone()));
    world.try_sync(Some(recorder), &Options::default()).unwrap();

    let acts = acts.lock().unwrap();
    let sync = world.home.sync_dir();
    let (stage, journal) = (sync.join("stage"), sync.join("journal.json"));
    let at = |wanted: Effect, path: &Path| {
        let mut found = acts
            .iter()
            .enumerate()
            .filter(|(_, act)| **act == (wanted, path.to_owned()));
        let (position, _) = found.next().unwrap();
        assert!(found.next().is_none(), "{wanted} {} twice", path.display());
        position
    };
    let changes = |act: &&(Effect, PathBuf)| !matches!(act.0, Effect::Sync | Effect::SyncAll);
    let count = |from: usize, to: usize, below_stage: bool| {
        let acts = acts.iter().take(to).skip(from).filter(changes);
        acts.filter(|(_, path)| path.starts_with(&stage) == below_stage)
            .count()
    };
    let staged = at(Effect::SyncAll, &stage);
    let opened = at(Effect::Rename, &journal);
    let applied = at(Effect::SyncAll, &sync);
    let closed = at(Effect::Remove, &journal);
    let directory_syncs: Vec<usize> = (0..acts.len())
        .filter(|at| acts.get(*at) == Some(&(Effect::Sync, sync.clone())))
        .collect();
    let [open_on_disk, closed_on_disk] = directory_syncs[..] else {
        panic!("{directory_syncs:?}")
    };
    // Stage, disk, journal, disk, places, disk, journal away, disk.
    assert!(staged < opened && opened < open_on_disk && open_on_disk < applied);
    assert!(applied < closed && closed < closed_on_disk);
    assert!(count(0, staged, true) > 10, "most is staged");
    assert_eq!(
        count(0, opened, false),
        0,
        "no place changes without a journal"
    );
    assert_eq!(
        count(staged, opened, true),
        0,
        "nothing is staged after it was brought to disk"
    );
    assert_eq!(
        count(opened + 1, open_on_disk, false),
        0,
        "the journal is on disk before it is run"
    );
    assert!(
        count(open_on_disk, applied, false) > 5,
        "then the places change"
    );
    assert_eq!(
        count(applied, closed, false),
        0,
        "all is on disk before the journal goes"
    );
    assert_eq!(
        count(closed, closed_on_disk, true),
        0,
        "the stage stays until the journal is gone"
    );
}
