//! Whether the project may be synced, by the commits of both sides.

use hostfiles::CommitChain;
use simplenetes_sync::chain::{Relation, relate};

use crate::world::commits;

fn check(ours: &str, host: &str, expected: &Relation) {
    let ours: Vec<String> = ours.split_whitespace().map(str::to_owned).collect();
    let host: Vec<&str> = host.split_whitespace().collect();
    assert_eq!(
        &relate(&ours, &commits(&host)),
        expected,
        "{ours:?} and {host:?}"
    );
}

#[test]
fn the_rules_of_the_original() {
    check("aaaaaaa", "", &Relation::Fresh);
    check("", "", &Relation::Fresh);
    check("aaaaaaa bbbbbbb", "aaaaaaa bbbbbbb", &Relation::Equal);
    check("aaaaaaa bbbbbbb ccccccc", "aaaaaaa", &Relation::Ahead(2));
    check("aaaaaaa", "aaaaaaa bbbbbbb", &Relation::Behind(1));
    check(
        "aaaaaaa bbbbbbb",
        "aaaaaaa ccccccc",
        &Relation::Branched(Some("aaaaaaa".to_owned())),
    );
    check("aaaaaaa", "bbbbbbb", &Relation::Branched(None));
    check("", "bbbbbbb", &Relation::Branched(None));
}

#[test]
fn chains_that_lost_their_oldest_commits() {
    check(
        "bbbbbbb ccccccc ddddddd",
        "aaaaaaa bbbbbbb",
        &Relation::Ahead(2),
    );
    check("bbbbbbb", "bbbbbbb ccccccc", &Relation::Behind(1));
    check(
        "ccccccc ddddddd",
        "aaaaaaa bbbbbbb",
        &Relation::Branched(None),
    );
}

#[test]
fn short_hashes_of_the_original_stand_for_whole_ones() {
    let whole = format!("aaaaaaa{}", "1".repeat(33));
    check(&format!("{whole} bbbbbbb"), "aaaaaaa", &Relation::Ahead(1));
    // What is too short to be a hash of git names nothing.
    check("aaaaaaa", "aaaa", &Relation::Branched(None));
}

#[test]
fn behind_and_branched_need_force() {
    for (relation, message) in [
        (
            Relation::Behind(3),
            Some("the host is 3 commits ahead of this project: pull first"),
        ),
        (
            Relation::Behind(1),
            Some("the host is 1 commit ahead of this project: pull first"),
        ),
        (
            Relation::Branched(Some("abc1234".to_owned())),
            Some("the host was synced from a project that branched off at abc1234"),
        ),
        (
            Relation::Branched(None),
            Some("the host was synced from a project that branched off at an unknown commit"),
        ),
        (Relation::Fresh, None),
        (Relation::Equal, None),
        (Relation::Ahead(1), None),
    ] {
        assert!(relation.clone().allow(true).is_ok());
        let refusal = relation
            .allow(false)
            .err()
            .map(|refusal| refusal.to_string());
        assert_eq!(refusal.is_some(), message.is_some());
        if let (Some(refusal), Some(message)) = (refusal, message) {
            assert!(refusal.starts_with(message), "{refusal}");
        }
    }
}

#[test]
fn only_the_newest_commits_are_kept() {
    let hashes = (0..1500).map(|number| format!("{number:040x}"));
    let chain = CommitChain::new(hashes).unwrap();
    assert_eq!(
        (chain.hashes().len(), chain.head()),
        (1000, Some(format!("{:040x}", 1499)).as_deref())
    );
}

#[test]
fn a_host_that_is_far_behind_is_only_behind() {
    let ours: Vec<String> = (0..2500).map(|number| format!("{number:040x}")).collect();
    let old = CommitChain::new(ours.iter().take(700).cloned()).unwrap();
    assert_eq!(relate(&ours, &old), Relation::Ahead(1800));
}
