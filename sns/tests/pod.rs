//! `sns pod ls · state · delete · updateconfig`.

use insta::assert_snapshot;

use crate::bench::{Bench, PROGRAM};

/// A project with `web:1.0.0` and `web:1.1.0-rc1` compiled.
fn two_versions() -> Bench {
    let bench = Bench::with_program();
    bench.ok(&["pod", "compile", "web"]);
    bench.change_pod(
        "web",
        "pod.yaml",
        &PROGRAM.replace("1.0.0\n", "1.1.0-rc1\n"),
    );
    bench.ok(&["pod", "compile", "web"]);
    bench
}

#[test]
fn lists_and_states() {
    let bench = two_versions();
    assert_snapshot!(bench.show(&["pod", "ls"]), @r"
    $ sns pod ls
    web:1.0.0@laptop running
    web:1.1.0-rc1@laptop running
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "state", "web"]), @r"
    $ sns pod state web
    web:1.0.0@laptop running
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "state", "web:1.0.0", "-s", "removed"]), @r"
    $ sns pod state web:1.0.0 -s removed
    web:1.0.0@laptop removed
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "ls", "web@laptop", "-s", "removed", "-q"]), @r"
    $ sns pod ls web@laptop -s removed -q
    web:1.0.0@laptop
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "ls", "--json"]), @r#"
    $ sns pod ls --json
    [
      {
        "host": "laptop",
        "pod": "web",
        "state": "removed",
        "version": "1.0.0"
      },
      {
        "host": "laptop",
        "pod": "web",
        "state": "running",
        "version": "1.1.0-rc1"
      }
    ]
    [exit 0]
    "#);
    assert!(
        bench
            .read("laptop/pods/web/log.txt")
            .contains(" tester SET_POD_RELEASE_STATE web:1.0.0 removed\n")
    );
}

#[test]
fn one_wrong_name_changes_nothing() {
    let bench = two_versions();
    assert_snapshot!(bench.show(&["pod", "state", "web", "web:2.0.0", "-s", "stopped"]), @r"
    $ sns pod state web web:2.0.0 -s stopped
    | error: there is no version 2.0.0 of pod web
    | hint: compiled versions: 1.0.0, 1.1.0-rc1
    [exit 3]
    ");
    assert_eq!(
        bench.read("laptop/pods/web/release/1.0.0/pod.state"),
        "running\n"
    );
    assert_snapshot!(bench.show(&["pod", "state", "web", "-s", "gone"]), @r"
    $ sns pod state web -s gone
    | error: invalid value 'gone' for '--state <STATE>': `gone` is not a pod state: expected running, stopped or removed
    |
    | For more information, try '--help'.
    [exit 2]
    ");
}

#[test]
fn latest_is_never_a_pre_release() {
    let bench = two_versions();
    bench.ok(&["pod", "state", "web:1.0.0", "-s", "removed"]);
    bench.ok(&["pod", "delete", "web:1.0.0"]);
    assert_snapshot!(bench.show(&["pod", "state", "web"]), @r"
    $ sns pod state web
    | error: all versions of pod web are pre-releases, and `latest` is never one
    | hint: name the version, as in web:1.1.0-rc1
    [exit 3]
    ");
}

#[test]
fn only_removed_releases_are_deleted() {
    let bench = two_versions();
    assert_snapshot!(bench.show(&["pod", "delete", "web:1.0.0"]), @r"
    $ sns pod delete web:1.0.0
    | error: web:1.0.0@laptop is to be running, and only removed releases can be deleted
    | hint: sns pod state web:1.0.0@laptop --state=removed; then commit, sync and delete
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["pod", "delete", "web"]), @r"
    $ sns pod delete web
    | error: which version of pod web should be deleted?
    | hint: `sns pod ls web --state=removed` lists what can be
    [exit 3]
    ");
    bench.ok(&["pod", "state", "web:1.0.0", "-s", "removed"]);
    assert_snapshot!(bench.show(&["pod", "delete", "web:1.0.0"]), @r"
    $ sns pod delete web:1.0.0
    | ok: web:1.0.0@laptop deleted; kept as laptop/pods/web/release/.1.0.0.[TIME]
    [exit 0]
    ");
    assert_eq!(bench.ok(&["pod", "ls", "-q"]), "web:1.1.0-rc1@laptop\n");
}

#[test]
fn configs_are_brought_into_a_release() {
    let bench = two_versions();
    let release = "laptop/pods/web/release/1.0.0";
    let before = bench.read(&format!("{release}/config/conf.txt"));
    bench.write("_config/web/conf/a", "2\n");
    bench.write("_config/web/conf/.hidden", "h\n");
    assert_snapshot!(bench.show(&["pod", "updateconfig", "web"]), @r"
    $ sns pod updateconfig web
    | ok: configs of web:1.0.0@laptop are those of _config/web
    [exit 0]
    ");
    assert_eq!(bench.read(&format!("{release}/config/conf/a")), "2\n");
    assert_eq!(bench.read(&format!("{release}/config/conf/.hidden")), "h\n");
    assert_ne!(bench.read(&format!("{release}/config/conf.txt")), before);
    assert!(
        bench
            .read("laptop/pods/web/log.txt")
            .contains(" tester UPDATE_CONFIG web:1.0.0 config=<unknown>\n")
    );
}

#[test]
fn what_a_killed_command_left_is_gone_after_the_next() {
    let bench = two_versions();
    bench.commit();
    let release = "laptop/pods/web/release/1.0.0";
    for left in [".config.a1b2c3", ".former.a1b2c3", ".staged.a1b2c3"] {
        bench.write(&format!("{release}/{left}/conf/a"), "1\n");
    }
    bench.write("laptop/pods/web/release/.staged.a1b2c3/pod", "x\n");
    bench.ok(&["pod", "updateconfig", "web"]);
    assert_eq!(
        bench.git_status(),
        " M laptop/pods/web/log.txt\n",
        "only the log has changed"
    );
}
