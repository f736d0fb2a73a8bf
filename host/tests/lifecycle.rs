//! Start, readiness, reload, restart, stop, removal.

use std::fs;

use crate::host::{Host, LIMIT, is_alive, is_running, kill, pid, shell};
use hostfiles::PodPhase;

const WEB: &str = "web:1.0.0";
const PORT: &str = "expose: [{targetPort: 80, hostPort: 30000, clusterPort: 61000, maxConn: 10}]";

#[test]
fn a_pod_starts_gets_its_port_and_is_routed_when_it_is_ready() {
    let host = Host::new();
    let keys =
        format!("{PORT}; readinessProbe: {{timeoutSeconds: 9, check: {{cmd: [test, -e, ready]}}}}");
    host.pod(
        WEB,
        "running",
        &shell(
            "main",
            &keys,
            "echo port $SNS_PORT_80 proxy $SNS_PROXY; pwd; exec sleep 600",
        ),
    );
    let _daemon = host.daemon();
    let status = host.wait(WEB, "the pod to run", is_running);
    assert!(!status.readiness);
    host.wait_for_line(WEB, "main", "stdout", " 0 port 30000 proxy 127.0.0.1\n");
    host.wait_for_routes("\n");
    let root = host.release(WEB).root_dir(&"main".parse().unwrap());
    fs::write(root.join("ready"), "").unwrap();
    host.wait_for_routes("61000:30000:10:false\n");
    host.wait(WEB, "readiness", |status| status.readiness);
}

#[test]
fn a_changed_config_reaches_a_unit_as_its_signal_or_as_a_restart() {
    let host = Host::new();
    let mounts = "mounts: [{volume: conf, dest: /mnt/conf}]";
    let script = "trap 'cat mnt/conf/text' HUP; cat mnt/conf/text; while :; do sleep 0.05; done";
    let units = shell("main", &format!("signal: {{sig: HUP}}; {mounts}"), script)
        + &shell("other", mounts, "cat mnt/conf/text; exec sleep 600")
        + &shell("apart", "", "exec sleep 600");
    host.config(WEB, "first\n");
    host.pod(WEB, "running", &units);
    let _daemon = host.daemon();
    let before = host.wait(WEB, "the pod to run", is_running);
    host.wait_for_line(WEB, "main", "stdout", "first");
    host.config(WEB, "second\n");
    host.wait_for_line(WEB, "main", "stdout", "second");
    host.wait_for_line(WEB, "other", "stdout", "second");
    let after = host.wait(WEB, "the restart of one unit", |status| {
        is_running(status) && status.units[1].start_count == 2
    });
    assert_eq!(after.units[0].pid, before.units[0].pid);
    assert_ne!(after.units[1].pid, before.units[1].pid);
    assert_eq!(after.units[2].pid, before.units[2].pid);
}

#[test]
fn a_unit_that_crashes_is_started_again_and_none_of_its_children_stays() {
    let host = Host::new();
    host.pod(
        WEB,
        "running",
        &shell(
            "main",
            "restart: on-failure",
            "setsid sleep 600 & echo child $!; wait",
        ),
    );
    let _daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    host.wait_for_line(WEB, "main", "stdout", "child");
    let log = fs::read_to_string(host.log(WEB, "main", "stdout")).unwrap();
    let child: u32 = log.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let first = host.wait(WEB, "a process", |status| status.units[0].pid.is_some());
    kill(pid(&first));
    let second = host.wait(WEB, "the restart", |status| {
        is_running(status) && status.units[0].start_count == 2
    });
    assert_ne!(pid(&first), pid(&second));
    assert!(
        !is_alive(child),
        "the child {child} of the first run still runs"
    );
}

