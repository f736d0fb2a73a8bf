//! What `sns host state` means for a cluster: an inactive host drains.

use crate::bench::{Bench, PROGRAM, RUN};

#[test]
fn an_inactive_host_keeps_its_pods_and_loses_its_routes() {
    let bench = Bench::new();
    for (number, host) in (1..).zip(["a", "b", "c"]) {
        bench.add_host(host, &format!("127.0.0.{number}"));
        let files: &[(&str, &str)] = match host {
            "a" => &[("pod.yaml", PROGRAM), ("run.sh", RUN)],
            _ => &[],
        };
        bench.attach("web", host, files);
    }
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    let routers = |host: &str| -> Vec<String> {
        let text = bench.read_home(host, "hosts.conf");
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        routers("a"),
        ["127.0.0.1:32767", "127.0.0.2:32767", "127.0.0.3:32767"]
    );

    bench.ok(&["host", "state", "b", "--state=inactive"]);
    bench.ok(&["pod", "state", "web@c", "--state=stopped"]);
    bench.ok(&["pod", "state", "web@b", "--state=running"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(routers("a"), ["127.0.0.1:32767", "127.0.0.3:32767"]);
    assert_eq!(routers("c"), ["127.0.0.3:32767", "127.0.0.1:32767"]);
    // Its own line stays, and it still reaches the others.
    assert_eq!(
        routers("b"),
        ["127.0.0.2:32767", "127.0.0.1:32767", "127.0.0.3:32767"]
    );
    let state = |host: &str| bench.read_home(host, "pods/web/release/1.0.0/pod.state");
    assert_eq!(state("b").trim(), "running");

    // It is synced as before.
    bench.ok(&["pod", "state", "web@b", "--state=stopped"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(state("b").trim(), "stopped");

    // A disabled one is left alone.
    bench.ok(&["host", "state", "b", "--state=disabled"]);
    bench.ok(&["pod", "state", "web@b", "--state=running"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(state("b").trim(), "stopped");
}
