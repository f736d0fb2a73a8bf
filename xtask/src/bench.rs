//! `cargo xtask bench`: what the design promises, measured through the programs, beside the figures of
//! the original and the cost of starting a shell in the same run.
//!
//! Release builds only. A figure is the median of its rounds.

mod crowd;
mod fleet;
mod one_host;
mod table;
mod timing;

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::crowd::Crowd;
use crate::bench::fleet::Fleet;
use crate::bench::table::{Figure, Row};
use crate::program::Program;
use crate::workspace::{Profile, Workspace};
use crate::{packages, plugins, ui};

/// Builds the release programs, measures, prints the table.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    packages::install(&packages::RUN)?;
    build(workspace)?;
    let programs = workspace.programs(Profile::Release);
    ui::say("bench: a shell");
    let shell = timing::shell()?;
    ui::say("bench: a fleet of 14 hosts");
    let fleet = Fleet::make(&programs)?;
    let mut rows = vec![fleet.compile()?];
    rows.extend(fleet.sync()?);
    ui::say("bench: one host with its daemon");
    rows.push(one_host::state_change(&programs)?);
    ui::say("bench: one host with 200 pods");
    let crowd = Crowd::gather(&programs)?;
    rows.push(crowd.restart()?);
    ui::say("bench: the same for two minutes without any event");
    rows.extend(crowd.idle()?);
    drop(crowd);
    ui::say("bench: a plugin call");
    rows.push(plugin_call(workspace, &fleet)?);
    ui::print(&table::text(&rows, shell));
    Ok(())
}

fn build(workspace: &Workspace) -> Result<()> {
    let cargo = || Program::cargo().directory(&workspace.root);
    let programs = [
        "--package",
        "sns",
        "--package",
        "simplenetesd",
        "--package",
        "sns-proxy",
    ];
    cargo()
        .args(["build", "--release", "--bins"])
        .args(programs)
        .run()?;
    cargo()
        .args([
            "build",
            "--release",
            "--package",
            "xtask",
            "--features",
            "plugin-call",
        ])
        .args(["--bin", "plugin-call"])
        .run()?;
    let beside = plugins::Options {
        profile: Some(Profile::Release),
        ..plugins::Options::default()
    };
    plugins::build(workspace, &beside)
}

fn plugin_call(workspace: &Workspace, fleet: &Fleet) -> Result<Row> {
    let programs = workspace.programs(Profile::Release);
    let version = workspace
        .packages
        .iter()
        .find(|package| package.name == "native-runtime");
    let version = &version
        .context("the workspace has no native-runtime")?
        .version;
    let cache = tempfile::tempdir()?;
    let nanoseconds = Program::new(programs.join("plugin-call"))
        .arg(
            programs
                .join("plugins")
                .join(format!("native-runtime-{version}.wasm")),
        )
        .arg(fleet.compiled_pod())
        .arg(cache.path())
        .output()?;
    let ours = Duration::from_nanos(nanoseconds.trim().parse()?);
    Ok(Row {
        what: "plugin call, fresh sandbox",
        original: "16 ms",
        figure: Figure::Time {
            target: Duration::from_micros(100),
            ours,
        },
    })
}
