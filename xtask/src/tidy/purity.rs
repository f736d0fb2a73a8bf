//! A package whose effects are `none` in the floor table touches nothing: no file, no socket, no
//! process, no environment and no clock. So its tests are tables.

use syn::visit::{self, Visit};
use syn::{ItemMod, UseTree};

use super::floors::table;
use super::modules::{is_for_tests, shipped};
use super::{Problem, Tree};

/// The parts of `std` that reach outside.
const EFFECTS: [&str; 5] = ["fs", "net", "process", "env", "thread"];

/// What of `std::net` is only a value.
const ADDRESSES: [&str; 4] = ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr"];

/// The types of `std::time` that read a clock.
const CLOCKS: [&str; 2] = ["SystemTime", "Instant"];

/// Reports every effect in a package that has none.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let rows = table(tree.text("docs/ARCHITECTURE.md").unwrap_or_default());
    let pure = rows.values().filter(|row| row.effects == "none");
    let folders = pure
        .map(|row| format!("{}/src/", row.folder))
        .collect::<Vec<_>>();
    shipped(tree)
        .filter(|(path, _)| folders.iter().any(|folder| path.starts_with(folder)))
        .flat_map(|(path, text)| effects(path, text))
        .collect()
}

fn effects(path: &str, text: &str) -> Vec<Problem> {
    let mut finder = Finder {
        path,
        problems: Vec::new(),
    };
    if let Ok(file) = syn::parse_file(text) {
        finder.visit_file(&file);
    }
    finder.problems
}

struct Finder<'a> {
    path: &'a str,
    problems: Vec<Problem>,
}

impl Finder<'_> {
    fn judge(&mut self, names: &[&syn::Ident]) {
        let words = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let words = words.iter().map(String::as_str).collect::<Vec<_>>();
        let is_effect = match words.as_slice() {
            ["std", "time", name, ..] => CLOCKS.contains(name),
            ["std", "net", name, ..] => !ADDRESSES.contains(name),
            ["std", name, ..] => EFFECTS.contains(name),
            _ => false,
        };
        if let (true, Some(first)) = (is_effect, names.first()) {
            let text = format!("`{}` in a package without effects", words.join("::"));
            self.problems
                .push(Problem::new(self.path, first.span().start().line, text));
        }
    }

    fn judge_use<'a>(&mut self, tree: &'a UseTree, above: &[&'a syn::Ident]) {
        let with = |name| above.iter().copied().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.judge_use(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.judge(&with(&name.ident)),
            UseTree::Rename(name) => self.judge(&with(&name.ident)),
            UseTree::Glob(_) => self.judge(above),
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|one| self.judge_use(one, above)),
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.judge_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.judge(
            &path
                .segments
                .iter()
                .map(|segment| &segment.ident)
                .collect::<Vec<_>>(),
        );
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, expected: &[&str]) {
        let found = effects("a.rs", code);
        assert_eq!(
            found
                .iter()
                .map(|one| one.message.as_str())
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn effects_are_found_in_imports_and_paths() {
        check(
            "use std::{collections::BTreeMap, fs};",
            &["`std::fs` in a package without effects"],
        );
        check(
            "use std::env::*;",
            &["`std::env` in a package without effects"],
        );
        check(
            "fn f() { std::process::exit(1) }",
            &["`std::process::exit` in a package without effects"],
        );
        check(
            "use std::time::{Duration, Instant};",
            &["`std::time::Instant` in a package without effects"],
        );
        check(
            "use std::net::{IpAddr, TcpStream};",
            &["`std::net::TcpStream` in a package without effects"],
        );
        check("use std::fmt; #[cfg(test)] mod tests { use std::fs; }", &[]);
    }

    #[test]
    fn only_packages_without_effects_are_judged() {
        let table = "| floor | package | folder | may import | effects |\n\
            | 0 | a | a/ | – | none |\n| 0 | b | b/ | – | files |\n";
        let tree = Tree::of(&[
            ("docs/ARCHITECTURE.md", table),
            ("a/Cargo.toml", "[package]\nname = \"a\"\n"),
            ("b/Cargo.toml", "[package]\nname = \"b\"\n"),
            ("a/src/lib.rs", "use std::fs;"),
            ("b/src/lib.rs", "use std::fs;"),
        ]);
        let paths = super::check(&tree)
            .into_iter()
            .map(|one| one.path)
            .collect::<Vec<_>>();
        assert_eq!(paths, ["a/src/lib.rs"]);
    }
}
