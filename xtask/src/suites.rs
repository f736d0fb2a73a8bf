//! `cargo xtask test`, `ci` and `soak`: every check of this repository, suite by suite, with the minutes
//! that each took.
//!
//! A failed suite does not hide the others: all run, and the end says which failed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::program::{Program, is_installed};
use crate::workspace::Workspace;
use crate::{cluster, demo, packages, plugins, tidy, ui};

/// One group of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Formatting
    Fmt,
    /// The guard rails of the house
    Tidy,
    /// Plugins and programs
    Build,
    /// Lints, with warnings as errors
    Clippy,
    /// Unit and integration tests
    Tests,
    /// The documentation builds and its examples run
    Docs,
    /// Licences and banned dependencies, where cargo-deny is installed
    Deny,
    /// The demo from nothing to the end
    Demo,
    /// The typical cluster of five hosts, until its page is served
    Cluster,
}

/// What `cargo xtask test` runs, cheap and telling first.
const TEST: [Suite; 6] = [
    Suite::Fmt,
    Suite::Tidy,
    Suite::Build,
    Suite::Clippy,
    Suite::Tests,
    Suite::Docs,
];

/// What CI runs.
const CI: [Suite; 9] = [
    Suite::Fmt,
    Suite::Tidy,
    Suite::Build,
    Suite::Clippy,
    Suite::Tests,
    Suite::Docs,
    Suite::Deny,
    Suite::Demo,
    Suite::Cluster,
];

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these suites
    #[arg(long, value_enum, value_name = "NAME")]
    suite: Vec<Suite>,
}

/// Runs the named suites, or all that a developer runs before a commit.
pub(crate) fn test(workspace: &Workspace, options: &Options) -> Result<()> {
    let asked = if options.suite.is_empty() {
        &TEST[..]
    } else {
        &options.suite
    };
    run(workspace, asked, None)
}

/// Runs everything.
pub(crate) fn ci(workspace: &Workspace) -> Result<()> {
    run(workspace, &CI, None)
}

/// Runs the tests with the full counts of their properties and simulations.
pub(crate) fn soak(workspace: &Workspace) -> Result<()> {
    run(workspace, &[Suite::Build, Suite::Tests], Some("100"))
}

/// One line of the table at the end.
struct Row {
    suite: Suite,
    took: Duration,
    outcome: Result<()>,
}

fn run(workspace: &Workspace, suites: &[Suite], soak: Option<&str>) -> Result<()> {
    packages::install(&[&packages::RUN[..], &packages::CONTAINERS].concat())?;
    let mut rows = Vec::new();
    for suite in suites {
        ui::say(&format!("\n== {}", suite.name()));
        let start = Instant::now();
        let outcome = suite.run(workspace, soak);
        if let Err(error) = &outcome {
            ui::say(&format!("error: {error:#}"));
        }
        rows.push(Row {
            suite: *suite,
            took: start.elapsed(),
            outcome,
        });
    }
    ui::say(&table(&rows));
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    if failed > 0 {
        bail!("{failed} of {} suites failed", rows.len());
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut text = "\nsuite     minutes  result\n".to_owned();
    for Row {
        suite,
        took,
        outcome,
    } in rows
    {
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        text += &format!(
            "{:8} {:8.1}  {word}\n",
            suite.name(),
            took.as_secs_f64() / 60.0
        );
    }
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    text + &format!("suites: {} passed, {failed} failed", rows.len() - failed)
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Build => "build",
            Self::Clippy => "clippy",
            Self::Tests => "tests",
            Self::Docs => "docs",
            Self::Deny => "deny",
            Self::Demo => "demo",
            Self::Cluster => "cluster",
        }
    }

    fn run(self, workspace: &Workspace, soak: Option<&str>) -> Result<()> {
        let cargo = || Program::cargo().directory(&workspace.root);
        match self {
            Self::Fmt => cargo().args(["fmt", "--all", "--check"]).run(),
            Self::Tidy => tidy::run(workspace),
            Self::Build => build(workspace),
            Self::Clippy => cargo()
                .args(
                    "clippy --workspace --all-targets --all-features --quiet -- -D warnings"
                        .split(' '),
                )
                .run(),
            Self::Tests => tests(workspace, soak),
            Self::Docs => docs(workspace),
            Self::Deny => deny(workspace),
            Self::Demo => demo::run(workspace, &demo::Options { once: true }),
            Self::Cluster => cluster::run(workspace, &cluster::Options { once: true }),
        }
    }
}

/// Tests start the built programs and load the built plugins, so both are built first.
fn build(workspace: &Workspace) -> Result<()> {
    plugins::build(workspace, &plugins::Options::default())?;
    Program::cargo()
        .directory(&workspace.root)
        .args(["build", "--workspace", "--bins"])
        .run()
}

fn tests(workspace: &Workspace, soak: Option<&str>) -> Result<()> {
    let cargo = Program::cargo().directory(&workspace.root);
    let runner = if is_installed("cargo-nextest") {
        cargo.args(["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        cargo.args(["test", "--workspace", "--all-targets", "--no-fail-fast"])
    };
    match soak {
        Some(percent) => runner.env("SOAK", percent).run(),
        None => runner.run(),
    }
}

fn docs(workspace: &Workspace) -> Result<()> {
    let cargo = || {
        Program::cargo()
            .directory(&workspace.root)
            .env("RUSTDOCFLAGS", "-D warnings")
    };
    cargo()
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--quiet",
        ])
        .run()
        .context("the documentation does not build")?;
    cargo()
        .args(["test", "--workspace", "--doc", "--quiet"])
        .run()
}

/// cargo-deny is no requirement: building it takes longer than all suites together.
fn deny(workspace: &Workspace) -> Result<()> {
    if !is_installed("cargo-deny") {
        ui::say("deny: NOT RUN, cargo-deny is not installed (`cargo install cargo-deny`)");
        return Ok(());
    }
    let cargo = Program::cargo().directory(&workspace.root);
    cargo
        .args(["deny", "check", "bans", "licenses", "sources"])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_with_the_sum() {
        let row = |suite, seconds, outcome| Row {
            suite,
            took: Duration::from_secs(seconds),
            outcome,
        };
        let rows = [
            row(Suite::Fmt, 3, Ok(())),
            row(Suite::Tests, 90, Err(anyhow::anyhow!("two tests failed"))),
        ];
        let expected = "\nsuite     minutes  result\n\
            fmt           0.1  passed\n\
            tests         1.5  FAILED\n\
            suites: 1 passed, 1 failed";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn ci_leaves_no_suite_out() {
        let all = <Suite as clap::ValueEnum>::value_variants();
        assert_eq!(all.iter().filter(|suite| !CI.contains(suite)).count(), 0);
        assert!(TEST.iter().all(|suite| CI.contains(suite)));
    }
}
