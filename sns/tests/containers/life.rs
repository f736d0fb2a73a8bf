//! How containers start again and end: every restart policy, signals, containers that do not listen.

use super::host::{Host, SLEEP, ended, has_ended, is_running, shell, sleeper, starts, unit, yaml};

const NEVER: &str = "restart: never";

#[test]
fn each_restart_policy() {
    let policies = [
        ("never0", "exit 0", "restart: never"),
        ("never3", "exit 3", "restart: never"),
        ("failed0", "exit 0", "restart: on-failure"),
        // It fails once and then stays, so that the test sees it again and nothing else.
        (
            "failed3",
            "test -e /data/f || { touch /data/f; exit 3; }; exec sleep 600",
            "restart: on-failure",
        ),
        (
            "always0",
            "test -e /data/a || { touch /data/a; exit 0; }; exec sleep 600",
            "restart: always",
        ),
        ("config0", "exit 0", "restart: on-config"),
        (
            "interval0",
            "test -e /data/i || { touch /data/i; exit 0; }; exec sleep 600",
            "restart: on-interval:1",
        ),
    ];
    let mounts = "\nmounts:\n- volume: data\n  dest: /data\n- volume: conf\n  dest: /conf";
    let containers = policies
        .iter()
        .map(|(name, script, keys)| shell(name, script, &format!("{keys}{mounts}")));
    let sections = format!(
        "volumes:\n- name: data\n  type: volume\n- name: conf\n  type: config\ncontainers:\n{}{}",
        containers.collect::<String>(),
        sleeper("stays", "")
    );
    let host = Host::new();
    let files = [
        ("pod.yaml", &*yaml("1.0.0", &sections)),
        ("config/conf/text", "1\n"),
    ];
    host.pod("web", &files);
    host.start();
    let status = host.wait("web:1.0.0", "all policies to have acted", |now| {
        ["failed3", "always0", "interval0"]
            .iter()
            .all(|name| starts(now, name) == 2 && unit(now, name).status == "running")
            && ["never0", "never3", "failed0", "config0"]
                .iter()
                .all(|name| ended(now, name).is_some())
    });
    for (name, code) in [("never0", 0), ("never3", 3), ("failed0", 0), ("config0", 0)] {
        assert_eq!(
            (ended(&status, name), starts(&status, name)),
            (Some(code), 1)
        );
    }
    // A changed config starts only what waits for one.
    host.config("conf/text", "2\n");
    let status = host.wait("web:1.0.0", "the config to be noticed", |now| {
        starts(now, "config0") == 2 && ended(now, "config0").is_some()
    });
    for name in ["never0", "never3", "failed0"] {
        assert_eq!(starts(&status, name), 1, "{name}");
    }
}

#[test]
fn one_that_ignores_the_request_to_end_is_killed_when_its_time_is_over() {
    let deaf = "trap '' TERM; echo deaf; while :; do sleep 1; done";
    let sections = format!(
        "containers:\n{}{}",
        shell("deaf", deaf, "restart: always\nstopTimeout: 1"),
        shell(
            "polite",
            "trap 'echo bye; exit 0' TERM; echo here; sleep 600 & wait",
            "restart: always"
        ),
    );
    let host = Host::ready(&sections);
    host.wait_for_line("deaf", "deaf");
    host.wait_for_line("polite", "here");
    host.state("web", "stopped");
    let status = host.wait("web:1.0.0", "it to end", has_ended);
    assert_eq!(ended(&status, "deaf"), Some(137), "{status:#?}");
    assert_eq!(ended(&status, "polite"), Some(0), "{status:#?}");
    assert!(host.said("polite").contains("bye"));
    host.until("no container to be left", || host.containers().is_empty());
    // It can run again.
    host.state("web", "running");
    host.wait("web:1.0.0", "it to run again", is_running);
}

