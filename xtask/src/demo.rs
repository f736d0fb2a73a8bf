//! `cargo xtask demo`: a cluster of one host on this machine, from nothing to a page, a reload and a
//! restart, with the commands that a person would type.
//!
//! Everything lies in one temporary folder and is gone afterwards.

mod address;
mod scenes;
mod stage;

use anyhow::{Context as _, Result};

use crate::demo::stage::Stage;
use crate::program::Program;
use crate::workspace::{Profile, Workspace};
use crate::{packages, plugins, ui};

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// End after the last scene instead of staying until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
}

/// Builds everything, plays the scenes and cleans up, also after an error or Ctrl-C.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    packages::install(&packages::RUN)?;
    build(workspace)?;
    let mut stage = Stage::open(workspace)?;
    let played = scenes::play(&mut stage);
    if played.is_ok() && !options.once {
        scenes::invite(&stage);
        stage.stay();
    }
    let played = played.with_context(|| stage.complaint());
    let closed = stage.close();
    played.and(closed)
}

pub(crate) use self::stage::{interruption, line};

/// Builds the plugins and the programs with their progress in the terminal.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    ui::say("building the plugins and the programs; the first time takes some minutes");
    let beside = plugins::Options {
        profile: Some(Profile::Debug),
        ..plugins::Options::default()
    };
    plugins::build(workspace, &beside)?;
    let cargo = Program::cargo()
        .directory(&workspace.root)
        .args(["build", "--bins"]);
    cargo
        .args([
            "--package",
            "sns",
            "--package",
            "simplenetesd",
            "--package",
            "sns-proxy",
        ])
        .run()
}
