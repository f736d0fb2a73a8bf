//! `sns pod compile` of a version that exists.

use insta::assert_snapshot;

use crate::bench::{Bench, WEB};

#[test]
fn what_exists_is_compared_with_what_would_be_compiled() {
    let bench = Bench::with_native_host();
    bench.attach("web", "laptop", &[("pod.yaml", WEB)]);
    bench.commit();
    bench.ok(&["pod", "compile", "web"]);
    let again = bench.run(&["pod", "compile", "web"]);
    assert!(again.stderr.contains("nothing is new"), "{again}");

    bench.change_pod("web", "pod.yaml", &WEB.replace("infinity", "1000"));
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | web:1.0.0@laptop exists already and was left as it is
    | warning: web:1.0.0@laptop: what is there was compiled from other inputs: the pod or cluster-vars.env has changed
    | hint: raise podVersion in its pod.yaml; to replace this version, delete HOST/pods/web/release/1.0.0 from the project, compile, commit, and sync with --pod-to-overwrite=web:1.0.0
    [exit 0]
    ");
}

#[test]
fn other_values_of_variables_are_other_inputs() {
    let bench = Bench::with_native_host();
    let text = WEB.replace("infinity", "'${SECONDS}'");
    bench.write("cluster-vars.env", "SECONDS=1000\n");
    bench.attach("web", "laptop", &[("pod.yaml", &text)]);
    bench.commit();
    bench.ok(&["pod", "compile", "web"]);
    for (seconds, is_told) in [("1000", false), ("1001", true)] {
        bench.write("cluster-vars.env", &format!("SECONDS={seconds}\n"));
        let again = bench.run(&["pod", "compile", "web"]);
        assert_eq!(again.stderr.contains("other inputs"), is_told, "{again}");
    }
}

#[test]
fn another_program_is_another_input() {
    let bench = Bench::with_program();
    bench.ok(&["pod", "compile", "web"]);
    bench.change_pod("web", "run.sh", "#!/bin/sh\nexit 1\n");
    let again = bench.run(&["pod", "compile", "web"]);
    assert!(again.stderr.contains("other inputs"), "{again}");
}