#[test]
fn a_unit_that_ignores_term_is_killed_after_its_grace_and_logs_stay() {
    let host = Host::new();
    host.pod(
        WEB,
        "running",
        &shell(
            "main",
            "stopTimeout: 1",
            "trap 'echo asked' TERM; echo up; while :; do sleep 0.05; done",
        ),
    );
    let _daemon = host.daemon();
    let running = host.wait(WEB, "the pod to run", is_running);
    host.wait_for_line(WEB, "main", "stdout", "up");
    host.state(WEB, "stopped");
    let stopped = host.wait(WEB, "the end", |status| status.units[0].status == "exited");
    assert_eq!(
        (stopped.status, stopped.units[0].exit_code),
        (PodPhase::Exited, Some(137))
    );
    assert!(!is_alive(pid(&running)));
    host.wait_for_line(WEB, "main", "stdout", "asked");
    host.state(WEB, "running");
    host.wait(WEB, "the pod to run again", is_running);
    host.state(WEB, "removed");
    host.wait(WEB, "its removal", |status| {
        status.status == PodPhase::Removed
    });
    let release = host.release(WEB);
    assert!(!release.run_dir().exists() && !release.path().join("root").exists());
    assert!(host.log(WEB, "main", "stdout").exists());
}

#[test]
fn a_shim_says_in_the_list_of_processes_what_it_is_for() {
    let host = Host::new();
    host.pod(WEB, "running", &shell("main", "", "exec sleep 600"));
    let _daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    let record = fs::read(host.release(WEB).run_dir().join("main.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let command = fs::read(format!("/proc/{}/cmdline", record["shim"]["pid"])).unwrap();
    assert!(command.ends_with(b"shim\0web:1.0.0\0main\0"));
}

#[test]
fn units_start_in_order_and_one_shots_come_first() {
    let host = Host::new();
    let units = shell(
        "first",
        "startupProbe: {timeoutSeconds: 60, check: exit}",
        "echo done > ../../order; exit 0",
    ) + &shell("second", "", "cat ../../order; exec sleep 600");
    host.pod(WEB, "running", &units);
    let _daemon = host.daemon();
    let status = host.wait(WEB, "the pod to run", is_running);
    assert_eq!(
        (status.units[0].exit_code, status.units[1].status.as_str()),
        (Some(0), "running")
    );
    host.wait_for_line(WEB, "second", "stdout", "done");
}

#[test]
fn a_program_that_does_not_exist_is_explained() {
    let host = Host::new();
    host.pod(
        WEB,
        "running",
        "- name: main\n  restart: always\n  spec: {program: no-such-program, args: []}\n",
    );
    let _daemon = host.daemon();
    let status = host.wait(WEB, "the explanation", |status| {
        status.message.contains("no-such-program")
    });
    assert!(
        status
            .message
            .starts_with("main exited with 127 (cannot execute no-such-program: "),
        "{}",
        status.message
    );
    assert_eq!(status.status, PodPhase::Starting);
    host.wait_for_line(WEB, "main", "stderr", "cannot execute no-such-program");
}

#[test]
fn a_broken_pod_stands_beside_a_good_one_and_can_be_mended() {
    let host = Host::new();
    let unit = shell("main", "", "exec sleep 600");
    host.pod(WEB, "running", &unit);
    Host::put(&host.release("bad:1.0.0").pod(), b"pod: bad\n");
    host.state("bad:1.0.0", "running");
    let _daemon = host.daemon();
    host.wait(WEB, "the good pod to run", is_running);
    let status = host.wait("bad:1.0.0", "the explanation", |status| {
        !status.message.is_empty()
    });
    assert!(
        status.message.contains("not a compiled pod"),
        "{}",
        status.message
    );
    host.pod("bad:1.0.0", "running", &unit);
    host.wait("bad:1.0.0", "the mended pod to run", is_running);
}

#[test]
fn a_pod_that_is_compiled_anew_takes_the_place_of_the_old_one() {
    let host = Host::new();
    host.pod(WEB, "running", &shell("old", "", "exec sleep 600"));
    let _daemon = host.daemon();
    let before = host.wait(WEB, "the pod to run", is_running);
    host.pod(WEB, "running", &shell("new", "", "exec sleep 600"));
    let after = host.wait(WEB, "the new pod to run", |status| {
        is_running(status) && status.units[0].name == "new"
    });
    assert_ne!(pid(&before), pid(&after));
    assert!(!is_alive(pid(&before)));
}

#[test]
fn a_release_whose_directory_is_taken_away_is_ended() {
    let host = Host::new();
    host.pod(WEB, "running", &shell("main", "", "exec sleep 600"));
    let _daemon = host.daemon();
    let status = host.wait(WEB, "the pod to run", is_running);
    let pod = host.home().pods_dir().join("web");
    // The daemon may put a status into it meanwhile.
    let removed = || Ok(fs::remove_dir_all(&pod).is_ok().then_some(()));
    testkit::wait_until("the removal", std::time::Duration::from_secs(60), removed).unwrap();
    let gone = || Ok((!is_alive(pid(&status))).then_some(()));
    testkit::wait_until("its end", std::time::Duration::from_secs(60), gone).unwrap();
}

#[test]
fn a_missing_plugin_is_explained_and_the_pod_starts_when_it_comes() {
    let host = Host::new();
    let yaml = fs::read(host.home().plugins_yaml()).unwrap();
    fs::remove_file(host.home().plugins_yaml()).unwrap();
    host.pod(WEB, "running", &shell("main", "", "exec sleep 600"));
    let _daemon = host.daemon();
    let status = host.wait(WEB, "the explanation", |status| {
        status.message.contains("no plugin")
    });
    assert!(
        status.message.contains("`runtime: native`"),
        "{}",
        status.message
    );
    Host::put(&host.home().plugins_yaml(), &yaml);
    let running = host.wait(WEB, "the pod to run", is_running);
    let text = String::from_utf8(yaml).unwrap();
    let other = "0".repeat(64);
    let digest = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("digest: "))
        .unwrap();
    for (broken, problem) in [
        (text.replace(digest, &other), "its SHA-256 is"),
        ("plugins: no".to_owned(), "plugins.yaml"),
    ] {
        Host::put(&host.home().plugins_yaml(), broken.as_bytes());
        host.wait(WEB, "the problem", |status| {
            is_running(status) && status.message.contains(problem)
        });
    }
    assert_eq!(
        pid(&host.status(WEB).unwrap()),
        pid(&running),
        "a running pod was touched because of its plugin"
    );
}

#[test]
fn what_the_daemon_writes_comes_back_when_somebody_damages_it() {
    let host = Host::new();
    host.pod(WEB, "running", &shell("main", PORT, "exec sleep 600"));
    let _daemon = host.daemon();
    host.wait_for_routes("61000:30000:10:false\n");
    host.wait(WEB, "readiness", |status| status.readiness);
    let status = host.release(WEB).status();
    let good = fs::read(&status).unwrap();
    let came_back = |path: &std::path::Path, good: &[u8]| {
        let is_back = || Ok((fs::read(path).unwrap_or_default() == good).then_some(()));
        testkit::wait_until(
            "it to come back",
            std::time::Duration::from_secs(30),
            is_back,
        )
        .unwrap();
    };
    Host::put(&status, b"xx\n");
    came_back(&status, &good);
    fs::remove_file(&status).unwrap();
    came_back(&status, &good);
    fs::remove_file(host.home().portmappings_conf()).unwrap();
    host.wait_for_routes("61000:30000:10:false\n");
    let described = fs::read(host.home().endpoints_conf()).unwrap();
    fs::remove_file(host.home().endpoints_conf()).unwrap();
    came_back(&host.home().endpoints_conf(), &described);
}

#[test]
fn a_damaged_hosts_conf_is_told_and_what_runs_stays_ready() {
    let host = Host::new();
    Host::put(&host.home().hosts_conf(), b"127.0.0.7:1\n");
    let keys = format!("{PORT}; readinessProbe: {{timeoutSeconds: 9, check: {{cmd: ['true']}}}}");
    let script = "echo proxy $SNS_PROXY; exec sleep 600";
    host.pod(WEB, "running", &shell("main", &keys, script));
    let mut daemon = host.daemon();
    host.wait(WEB, "readiness", |status| status.readiness);
    Host::put(&host.home().hosts_conf(), b"what?\n");
    let told = |status: &hostfiles::PodStatus| {
        status.readiness
            && status.message.contains("hosts.conf")
            && status.message.contains("127.0.0.7")
    };
    let status = host.wait(WEB, "the problem", told);
    daemon.stop().unwrap();
    let _daemon = host.daemon();
    host.wait(WEB, "the problem again", told);
    kill(pid(&status));
    host.state(WEB, "stopped");
    host.wait(WEB, "the stop", |status| status.status == PodPhase::Exited);
    host.state(WEB, "running");
    host.wait(WEB, "readiness again", |status| status.readiness);
    let log = fs::read_to_string(host.log(WEB, "main", "stdout")).unwrap();
    assert_eq!(log.matches("proxy 127.0.0.7").count(), 2, "{log}");
}

#[test]
fn a_unit_of_another_user_has_its_own_home_root_and_probes() {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        // Only root can change users; the refusal for others is a test of the plugin.
        return;
    }
    let host = Host::new();
    let folder = host.home().path().parent().unwrap().to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let keys = "readinessProbe: {timeoutSeconds: 9, check: {cmd: [sh, -c, 'test $(id -un) = nobody && test -e mine']}}";
    let script = "echo $HOME $USER $LOGNAME $PATH; echo x > mine && exec sleep 600";
    let unit = shell("main", keys, script) + "    user: nobody\n";
    host.pod(WEB, "running", &unit);
    let _daemon = host.daemon();
    host.wait(WEB, "readiness", |status| status.readiness);
    let expected = "/nonexistent nobody nobody /usr/local/bin:/usr/bin:/bin\n";
    host.wait_for_line(WEB, "main", "stdout", expected);
}

