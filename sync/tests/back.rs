//! A sync that nobody confirms is taken back, whatever is killed when.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;

use simplenetes_sync::far::{FarError, Marks, Recovered, SettleError, Settled, settle};
use simplenetes_sync::wire::Confirmation;
use simplenetes_sync::{Far, journal_open, recover};

use crate::faults::{At, Fault, options, world};
use crate::world::{World, at, cluster, holder};

type Snapshot = BTreeMap<PathBuf, String>;

/// What is written down with a sync that waits for this long.
fn waiting(seconds: u32) -> Marks {
    Marks {
        confirmation: Some(Confirmation {
            token: "token".to_owned(),
            seconds,
        }),
        ..at(&["aaaaaaa", "bbbbbbb", "ccccccc"])
    }
}

/// A host without the release that arrives in the sync of these tests: that one is never taken away again.
fn without_arrival(snapshot: &Snapshot) -> Snapshot {
    let stays = |path: &PathBuf| !path.starts_with("pods/api");
    let kept = snapshot.iter().filter(|(path, _)| stays(path));
    kept.map(|(path, what)| (path.clone(), what.clone()))
        .collect()
}

fn assert_is_as_before(world: &World, old: &Snapshot, when: &str) {
    let now = world.snapshot();
    assert_eq!(without_arrival(&now), without_arrival(old), "{when}");
    let state = now.get(&PathBuf::from("pods/api/release/1.0.0/pod.state"));
    let is_off = state.is_none_or(|state| state == "644 removed\n");
    assert!(is_off, "{when}: the release that arrived is {state:?}");
    let leftovers = ["former", "stage", "journal.json", "unconfirmed.json"];
    for name in leftovers {
        let is_there = world.home.sync_dir().join(name).exists();
        assert!(!is_there, "{when}: {name} was left");
    }
}

/// How many effects the sync and the way back have.
fn effects_of(act: impl Fn(Box<At>)) -> usize {
    let (gate, count) = At::counting();
    act(gate);
    count.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn killed_before_any_effect_of_a_sync_that_waits_the_host_goes_back() {
    let effects = effects_of(|gate| {
        let sync = world().try_sync_at(Some(gate), &options(), &waiting(60));
        sync.unwrap();
    });
    assert!(effects > 60, "{effects} effects are too few");
    let mut reverted = 0;
    for at in 0..effects {
        let world = world();
        let old = world.snapshot();
        let stop = At::new(at, Fault::Stop);
        world
            .try_sync_at(Some(stop), &options(), &waiting(60))
            .err();
        let recovered = recover(&world.home).unwrap();
        reverted += usize::from(recovered == Recovered::Reverted);
        assert_is_as_before(&world, &old, &format!("stopped before effect {at}"));
        world.sync_with(&options());
        assert!(
            world
                .snapshot()
                .contains_key(&PathBuf::from("pods/api/release/1.0.0/pod"))
        );
    }
    assert!(
        reverted > 20,
        "only {reverted} stops were after the journal"
    );
}

#[test]
fn killed_on_the_way_back_it_is_gone_to_the_end() {
    let way_back = |gate: Option<Box<At>>| {
        let world = world();
        let old = world.snapshot();
        world.try_sync_at(None, &options(), &waiting(60)).unwrap();
        let result = match gate {
            Some(gate) => simplenetes_sync::far::recover_through(&world.home, gate),
            None => recover(&world.home),
        };
        (world, old, result)
    };
    let effects = effects_of(|gate| {
        way_back(Some(gate)).2.unwrap();
    });
    assert!(effects > 20, "{effects} effects are too few");
    for at in 0..effects {
        let (world, old, _) = way_back(Some(At::new(at, Fault::Stop)));
        recover(&world.home).unwrap();
        assert!(!journal_open(&world.home));
        assert_is_as_before(&world, &old, &format!("stopped before effect {at}"));
    }
}

#[test]
fn whoever_finds_a_sync_that_nobody_waits_for_goes_back() {
    let world = world();
    let old = world.snapshot();
    world.try_sync_at(None, &options(), &waiting(60)).unwrap();
    let far = Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
    assert_eq!(far.recovered(), &Recovered::Reverted);
    drop(far);
    assert_is_as_before(&world, &old, "found");
}

#[test]
fn when_the_time_is_over_the_host_goes_back_by_itself() {
    let world = world();
    let old = world.snapshot();
    world.try_sync_at(None, &options(), &waiting(0)).unwrap();
    let lock = fs::File::open(world.home.sync_dir().join("lock")).unwrap();
    let (sender, ready) = mpsc::channel();
    let settled = settle(&world.home, lock, || sender.send(()).unwrap());
    ready.recv().unwrap();
    assert_eq!(settled.unwrap(), Settled::WentBack);
    assert_is_as_before(&world, &old, "after the time");
    let why = fs::read_to_string(world.home.sync_dir().join("reverted.json")).unwrap();
    assert!(
        why.contains("ccccccc") && why.contains("within 0 s"),
        "{why}"
    );
    // The next sync that stays takes the note away.
    world.sync_with(&options());
    assert!(!world.home.sync_dir().join("reverted.json").exists());
}

#[test]
fn nobody_waits_for_a_sync_that_does_not() {
    let world = world();
    let lock = fs::File::open(world.home.sync_dir().join("lock")).unwrap();
    let settled = settle(&world.home, lock, || {});
    assert!(matches!(settled, Err(SettleError::Nothing(_))));
}

#[test]
fn a_full_disk_before_the_journal_leaves_nothing_kept() {
    let effects = effects_of(|gate| {
        let sync = world().try_sync_at(Some(gate), &options(), &waiting(60));
        sync.unwrap();
    });
    for at in 0..effects {
        let world = world();
        let old = world.snapshot();
        let full = At::new(at, Fault::Full);
        let sync = world.try_sync_at(Some(full), &options(), &waiting(60));
        if let Err(FarError::Unchanged(_)) = sync {
            assert_eq!(world.snapshot(), old, "full at effect {at}");
        }
        recover(&world.home).unwrap();
    }
}
