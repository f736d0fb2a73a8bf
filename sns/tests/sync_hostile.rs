//! Hosts and projects of somebody who means harm: an error that says so, in bounded time and memory, and nothing is
//! touched that they have no business with.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use testkit::{Outcome, program};

use crate::bench::Bench;
use crate::ssh_sync::Stage;

/// What no text of a host may bring to a terminal.
const ESCAPE: &str = "\u{1b}[2J";

/// More than `sns` needs for some hosts, and far less than a host could fill, in KiB of addresses.
const MEMORY_KIB: u32 = 2_000_000;

/// One message as a frame.
fn frame(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&length[..], &[1], text.as_bytes()].concat()
}

/// What a host says that answers without having been asked.
fn says(answers: &[Value]) -> Vec<u8> {
    let greeting = json!({"answer": "greeting", "protocol": 1, "program": format!("it{ESCAPE}")});
    let frames = std::iter::once(&greeting).chain(answers).flat_map(frame);
    b"simplenetes-sync\n"
        .iter()
        .copied()
        .chain(frames)
        .collect()
}

fn seen(more: &Value) -> Value {
    let mut seen = json!({
        "answer": "seen", "chain": {"Ok": []}, "present": null, "drift": null, "reverted": null, "recovered": null,
    });
    for (key, value) in more.as_object().unwrap() {
        let fields = seen.as_object_mut().unwrap();
        fields.insert(key.clone(), value.clone());
    }
    seen
}

fn tree(plugin: &str) -> Value {
    let plugins = match plugin {
        "" => json!({}),
        name => json!({name: "0".repeat(64)}),
    };
    json!({
        "hosts_conf": null, "cluster_ports_conf": null, "peers_conf": null, "plugins_yaml": null,
        "plugins": plugins, "releases": {},
    })
}

/// Puts a script into the place of the daemon's program, and beside it what it may say.
fn plant(home: &Path, script: &str, said: &[u8]) {
    let bin = home.join("bin");
    fs::create_dir_all(&bin).unwrap();
    hostfiles::replace(&bin.join("said"), said, 0o644).unwrap();
    let text = format!("#!/bin/sh\n{script}\n");
    hostfiles::replace(&bin.join("simplenetesd"), text.as_bytes(), 0o755).unwrap();
}

/// Says what lies beside it, and then nothing.
const SAY: &str = "cat \"$HOME/bin/said\"; exec cat > /dev/null";

/// Runs `sns` with little memory.
fn bounded(bench: &Bench, arguments: &str) -> Outcome {
    let sns = program("sns").unwrap();
    let mut command = bench.cluster.command("sh");
    let line = format!("ulimit -v {MEMORY_KIB}; exec {} {arguments}", sns.display());
    command.args(["-c", &line]).env("USER", "tester");
    command.env("SIMPLENETES_PLUGINS", bench.plugins());
    Outcome::of(&mut command).unwrap()
}

