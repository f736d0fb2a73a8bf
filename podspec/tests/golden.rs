//! Every `golden/NAME.yaml` has its answer beside it: `NAME.compiled`, with `NAME.warnings` when there
//! are any, or `NAME.err`. `BLESS=1` writes the answers anew; they are read before they are committed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use podspec::{CompiledPod, Diagnostic};

use crate::shapes::{draft, resolve};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The names and texts of all inputs.
pub(crate) fn inputs() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let inputs = files.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    inputs
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .map(|diagnostic| format!("{diagnostic}\n"))
        .collect()
}

/// The answers to one input: file extension and content.
fn answers(text: &str) -> BTreeMap<&'static str, String> {
    let mut answers = BTreeMap::new();
    match draft(text) {
        Err(problems) => {
            assert!(!problems.is_empty());
            answers.insert("err", lines(&problems));
        }
        Ok(draft) => {
            if !draft.diagnostics().is_empty() {
                answers.insert("warnings", lines(draft.diagnostics()));
            }
            let compiled = resolve(draft);
            let text = compiled.to_text().unwrap();
            assert_eq!(CompiledPod::from_text(&text).unwrap(), compiled);
            answers.insert("compiled", text);
        }
    }
    answers
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "blessing writes into the checkout, where nobody reads meanwhile"
)]
fn every_input_has_its_answer() {
    let bless = env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, text) in inputs() {
        let answers = answers(&text);
        for extension in ["compiled", "warnings", "err"] {
            let path = folder().join(format!("{name}.{extension}"));
            let found = fs::read_to_string(&path).ok();
            let answer = answers.get(extension);
            if found.as_ref() == answer {
                continue;
            }
            match (bless, answer) {
                (true, Some(answer)) => fs::write(&path, answer).unwrap(),
                (true, None) => fs::remove_file(&path).unwrap(),
                (false, _) => wrong.push(format!(
                    "{name}.{extension}\n--- kept\n{found:?}\n--- now\n{answer:?}"
                )),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "BLESS=1 writes these anew:\n{}",
        wrong.join("\n\n")
    );
}

#[test]
fn every_answer_has_its_input() {
    let inputs = inputs();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            inputs.contains_key(stem),
            "{} belongs to no input",
            path.display()
        );
    }
}

#[test]
fn inputs_named_for_a_mistake_are_refused_and_the_others_accepted() {
    for (name, text) in inputs() {
        assert_eq!(draft(&text).is_err(), name.starts_with("bad_"), "{name}");
    }
}

#[test]
fn every_error_has_a_place() {
    for (name, text) in inputs() {
        for problem in draft(&text).err().unwrap_or_default() {
            let place = problem.place.unwrap_or_else(|| panic!("{name}: {problem}"));
            let line = text.split('\n').nth(place.line as usize - 1);
            let width = line
                .unwrap_or_else(|| panic!("{name}: {problem}"))
                .chars()
                .count();
            assert!(place.column as usize <= width + 1, "{name}: {problem}");
        }
    }
}
