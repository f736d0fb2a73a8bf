//! What is staged for one host, between the last moment at which nothing has changed and the first at which
//! all of it will.
//!
//! Must not know how the stage was filled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::confirm::is_unconfirmed;
use super::contents::Contents;
use super::journal::{Journal, SyncDir};
use super::stage::{JOURNAL, Stager};
use super::{Far, FarError, Marks, journal_open};
use crate::{Plan, Tree};

/// What is staged for one host, ready to be applied. Dropped, it is thrown away.
#[derive(Debug)]
pub struct Staged<'far> {
    far: &'far mut Far,
    tree: &'far Tree,
    marks: &'far Marks,
    journal: Option<Journal>,
    plugins: BTreeMap<String, PathBuf>,
}

pub(super) fn stage<'far>(
    far: &'far mut Far,
    plan: &Plan,
    tree: &'far Tree,
    contents: &dyn Contents,
    marks: &'far Marks,
) -> Result<Staged<'far>, FarError> {
    let mut staged = Staged {
        far,
        tree,
        marks,
        journal: None,
        plugins: BTreeMap::new(),
    };
    if !plan.is_empty() {
        // From here on a failure drops `staged`, which throws the stage away.
        let (journal, plugins) = Stager::new(staged.far, tree, contents)?.stage(plan, marks)?;
        staged.journal = Some(journal);
        staged.plugins = plugins;
    }
    Ok(staged)
}

impl Staged<'_> {
    /// The plugin components that arrive, by file name, where they lie now: the caller tries them before it
    /// applies.
    #[must_use]
    pub fn plugins(&self) -> &BTreeMap<String, PathBuf> {
        &self.plugins
    }

    /// Puts everything into its place, the commits last.
    ///
    /// # Errors
    /// [`FarError::Unchanged`]: the host is as before. [`FarError::Unfinished`]: the journal stays open, and
    /// [`super::recover`] or the next sync goes on from there.
    pub fn apply(mut self) -> Result<(), FarError> {
        let home = self.far.home.clone();
        let Some(journal) = self.journal.take() else {
            return match &self.marks.chain {
                Some(chain) => self.far.record(chain, self.tree),
                None => Ok(()),
            };
        };
        let directory = SyncDir::of(&home);
        let effects = &mut self.far.effects;
        let opened = effects.rename(&directory.stage().join(JOURNAL), &directory.journal());
        if let Err(error) = opened {
            self.journal = Some(journal);
            return Err(FarError::Unchanged(error));
        }
        effects
            .sync(directory.path())
            .map_err(FarError::Unfinished)?;
        journal.run(&home, effects).map_err(FarError::Unfinished)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        let directory = SyncDir::of(&self.far.home);
        if !journal_open(&self.far.home) {
            // What cannot be removed now is removed by the next sync.
            let _ = self.far.effects.remove_tree(&directory.stage());
            if !is_unconfirmed(&self.far.home) {
                let _ = self.far.effects.remove_tree(&directory.former());
            }
        }
    }
}
