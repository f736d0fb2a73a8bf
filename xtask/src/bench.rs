//! `cargo xtask bench`: what the design promises, measured through the programs, beside the figures of
//! the original and the cost of starting a shell in the same run.
//!
//! Release builds only. A figure is the median of its rounds.

mod containers;
mod crowd;
mod fleet;
mod one_host;
mod proxy;
mod sync;
mod table;
mod timing;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::crowd::Crowd;
use crate::bench::fleet::Fleet;
use crate::bench::table::{Figure, Row};
use crate::program::Program;
use crate::workspace::{Profile, Workspace};
use crate::{packages, plugins, ui};

/// What belongs together and is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Compile and sync of a fleet of 14 hosts, and a plugin call
    Fleet,
    /// One host with its daemon, then with 200 pods
    Host,
    /// 50 container pods under podman
    Containers,
    /// The cluster proxy beside HAProxy and nginx
    Proxy,
    /// Syncs of 1, 5 and 20 hosts over SSH beside rsync and ansible
    Sync,
}

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these parts
    #[arg(long, value_enum, value_name = "NAME")]
    part: Vec<Part>,
    /// Of the part proxy only these topics
    #[arg(long, value_enum, value_name = "NAME")]
    topic: Vec<proxy::Topic>,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.part.is_empty() || self.part.contains(&part)
    }
}

pub(crate) use self::proxy::helper::{Options as ServeOptions, serve};

/// Builds the release programs, measures, prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    packages::install(&[&packages::RUN[..], &packages::CONTAINERS].concat())?;
    build(workspace, &options.part)?;
    let programs = workspace.programs(Profile::Release);
    ui::say("bench: a shell");
    let shell = timing::shell()?;
    let mut rows = Vec::new();
    for part in <Part as clap::ValueEnum>::value_variants() {
        if options.wants(*part) {
            rows.extend(part.measure(workspace, &programs, options)?);
        }
    }
    ui::print(&table::text(&rows, shell));
    Ok(())
}

impl Part {
    fn measure(
        self,
        workspace: &Workspace,
        programs: &Path,
        options: &Options,
    ) -> Result<Vec<Row>> {
        match self {
            Self::Fleet => fleet(workspace, programs),
            Self::Host => host(programs),
            Self::Containers => {
                ui::say(
                    "bench: 50 container pods, three times, then three minutes without any event",
                );
                Ok(containers::measure(programs)?.into())
            }
            Self::Proxy => {
                packages::install(&packages::PEERS)?;
                proxy::measure(programs, &options.topic)
            }
            Self::Sync => syncs(programs),
        }
    }
}

fn syncs(programs: &Path) -> Result<Vec<Row>> {
    // A machine without the peers has nothing to compare with, which is no failure of ours.
    if let Err(error) = packages::install(&packages::SYNC_PEERS) {
        ui::say(&format!("bench: syncs NOT MEASURED: {error:#}"));
        return Ok(Vec::new());
    }
    sync::measure(programs)
}

fn fleet(workspace: &Workspace, programs: &Path) -> Result<Vec<Row>> {
    ui::say("bench: a fleet of 14 hosts");
    let fleet = Fleet::make(programs)?;
    let mut rows = vec![fleet.compile()?];
    rows.extend(fleet.sync()?);
    ui::say("bench: a plugin call");
    rows.push(plugin_call(workspace, &fleet)?);
    Ok(rows)
}

fn host(programs: &Path) -> Result<Vec<Row>> {
    ui::say("bench: one host with its daemon");
    let mut rows = vec![one_host::state_change(programs)?];
    ui::say("bench: one host with 200 pods");
    let crowd = Crowd::gather(programs)?;
    rows.push(crowd.restart()?);
    ui::say("bench: the same for two minutes without any event");
    rows.extend(crowd.idle()?);
    Ok(rows)
}

fn build(workspace: &Workspace, parts: &[Part]) -> Result<()> {
    let cargo = || Program::cargo().directory(&workspace.root);
    let programs: &[&str] = match parts {
        [Part::Proxy] => &["sns-proxy"],
        [Part::Sync] => &["sns", "simplenetesd"],
        _ => &["sns", "simplenetesd", "sns-proxy"],
    };
    let named = programs.iter().flat_map(|name| ["--package", *name]);
    cargo()
        .args(["build", "--release", "--bins"])
        .args(named)
        .run()?;
    if matches!(parts, [Part::Proxy | Part::Sync]) {
        return Ok(());
    }
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
