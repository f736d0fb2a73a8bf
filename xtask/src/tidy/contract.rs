//! A released plugin contract never changes: beside every `wit/since_*` folder lies its digest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{Problem, Tree};

/// Where released contracts lie, one folder per version.
const RELEASED: &str = "wit/since_";

/// Reports folders whose files differ from the digest beside them.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut releases = BTreeMap::<String, Vec<(&str, &str)>>::new();
    for (path, text) in tree.files().filter(|(path, _)| path.starts_with(RELEASED)) {
        if let Some((version, _)) = path.trim_start_matches("wit/").split_once('/') {
            releases
                .entry(format!("wit/{version}"))
                .or_default()
                .push((path, text));
        }
    }
    releases
        .iter()
        .filter_map(|(folder, files)| changed(tree, folder, files))
        .collect()
}

fn changed(tree: &Tree, folder: &str, files: &[(&str, &str)]) -> Option<Problem> {
    let beside = format!("{folder}.sha256");
    let digest = digest(files);
    let is_same = tree.text(&beside).map(str::trim) == Some(&digest);
    let text = format!("a released contract never changes; {beside} must hold {digest}");
    (!is_same).then(|| Problem::new(folder, 1, text))
}

/// The SHA-256 over every file's path, length and text, in the order of their paths.
fn digest(files: &[(&str, &str)]) -> String {
    let mut hash = Sha256::new();
    for (path, text) in files {
        hash.update(format!("{path}\n{}\n{text}\n", text.len()));
    }
    hash.finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_contract_is_reported() {
        let files = [("wit/since_v0_1_0/view.wit", "interface view {}\n")];
        let good = digest(&files);
        let check = |text: &str, digest: &str| {
            check(&Tree::of(&[
                ("wit/since_v0_1_0/view.wit", text),
                ("wit/since_v0_1_0.sha256", digest),
                ("wit/view.wit", "free to change"),
            ]))
        };
        assert_eq!(check(files[0].1, &format!("{good}\n")), []);
        assert_eq!(check("interface view { }\n", &good).len(), 1);
        assert_eq!(check(files[0].1, "").len(), 1);
    }
}
