//! `sns pod rerun · signal · shell · exec` and `logs --follow` on a host of this machine, with the real daemon.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use testkit::{Daemon, wait_until};

use crate::bench::Bench;

const POD: &str = "\
api: 1.0.0-beta2
runtime: native
podVersion: 1.0.0
processes:
  - name: main
    command: [sh, -c, 'echo begun; exec sleep 600']
    restart: always
  - name: side
    command: [sleep, '600']
    restart: always
";

/// A pod that runs on the laptop.
fn running() -> (Bench, Daemon) {
    let bench = Bench::with_native_host();
    bench.attach("web", "laptop", &[("pod.yaml", POD)]);
    bench.ok(&["pod", "compile", "web"]);
    bench.cluster.commit("web").unwrap();
    bench.ok(&["cluster", "sync"]);
    let home = bench.cluster.host_home("laptop");
    let daemon = Daemon::start(&mut bench.cluster.daemon("laptop"), &home).unwrap();
    let ready = || Ok((bench.run(&["pod", "ps", "web", "-r", "-q"]).code == 0).then_some(()));
    wait_until("the pod to be ready", Duration::from_secs(60), ready).unwrap();
    (bench, daemon)
}

#[test]
fn verbs_reach_the_pod_on_its_host() {
    let (bench, _daemon) = running();
    assert!(
        bench
            .show(&["pod", "rerun", "web", "side"])
            .contains("web:1.0.0@laptop rerun: done")
    );
    assert!(
        bench
            .show(&["pod", "signal", "web"])
            .contains("signal: done")
    );
    let wrong = bench.show(&["pod", "rerun", "web", "sied"]);
    assert!(
        wrong.contains("web:1.0.0@laptop has no unit `sied`: expected main, side")
            && wrong.contains("did you mean `side`?"),
        "{wrong}"
    );
    assert!(wrong.contains("[exit 3]"), "{wrong}");
    for words in [
        &["pod", "logs", "web", "mian"][..],
        &["pod", "signal", "web", "mian"],
        &["pod", "shell", "web", "-u", "mian"],
        &["pod", "exec", "web", "-u", "mian", "--", "true"],
    ] {
        let wrong = bench.show(words);
        assert!(
            wrong.contains("did you mean `main`?") && wrong.contains("[exit 3]"),
            "{wrong}"
        );
    }
    let said = bench.show(&[
        "pod",
        "exec",
        "web",
        "-u",
        "main",
        "--",
        "sh",
        "-c",
        "echo $SNS_UNIT; exit 7",
    ]);
    assert!(
        said.contains("\nmain\n") && said.contains("[exit 7]"),
        "{said}"
    );
    let said = bench.show(&["pod", "shell", "web", "--", "echo", "$SNS_UNIT"]);
    assert!(
        said.contains("\nside\n") && said.contains("[exit 0]"),
        "{said}"
    );
}

#[test]
fn logs_are_followed() {
    let (bench, _daemon) = running();
    let mut follow = bench
        .cluster
        .sns(&["pod", "logs", "web", "main", "-f", "-d", "name"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "main begun");
    bench.ok(&["pod", "rerun", "web", "main"]);
    assert_eq!(lines.next().unwrap().unwrap(), "main begun");
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn what_is_not_on_a_host_is_said() {
    let bench = Bench::with_native_host();
    bench.attach("web", "laptop", &[("pod.yaml", POD)]);
    bench.ok(&["pod", "compile", "web"]);
    let said = bench.show(&["pod", "rerun", "web"]);
    assert!(
        said.contains("is not on its host") && said.contains("sns cluster sync"),
        "{said}"
    );
}

#[test]
fn volumes_go_only_with_a_pod_that_is_gone() {
    let (bench, _daemon) = running();
    let wanted = bench.run(&["pod", "purge", "web:1.0.0", "--yes"]);
    assert_eq!(wanted.code, 5, "{wanted}");
    assert_eq!(bench.run(&["pod", "purge", "web:1.0.0"]).code, 2);
    bench.ok(&["pod", "state", "web", "-s", "removed"]);
    let there = bench.run(&["pod", "purge", "web:1.0.0", "--yes"]);
    assert_ne!(there.code, 0, "its host still has it: {there}");
    bench.cluster.commit("gone").unwrap();
    bench.ok(&["cluster", "sync"]);
    let purged =
        || Ok((bench.run(&["pod", "purge", "web:1.0.0", "--yes"]).code == 0).then_some(()));
    wait_until("the volumes to go", Duration::from_secs(60), purged).unwrap();
}
