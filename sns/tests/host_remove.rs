//! `sns host remove`.

use insta::assert_snapshot;

use crate::bench::Bench;

#[test]
fn a_host_that_is_needed_stays() {
    let bench = Bench::with_program();
    bench.ok(&["pod", "compile", "web"]);
    bench.ok(&[
        "host",
        "register",
        "far",
        "--address=192.0.2.1",
        "--jump-host=../laptop",
        "--no-scan",
    ]);
    assert_snapshot!(bench.show(&["host", "remove", "laptop"]), @r"
    $ sns host remove laptop
    | error: host laptop is still needed
    |   web:1.0.0@laptop should run
    |   host far is reached through it (JUMPHOST)
    | hint: set its pods removed with `sns pod state`, then commit and sync; --force removes it as it is
    [exit 5]
    ");
    assert_snapshot!(bench.show(&["host", "remove", "laptop", "--force", "--dry-run"]), @r"
    $ sns host remove laptop --force --dry-run
    would take host laptop out of the project
    [exit 0]
    ");
    assert!(bench.cluster.project().join("laptop/host.env").exists());
    bench.ok(&["host", "remove", "laptop", "--force"]);
    assert!(!bench.cluster.project().join("laptop").exists());
    assert!(bench.read("log.txt").contains("REMOVE_HOST laptop"));
    assert_eq!(bench.ok(&["host", "ls", "--all"]), "far active\n");
}

#[test]
fn only_a_home_of_this_cluster_is_deleted() {
    let bench = Bench::with_host();
    let home = bench.cluster.host_home("laptop");
    let dry = bench.ok(&["host", "remove", "laptop", "--purge-home", "--dry-run"]);
    assert!(dry.contains("would delete") && home.exists(), "{dry}");
    let id = bench.read("cluster-id.txt");
    bench.write_home("laptop", "cluster-id.txt", "other-1\n");
    let refused = bench.run(&["host", "remove", "laptop", "--purge-home"]);
    assert_eq!(refused.code, 7, "{refused}");
    assert!(home.exists() && bench.cluster.project().join("laptop").exists());
    bench.write_home("laptop", "cluster-id.txt", &id);
    bench.ok(&["host", "remove", "laptop", "--purge-home"]);
    assert!(!home.exists() && !bench.cluster.project().join("laptop").exists());
}
