//! Encrypted configs: what a sync has brought of them is opened, and only then it is known whether anything has
//! changed for the units. A text that was encrypted anew says the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use names::{PodState, VolumeName};
use tokio::time::sleep;

use super::{Driver, Wake, World};
use crate::decrypt::{Marks, encrypted};

/// A config that could not be opened is tried again after so long: a person may have brought the right key.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// The encrypted configs of a release.
#[derive(Debug, Default)]
pub(super) struct Encrypted {
    /// The checksums of what a sync has brought.
    brought: BTreeMap<VolumeName, String>,
    /// What was opened last, or tried to be.
    tried: BTreeMap<VolumeName, String>,
    is_under_way: bool,
    problem: Option<String>,
}

impl Encrypted {
    /// Why what a sync has brought is not what the units see.
    pub(super) fn problem(&self) -> Option<&String> {
        self.problem.as_ref()
    }
}

impl<W: World> Driver<W> {
    /// Takes over the checksums of all configs; those of encrypted ones say only that they should be opened.
    pub(super) fn learn_configs(&mut self, mut configs: BTreeMap<VolumeName, String>) {
        let names = self.spec.iter().flat_map(|spec| encrypted(spec));
        self.encrypted.brought = names
            .filter_map(|name| configs.remove_entry(name))
            .collect();
        self.learn_marks(configs);
        self.reveal_what_is_new();
    }

    /// What was opened, or could not be; none when the pod was removed meanwhile.
    pub(super) fn revealed(&mut self, outcome: Option<Result<Marks, String>>) {
        self.encrypted.is_under_way = false;
        match outcome {
            Some(Ok(marks)) => {
                self.encrypted.problem = None;
                self.learn_marks(marks);
            }
            Some(Err(why)) => {
                self.encrypted.problem = Some(why);
                self.spawn(Wake::RevealAgain, async {
                    sleep(TRY_AGAIN).await;
                    Wake::RevealAgain
                });
            }
            None => self.encrypted.problem = None,
        }
        self.reveal_what_is_new();
    }

    pub(super) fn reveal_again(&mut self) {
        if self.encrypted.problem.is_some() {
            self.encrypted.tried.clear();
            self.reveal_what_is_new();
        }
    }

    /// A pod that should not run has nothing in memory; when it starts, its configs are opened first.
    fn reveal_what_is_new(&mut self) {
        let Some(spec) = self.spec.clone() else {
            return;
        };
        if self.life.wanted != PodState::Running {
            self.encrypted.problem = None;
            return;
        }
        let known = &mut self.encrypted;
        if known.is_under_way || known.brought.is_empty() || known.brought == known.tried {
            return;
        }
        known.tried.clone_from(&known.brought);
        known.is_under_way = true;
        let revealed = self.world.reveal(Arc::clone(&spec));
        self.spawn(Wake::Revealed(None), async move {
            Wake::Revealed(revealed.await.map(Box::new))
        });
    }
}
