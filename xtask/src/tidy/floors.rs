//! The floors of the house: who may import whom stands in a table of `docs/ARCHITECTURE.md`, and the
//! manifests must say the same.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, Tree};

/// The document with the table.
const DOCUMENT: &str = "docs/ARCHITECTURE.md";

/// A floor table without packages.
#[cfg(test)]
pub(crate) const EMPTY_TABLE: &str = "| floor | package | folder | may import | effects |\n";

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    floor: Floor,
    /// The folder of the package, without a slash at the end.
    pub(crate) folder: String,
    imports: BTreeSet<String>,
    /// What the package may do beside computing; `none` for a pure one.
    pub(crate) effects: String,
}

/// A number, or beside the house: development only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Floor {
    Number(u32),
    Beside,
}

/// Reports packages without a row, rows without a package, and imports that the table does not grant.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let rows = table(tree.text(DOCUMENT).unwrap_or_default());
    if rows.is_empty() && tree.manifests().next().is_some() {
        return vec![Problem::new(DOCUMENT, 1, "the floor table is missing")];
    }
    let mut problems = upward_grants(&rows);
    let mut seen = BTreeSet::new();
    for manifest in tree.manifests() {
        let name = manifest.name().to_owned();
        match rows.get(&name) {
            None => problems.push(Problem::new(manifest.path, 1, "the package has no floor")),
            Some(row) if row.folder != manifest.folder => {
                let text = format!(
                    "`{name}` lies in {}, not in {}",
                    manifest.folder, row.folder
                );
                problems.push(Problem::new(DOCUMENT, 1, text));
            }
            Some(row) => {
                let ours = |table: &str| ours(manifest.dependencies(table), &rows);
                let refused =
                    refused_imports(row, &ours("dependencies"), &ours("dev-dependencies"), &rows);
                problems.extend(
                    refused
                        .into_iter()
                        .map(|text| Problem::new(manifest.path, 1, text)),
                );
            }
        }
        seen.insert(name);
    }
    let gone = rows.keys().filter(|name| !seen.contains(*name));
    problems.extend(
        gone.map(|name| Problem::new(DOCUMENT, 1, format!("there is no package `{name}`"))),
    );
    problems
}

/// The rows of the table whose head begins with `floor | package`, by package.
pub(crate) fn table(document: &str) -> BTreeMap<String, Row> {
    let lines = document.lines().map(cells);
    let mut lines = lines.skip_while(|cells| !cells.starts_with(&["floor", "package"]));
    lines.next();
    lines
        .take_while(|cells| !cells.is_empty())
        .filter_map(|cells| row(&cells))
        .collect()
}

fn cells(line: &str) -> Vec<&str> {
    let Some(inside) = line.trim().strip_prefix('|') else {
        return Vec::new();
    };
    let inside = inside.strip_suffix('|').unwrap_or(inside);
    inside
        .split('|')
        .map(|cell| cell.trim().trim_matches('`'))
        .collect()
}

fn row(cells: &[&str]) -> Option<(String, Row)> {
    let &[floor, package, folder, imports, effects] = cells else {
        return None;
    };
    let floor = match floor {
        "beside" => Floor::Beside,
        number => Floor::Number(number.parse().ok()?),
    };
    let names = imports.split(',').map(|name| name.trim().trim_matches('`'));
    let imports = names
        .filter(|name| !matches!(*name, "" | "–" | "-"))
        .map(str::to_owned)
        .collect();
    let folder = folder.trim_end_matches('/').to_owned();
    Some((
        package.to_owned(),
        Row {
            floor,
            folder,
            imports,
            effects: effects.to_owned(),
        },
    ))
}

/// The table itself may not grant an import on the same floor or above.
fn upward_grants(rows: &BTreeMap<String, Row>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, row) in rows {
        for import in &row.imports {
            let is_downward = match (row.floor, rows.get(import).map(|row| row.floor)) {
                (Floor::Number(mine), Some(Floor::Number(its))) => its < mine,
                (Floor::Beside, Some(_)) => true,
                _ => false,
            };
            if !is_downward {
                let text = format!("`{name}` may not be granted `{import}`: it is not below");
                problems.push(Problem::new(DOCUMENT, 1, text));
            }
        }
    }
    problems
}

fn ours(dependencies: Vec<String>, rows: &BTreeMap<String, Row>) -> Vec<String> {
    dependencies
        .into_iter()
        .filter(|name| rows.contains_key(name))
        .collect()
}

/// Tests may import what the code may, and whatever stands beside the house.
fn refused_imports(
    row: &Row,
    code: &[String],
    tests: &[String],
    rows: &BTreeMap<String, Row>,
) -> Vec<String> {
    let is_beside = |name: &String| rows.get(name).is_some_and(|row| row.floor == Floor::Beside);
    let foreign = |name: &&String| !row.imports.contains(*name);
    let in_code = code.iter().filter(foreign);
    let in_tests = tests.iter().filter(foreign).filter(|name| !is_beside(name));
    in_code
        .chain(in_tests)
        .map(|name| format!("imports `{name}`, which {DOCUMENT} does not grant"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT_TEXT: &str = "Words.\n\n\
        | floor | package | folder | may import | effects |\n|---|---|---|---|---|\n\
        | 0 | `low` | `low/` | – | none |\n\
        | 1 | `high` | `high/` | `low` | files |\n\
        | beside | `kit` | `kit/` | – | files |\n\nMore | words.\n";

    fn found(document: &str, low: &str, high: &str) -> Vec<String> {
        let manifest = |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\n{rest}");
        let tree = Tree::of(&[
            (DOCUMENT, document),
            ("low/Cargo.toml", &manifest("low", low)),
            ("high/Cargo.toml", &manifest("high", high)),
            ("kit/Cargo.toml", &manifest("kit", "")),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn imports_go_down_and_tests_may_look_beside() {
        let high = "[dependencies]\nlow.workspace = true\nserde.workspace = true\n\
            [dev-dependencies]\nkit.workspace = true\n";
        assert_eq!(found(DOCUMENT_TEXT, "", high), Vec::<String>::new());
        assert_eq!(
            found(DOCUMENT_TEXT, "[dependencies]\nhigh.workspace = true\n", ""),
            ["low/Cargo.toml:1: imports `high`, which docs/ARCHITECTURE.md does not grant"]
        );
        assert_eq!(
            found(DOCUMENT_TEXT, "", "[dependencies]\nkit.workspace = true\n"),
            ["high/Cargo.toml:1: imports `kit`, which docs/ARCHITECTURE.md does not grant"]
        );
    }

    #[test]
    fn the_table_itself_is_checked() {
        let up = DOCUMENT_TEXT.replace("`low/` | – |", "`low/` | `high` |");
        assert!(
            found(&up, "", "")[0].ends_with("`low` may not be granted `high`: it is not below")
        );
        let gone = DOCUMENT_TEXT.replace("| 0 | `low`", "| 0 | `lost`");
        assert!(
            found(&gone, "", "")
                .iter()
                .any(|text| text.ends_with("no package `lost`"))
        );
        assert!(
            found(&gone, "", "")
                .iter()
                .any(|text| text.ends_with("the package has no floor"))
        );
        let moved = DOCUMENT_TEXT.replace("`high/`", "`elsewhere/`");
        assert!(found(&moved, "", "")[0].ends_with("`high` lies in high, not in elsewhere"));
        assert_eq!(
            found("", "", ""),
            ["docs/ARCHITECTURE.md:1: the floor table is missing"]
        );
    }
}
