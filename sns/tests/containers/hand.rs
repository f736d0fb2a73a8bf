//! What a person asks of a pod by hand: `shell`, `exec`, `logs`, `info`, `ps`, and the verbs of its file.

use super::host::{Host, IMAGE, has_ended, is_running, shell, sleeper, unit};

#[test]
fn a_person_looks_into_a_container() {
    let script = "echo out; echo err >&2; exec sleep 600";
    let keys = "env:\n- {name: GREETING, value: 'two  words'}\nworkingDir: /tmp\nrestart: always";
    let sections = format!(
        "labels:\n- {{name: tier, value: front}}\ncontainers:\n{}{}",
        sleeper("other", ""),
        shell("main", script, keys)
    );
    let host = Host::ready(&sections);
    let run = |words: &[&str]| host.sns(words);
    // Words stay words, and the exit status is that of the command.
    let said = run(&[
        "pod",
        "exec",
        "web",
        "-u",
        "main",
        "--",
        "sh",
        "-c",
        "echo \"$GREETING\"; pwd; exit 7",
    ]);
    assert_eq!(
        (said.code, &*said.stdout),
        (7, "two  words\n/tmp\n"),
        "{said}"
    );
    // Without a name it is the last container.
    let said = run(&["pod", "shell", "web", "--", "echo", "$GREETING"]);
    assert!(said.stdout.contains("two"), "{said}");
    let none = run(&["pod", "exec", "web", "-u", "main", "--", "no-such-program"]);
    assert_eq!(none.code, 127, "{none}");
    let wrong = run(&["pod", "exec", "web", "-u", "mian", "--", "true"]);
    assert!(wrong.code != 0 && wrong.stderr.contains("main"), "{wrong}");

    host.wait_for_line("main", "err");
    let logs = |words: &[&str]| {
        host.verb("web:1.0.0", &[&["logs", "-d", "none"], words].concat())
            .stdout
    };
    assert_eq!(logs(&["-s", "stdout", "main"]), "out\n");
    assert_eq!(logs(&["-s", "stderr", "main"]), "err\n");

    let ps = host.bench.ok(&["pod", "ps", "web"]);
    assert!(ps.contains(&format!("image: {IMAGE}")), "{ps}");
    let info = host.bench.ok(&["pod", "info", "web"]);
    assert!(info.contains(IMAGE), "{info}");
    let label = host.podman.run(&[
        "ps",
        "--filter",
        "label=tier=front",
        "--format",
        "{{.Names}}",
    ]);
    assert!(label.unwrap().contains("main-web-1.0.0"));
}

#[test]
fn the_verbs_of_a_pod() {
    let sections = format!(
        "volumes:\n- {{name: data, type: volume}}\ncontainers:\n{}",
        sleeper(
            "main",
            "restart: always\nmounts:\n- {volume: data, dest: /data}"
        )
    );
    let host = Host::ready(&sections);
    let verb = |words: &[&str]| {
        let outcome = host.verb("web:1.0.0", words);
        assert_eq!(outcome.code, 0, "{words:?}: {outcome}");
    };
    let before = host.status("web:1.0.0").unwrap();
    verb(&["stop"]);
    host.wait("web:1.0.0", "it to end", has_ended);
    verb(&["run"]);
    let after = host.wait("web:1.0.0", "it to run", is_running);
    assert_ne!(unit(&before, "main").pid, unit(&after, "main").pid);
    verb(&["kill"]);
    host.wait("web:1.0.0", "it to end", has_ended);
    verb(&["download"]);
    verb(&["create-volumes"]);
    verb(&["create"]);
    verb(&["start"]);
    host.wait("web:1.0.0", "it to run", is_running);
    verb(&["rm"]);
    assert_eq!((host.pods(), host.containers()), (vec![], vec![]));
    assert_eq!(host.volumes().len(), 1);
    verb(&["purge"]);
    assert_eq!(host.volumes(), [""; 0]);
    verb(&["run"]);
    host.wait("web:1.0.0", "it to run", is_running);
}
