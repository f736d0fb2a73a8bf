//! The files that a daemon leaves to the next one. They are replaced one after the other, each as a whole,
//! so a daemon that is killed meanwhile leaves new ones beside old ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use hostfiles::{Format, PodStatus};
use names::UnitName;
use podspec::CompiledPod;
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
    files: BTreeMap<Name, String>,
}

impl Disk {
    /// Replaces one of the files of a paper.
    pub(super) fn replace(&mut self, name: Name, paper: &Paper) {
        let text = match (name, &paper.memory) {
            (Name::Hand, _) if paper.hand.is_empty() => None,
            (Name::Hand, _) => Some(serde_json::to_string(&paper.hand).unwrap()),
            (Name::Status, _) => Some(paper.status.to_text()),
            // It would be a directory with nothing but a memory.
            (Name::Memory, Some(memory)) if self.remains => {
                Some(serde_json::to_string(memory).unwrap())
            }
            (Name::Memory, _) => return,
        };
        match text {
            Some(text) => self.files.insert(name, text),
            None => self.files.remove(&name),
        };
    }

    pub(super) fn memory(&self) -> Memory {
        self.read(Name::Memory)
    }

    pub(super) fn hand(&self) -> Hand {
        self.read(Name::Hand)
    }

    /// The directory of what the pod made is removed with everything in it.
    pub(super) fn remove(&mut self) {
        self.spec = None;
        self.exited.clear();
        self.remains = false;
        self.files.remove(&Name::Memory);
    }

    /// Every file that is there can be read, and says after reading what was written.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(text) = self.files.get(&Name::Status) else {
            return Ok(());
        };
        let status = PodStatus::parse(text).map_err(|error| format!(".pod.status: {error}"))?;
        match status.to_text() == *text {
            true => Ok(()),
            false => Err(format!(
                ".pod.status is read otherwise than written: {text}"
            )),
        }
    }

    fn read<T: Default + DeserializeOwned>(&self, name: Name) -> T {
        let text = self.files.get(&name);
        text.map_or_else(T::default, |text| serde_json::from_str(text).unwrap())
    }
}
