//! No dead file: every `.rs` is reached by `mod` from a crate root, and no name invites everything.
//!
//! The same walk says which files are only compiled for tests, for the checks that excuse tests.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Item};

use super::tree::{Manifest, file_name, folder};
use super::{Problem, Tree};

/// Names without a boundary: whatever fits nowhere else would collect there.
const MAGNETS: [&str; 4] = ["util", "common", "helpers", "misc"];

/// Reports files that nobody compiles, packages with several test binaries, and refused names.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let reached = tree.reached();
    let mut problems = Vec::new();
    for (path, _) in tree.rust() {
        if !reached.contains_key(path) {
            problems.push(Problem::new(
                path,
                1,
                "no `mod` leads to this file, so nobody compiles it",
            ));
        }
        problems.extend(refused_name(path));
    }
    for manifest in tree.manifests() {
        if test_roots(tree, &manifest).len() > 1 {
            let text = "one test binary per package: `autotests = false` and one [[test]]";
            problems.push(Problem::new(manifest.path, 1, text));
        }
    }
    problems
}

fn refused_name(path: &str) -> Option<Problem> {
    let stem = file_name(path).strip_suffix(".rs")?;
    if stem == "mod" {
        return Some(Problem::new(
            path,
            1,
            "write `name.rs` beside `name/` instead of `mod.rs`",
        ));
    }
    let magnet = MAGNETS
        .iter()
        .find(|name| stem == **name || stem == format!("{name}s"))?;
    Some(Problem::new(
        path,
        1,
        format!("`{magnet}` has no boundary; name the file for what is in it"),
    ))
}

/// What [`Tree::reached`] keeps.
pub(super) fn reached(tree: &Tree) -> BTreeMap<String, bool> {
    let mut reached = BTreeMap::new();
    for manifest in tree.manifests() {
        for root in roots(tree, &manifest) {
            visit(tree, &root, folder(&root), false, &mut reached);
        }
        for root in test_roots(tree, &manifest) {
            visit(tree, &root, folder(&root), true, &mut reached);
        }
    }
    reached
}

/// The files of shipped code: compiled, and not for tests only.
pub(crate) fn shipped(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.rust()
        .filter(|(path, _)| tree.reached().get(*path) == Some(&false))
}

/// The crate roots that Cargo finds by itself, apart from the tests.
fn roots(tree: &Tree, manifest: &Manifest<'_>) -> Vec<String> {
    let at = |path: &str| format!("{}/{path}", manifest.folder);
    let fixed = ["src/lib.rs", "src/main.rs", "build.rs"].map(at);
    let mut roots = fixed
        .into_iter()
        .filter(|path| tree.text(path).is_some())
        .collect::<Vec<_>>();
    for found in ["src/bin/", "examples/", "benches/"] {
        roots.extend(files_in(tree, &at(found)));
    }
    let (start, end) = (at("src/bin/"), "/main.rs");
    let is_program = |path: &&str| path.starts_with(&start) && path.ends_with(end);
    roots.extend(
        tree.rust()
            .map(|(path, _)| path)
            .filter(is_program)
            .map(str::to_owned),
    );
    roots
}

/// Test binaries: those named in the manifest, or every file of `tests/`.
fn test_roots(tree: &Tree, manifest: &Manifest<'_>) -> BTreeSet<String> {
    let named = manifest.table.get("test").and_then(toml::Value::as_array);
    let paths = named
        .into_iter()
        .flatten()
        .filter_map(|test| test.get("path")?.as_str());
    let mut roots = paths
        .map(|path| format!("{}/{path}", manifest.folder))
        .collect::<BTreeSet<_>>();
    let finds = manifest
        .table
        .get("package")
        .and_then(|package| package.get("autotests"));
    if finds.and_then(toml::Value::as_bool) != Some(false) {
        roots.extend(files_in(tree, &format!("{}/tests/", manifest.folder)));
    }
    roots
}

fn files_in(tree: &Tree, start: &str) -> Vec<String> {
    let is_direct = |path: &str| {
        path.strip_prefix(start)
            .is_some_and(|rest| !rest.contains('/'))
    };
    tree.rust()
        .map(|(path, _)| path)
        .filter(|path| is_direct(path))
        .map(str::to_owned)
        .collect()
}

/// Follows the `mod` items of one file. `home` is the folder in which its modules lie.
fn visit(tree: &Tree, path: &str, home: &str, is_test: bool, reached: &mut BTreeMap<String, bool>) {
    let known = reached.get(path).copied();
    if known == Some(false) || known == Some(is_test) {
        return;
    }
    let Some(text) = tree.text(path) else { return };
    reached.insert(path.to_owned(), is_test);
    if let Ok(file) = syn::parse_file(text) {
        follow(
            tree,
            &file.items,
            home,
            is_test || is_for_tests(&file.attrs),
            reached,
        );
    }
}

fn follow(
    tree: &Tree,
    items: &[Item],
    home: &str,
    is_test: bool,
    reached: &mut BTreeMap<String, bool>,
) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let is_test = is_test || is_for_tests(&module.attrs);
        let inside = format!("{home}{}/", module.ident);
        match &module.content {
            Some((_, items)) => follow(tree, items, &inside, is_test, reached),
            None => {
                let file = format!("{home}{}.rs", module.ident);
                visit(tree, &file, &inside, is_test, reached);
            }
        }
    }
}

/// True for an item under `#[cfg(test)]` or `#[test]`.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        let word = attribute.parse_args::<syn::Ident>();
        attribute.path().is_ident("test") || (is_cfg && word.is_ok_and(|word| word == "test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: (&str, &str) = ("a/Cargo.toml", "[package]\nname = \"a\"\n");

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let mut files = files.to_vec();
        files.push(MANIFEST);
        check(&Tree::of(&files))
            .into_iter()
            .map(|one| one.path)
            .collect()
    }

    #[test]
    fn modules_lie_beside_and_below() {
        let tree = [
            ("a/src/lib.rs", "mod b; mod inline { mod d; }"),
            ("a/src/b.rs", "mod c;"),
            ("a/src/b/c.rs", ""),
            ("a/src/inline/d.rs", ""),
            ("a/tests/main.rs", "mod e;"),
            ("a/tests/e/f.rs", ""),
        ];
        assert_eq!(found(&tree), ["a/tests/e/f.rs"]);
    }

    #[test]
    fn a_second_test_binary_is_reported() {
        let tree = [("a/tests/main.rs", "mod e;"), ("a/tests/e.rs", "")];
        assert_eq!(found(&tree), ["a/Cargo.toml"]);
    }

    #[test]
    fn names_without_a_boundary_are_refused() {
        let tree = [
            ("a/src/lib.rs", "mod util; mod helpers; mod command;"),
            ("a/src/util.rs", ""),
            ("a/src/helpers.rs", ""),
            ("a/src/command.rs", ""),
        ];
        assert_eq!(found(&tree), ["a/src/helpers.rs", "a/src/util.rs"]);
    }

    #[test]
    fn files_for_tests_only_are_known() {
        let tree = Tree::of(&[
            MANIFEST,
            ("a/src/lib.rs", "mod b; #[cfg(test)] mod c;"),
            ("a/src/b.rs", ""),
            ("a/src/c.rs", ""),
            ("a/tests/main.rs", ""),
        ]);
        let shipped = shipped(&tree).map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(shipped, ["a/src/b.rs", "a/src/lib.rs"]);
    }
}
