//! A daemon that ends, or is killed, leaves every pod as it is; the next one takes over.

use std::fs;

use hostfiles::PodPhase;

use crate::host::{Host, is_alive, is_running, kill, pid, shell, stop};

const WEB: &str = "web:1.0.0";

#[test]
fn the_next_daemon_adopts_without_touching_and_goes_on_watching() {
    let host = Host::new();
    let unit = shell(
        "main",
        "restart: always; expose: [{targetPort: 80, hostPort: 30000, clusterPort: 61000, maxConn: 10}]",
        "echo up; exec sleep 600",
    );
    host.pod(WEB, "running", &unit);
    let mut daemon = host.daemon();
    let first = host.wait(WEB, "the pod to run", is_running);
    host.wait_for_routes("61000:30000:10:false\n");
    daemon.stop().unwrap();
    assert_eq!(
        fs::read_to_string(host.home().portmappings_conf()).unwrap(),
        "61000:30000:10:false\n"
    );
    // It is in the network of the host, so there is nothing to be entered.
    assert_eq!(
        fs::read_to_string(host.home().endpoints_conf()).unwrap(),
        "cluster=61000 host=30000 max=10 in=optional out=none pod=web-1.0.0\n"
    );
    let daemon = host.daemon();
    let adopted = host.wait(WEB, "the next daemon", |status| {
        is_running(status) && status.pid == Some(daemon.id())
    });
    assert_eq!(
        (pid(&adopted), adopted.units[0].start_count),
        (pid(&first), 1)
    );
    assert_eq!(adopted.created, first.created);
    kill(pid(&adopted));
    host.wait(WEB, "the restart", |status| {
        is_running(status) && status.units[0].start_count == 2
    });
}

#[test]
fn what_happened_without_a_daemon_is_noticed() {
    let host = Host::new();
    let unit = shell(
        "main",
        "mounts: [{volume: conf, dest: /conf}]; restart: on-failure",
        "cat conf/text; exec sleep 600",
    );
    host.config(WEB, "first\n");
    host.pod(WEB, "running", &unit);
    host.pod("db:1.0.0", "running", &shell("main", "", "exec sleep 600"));
    host.pod(
        "job:1.0.0",
        "running",
        &shell("main", "restart: on-failure", "exec sleep 600"),
    );
    let mut daemon = host.daemon();
    let jobs = host.wait("job:1.0.0", "the job to run", is_running);
    host.wait("db:1.0.0", "the other pod to run", is_running);
    host.wait(WEB, "the pod to run", is_running);
    daemon.stop().unwrap();
    host.config(WEB, "second\n");
    host.state("db:1.0.0", "stopped");
    kill(pid(&jobs));
    let _daemon = host.daemon();
    host.wait_for_line(WEB, "main", "stdout", "second");
    host.wait("db:1.0.0", "the stop", |status| {
        status.status == PodPhase::Exited && status.units[0].status == "exited"
    });
    host.wait("job:1.0.0", "the restart", |status| {
        is_running(status) && status.units[0].start_count == 2
    });
}

#[test]
fn a_pod_that_was_stopped_by_one_daemon_is_started_by_the_next() {
    let host = Host::new();
    host.pod(
        WEB,
        "running",
        &shell("main", "restart: never", "exec sleep 600"),
    );
    let mut daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    host.state(WEB, "stopped");
    host.wait(WEB, "the stop", |status| status.units[0].status == "exited");
    daemon.stop().unwrap();
    host.state(WEB, "running");
    let _daemon = host.daemon();
    let again = host.wait(WEB, "the pod to run again", is_running);
    assert_eq!(
        again.units[0].start_count, 1,
        "a wanted start is no restart"
    );
}

#[test]
fn a_shim_that_is_killed_takes_its_unit_with_it_and_the_unit_is_started_again() {
    let host = Host::new();
    // The second one leaves group and session of its unit.
    let script = "setsid sh -c 'setsid sh -c \"echo \\$\\$ > child.new; mv child.new child; exec sleep 600\" &' & exec sleep 600";
    host.pod(
        WEB,
        "running",
        &shell("main", "restart: on-failure", script),
    );
    let _daemon = host.daemon();
    let first = host.wait(WEB, "the pod to run", is_running);
    let noted = host.release(WEB).path().join("root/main/child");
    let child = || Ok(fs::read_to_string(&noted).ok());
    let child: u32 = testkit::wait_until("the child", std::time::Duration::from_secs(60), child)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let record = fs::read(host.release(WEB).run_dir().join("main.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    kill(u32::try_from(record["shim"]["pid"].as_u64().unwrap()).unwrap());
    let second = host.wait(WEB, "the restart", |status| {
        is_running(status) && status.units[0].start_count == 2
    });
    assert_ne!(pid(&first), pid(&second));
    assert!(
        !is_alive(pid(&first)),
        "the unit of the killed shim still runs"
    );
    assert!(!is_alive(child), "what had left the session still runs");
}

#[test]
fn what_a_unit_had_written_is_not_lost_with_its_shim() {
    let host = Host::new();
    // A line is half written when its shim stops reading.
    let script = "echo first; printf begun; until test -e go; do sleep 0.01; done; echo ended; echo last; touch done; exec sleep 600";
    host.pod(WEB, "running", &shell("main", "restart: never", script));
    let _daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    host.wait_for_line(WEB, "main", "stdout", "begun");
    let record = fs::read(host.release(WEB).run_dir().join("main.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let shim = u32::try_from(record["shim"]["pid"].as_u64().unwrap()).unwrap();
    // A shim that stands still reads nothing: what is written now lies in the pipe when it is killed.
    stop(shim);
    let root = host.release(WEB).path().join("root/main");
    fs::write(root.join("go"), "").unwrap();
    let limit = std::time::Duration::from_secs(60);
    let done = || Ok(root.join("done").exists().then_some(()));
    testkit::wait_until("the unit to write", limit, done).unwrap();
    kill(shim);
    host.wait_for_line(WEB, "main", "stdout", "last");
    let log = fs::read_to_string(host.log(WEB, "main", "stdout")).unwrap();
    let texts: Vec<&str> = log
        .lines()
        .map(|line| line.splitn(3, ' ').last().unwrap())
        .collect();
    assert_eq!(texts, ["first", "begun", "ended", "last"]);
}
