//! Nonsense, and sense that was damaged, in every file that a sync reads: an error at worst, never a change outside the
//! host home, and never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use hostfiles::{CommitChain, Format as _, HostEnv};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use simplenetes_sync::chain::{extended, relate};
use simplenetes_sync::far::{Gate, recover_through};
use simplenetes_sync::{Options, Tree, recover};

use crate::faults::{At, Fault, options};
use crate::random::cases;
use crate::world::{World, at};

/// What is done to bytes: some are replaced, cut off, or doubled.
#[derive(Debug, Clone)]
struct Damage {
    at: Index,
    kind: u8,
    bytes: Vec<u8>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let words: Vec<Vec<u8>> = [
        "..",
        "/etc",
        "null",
        "{",
        "\"",
        "-1",
        "18446744073709551616",
        "\u{1b}",
        "stage",
    ]
    .into_iter()
    .map(|word| word.as_bytes().to_vec())
    .collect();
    let bytes = prop_oneof![vec(any::<u8>(), 0..8), select(words)];
    (any::<Index>(), 0_u8..4, bytes).prop_map(|(at, kind, bytes)| Damage { at, kind, bytes })
}

impl Damage {
    fn done_to(&self, whole: &[u8]) -> Vec<u8> {
        let at = self.at.index(whole.len() + 1);
        let (before, after) = whole.split_at(at);
        let rest = after.get(self.bytes.len()..).unwrap_or_default();
        match self.kind {
            // Put in, in place of others, cut off, or all of it twice.
            0 => [before, &self.bytes, after].concat(),
            1 => [before, &self.bytes, rest].concat(),
            2 => before.to_vec(),
            _ => [before, whole].concat(),
        }
    }
}

/// All that lies beside the host home, with its contents.
fn outside(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    walk(world.directory.path(), world.home.path(), &mut found);
    found.sort();
    found
}

fn walk(directory: &Path, but: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path == but {
            continue;
        }
        if path.is_dir() {
            walk(&path, but, found);
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

/// A host that was stopped with an open journal.
fn interrupted() -> World {
    let world = crate::faults::world();
    for at in 40.. {
        let gate: Box<dyn Gate> = At::new(at, Fault::Stop);
        world.try_sync(Some(gate), &options()).err();
        if simplenetes_sync::journal_open(&world.home) {
            return world;
        }
        recover(&world.home).unwrap();
    }
    world
}

/// Writes bytes as they are, whole or torn.
fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    hostfiles::replace(path, bytes, 0o600).unwrap();
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_journal_that_was_damaged(damage in vec(damage(), 1..4), again in 0_usize..40) {
        let world = interrupted();
        let journal = world.home.sync_dir().join("journal.json");
        let mut bytes = fs::read(&journal).unwrap();
        for damage in &damage {
            bytes = damage.done_to(&bytes);
        }
        let before = outside(&world);
        put(&journal, &bytes);
        recover_through(&world.home, At::new(again, Fault::Stop)).err();
        recover(&world.home).err();
        prop_assert_eq!(outside(&world), before);
        // What a person is told to do about a journal that is none helps.
        if journal.exists() {
            fs::remove_file(&journal).unwrap();
            let _ = fs::remove_dir_all(world.home.sync_dir().join("stage"));
        }
        world.sync_with(&options());
    }

    #[test]
    fn a_journal_of_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        let world = World::new();
        put(&world.home.sync_dir().join("journal.json"), &bytes);
        let before = outside(&world);
        recover(&world.home).err();
        prop_assert_eq!(outside(&world), before);
    }

    #[test]
    fn what_a_sync_keeps_for_itself_was_damaged(
        name in select(vec!["unconfirmed.json", "reverted.json", "synced.json", "digests.json", "former/undo", "lock", "stage", "incoming"]),
        damages in vec(damage(), 1..4),
        any_bytes in vec(any::<u8>(), 0..100),
        is_any in any::<bool>(),
    ) {
        let world = crate::faults::world();
        let token = "0123456789abcdef".to_owned();
        let mut marks = at(&["aaaaaaa"]);
        marks.confirmation = Some(simplenetes_sync::wire::Confirmation { token, seconds: 60 });
        world.try_sync_at(None, &options(), &marks).unwrap();
        let path = world.home.sync_dir().join(name);
        let whole = fs::read(&path).unwrap_or_default();
        let damaged = damages.iter().fold(whole, |bytes, damage| damage.done_to(&bytes));
        let bytes = if is_any { any_bytes } else { damaged };
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        }
        put(&path, &bytes);
        let before = outside(&world);
        // Whoever comes first goes back, or says why not; then a journal that is none is moved away.
        recover(&world.home).err();
        prop_assert_eq!(outside(&world), before);
        let _ = fs::remove_file(world.home.sync_dir().join("journal.json"));
        world.sync_with(&options());
        prop_assert!(world.sync_with(&options()).is_empty());
    }

    #[test]
    fn a_host_env_of_any_words(damages in vec(damage(), 0..6)) {
        let whole = b"HOST=10.0.0.1\nPORT=22\nUSER=anna\nFLAGS=-oConnectTimeout=5\nKEYFILE=id\nJUMPHOST=../b\nEXPOSE=80 443\nHOSTHOME=cluster\nROUTERADDRESS=10.0.0.1:32767\n".to_vec();
        let bytes = damages.iter().fold(whole, |bytes, damage| damage.done_to(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(env) = HostEnv::parse(&text) {
            let again = HostEnv::parse(&env.to_text()).unwrap();
            prop_assert_eq!(again.to_text(), env.to_text());
            prop_assert_eq!(again.router_address(), env.router_address());
        }
    }

    #[test]
    fn a_commit_chain_of_any_words(damages in vec(damage(), 0..6), ours in vec("f[0-9a-f]{19,39}", 0..6)) {
        let whole = b"0123456789abcdef0123456789abcdef01234567\nabcdef0\n".to_vec();
        let bytes = damages.iter().fold(whole, |bytes, damage| damage.done_to(&bytes));
        if let Ok(chain) = CommitChain::parse(&String::from_utf8_lossy(&bytes)) {
            let relation = relate(&ours, &chain);
            // Who goes on from what the host has is ahead of it, never behind. What is too short stands for no commit.
            let longer = [chain.hashes(), &ours].concat();
            let is_known = chain.hashes().last().is_some_and(|head| head.len() >= 7);
            if !ours.is_empty() && is_known {
                relate(&longer, &chain).allow(false).unwrap();
            }
            let ours = CommitChain::new(ours).unwrap();
            let _ = extended(chain.hashes(), &ours);
            let _ = relation.allow(false);
        }
    }

    #[test]
    fn a_tree_of_any_words(damages in vec(damage(), 1..5)) {
        let world = World::new();
        world.add("web:1.0.0", "running", "one");
        let wanted = world.wanted();
        let whole = serde_json::to_vec(&wanted.tree).unwrap();
        let bytes = damages.iter().fold(whole, |bytes, damage| damage.done_to(&bytes));
        if let Ok(tree) = serde_json::from_slice::<Tree>(&bytes) {
            let plan = simplenetes_sync::plan::plan(&tree, &Tree::default(), &Options::default());
            let _ = plan.to_string();
            prop_assert_eq!(tree.digest(), serde_json::from_slice::<Tree>(&serde_json::to_vec(&tree).unwrap()).unwrap().digest());
        }
    }
}
