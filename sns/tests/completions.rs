//! `sns completions`.

use crate::bench::Bench;

#[test]
fn every_shell_gets_a_script_that_knows_the_verbs() {
    let bench = Bench::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.ok(&["completions", shell]);
        for verb in ["importconfig", "updateconfig", "completions"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
    assert_eq!(bench.run(&["completions", "tcl"]).code, 2);
}
