//! What holds for every text: no panic, the same answer every time, and a compiled text that comes
//! back as the same pod.

use podspec::{CompiledPod, header, variables};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::golden::inputs;
use crate::shapes::{cases, draft, resolve};

/// Reads a text in every way there is; whatever it is, that must not panic.
fn read(text: &str) -> Option<CompiledPod> {
    let _ = header(text);
    let _ = variables(text);
    let first = draft(text);
    let second = draft(text);
    match (first, second) {
        (Ok(first), Ok(second)) => {
            let (first, second) = (resolve(first), resolve(second));
            assert_eq!(first.to_text().unwrap(), second.to_text().unwrap());
            assert_eq!(
                CompiledPod::from_text(&first.to_text().unwrap()).unwrap(),
                first
            );
            Some(first)
        }
        (Err(first), Err(second)) => {
            assert_eq!(first, second);
            assert!(!first.is_empty());
            let shown: usize = first.iter().map(|problem| problem.to_string().len()).sum();
            assert!(shown > 0);
            None
        }
        (first, second) => panic!("two answers: {first:?} and {second:?}"),
    }
}

fn golden_text() -> impl Strategy<Value = String> {
    let texts: Vec<String> = inputs().into_values().collect();
    any::<Index>().prop_map(move |index| texts[index.index(texts.len())].clone())
}

/// A small piece of YAML or of nonsense.
fn piece() -> impl Strategy<Value = String> {
    let pieces = "\n |: |- |  |#|#ifdef |#endif\n|${a}|${|}|[|]|{|}|&a |*a|!!str |'|\"|\t|---\n|...\n|%YAML 1.2\n|>|\u{0}|\u{feff}|é|-1|99999999999|~|<<: *a\n|? |@|`|\\|\r\n|\r";
    let known: Vec<String> = pieces
        .split('|')
        .map(str::to_owned)
        .chain(["|".to_owned()])
        .collect();
    prop_oneof![4 => proptest::sample::select(known), 1 => "\\PC{0,6}"]
}

/// Where to cut, how much to take away, what to put in.
type Edit = (Index, usize, String);

fn edited(mut text: String, edits: Vec<Edit>) -> String {
    for (at, take, put) in edits {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len() + 1);
        let end = (at + take).min(characters.len());
        characters.splice(at..end, put.chars());
        text = characters.into_iter().collect();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(4000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
        read(&text);
    }

    #[test]
    fn any_heap_of_pieces_is_answered(pieces in prop::collection::vec(piece(), 0..60)) {
        read(&pieces.concat());
    }

    #[test]
    fn damaged_pods_are_answered(
        text in golden_text(),
        edits in prop::collection::vec((any::<Index>(), 0usize..30, piece()), 1..6),
    ) {
        read(&edited(text, edits));
    }

    #[test]
    fn damaged_compiled_pods_are_answered(
        text in golden_text(),
        edits in prop::collection::vec((any::<Index>(), 0usize..30, piece()), 1..6),
    ) {
        if let Some(pod) = read(&text) {
            let damaged = edited(pod.to_text().unwrap(), edits);
            if let Ok(found) = CompiledPod::from_text(&damaged) {
                prop_assert_eq!(CompiledPod::from_text(&found.to_text().unwrap()).unwrap(), found);
            }
        }
    }

    #[test]
    fn any_text_of_a_unit_comes_back(args in prop::collection::vec("\\PC{0,150}|[\\x09-\\x7f]{0,12}|[0-9eE.x_+:-]{1,8}", 1..6)) {
        let text = format!(
            "api: 1.0.0-beta2\nruntime: native\npodVersion: 1.0.0\nprocesses:\n  - name: main\n    args: {}\n",
            serde_json::to_string(&args).unwrap(),
        );
        // JSON is YAML, but for the one control character that JSON does not escape.
        let escaped = text.replace("${", "$ {").replace('\u{7f}', "\\u007f");
        let pod = read(&escaped).unwrap();
        let found: Vec<String> = serde_json::from_value(pod.units[0].spec["args"].clone()).unwrap();
        let args: Vec<String> = args.iter().map(|arg| arg.replace("${", "$ {")).collect();
        prop_assert_eq!(found, args);
    }
}

#[test]
fn deep_wide_and_exploding_texts_are_refused() {
    let head = "api: 1.0.0-beta2\npodVersion: 1.0.0\nruntime: native\n";
    let deep = format!("{head}processes: {}", "[".repeat(100_000));
    let wide = format!("{head}labels: [{}]", "a,".repeat(200_000));
    let long = format!("{head}labels: {}", "x".repeat(2 << 20));
    let mut laughs = format!("{head}a0: &a0 [x]\n");
    for level in 1..30 {
        let row = format!("*a{},", level - 1).repeat(9);
        laughs.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    let closed = format!(
        "{head}processes: {}{}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let indented: String = (0..2_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    for (name, text) in [
        ("deep", deep),
        ("wide", wide),
        ("long", long),
        ("laughs", laughs),
        ("closed", closed),
        ("indented", indented),
    ] {
        let problems = draft(&text)
            .err()
            .unwrap_or_else(|| panic!("{name} was accepted"));
        assert!(problems.len() < 40, "{name}: {}", problems.len());
    }
}
