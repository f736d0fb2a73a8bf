//! `cargo xtask tidy`: the guard rails that no compiler and no lint knows.
//!
//! Each check is a pure function from the [`Tree`] of sources to problems, in a file of its own, with a
//! test that makes it fail. It also runs as a test, so nobody needs to remember it.

mod contract;
mod floors;
mod formats;
mod functions;
mod golden;
mod lengths;
mod manifests;
mod modules;
mod printing;
mod purity;
mod todo;
mod tree;

use std::fmt;

use anyhow::{Result, bail};

use crate::ui;
use crate::workspace::Workspace;
pub(crate) use tree::Tree;

/// Something that breaks a rule of the house, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    path: String,
    line: usize,
    message: String,
}

impl Problem {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A check: its name and what it does.
type Check = (&'static str, fn(&Tree) -> Vec<Problem>);

const CHECKS: [Check; 11] = [
    ("floors", floors::check),
    ("purity", purity::check),
    ("manifests", manifests::check),
    ("modules", modules::check),
    ("functions", functions::check),
    ("lengths", lengths::check),
    ("printing", printing::check),
    ("todo", todo::check),
    ("golden", golden::check),
    ("formats", formats::check),
    ("contract", contract::check),
];

/// Places that may stay as they are, as `path` with the reason. The list starts empty and may only
/// shrink; one that is no longer needed is a problem itself.
const EXCEPTIONS: [(&str, &str); 0] = [];

/// Runs all checks on the working tree and insists that none finds anything.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let problems = problems(&Tree::read(&workspace.root)?, &EXCEPTIONS);
    for problem in &problems {
        ui::print(&problem.to_string());
    }
    if !problems.is_empty() {
        bail!("tidy has found {} problems", problems.len());
    }
    ui::say(&format!("tidy: {} checks, no problem", CHECKS.len()));
    Ok(())
}

fn problems(tree: &Tree, exceptions: &[(&str, &str)]) -> Vec<Problem> {
    let all = CHECKS
        .iter()
        .flat_map(|(_, check)| check(tree))
        .collect::<Vec<_>>();
    let is_stale = |path: &str| all.iter().all(|problem| problem.path != path);
    let stale = exceptions.iter().filter(|(path, _)| is_stale(path));
    let mut found = stale
        .map(|(path, _)| Problem::new(path, 1, "this exception of tidy is no longer needed"))
        .collect::<Vec<_>>();
    let is_excused = |problem: &Problem| exceptions.iter().any(|(path, _)| *path == problem.path);
    found.extend(all.iter().filter(|problem| !is_excused(problem)).cloned());
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let root = Workspace::find().unwrap().root;
        let problems = problems(&Tree::read(&root).unwrap(), &EXCEPTIONS);
        let text = problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(problems.is_empty(), "\n{text}\n");
    }

    #[test]
    fn an_exception_is_used_or_reported() {
        let tree = Tree::of(&[
            ("docs/ARCHITECTURE.md", floors::EMPTY_TABLE),
            ("a/mod.rs", ""),
        ]);
        let found = |exceptions: &[(&str, &str)]| {
            problems(&tree, exceptions)
                .iter()
                .map(|one| one.path.clone())
                .collect::<Vec<_>>()
        };
        assert!(found(&[]).contains(&"a/mod.rs".to_owned()));
        assert!(!found(&[("a/mod.rs", "a test")]).contains(&"a/mod.rs".to_owned()));
        assert!(found(&[("gone.rs", "a test")]).contains(&"gone.rs".to_owned()));
    }

    /// Every file of `tidy/` is a check that runs, or the tree itself.
    #[test]
    fn every_check_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tidy");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, CHECKS.len() + 1);
    }
}
