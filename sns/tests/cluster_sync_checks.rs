//! `sns cluster sync · diff`: what is said before any host is touched.

use insta::assert_snapshot;

use crate::bench::{Bench, WEB};

/// A project with one compiled and committed pod.
fn committed() -> Bench {
    let bench = Bench::with_program();
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    bench
}

fn is_untouched(bench: &Bench) -> bool {
    let home = bench.cluster.host_home("laptop");
    !home.join("hosts.conf").exists()
}

#[test]
fn a_release_that_is_not_there_cannot_be_overwritten() {
    let bench = committed();
    for verb in ["sync", "diff"] {
        let refused = bench.run(&["cluster", verb, "--pod-to-overwrite=wbe:1.0.0"]);
        assert_eq!(refused.code, 3, "{refused}");
        assert_eq!(
            refused.stderr,
            "error: there is no release wbe:1.0.0; releases: web:1.0.0\n\
             hint: did you mean `web:1.0.0`?\n"
        );
    }
    assert!(is_untouched(&bench));
    bench.ok(&["cluster", "sync", "--pod-to-overwrite=web:1.0.0"]);
}

#[test]
fn a_diff_tells_that_the_project_is_behind_or_has_branched() {
    let bench = committed();
    bench.write("README.md", "one\n");
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(bench.run(&["cluster", "diff"]).stderr, "");
    bench.git(&["checkout", "-q", "-b", "back", "HEAD~1"]);
    assert_snapshot!(bench.show(&["cluster", "diff"]), @r"
    $ sns cluster diff
    laptop: nothing to do
    | warning: a sync would be refused: host laptop: the host is 1 commit ahead of this project: pull first, or force the sync to take back what it lacks
    [exit 0]
    ");
    bench.write("README.md", "two\n");
    bench.commit();
    let branched = bench.run(&["cluster", "diff"]);
    assert!(branched.stderr.contains("branched off"), "{branched}");
}

#[test]
fn a_plugin_that_running_pods_miss_is_named() {
    let bench = Bench::with_native_host();
    bench.attach("web", "laptop", &[("pod.yaml", WEB)]);
    bench.ok(&["pod", "compile", "web"]);
    let missing = "web:1.0.0@laptop needs plugin native-runtime (runtime native), \
                   which plugins.yaml of laptop does not have";
    bench.commit();
    let diff = bench.run(&["cluster", "diff"]);
    assert_eq!((diff.code, diff.stderr.as_str()), (0, ""), "{diff}");
    bench.write("laptop/plugins.yaml", "plugins: []\n");
    bench.commit();
    for (verb, code) in [("diff", 0), ("sync", 3)] {
        let told = bench.run(&["cluster", verb]);
        assert!(told.stderr.contains(missing), "{told}");
        assert_eq!(told.code, code, "{told}");
    }
    bench.ok(&["pod", "state", "web", "-s", "removed"]);
    bench.commit();
    let removed = bench.run(&["cluster", "sync"]);
    assert!(!removed.stderr.contains("needs plugin"), "{removed}");
}

#[test]
fn a_sync_that_cannot_write_its_log_changes_nothing() {
    let bench = committed();
    bench.write(".gitignore", "_pods\n_synclogs\n");
    bench.commit();
    bench.write("_synclogs", "no directory\n");
    let refused = bench.run(&["cluster", "sync"]);
    assert_eq!(refused.code, 7, "{refused}");
    assert!(
        refused
            .stderr
            .contains("hint: nothing was changed on any host"),
        "{refused}"
    );
    assert!(is_untouched(&bench));
}

#[test]
fn a_refused_sync_leaves_no_log() {
    let bench = committed();
    bench.write_home("laptop", "cluster-id.txt", "other-1\n");
    assert_eq!(bench.run(&["cluster", "sync"]).code, 5);
    let logs = std::fs::read_dir(bench.cluster.project().join("_synclogs")).unwrap();
    let names = logs.map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), [".gitignore"]);
    assert_eq!(bench.git_status(), "");
}

#[test]
fn a_host_that_cannot_take_what_is_sent_stops_the_sync_of_all() {
    let bench = committed();
    bench.add_host("desktop", "127.0.0.2");
    bench.commit();
    // What comes lies in a directory of this name.
    bench.write_home("laptop", ".sync/incoming", "in the way\n");
    let outcome = bench.run(&["cluster", "sync"]);
    assert_eq!(outcome.code, 7, "{outcome}");
    assert!(
        outcome
            .stderr
            .ends_with("hint: this sync changed nothing on any host\n"),
        "{outcome}"
    );
    assert!(is_untouched(&bench));
    assert!(
        !bench
            .cluster
            .host_home("desktop")
            .join("hosts.conf")
            .exists()
    );
}