#[test]
fn hosts_that_lie_flood_or_hang_are_left_behind() {
    let names = [
        "beats", "hangs", "leaves", "noise", "stderr", "long", "names", "piece", "nonsense",
        "wants", "twice",
    ];
    let stage = Stage::new(&[&["good"], &names[..]].concat());
    let pod = stage
        .bench
        .cluster
        .project()
        .join("twice/pods/web/release/1.0.0/pod");
    let known = simplenetes_sync::Digest::of(&fs::read(pod).unwrap()).to_string();
    let nothing = seen(&json!({"present": tree("")}));
    let foreign = "0".repeat(64);
    let hosts: Vec<(&str, &str, Vec<u8>, &str)> = vec![
        (
            "beats",
            "cat \"$HOME/bin/said\"; exec cat /dev/zero",
            says(&[]),
            "beats without end",
        ),
        (
            "hangs",
            "exec sleep 600",
            Vec::new(),
            "has said nothing for 15 s",
        ),
        (
            "leaves",
            "exec 1>&-; exec sleep 600",
            Vec::new(),
            "has said nothing for 15 s",
        ),
        (
            "noise",
            "exec yes",
            Vec::new(),
            "does not speak the protocol",
        ),
        (
            "stderr",
            "yes \"$(printf 'x\\033[2J')\" | head -c 10000000 >&2; exit 1",
            Vec::new(),
            "the connection was lost",
        ),
        (
            "long",
            SAY,
            [says(&[]), vec![0xff; 5]].concat(),
            "a frame of 4294967295 bytes",
        ),
        (
            "names",
            SAY,
            says(&[seen(&json!({"present": tree("../../x.wasm")}))]),
            "no name of a plugin",
        ),
        (
            "piece",
            SAY,
            [says(&[]), vec![0, 0, 0, 1, 4, 0]].concat(),
            "which only a host is sent",
        ),
        (
            "nonsense",
            SAY,
            says(&[json!({"answer": ESCAPE})]),
            "a message that is none",
        ),
        (
            "wants",
            SAY,
            says(&[
                nothing.clone(),
                json!({"answer": "need", "contents": [foreign], "pieces": {}}),
            ]),
            "contents that nobody announced",
        ),
        (
            "twice",
            SAY,
            says(&[
                nothing,
                json!({"answer": "need", "contents": [known, known], "pieces": {}}),
            ]),
            "the same contents twice",
        ),
    ];
    for (name, script, said, _) in &hosts {
        plant(stage.home(name).parent().unwrap(), script, said);
    }
    let synced = bounded(&stage.bench, "cluster sync");
    assert_eq!(synced.code, 6, "{synced}");
    assert!(synced.stdout.contains("good: 3 changes made"), "{synced}");
    assert!(!synced.stderr.contains('\u{1b}') && !synced.stdout.contains('\u{1b}'));
    for (name, _, _, expected) in &hosts {
        let errors = synced.stderr.split("error: ");
        let about = format!("host {name} ");
        let told: Vec<&str> = errors.filter(|error| error.contains(&about)).collect();
        assert!(
            told.iter().any(|error| error.contains(expected)),
            "{name}: {expected}\n{synced}"
        );
    }
    assert!(synced.stderr.len() < 100_000);
    assert_eq!(stage.bench.git_status(), "");
}

#[test]
fn what_a_host_says_does_not_steer_the_terminal() {
    let stage = Stage::new(&["one"]);
    let status = format!("pod: web\nstatus: running\nmessage: {ESCAPE}\n");
    let said = says(&[
        json!({"answer": "standings", "standings": [{"kind": "known", "text": status}]}),
        seen(&json!({"reverted": {"commit": ESCAPE, "why": ESCAPE}, "unconfirmed": ESCAPE})),
    ]);
    plant(stage.home("one").parent().unwrap(), SAY, &said);
    for arguments in [&["cluster", "ps"][..], &["cluster", "ps", "--json"]] {
        let shown = stage.bench.run(arguments);
        assert_eq!(shown.code, 0, "{shown}");
        assert!(shown.stderr.contains("went back by itself"), "{shown}");
        let escapes = |text: &str| text.contains('\u{1b}') || text.contains("\\u001b");
        assert!(
            !escapes(&shown.stdout) && !escapes(&shown.stderr),
            "{shown:?}"
        );
    }
}

#[test]
fn a_project_with_links_gives_nothing_of_the_operator_to_a_host() {
    let bench = Bench::with_program();
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    let secret = bench.cluster.folder().join("home/secret");
    hostfiles::replace(&secret, b"the operator's own", 0o600).unwrap();
    let folder = secret.parent().unwrap();
    let release = "laptop/pods/web/release/1.0.0";
    for (place, target) in [
        (format!("{release}/pod"), secret.as_path()),
        (format!("{release}/config/conf/a"), &secret),
        (format!("{release}/config/other"), folder),
        ("laptop/pods/more".to_owned(), folder),
    ] {
        let path = bench.cluster.project().join(&place);
        let _ = fs::remove_file(&path);
        symlink(target, &path).unwrap();
        bench.commit();
        let synced = bench.run(&["cluster", "sync", "--pod-to-overwrite=web:1.0.0"]);
        assert_eq!(synced.code, 3, "{place}: {synced}");
        let told = synced.stderr.contains(&place) && synced.stderr.contains("hint: ")
            || synced.stderr.contains("put the file itself there");
        assert!(told, "{place}: {synced}");
        bench.git(&["revert", "--no-edit", "HEAD"]);
    }
    // The configs of the cluster, from which releases are made.
    for place in ["_config/web/link", "_config/web/conf/link"] {
        let path = bench.cluster.project().join(place);
        symlink(folder, &path).unwrap();
        let outcome = bench.run(&["pod", "updateconfig", "web"]);
        assert_eq!(outcome.code, 3, "{place}: {outcome}");
        fs::remove_file(&path).unwrap();
    }
    let logins = bench.cluster.project().join("registry-config.json");
    symlink(&secret, &logins).unwrap();
    let outcome = bench.run(&["host", "init", "laptop"]);
    assert_eq!(outcome.code, 3, "{outcome}");
}