#[test]
fn a_port_that_another_program_holds_and_all_events_are_told() {
    let host = Host::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let keys = format!("expose: [{{targetPort: 80, hostPort: {port}, maxConn: 1}}]");
    host.pod(WEB, "running", &shell("main", &keys, "exit 3"));
    let _daemon = host.daemon();
    let me = fs::read_to_string("/proc/self/comm").unwrap();
    let told = format!(
        "main exited with 3 (port 127.0.0.1:{port} is taken by {} (process {}))",
        me.trim(),
        std::process::id()
    );
    host.wait(WEB, "the explanation", |status| status.message == told);
    let log = fs::read_to_string(host.release(WEB).log_dir().join("web-1.0.0-stdout.log")).unwrap();
    assert!(
        log.contains(" start main\n") && log.contains(" main ended with 3 "),
        "{log}"
    );
}

#[test]
fn a_port_that_another_pod_holds_names_the_pod() {
    let host = Host::new();
    let port = testkit::free_port().unwrap();
    let keys = format!("expose: [{{targetPort: 80, hostPort: {port}, maxConn: 1}}]");
    let serve = "exec busybox httpd -f -p 127.0.0.1:$SNS_PORT_80 -h /proc/self/cwd";
    host.pod("first:1.0.0", "running", &shell("server", &keys, serve));
    let _daemon = host.daemon();
    let address = ([127, 0, 0, 1], port).into();
    let listens = || Ok(std::net::TcpStream::connect::<std::net::SocketAddr>(address).ok());
    testkit::wait_until("the first pod to listen", LIMIT, listens).unwrap();
    host.pod(WEB, "running", &shell("main", &keys, serve));
    let told =
        format!("port 127.0.0.1:{port} is taken by unit server of pod first:1.0.0 (process ");
    host.wait(WEB, "the other pod", |status| {
        status.message.contains(&told)
    });
    host.state("first:1.0.0", "removed");
    host.wait(WEB, "the port", is_running);
}
