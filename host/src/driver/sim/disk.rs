//! The files that a daemon leaves to the next one. They are replaced one after the other, each as a whole,
//! so a daemon that is killed meanwhile leaves new ones beside old ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use hostfiles::{Format, PodStatus};
use names::UnitName;
use podspec::CompiledPod;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{End, Memory, Paper};
use crate::hand::Hand;

/// One file of the release that the driver writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Hand,
    Status,
    Memory,
}

impl Name {
    /// In the order in which they are written.
    pub(super) const EACH: [Self; 3] = [Self::Hand, Self::Status, Self::Memory];
}

/// The disk of the machine, as far as the release has files on it.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) spec: Option<Arc<CompiledPod>>,
    pub(super) exited: BTreeMap<UnitName, (u64, u32, End)>,
    /// True when the directory of what the pod made is there.
    pub(super) remains: bool,
    hand: Hand,
    status: Option<PodStatus>,
    memory: Memory,
}

impl Disk {
    /// Replaces one of the files of a paper.
    pub(super) fn replace(&mut self, name: Name, paper: &Paper) {
        match (name, &paper.memory) {
            (Name::Hand, _) => self.hand = paper.hand.clone(),
            (Name::Status, _) => self.status = Some(paper.status.clone()),
            (Name::Memory, Some(memory)) if self.remains => self.memory = memory.clone(),
            // It would be a directory with nothing but a memory.
            (Name::Memory, _) => {}
        }
    }

    /// The directory of what the pod made is removed with everything in it.
    pub(super) fn remove(&mut self) {
        self.spec = None;
        self.exited.clear();
        self.remains = false;
        self.memory = Memory::default();
    }

    pub(super) fn memory(&self) -> Memory {
        read_back(&self.memory)
    }

    pub(super) fn hand(&self) -> Hand {
        read_back(&self.hand)
    }

    /// The status can be read, and says after reading what was written.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(status) = &self.status else {
            return Ok(());
        };
        let text = status.to_text();
        let read = PodStatus::parse(&text).map_err(|error| format!(".pod.status: {error}"))?;
        if read != *status {
            return Err(format!(
                ".pod.status is read otherwise than written: {text}"
            ));
        }
        Ok(())
    }
}

/// What the next daemon reads of what this one has written.
fn read_back<T: Serialize + DeserializeOwned>(written: &T) -> T {
    serde_json::from_str(&serde_json::to_string(written).unwrap()).unwrap()
}
