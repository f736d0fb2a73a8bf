//! Every package inherits the workspace's lints, versions and dependencies, so that each is said once.

use toml::Value;

use super::tree::Manifest;
use super::{Problem, Tree};

/// What a package takes from the workspace.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// The tables whose entries come from the workspace.
const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Reports what a manifest says for itself.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    tree.manifests()
        .flat_map(|manifest| own_words(&manifest))
        .collect()
}

fn own_words(manifest: &Manifest<'_>) -> Vec<Problem> {
    let problem = |text: String| Problem::new(manifest.path, 1, text);
    let mut problems = Vec::new();
    let package = manifest.table.get("package");
    for key in INHERITED {
        if !inherits(package.and_then(|package| package.get(key))) {
            problems.push(problem(format!("write `{key}.workspace = true`")));
        }
    }
    if package
        .and_then(|package| package.get("description"))
        .is_none()
    {
        problems.push(problem(
            "say in `description` what the package is for".to_owned(),
        ));
    }
    if !inherits(manifest.table.get("lints")) {
        problems.push(problem(
            "write `[lints]` with `workspace = true`".to_owned(),
        ));
    }
    for name in DEPENDENCIES {
        let table = manifest.table.get(name).and_then(Value::as_table);
        for (dependency, value) in table.into_iter().flatten() {
            if !inherits(Some(value)) {
                let text = "must come from [workspace.dependencies]";
                problems.push(problem(format!("{name}: `{dependency}` {text}")));
            }
        }
    }
    problems
}

fn inherits(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"x\"\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
        publish.workspace = true\n[dependencies]\nserde.workspace = true\n\
        tokio = { workspace = true, features = [\"rt\"] }\n[lints]\nworkspace = true\n";

    fn found(text: &str) -> Vec<String> {
        let tree = Tree::of(&[("a/Cargo.toml", text)]);
        check(&tree)
            .into_iter()
            .map(|problem| problem.message)
            .collect()
    }

    #[test]
    fn everything_is_inherited() {
        assert_eq!(found(GOOD), Vec::<String>::new());
        let own = GOOD.replace("edition.workspace = true", "edition = \"2024\"");
        assert_eq!(found(&own), ["write `edition.workspace = true`"]);
        let own = GOOD.replace("serde.workspace = true", "serde = \"1\"");
        assert_eq!(
            found(&own),
            ["dependencies: `serde` must come from [workspace.dependencies]"]
        );
        let own = GOOD.replace("[lints]\nworkspace = true\n", "");
        assert_eq!(found(&own), ["write `[lints]` with `workspace = true`"]);
        let own = GOOD.replace("description = \"x\"\n", "");
        assert_eq!(
            found(&own),
            ["say in `description` what the package is for"]
        );
    }
}
