//! `sns cluster ps`, `sns pod ps · info · logs`: what is read from the homes of local hosts.

use insta::assert_snapshot;

use crate::bench::{Bench, PROGRAM, RUN};

const RELEASE: &str = "pods/web/release/1.0.0";

fn compiled() -> Bench {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    bench.ok(&["pod", "compile", "web"]);
    bench
}

/// What a daemon holds while it runs.
fn daemon_lock(bench: &Bench) -> std::fs::File {
    let path = bench.cluster.host_home("laptop").join(".daemon.lock");
    let lock = std::fs::File::create(path).unwrap();
    lock.lock().unwrap();
    lock
}

/// A status file; its driver is this test, which lives.
fn status(readiness: u8, pid: u32) -> String {
    format!(
        "pod: web-1.0.0\npodVersion: 1.0.0\nhostPorts: 30000\ncreated: 1700000000\nstarted: 1700000001\n\
         updated: 1700000002\nstatus: running\npid: {pid}\nreadiness: {readiness}\nmessage: all is well\ncontainers:\n    \
         - name: main\n      container: main-web-1.0.0\n      restart: always\n      startCount: 3\n      status: running\n"
    )
}

#[test]
fn a_pod_that_never_ran() {
    let bench = compiled();
    assert_snapshot!(bench.show(&["pod", "ps", "web"]), @r"
    $ sns pod ps web
    host: laptop
    pod: web-1.0.0
    status: non-existing
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["cluster", "ps"]), @r"
    $ sns cluster ps
    HOST    POD  VERSION  WANTED   STATUS        READY  RESTARTS  MESSAGE
    laptop  web  1.0.0    running  non-existing  no     0
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "ps", "web", "-r"]), @r"
    $ sns pod ps web -r
    0/1
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "ps", "web", "-r", "-q"]), @r"
    $ sns pod ps web -r -q
    [exit 1]
    ");
}

#[test]
fn a_pod_that_runs() {
    let bench = compiled();
    let _daemon = daemon_lock(&bench);
    bench.write_home(
        "laptop",
        &format!("{RELEASE}/.pod.status"),
        &status(1, std::process::id()),
    );
    let shown = bench
        .show(&["pod", "ps", "web"])
        .replace(&format!("pid: {}", std::process::id()), "pid: [PID]");
    assert_snapshot!(shown, @r"
    $ sns pod ps web
    host: laptop
    pod: web-1.0.0
    podVersion: 1.0.0
    hostPorts: 30000
    created: [TIME]
    started: [TIME]
    updated: [TIME]
    status: running
    pid: [PID]
    readiness: 1
    message: all is well
    containers:
        - name: main
          container: main-web-1.0.0
          image:
          imageExists:
          restart: always
          mounts:
          ports:
          network:
          startCount: 3
          status: running
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["cluster", "ps"]), @r"
    $ sns cluster ps
    HOST    POD  VERSION  WANTED   STATUS   READY  RESTARTS  MESSAGE
    laptop  web  1.0.0    running  running  yes    2         all is well
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "ps", "web", "-r"]), @r"
    $ sns pod ps web -r
    1/1
    [exit 0]
    ");
    assert_eq!(bench.run(&["pod", "ps", "web", "-r", "-q"]).code, 0);
    let json: serde_json::Value =
        serde_json::from_str(&bench.ok(&["cluster", "ps", "--json"])).unwrap();
    assert_eq!(
        (&json[0]["ready"], &json[0]["restarts"]),
        (&true.into(), &2.into())
    );
}

