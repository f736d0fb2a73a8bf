//! `cargo xtask`: everything that is done with this repository beside `cargo build`.
//!
//! One module per task. Nothing here is shipped, so errors are `anyhow` and end the task.

mod bench;
mod cluster;
mod demo;
mod packages;
mod plugins;
mod program;
mod suites;
mod tidy;
mod ui;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Build, try, test and measure Simplenetes.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the runtime plugins and lay them beside the programs
    Plugins(plugins::Options),
    /// Check the guard rails of the house: floors, lengths, dead files and more
    Tidy,
    /// Make a cluster of one host in a temporary folder and show it at work
    Demo(demo::Options),
    /// Make the typical cluster of five hosts in network namespaces, to try things by hand; needs root
    Cluster(cluster::Options),
    /// Install what the tests need and run every check that a commit must pass
    Test(suites::Options),
    /// Run everything that CI runs, the demo included
    Ci,
    /// Run the tests with the full counts of their properties and simulations
    Soak,
    /// Measure what the design promises, with release builds
    Bench(bench::Options),
    /// Serve on loopback until standard input is closed: a server of a bench
    #[command(hide = true)]
    Serve(bench::ServeOptions),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    // It may run where there is no workspace.
    if let Task::Serve(options) = &task {
        return bench::serve(options);
    }
    let workspace = Workspace::find()?;
    match task {
        Task::Plugins(options) => plugins::build(&workspace, &options),
        Task::Tidy => tidy::run(&workspace),
        Task::Demo(options) => demo::run(&workspace, &options),
        Task::Cluster(options) => cluster::run(&workspace, &options),
        Task::Test(options) => suites::test(&workspace, &options),
        Task::Ci => suites::ci(&workspace),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Soak => suites::soak(&workspace),
        Task::Serve(options) => bench::serve(&options),
    }
}
