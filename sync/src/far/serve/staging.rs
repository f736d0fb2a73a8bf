//! Staging and applying over a connection: contents come, plugins are tried, and everything takes its place when the
//! near end says so.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::super::contents::{Content, Contents as _};
use super::super::effects::Effects;
use super::super::incoming::{Incoming, IncomingError};
use super::super::journal::SyncDir;
use super::super::{FarError, Marks, places};
use super::refusal::{of, refused};
use super::{Answered, Locked, Session};
use crate::chunks::Recipe;
use crate::wire::{Answer, Ask, Frame, Refusal, RefusalKind, WireError};
use crate::{Digest, Plan, Tree, needs};

/// What is to be staged.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) wanted: &'a Tree,
    pub(super) marks: &'a Marks,
}

impl Session<'_> {
    /// Takes the contents, stages, and applies when it is asked to.
    pub(super) fn stage(
        &mut self,
        locked: &mut Locked,
        stage: &Stage<'_>,
        recipes: &BTreeMap<Digest, Recipe>,
    ) -> Result<(), WireError> {
        let directory = SyncDir::of(&self.home).incoming();
        let needed = needs::contents(stage.plan, stage.wanted);
        let places = places::of(&self.home, &locked.present);
        let effects = &mut locked.far.effects;
        let begun = Incoming::begin(directory.clone(), &needed, recipes, &places, effects);
        let mut incoming = match begun {
            Ok((incoming, need)) => {
                self.answer(Ok(Answer::Need(need)))?;
                incoming
            }
            Err(error) => return self.answer(Err(of(&FarError::Unchanged(error)))),
        };
        match self.take(&mut incoming, effects) {
            Ok(()) => {}
            Err(IncomingError::Wire(error)) => return Err(error),
            Err(IncomingError::Effect(error)) => {
                return self.answer(Err(of(&FarError::Unchanged(error))));
            }
        }
        let share = locked.far.lock.share();
        let staged = locked
            .far
            .stage(stage.plan, stage.wanted, &incoming, stage.marks)
            .map_err(|error| of(&error));
        let staged = staged.and_then(|staged| {
            self.try_plugins(staged.plugins(), stage, &incoming)?;
            Ok(staged)
        });
        let staged = match staged {
            Ok(staged) => staged,
            Err(refusal) => return self.answer(Err(refusal)),
        };
        self.answer(Ok(Answer::Done))?;
        let Some(Ask::Apply) = self.ask()? else {
            return Ok(());
        };
        let applied = staged.apply().map_err(|error| of(&error));
        let applied = applied.and_then(|()| match &stage.marks.confirmation {
            Some(_) => self.wait(share),
            None => Ok(Answer::Done),
        });
        // What cannot be removed now serves the next sync.
        let _ = std::fs::remove_dir_all(&directory);
        self.answer(applied)
    }

    /// Takes contents until all were sent. A host that cannot keep them still hears the near end out.
    fn take(&self, incoming: &mut Incoming, effects: &mut Effects) -> Result<(), IncomingError> {
        let mut failure = None;
        loop {
            let taken = match self.channel.receive()? {
                Frame::Contents(_) | Frame::Piece(_) if failure.is_some() => Ok(()),
                Frame::Contents(contents) => incoming.take_contents(contents, effects),
                Frame::Piece(piece) => incoming.take_piece(&piece, effects),
                message => match message.parse::<Ask>()? {
                    Ask::Sent => return failure.map_or_else(|| incoming.finish(), Err),
                    _ => Err(WireError::Broken("a question among contents".to_owned()).into()),
                },
            };
            match taken {
                Err(error @ IncomingError::Effect(_)) => failure = Some(error),
                taken => taken?,
            }
        }
    }

    fn try_plugins(
        &mut self,
        arriving: &BTreeMap<String, PathBuf>,
        stage: &Stage<'_>,
        incoming: &Incoming,
    ) -> Result<(), Refusal> {
        if arriving.is_empty() {
            return Ok(());
        }
        let granted = stage.wanted.plugins_yaml.map(|digest| {
            let arrives = incoming.content(&digest);
            match arrives {
                Ok(Content::Bytes(bytes)) => Ok(bytes),
                Ok(Content::File(path)) => std::fs::read(path),
                Err(_) => std::fs::read(self.home.plugins_yaml()),
            }
        });
        let granted = granted.transpose().map_err(|error| {
            refused(
                RefusalKind::Plugin,
                format!("cannot tell what plugins may do: {error}"),
            )
        })?;
        let granted = granted.unwrap_or_default();
        self.hooks
            .try_plugins(arriving, &String::from_utf8_lossy(&granted))
    }

    fn wait(&mut self, lock: io::Result<File>) -> Answered {
        let waits = lock.and_then(|lock| self.hooks.wait_to_be_confirmed(&self.home, lock));
        waits.map(|()| Answer::Done).map_err(|error| {
            refused(
                RefusalKind::Failed,
                format!("nobody waits on the host for the confirmation, so it goes back: {error}"),
            )
        })
    }
}
