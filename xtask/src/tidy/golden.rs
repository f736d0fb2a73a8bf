//! Every golden input has an output: in a folder named `golden`, an input `NAME.yaml` without its
//! `NAME.out` or `NAME.err` would be a test that looks as if it ran.

use super::tree::{file_name, folder};
use super::{Problem, Tree};

/// How the files of a golden folder end: the input, and what may be expected of it.
const INPUT: &str = ".yaml";
const OUTPUTS: [&str; 4] = [".out", ".err", ".json", ".compiled"];

/// Reports inputs without an output and outputs without an input.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let golden = tree
        .files()
        .map(|(path, _)| path)
        .filter(|path| folder(path).contains("/golden/"));
    golden.filter_map(|path| lonely(tree, path)).collect()
}

fn lonely(tree: &Tree, path: &str) -> Option<Problem> {
    let exists =
        |stem: &str, end: &str| tree.text(&format!("{}{stem}{end}", folder(path))).is_some();
    let name = file_name(path);
    if let Some(stem) = name.strip_suffix(INPUT) {
        let has_output = OUTPUTS.iter().any(|end| exists(stem, end));
        return (!has_output).then(|| Problem::new(path, 1, "this golden input has no output"));
    }
    let stem = OUTPUTS.iter().find_map(|end| name.strip_suffix(end))?;
    (!exists(stem, INPUT)).then(|| Problem::new(path, 1, "this golden output has no input"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_outputs_come_in_pairs() {
        let tree = Tree::of(&[
            ("a/tests/golden/good.yaml", ""),
            ("a/tests/golden/good.out", ""),
            ("a/tests/golden/bad.yaml", ""),
            ("a/tests/golden/bad.err", ""),
            ("a/tests/golden/alone.yaml", ""),
            ("a/tests/golden/lost.err", ""),
            ("a/examples/pod.yaml", ""),
        ]);
        let found = check(&tree)
            .into_iter()
            .map(|one| one.path)
            .collect::<Vec<_>>();
        assert_eq!(
            found,
            ["a/tests/golden/alone.yaml", "a/tests/golden/lost.err"]
        );
    }
}
