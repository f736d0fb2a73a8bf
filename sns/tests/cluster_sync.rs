//! `sns cluster sync · diff`.

use insta::assert_snapshot;
use testkit::Outcome;

use crate::bench::{Bench, RUN};

/// A project with one compiled and committed pod.
fn committed() -> Bench {
    let bench = Bench::with_program();
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    bench
}

/// The outcome without the name of the log file, which has a time and a process in it.
fn show(bench: &Bench, arguments: &[&str]) -> String {
    let text = bench.show(arguments);
    let lines = text
        .lines()
        .map(|line| match line.split_once("_synclogs/") {
            Some((before, _)) => format!("{before}_synclogs/[LOG]"),
            None => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_first_sync_the_second_and_a_change() {
    let bench = committed();
    assert_snapshot!(show(&bench, &["cluster", "diff"]), @r"
    $ sns cluster diff
    laptop: 4 changes to make
      ~ hosts.conf
      ~ clusterports.conf
      ~ peers.conf
      + web:1.0.0 running
    [exit 0]
    ");
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    laptop: 4 changes made
      ~ hosts.conf
      ~ clusterports.conf
      ~ peers.conf
      + web:1.0.0 running
    | syncing host laptop …
    | log: _synclogs/[LOG]
    [exit 0]
    ");
    assert_eq!(bench.git_status(), "", "a sync leaves the project clean");
    let release = "pods/web/release/1.0.0";
    assert_eq!(bench.read_home("laptop", &format!("{release}/pod")), RUN);
    assert_eq!(
        bench.read_home("laptop", &format!("{release}/config/conf/a")),
        "1\n"
    );
    assert_eq!(bench.read_home("laptop", "hosts.conf"), "127.0.0.1:32767\n");
    let head = Outcome::of(&mut bench.cluster.git(&["rev-parse", "HEAD"]))
        .unwrap()
        .success()
        .unwrap();
    assert!(
        bench
            .read_home("laptop", "commit-chain.txt")
            .trim()
            .ends_with(head.trim())
    );
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    laptop: nothing to do
    | log: _synclogs/[LOG]
    [exit 0]
    ");

    bench.ok(&["pod", "state", "web", "-s", "stopped"]);
    bench.write("_config/web/conf/a", "2\n");
    bench.ok(&["pod", "updateconfig", "web"]);
    bench.commit();
    assert_snapshot!(show(&bench, &["cluster", "sync", "-q"]), @r"
    $ sns cluster sync -q
    laptop: 2 changes made
      ~ web:1.0.0 config conf
      ~ web:1.0.0 running -> stopped
    [exit 0]
    ");
    assert_eq!(
        bench.read_home("laptop", &format!("{release}/pod.state")),
        "stopped\n"
    );
    assert_eq!(
        bench.read_home("laptop", &format!("{release}/config/conf/a")),
        "2\n"
    );
    assert_eq!(bench.git_status(), "");
}

#[test]
fn a_log_is_kept_outside_git() {
    let bench = committed();
    bench.ok(&["cluster", "sync"]);
    let logs = std::fs::read_dir(bench.cluster.project().join("_synclogs")).unwrap();
    let names: Vec<String> = logs
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let log = names
        .iter()
        .find(|name| name.ends_with(".sync.log.txt"))
        .unwrap();
    let text = bench.read(&format!("_synclogs/{log}"));
    assert!(
        text.contains("laptop: updated\n") && text.contains(" tester SYNC_DONE\n"),
        "{text}"
    );
}

#[test]
fn an_unclean_project_is_refused() {
    let bench = committed();
    bench.write("laptop/notes.txt", "x\n");
    bench.write("cluster-vars.env", "A=1\n");
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: the project has changes that are not committed
    |    M cluster-vars.env
    |   ?? laptop/notes.txt
    | hint: git add . && git commit
    [exit 5]
    ");
    assert!(
        !bench
            .cluster
            .host_home("laptop")
            .join("hosts.conf")
            .exists(),
        "nothing was touched"
    );
}

#[test]
fn what_git_ignores_is_not_sent() {
    let bench = committed();
    bench.write(".gitignore", "_pods\n*.key\nsecret/\n");
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    bench.write("notes.key", "not sent\n");
    bench.ok(&["cluster", "sync"]);
    bench.write("_config/web/conf/tls.key", "x\n");
    bench.write("_plugins/secret/a", "x\n");
    assert_eq!(bench.git_status(), "", "git says nothing about them");
    bench.ok(&["pod", "updateconfig", "web"]);
    bench.commit();
    assert!(
        bench
            .read("laptop/pods/web/log.txt")
            .contains(" UPDATE_CONFIG web:1.0.0 config=<unknown>\n")
    );
    let refused = bench.run(&["cluster", "sync"]);
    assert_eq!(refused.code, 5, "{refused}");
    assert_eq!(
        bench.redact(&refused.stderr),
        "error: git ignores files that would be sent to hosts\n  \
         _config/web/conf/tls.key\n  \
         _plugins/secret/\n  \
         laptop/pods/web/release/1.0.0/config/conf/tls.key\n\
         hint: commit them all the same with `git add -f`, or remove them\n"
    );
    let diff = bench.run(&["cluster", "diff"]);
    assert_eq!(diff.code, 0, "{diff}");
    assert!(
        diff.stderr.contains("a sync would be refused: git ignores"),
        "{diff}"
    );
    bench.git(&["add", "-f", "_config", "_plugins", "laptop"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
}

#[test]
fn a_project_that_is_behind_or_has_branched_is_refused_unless_forced() {
    let bench = committed();
    let git = |arguments: &[&str]| {
        Outcome::of(&mut bench.cluster.git(arguments))
            .unwrap()
            .success()
            .unwrap()
    };
    bench.write("README.md", "one\n");
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    git(&["checkout", "-q", "-b", "back", "HEAD~1"]);
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: host laptop: the host is 1 commit ahead of this project: pull first, or force the sync to take back what it lacks
    | hint: force it with --force
    [exit 5]
    ");
    bench.write("README.md", "two\n");
    bench.commit();
    let branched = bench.run(&["cluster", "sync"]);
    assert_eq!(branched.code, 5, "{branched}");
    assert!(branched.stderr.contains("branched off"), "{branched}");
    assert_eq!(bench.run(&["cluster", "sync", "--force"]).code, 0);
    // A merge contains both lines, so it is ahead of whatever was synced from either.
    git(&["checkout", "-q", "-"]);
    git(&["merge", "-q", "-s", "ours", "-m", "Merge", "back"]);
    assert_eq!(bench.run(&["cluster", "sync"]).code, 0);
}

#[test]
fn hosts_that_are_not_ready_belong_to_others_or_are_far_away() {
    let bench = committed();
    bench.write_home("laptop", "cluster-id.txt", "other-1\n");
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: host laptop: [HOSTS]/laptop belongs to cluster other-1, not to [CLUSTER]: correct HOST or HOSTHOME in host.env
    | hint: `sns host init laptop --force` takes it over
    [exit 5]
    ");
    std::fs::remove_file(bench.cluster.host_home("laptop").join("cluster-id.txt")).unwrap();
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: host laptop is not ready: [HOSTS]/laptop has no cluster-id.txt
    | hint: prepare it with `sns host init laptop`
    [exit 3]
    ");
    bench.ok(&[
        "host",
        "register",
        "worker1",
        "-a",
        "127.0.0.1:1",
        "--no-scan",
    ]);
    bench.commit();
    let out_of_reach = bench.run(&["cluster", "diff", "--only", "worker1"]);
    assert_eq!(out_of_reach.code, 6, "{out_of_reach}");
    let reason = "error: could not reach host worker1\n";
    assert!(out_of_reach.stderr.contains(reason), "{out_of_reach}");
    for host in ["laptop", "worker1"] {
        bench.ok(&["host", "state", host, "-s", "disabled"]);
    }
    bench.commit();
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: no host of the project takes part in syncs
    | hint: `sns host ls -a` lists all hosts, `sns host register` adds one
    [exit 3]
    ");
}

#[test]
fn ports_that_clash_are_named() {
    let bench = committed();
    for (pod, ports) in [("a", "61000:8080:10:false"), ("b", "61001:8080:10:false")] {
        let release = format!("laptop/pods/{pod}/release/1.0.0");
        bench.write(&format!("{release}/pod"), RUN);
        bench.write(&format!("{release}/pod.state"), "removed\n");
        bench.write(
            &format!("{release}/pod.portmappings.conf"),
            &format!("{ports}\n"),
        );
    }
    bench.commit();
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: ports clash
    |   host port 8080 is used by a:1.0.0@laptop and by b:1.0.0@laptop
    | hint: change the port in the pod.yaml (or use ${HOSTPORTAUTO1}), raise podVersion and compile
    | hint: a removed release keeps its ports until `sns pod delete`
    [exit 3]
    ");
}

#[test]
fn a_changed_pod_of_a_delivered_version_waits_for_its_name() {
    let bench = committed();
    bench.ok(&["cluster", "sync"]);
    bench.write("laptop/pods/web/release/1.0.0/pod", "#!/bin/sh\nexit 1\n");
    bench.commit();
    assert_snapshot!(show(&bench, &["cluster", "sync", "-q"]), @r"
    $ sns cluster sync -q
    laptop: nothing to do
    | warning: the compiled web:1.0.0 differs from the one on host laptop and was not sent
    | hint: raise its podVersion, or name it: --pod-to-overwrite=web:1.0.0
    | error: 1 of 1 host has not all that the project wants: laptop
    [exit 6]
    ");
    assert_snapshot!(show(&bench, &["cluster", "sync", "-q", "--pod-to-overwrite=web:1.0.0"]), @r"
    $ sns cluster sync -q --pod-to-overwrite=web:1.0.0
    laptop: 1 change made
      ~ web:1.0.0 pod
      → web:1.0.0 has another compiled pod: what runs stays as it is until `sns pod rerun web:1.0.0@laptop`
    [exit 0]
    ");
}

#[test]
fn what_programs_read() {
    let bench = committed();
    let read = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&bench.ok(arguments)).unwrap()
    };
    let changes = [
        "~ hosts.conf",
        "~ clusterports.conf",
        "~ peers.conf",
        "+ web:1.0.0 running",
    ];
    let expected = |result: &str, changes: &[&str], held_back: &[&str]| {
        serde_json::json!([{
            "host": "laptop",
            "result": result,
            "changes": changes,
            "effects": [],
            "drift": [],
            "reverted": null,
            "heldBack": held_back,
            "error": null,
        }])
    };
    assert_eq!(
        read(&["cluster", "diff", "--json"]),
        expected("planned", &changes, &[])
    );
    assert_eq!(
        read(&["cluster", "sync", "--json"]),
        expected("updated", &changes, &[])
    );
    bench.write("laptop/pods/web/release/1.0.0/pod", "#!/bin/sh\nexit 1\n");
    bench.commit();
    assert_eq!(
        read(&["cluster", "diff", "--json"]),
        expected("planned", &[], &["web:1.0.0"])
    );
}

#[test]
fn a_detached_pod_is_removed_and_cluster_ports_follow_the_running_releases() {
    let bench = committed();
    bench.write(
        "laptop/pods/web/release/1.0.0/pod.portmappings.conf",
        "61000:30000:10:false\n",
    );
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(bench.read_home("laptop", "clusterports.conf"), "61000\n");
    bench.ok(&["host", "detach", "web"]);
    bench.commit();
    let outcome: serde_json::Value =
        serde_json::from_str(&bench.ok(&["cluster", "sync", "--json"])).unwrap();
    assert_eq!(outcome[0]["result"], "updated");
    assert_eq!(bench.read_home("laptop", "clusterports.conf"), "");
    assert_eq!(
        bench.read_home("laptop", "pods/web/release/1.0.0/pod.state"),
        "removed\n"
    );
}

#[test]
fn a_host_that_cannot_be_changed_stops_the_sync_of_all() {
    let bench = committed();
    bench.add_host("second", "127.0.0.2");
    bench.commit();
    // A file where a directory belongs: whoever runs the test, root included, cannot write below it.
    let sync = bench.cluster.host_home("second").join(".sync");
    std::fs::remove_dir_all(&sync).unwrap_or_default();
    crate::bench::write(&sync, "in the way\n");
    let outcome = bench.run(&["cluster", "sync"]);
    assert_eq!(outcome.code, 7, "{outcome}");
    assert!(outcome.stderr.contains("host second:"), "{outcome}");
    assert!(
        !bench
            .cluster
            .host_home("laptop")
            .join("hosts.conf")
            .exists(),
        "no host was touched"
    );
}

#[test]
fn a_removed_version_that_is_compiled_again_comes_back_as_it_is_now() {
    let bench = committed();
    bench.ok(&["cluster", "sync"]);
    bench.ok(&["pod", "state", "web:1.0.0", "-s", "removed"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    bench.ok(&["pod", "delete", "web:1.0.0"]);
    bench.change_pod("web", "run.sh", "#!/bin/sh\nexit 7\n");
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    assert_snapshot!(show(&bench, &["cluster", "sync", "-q"]), @r"
    $ sns cluster sync -q
    laptop: 2 changes made
      ~ web:1.0.0 pod
      ~ web:1.0.0 removed -> running
    [exit 0]
    ");
    let pod = bench.read_home("laptop", "pods/web/release/1.0.0/pod");
    assert!(pod.contains("exit 7"), "{pod}");
}

#[test]
fn an_interrupted_sync_is_told_and_one_that_cannot_be_finished_is_incomplete() {
    let bench = committed();
    bench.write_home("laptop", ".sync/stage/1", "127.0.0.1:1\n");
    let outcome = bench.run(&["cluster", "sync"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    let note = "an interrupted sync of host laptop was undone\n";
    assert!(outcome.stderr.contains(note), "{outcome}");

    let journal =
        r#"{"format":1,"operations":[{"place":{"from":".sync/stage/1","to":"DIRECTORY/file"}}]}"#;
    bench.write_home("laptop", ".sync/stage/1", "staged\n");
    bench.write_home(
        "laptop",
        ".sync/journal.json",
        &journal.replace("DIRECTORY", "missing"),
    );
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: host laptop: changed in part; its daemon takes nothing new until the sync is finished
    |   because: cannot put into its place [HOSTS]/laptop/missing/file
    |   because: No such file or directory (os error 2)
    | hint: correct the cause, then sync again: that finishes it
    [exit 9]
    ");
    bench.write_home(
        "laptop",
        ".sync/journal.json",
        &journal.replace("DIRECTORY", "pods"),
    );
    let outcome = bench.run(&["cluster", "sync"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    let note = "an interrupted sync of host laptop was finished\n";
    assert!(outcome.stderr.contains(note), "{outcome}");
    assert_eq!(bench.read_home("laptop", "pods/file"), "staged\n");

    // A home of another cluster is refused before anything in it is finished or undone.
    bench.write_home("laptop", ".sync/stage/1", "staged\n");
    bench.write_home("laptop", "cluster-id.txt", "other-1\n");
    assert_eq!(bench.run(&["cluster", "sync"]).code, 5);
    assert_eq!(bench.read_home("laptop", ".sync/stage/1"), "staged\n");
}

#[test]
fn a_project_that_is_far_ahead_of_the_host_is_ahead() {
    let bench = committed();
    bench.ok(&["cluster", "sync"]);
    let branch = Outcome::of(&mut bench.cluster.git(&["symbolic-ref", "HEAD"]))
        .unwrap()
        .success()
        .unwrap();
    let branch = branch.trim();
    let mut commits = String::new();
    for number in 0..1100 {
        commits.push_str(&format!(
            "commit {branch}\ncommitter Tester <t@example.org> {number} +0000\ndata 0\n"
        ));
        if number == 0 {
            commits.push_str(&format!("from {branch}^0\n"));
        }
        commits.push('\n');
    }
    let file = bench.cluster.folder().join("commits");
    crate::bench::write(&file, &commits);
    let mut import = bench.cluster.git(&["fast-import", "--quiet"]);
    import.stdin(std::fs::File::open(&file).unwrap());
    Outcome::of(&mut import).unwrap().success().unwrap();
    let outcome = bench.run(&["cluster", "sync"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    let chain = bench.read_home("laptop", "commit-chain.txt");
    assert_eq!(chain.split_whitespace().count(), 1000);
}

#[test]
fn commits_that_cannot_be_read_have_a_way_out() {
    let bench = committed();
    bench.write_home("laptop", "commit-chain.txt", "torn!\n");
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: host laptop: cannot tell which commits the host was synced from
    |   because: cannot understand [HOSTS]/laptop/commit-chain.txt: commit-chain.txt: found `torn!`, expected hashes of commits, 4 to 64 hexadecimal digits, separated by spaces
    | hint: treat the host as never synced with --force
    [exit 5]
    ");
    assert_eq!(bench.run(&["cluster", "sync", "--force"]).code, 0);
    assert_eq!(bench.run(&["cluster", "sync"]).code, 0);
}

#[test]
fn two_hosts_with_one_home_are_named() {
    let bench = committed();
    // `sns host register` refuses it; host.env is edited by people.
    bench.write("twin/host.env", &bench.read("laptop/host.env"));
    bench.commit();
    assert_snapshot!(show(&bench, &["cluster", "sync"]), @r"
    $ sns cluster sync
    | error: hosts laptop and twin have the same home: [HOSTS]/laptop
    | hint: give one of them another HOSTHOME in twin/host.env
    [exit 3]
    ");
}

#[test]
fn a_plugin_that_does_not_load_stops_the_sync_of_all() {
    let bench = committed();
    let component = "no component\n";
    let digest = simplenetes_sync::Digest::of(component.as_bytes());
    bench.write("_plugins/broken-1.0.0.wasm", component);
    bench.write(
        "laptop/plugins.yaml",
        &format!("plugins:\n- name: broken\n  version: 1.0.0\n  digest: {digest}\n  source: here\n  grants: {{}}\n"),
    );
    bench.commit();
    let outcome = bench.run(&["cluster", "sync"]);
    assert_eq!(outcome.code, 3, "{outcome}");
    let message = "error: host laptop: plugin broken-1.0.0.wasm does not load\n";
    assert!(outcome.stderr.contains(message), "{outcome}");
    let home = bench.cluster.host_home("laptop");
    assert!(!home.join("hosts.conf").exists() && !home.join(".sync/stage").exists());
}
