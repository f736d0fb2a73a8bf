//! `sns pod ls · state · delete · updateconfig`.

use insta::assert_snapshot;

use crate::bench::{Bench, PROGRAM, RUN};

/// A project with `web:1.0.0` and `web:1.1.0-rc1` compiled.
fn two_versions() -> Bench {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN), ("config/conf/a", "1\n")]);
    bench.ok(&["pod", "compile", "web"]);
    bench.change_pod("web", "pod.yaml", &PROGRAM.replace("1.0.0\n", "1.1.0-rc1\n"));
    bench.ok(&["pod", "compile", "web"]);
    bench
}

#[test]
fn lists_and_states() {
    let bench = two_versions();
    assert_snapshot!(bench.show(&["pod", "ls"]), @"");
    assert_snapshot!(bench.show(&["pod", "state", "web"]), @"");
    assert_snapshot!(bench.show(&["pod", "state", "web:1.0.0", "-s", "removed"]), @"");
    assert_snapshot!(bench.show(&["pod", "ls", "web@laptop", "-s", "removed", "-q"]), @"");
    assert_snapshot!(bench.show(&["pod", "ls", "--json"]), @"");
    assert!(bench.read("laptop/pods/web/log.txt").contains(" tester SET_POD_RELEASE_STATE web:1.0.0 removed\n"));
}

#[test]
fn one_wrong_name_changes_nothing() {
    let bench = two_versions();
    assert_snapshot!(bench.show(&["pod", "state", "web", "web:2.0.0", "-s", "stopped"]), @"");
    assert_eq!(bench.read("laptop/pods/web/release/1.0.0/pod.state"), "running\n");
    assert_snapshot!(bench.show(&["pod", "state", "web", "-s", "gone"]), @"");
}

#[test]
fn latest_is_never_a_pre_release() {
    let bench = two_versions();
    bench.ok(&["pod", "state", "web:1.0.0", "-s", "removed"]);
    bench.ok(&["pod", "delete", "web:1.0.0"]);
    assert_snapshot!(bench.show(&["pod", "state", "web"]), @"");
}

#[test]
fn only_removed_releases_are_deleted() {
    let bench = two_versions();
    assert_snapshot!(bench.show(&["pod", "delete", "web:1.0.0"]), @"");
    assert_snapshot!(bench.show(&["pod", "delete", "web"]), @"");
    bench.ok(&["pod", "state", "web:1.0.0", "-s", "removed"]);
    assert_snapshot!(bench.show(&["pod", "delete", "web:1.0.0"]), @"");
    assert_eq!(bench.ok(&["pod", "ls", "-q"]), "web:1.1.0-rc1@laptop\n");
}

#[test]
fn configs_are_brought_into_a_release() {
    let bench = two_versions();
    let release = "laptop/pods/web/release/1.0.0";
    let before = bench.read(&format!("{release}/config/conf.txt"));
    bench.write("_config/web/conf/a", "2\n");
    bench.write("_config/web/conf/.hidden", "h\n");
    assert_snapshot!(bench.show(&["pod", "updateconfig", "web"]), @"");
    assert_eq!(bench.read(&format!("{release}/config/conf/a")), "2\n");
    assert_eq!(bench.read(&format!("{release}/config/conf/.hidden")), "h\n");
    assert_ne!(bench.read(&format!("{release}/config/conf.txt")), before);
    assert!(bench.read("laptop/pods/web/log.txt").contains(" tester UPDATE_CONFIG web:1.0.0 config=<unknown>\n"));
}
