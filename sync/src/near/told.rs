//! What a host tells, before anybody believes it: names are names, words do not steer a terminal, and what it asks for is
//! what it was offered.

use std::collections::{BTreeMap, BTreeSet};

use super::link::{Delivery, LinkError};
use crate::chunks::Recipe;
use crate::wire::{Need, Reverted, Seen, Standing, WireError, check_plugin, check_tree};
use crate::{Digest, Step, needs};

/// A host that asks for what it was not offered, or for the same twice, would have this end send for ever.
pub(super) fn check_need(
    need: &Need,
    delivery: &Delivery<'_>,
    recipes: &BTreeMap<Digest, Recipe>,
) -> Result<(), WireError> {
    let offered = needs::contents(delivery.plan, &delivery.wanted.tree);
    let mut asked = BTreeSet::new();
    let is_offered = need.contents.iter().all(|digest| offered.contains(digest))
        && need
            .pieces
            .keys()
            .all(|digest| recipes.contains_key(digest));
    if !is_offered {
        return Err(asked_in_vain());
    }
    let is_once = need.contents.iter().all(|digest| asked.insert(*digest));
    let again = || WireError::Broken("the host asked for the same contents twice".to_owned());
    is_once.then_some(()).ok_or_else(again)
}

pub(super) fn asked_in_vain() -> WireError {
    WireError::Broken("the host asked for contents that nobody announced".to_owned())
}

/// What a host has, with names that are names and words that are words.
pub(super) fn plain_seen(seen: Seen) -> Result<Seen, LinkError> {
    let trees = seen.present.iter();
    let steps = seen.drift.iter().flat_map(|drift| &drift.steps);
    let names = steps.filter_map(|step| match step {
        Step::Plugin { file_name, .. } => Some(file_name),
        _ => None,
    });
    let checked = trees
        .map(check_tree)
        .chain(names.map(|name| check_plugin(name)))
        .collect::<Result<(), String>>();
    checked.map_err(|why| WireError::Broken(format!("a host that cannot be: {why}")))?;
    Ok(Seen {
        chain: seen.chain.map_err(|why| plain(&why)),
        reverted: seen.reverted.map(|reverted| Reverted {
            commit: plain(&reverted.commit),
            why: plain(&reverted.why),
        }),
        unconfirmed: seen.unconfirmed.map(|commit| plain(&commit)),
        ..seen
    })
}

/// A status has lines.
pub(super) fn plain_standing(standing: &Standing) -> Standing {
    let lines: Vec<String> = standing.text.lines().map(plain).collect();
    Standing {
        kind: standing.kind,
        text: lines.join("\n"),
    }
}

/// What another machine says, without what would steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .take(4096)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
