//! The help of every command, kept as one file, so that every change of it is seen in review.

use std::path::Path;

use crate::bench::Bench;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["cluster"],
    &["cluster", "create"],
    &["cluster", "sync"],
    &["cluster", "diff"],
    &["cluster", "ps"],
    &["cluster", "gc"],
    &["cluster", "registry"],
    &["cluster", "importconfig"],
    &["host"],
    &["host", "register"],
    &["host", "setup"],
    &["host", "setup", "superuser"],
    &["host", "setup", "disableroot"],
    &["host", "setup", "install"],
    &["host", "init"],
    &["host", "rekey"],
    &["host", "ls"],
    &["host", "program"],
    &["host", "attach"],
    &["host", "detach"],
    &["host", "state"],
    &["host", "trust"],
    &["host", "shell"],
    &["host", "logs"],
    &["host", "remove"],
    &["pod"],
    &["pod", "compile"],
    &["pod", "ls"],
    &["pod", "state"],
    &["pod", "ps"],
    &["pod", "info"],
    &["pod", "logs"],
    &["pod", "rerun"],
    &["pod", "signal"],
    &["pod", "purge"],
    &["pod", "shell"],
    &["pod", "exec"],
    &["pod", "updateconfig"],
    &["pod", "delete"],
    &["secret"],
    &["secret", "keygen"],
    &["secret", "operator"],
    &["secret", "operator", "add"],
    &["secret", "operator", "rm"],
    &["secret", "operator", "ls"],
    &["secret", "set"],
    &["secret", "show"],
    &["secret", "edit"],
    &["secret", "ls"],
    &["secret", "encrypt"],
    &["secret", "check"],
    &["plugin"],
    &["plugin", "install"],
    &["plugin", "ls"],
    &["completions"],
];

#[test]
fn the_help_of_every_command_is_reviewed() {
    let bench = Bench::empty();
    let mut text = String::new();
    for command in COMMANDS {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let help = bench.ok(&arguments);
        text.push_str(&format!(
            "### sns {}\n\n{}\n",
            command.join(" "),
            help.trim_end()
        ));
        text.push('\n');
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    testkit::check(&golden, &text).unwrap();
}

#[test]
fn every_verb_has_an_example_and_is_in_the_list() {
    let bench = Bench::empty();
    for noun in ["cluster", "host", "pod", "secret", "plugin"] {
        let help = bench.ok(&[noun, "--help"]);
        let verbs = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty());
        let verbs = verbs.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        for verb in verbs.filter(|verb| !verb.is_empty() && *verb != "help") {
            assert!(
                COMMANDS.contains(&&[noun, verb][..]),
                "{noun} {verb} is missing in the list"
            );
            let help = bench.ok(&[noun, verb, "--help"]);
            // A noun below the noun has none; its own verbs do.
            let has_verbs = help.contains("\nCommands:\n");
            assert!(
                has_verbs || help.contains("Example"),
                "{noun} {verb} has no example"
            );
        }
    }
}