#[test]
fn a_process_that_is_no_daemon_any_more_is_not_believed() {
    let bench = compiled();
    drop(daemon_lock(&bench));
    // This test lives, as whoever got the number of the daemon's process does.
    bench.write_home(
        "laptop",
        &format!("{RELEASE}/.pod.status"),
        &status(1, std::process::id()),
    );
    assert_snapshot!(bench.show(&["pod", "ps", "web"]), @r"
    $ sns pod ps web
    host: laptop
    pod: web-1.0.0
    status: unknown
    message: no daemon drives it
    [exit 0]
    ");
    assert_eq!(bench.run(&["pod", "ps", "web", "-r", "-q"]).code, 1);
}

#[test]
fn a_status_whose_driver_is_gone_is_not_believed() {
    let bench = compiled();
    let _daemon = daemon_lock(&bench);
    // No process has the largest number that a pid can be.
    bench.write_home(
        "laptop",
        &format!("{RELEASE}/.pod.status"),
        &status(1, 4_194_304),
    );
    assert_snapshot!(bench.show(&["pod", "ps", "web"]), @r"
    $ sns pod ps web
    host: laptop
    pod: web-1.0.0
    status: unknown
    message: no daemon drives it
    [exit 0]
    ");
    assert_eq!(bench.run(&["pod", "ps", "web", "-r", "-q"]).code, 1);
}

#[test]
fn a_damaged_status_hides_no_other() {
    let bench = compiled();
    bench.attach("db", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    bench.ok(&["pod", "compile", "db"]);
    bench.write_home(
        "laptop",
        &format!("{RELEASE}/.pod.status"),
        "pod: web-1.0.0\nstatus: dancing\n",
    );
    assert_snapshot!(bench.show(&["pod", "ps", "web"]), @r"
    $ sns pod ps web
    host: laptop
    pod: web-1.0.0
    status: unknown
    message: cannot understand [HOSTS]/laptop/pods/web/release/1.0.0/.pod.status: .pod.status: found `dancing`, expected `status:` created, starting, running, exited or removed
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["cluster", "ps"]), @r"
    $ sns cluster ps
    HOST    POD  VERSION  WANTED   STATUS        READY  RESTARTS  MESSAGE
    laptop  db   1.0.0    running  non-existing  no     0
    laptop  web  1.0.0    running  unknown       no     0         cannot understand [HOSTS]/laptop/pods/web/release/1.0.0/.pod.status: .pod.status: found `dancing`, expected `status:` created, starting, running, exited or removed
    [exit 0]
    ");
    assert_eq!(bench.run(&["pod", "ps", "web", "-r", "-q"]).code, 1);
}

#[test]
fn a_home_that_cannot_be_read_hides_no_other_host() {
    let bench = compiled();
    bench.add_host("desktop", "127.0.0.2");
    bench.attach("web", "desktop", &[]);
    bench.ok(&["pod", "compile", "web"]);
    let home = bench.cluster.host_home("laptop");
    std::fs::remove_dir_all(&home).unwrap();
    // A loop of links cannot be read by anybody, not even by root.
    std::os::unix::fs::symlink(&home, &home).unwrap();
    let shown = bench.show(&["cluster", "ps"]);
    assert!(
        shown.contains("desktop  web  1.0.0    running  non-existing"),
        "{shown}"
    );
    assert!(
        shown.contains("laptop   web  1.0.0    running  unknown"),
        "{shown}"
    );
    assert!(
        shown.contains("cannot read [HOSTS]/laptop/cluster-id.txt"),
        "{shown}"
    );
    assert!(shown.ends_with("[exit 0]"), "{shown}");
}

#[test]
fn logs_are_merged_and_filtered() {
    let bench = compiled();
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    let log = |name: &str| format!("{RELEASE}/log/{name}");
    bench.write_home(
        "laptop",
        &log("main-web-1.0.0-stdout.log"),
        "1700000002 0 third\n1700000003 0 fourth\n",
    );
    bench.write_home(
        "laptop",
        &log("main-web-1.0.0-stdout.log.1700000001"),
        "1700000000 0 first\n",
    );
    bench.write_home(
        "laptop",
        &log("main-web-1.0.0-stderr.log"),
        "1700000000 1 second\n",
    );
    bench.write_home(
        "laptop",
        &log("web-1.0.0-stdout.log"),
        "1700000004 0 pod started\n",
    );
    assert_snapshot!(bench.show(&["pod", "logs", "web", "-d", "name,stream"]), @r"
    $ sns pod logs web -d name,stream
    main stdout first
    main stderr second
    main stdout third
    main stdout fourth
    <pod> stdout pod started
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "logs", "web", "main", "-l", "-2", "-d", "none"]), @r"
    $ sns pod logs web main -l -2 -d none
    third
    fourth
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "logs", "web", "-s", "stderr", "-d", "name"]), @r"
    $ sns pod logs web -s stderr -d name
    main second
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "logs", "web", "-p", "-d", "name"]), @r"
    $ sns pod logs web -p -d name
    <pod> pod started
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "logs", "web", "-t", "1700000003", "-d", "none"]), @r"
    $ sns pod logs web -t [TIME] -d none
    fourth
    pod started
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["pod", "logs", "web", "mian"]), @r"
    $ sns pod logs web mian
    | error: web:1.0.0@laptop: logs failed (exit status 1)
    |   pod web:1.0.0 has no unit `mian`: expected main
    [exit 3]
    ");
}

#[test]
fn a_host_that_is_out_of_reach_is_shown_with_the_reason() {
    let bench = compiled();
    bench.ok(&[
        "host",
        "register",
        "worker1",
        "-a",
        "127.0.0.1:1",
        "--no-scan",
    ]);
    bench.attach("web", "worker1", &[]);
    bench.ok(&["pod", "compile", "web"]);
    let shown = bench.ok(&["cluster", "ps"]);
    let (here, there) = shown
        .lines()
        .skip(1)
        .partition::<Vec<_>, _>(|line| line.starts_with("laptop"));
    assert!(here[0].contains("non-existing"), "{shown}");
    assert!(
        there[0].contains("unknown") && there[0].contains("could not reach host worker1"),
        "{shown}"
    );
    assert_snapshot!(bench.show(&["pod", "logs", "web@worker1"]), @r"
    $ sns pod logs web@worker1
    | error: could not reach host worker1
    |   because: could not connect to 127.0.0.1:[PORT]
    |   because: Connection refused (os error 111)
    [exit 8]
    ");
}
