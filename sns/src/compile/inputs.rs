//! Whether a release that exists was compiled from what its author has now: the text that it keeps is made
//! again, with the ports that it remembers, and compared. Configs are not looked at: they have a verb of their
//! own.

use std::fs;

use hostfiles::{ClusterVars, ReleaseDir};
use podspec::{Preprocessed, Shape};

use super::Compiler;
use crate::ports;
use crate::project::Host;
use crate::variables::{self, Source};

impl Compiler<'_> {
    /// True when the pod.yaml, its program or the variables of the cluster are others than those of the release
    /// that a host has. A release that does not keep its text, or of which that cannot be told, counts as
    /// unchanged.
    pub(super) fn has_other_inputs(&self, host: &Host) -> bool {
        let files = host.dir.release(&self.release());
        let kept = fs::read_to_string(files.source());
        let (Ok(kept), Ok(vars)) = (kept, self.cluster.vars()) else {
            return false;
        };
        let remembered = ports::read_first_line(&kept);
        let mut value = |variable: &str| match variables::source(&self.pod, variable) {
            Source::AutomaticPort => {
                let port = remembered.iter().find(|(name, _)| name == variable);
                // One that is new in the text differs from any number.
                Some(port.map_or_else(|| "new".to_owned(), |(_, port)| port.to_string()))
            }
            source => self.value(&vars, source),
        };
        let now = podspec::preprocess(&self.text, &mut value);
        let has_other_text = ports::without_first_line(&kept).is_some_and(|text| text != now.text);
        has_other_text || self.has_other_program(&now, &files)
    }

    /// The same for the file of a foreign program.
    fn has_other_program(&self, now: &Preprocessed, files: &ReleaseDir) -> bool {
        if self.header.runtime != Shape::EXECUTABLE {
            return false;
        }
        let draft = podspec::parse(now, &self.pod, &Shape::executable()).ok();
        let program = draft.and_then(|draft| self.program(&draft)?.ok());
        let kept = fs::read(files.pod()).ok();
        program
            .zip(kept)
            .is_some_and(|(program, kept)| program.content != kept)
    }

    /// The value of a variable that is no automatic port.
    pub(super) fn value(&self, vars: &ClusterVars, source: Source) -> Option<String> {
        match source {
            Source::PodVersion => Some(self.header.pod_version.to_string()),
            Source::AutomaticPort => None,
            Source::ClusterVars { name, optional } => vars
                .get(&name)
                .map(str::to_owned)
                .or_else(|| optional.then(String::new)),
        }
    }
}