#[test]
fn containers_signal_each_other_and_a_signal_can_be_a_command() {
    let listener = "trap 'echo told' USR1; echo here; while :; do sleep 600 & wait $!; done";
    let told = "signal:\n- sig: USR1";
    let command = "signal:\n- cmd: [sh, -c, 'echo told > /proc/1/fd/1']";
    let begins =
        "startupProbe:\n  exit: true\n  signal:\n  - container: listener\n  - container: commanded";
    let sections = format!(
        "containers:\n{}{}{}",
        shell("listener", listener, told),
        shell("commanded", "echo here; exec sleep 600", command),
        // It is told only when it listens already.
        shell("prepare", "exit 0", begins)
    );
    let host = Host::of(&sections);
    host.wait_for_line("listener", "told");
    host.wait_for_line("commanded", "told");
    let before = host.wait("web:1.0.0", "it to run", is_running);
    assert_eq!(host.verb("web:1.0.0", &["signal", "listener"]).code, 0);
    host.until("a second signal", || {
        host.said("listener").matches("told").count() == 2
    });
    let after = host.status("web:1.0.0").unwrap();
    assert_eq!(unit(&before, "listener").pid, unit(&after, "listener").pid);
}

#[test]
fn an_image_says_by_which_signal_it_wants_to_end() {
    let host = Host::new();
    host.podman
        .image("localhost/quits:1", &["STOPSIGNAL SIGUSR1"])
        .unwrap();
    let script = "trap 'echo quits; exit 0' USR1; trap 'echo wrong' TERM; echo here; while :; do sleep 600 & wait $!; done";
    let text = shell("main", script, "").replace("localhost/test:1", "localhost/quits:1");
    let text = yaml("1.0.0", &format!("containers:\n{text}"));
    host.pod("web", &[("pod.yaml", &text)]);
    host.start();
    host.wait_for_line("main", "here");
    host.state("web", "stopped");
    host.wait("web:1.0.0", "it to end", has_ended);
    let said = host.said("main");
    assert!(said.contains("quits") && !said.contains("wrong"), "{said}");
}

#[test]
fn one_container_is_run_again_and_the_others_do_not_notice() {
    let sections = format!(
        "containers:\n{}{}{}",
        sleeper("one", "restart: always"),
        sleeper("two", NEVER),
        shell("over", "exit 0", NEVER),
    );
    let host = Host::of(&sections);
    let before = host.wait("web:1.0.0", "all to have run", |now| {
        now.readiness && ended(now, "over") == Some(0)
    });
    host.bench.ok(&["pod", "rerun", "web", "one", "over"]);
    let after = host.wait("web:1.0.0", "both to have run again", |now| {
        starts(now, "one") == 2 && ended(now, "over").is_some() && starts(now, "over") == 2
    });
    assert_ne!(unit(&before, "one").pid, unit(&after, "one").pid);
    assert_eq!(unit(&before, "two").pid, unit(&after, "two").pid);
    // The whole pod.
    host.bench.ok(&["pod", "rerun", "web"]);
    let last = host.wait("web:1.0.0", "all to have run again", |now| {
        now.readiness
            && unit(now, "two")
                .pid
                .is_some_and(|pid| Some(pid) != unit(&after, "two").pid)
    });
    assert_ne!(unit(&last, "one").pid, unit(&after, "one").pid);
    // The third one is on its way out again.
    host.until("none to be there twice", || host.containers().len() == 2);
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one() {
    let host = Host::ready(&format!(
        "containers:\n{}",
        sleeper("main", "restart: always")
    ));
    let text = yaml(
        "2.0.0",
        &format!("containers:\n{}", shell("main", SLEEP, "restart: always")),
    );
    host.version("web", &text);
    host.wait("web:2.0.0", "the new one to be ready", |now| now.readiness);
    host.state("web:1.0.0", "removed");
    host.wait("web:1.0.0", "the old one to be removed", |now| {
        now.status == hostfiles::PodPhase::Removed
    });
    assert_eq!(host.containers().len(), 1);
    assert_eq!(host.pods(), [""; 0], "a container that is alone needs none");
}
