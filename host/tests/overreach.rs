//! A plugin that plans more than its grant and its pod allow, in the real daemon: with the grant of the plugin
//! for native pods, and with one as a plugin for podman would have. Nothing of the plan is run, `ps` says what was
//! refused, and the honest plan of the next call is run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use simplenetes_plugin::Manifest;
use testkit::Daemon;

use crate::host::{Host, is_running, native_component};
use crate::mock;

const NAMED: &str = "plugin mock 0.1.0 failed in `plan`";

/// A pod that declares a program, an image, a mount and what else a container may get, and whose plugin plans
/// these words when it should start.
fn pod(host: &Host, id: &str, words: &str) {
    let words = in_release(host, id, words);
    let behaviour = serde_json::to_string(&format!("do {words}")).unwrap();
    let unit = format!(
        "- name: main\n  restart: always\n  mounts: [{{volume: conf, dest: /mnt}}]\n  spec: {{program: sleep, args: ['600'], image: busybox, devices: [/dev/fuse], capabilities: [NET_ADMIN], env: [{{name: MODE, value: quiet}}], behaviour: {behaviour}}}\n"
    );
    host.pod_of("mock", id, "running", &unit);
}

/// A mount is known by its path on the host.
fn in_release(host: &Host, id: &str, words: &str) -> String {
    words.replace("RELEASE", host.release(id).path().to_str().unwrap())
}

/// A daemon with a `podman` that only leaves a word when it is called, and runs what stands last.
fn daemon(host: &Host) -> Daemon {
    let home = host.home().path().to_owned();
    let programs = home.with_file_name("programs");
    Host::put(
        &programs.join("podman"),
        b"#!/bin/sh\necho \"$@\" >> called\nexec sleep 600\n",
    );
    fs::set_permissions(programs.join("podman"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = host.command(&[home.to_str().unwrap()]);
    command.env("PATH", format!("{}:{path}", programs.display()));
    Daemon::start(&mut command, &home).unwrap()
}

/// Every one of these plans is refused with these words, and then this one is carried out.
fn check(grants: Value, refused: &[(&str, &str)], allowed: &str) {
    let host = Host::new();
    mock::install_as(&host, &mock::component(), grants);
    let ids: Vec<String> = (0..refused.len())
        .map(|row| format!("row{row}:1.0.0"))
        .collect();
    for (id, (words, _)) in ids.iter().zip(refused) {
        pod(&host, id, words);
    }
    let _daemon = daemon(&host);
    for (id, (words, named)) in ids.iter().zip(refused) {
        let status = host.wait(id, words, |status| status.message.contains(NAMED));
        assert!(
            status.message.contains("not granted") || status.message.contains("is granted, but"),
            "{words}: {status:?}"
        );
        assert!(status.message.contains(named), "{words}: {status:?}");
        assert!(
            status.units.iter().all(|unit| unit.pid.is_none()),
            "{words}: {status:?}"
        );
    }
    for id in &ids {
        pod(&host, id, allowed);
    }
    for id in &ids {
        host.wait(id, "the next call", is_running);
    }
    for id in &ids {
        let called = fs::read_to_string(host.release(id).path().join("called"));
        let called = called.unwrap_or_default();
        let expected = in_release(&host, id, allowed)
            .strip_prefix("podman ")
            .map_or(String::new(), |words| format!("{words}\n"));
        assert_eq!(called, expected, "{id}");
    }
}

#[test]
fn the_native_grant_runs_nothing_that_the_pod_does_not_declare() {
    let wishes = Manifest::read(&native_component()).unwrap().wishes;
    let rows = [
        ("sleep 600 1", "[\"600\", \"1\"]"),
        ("sleep", "`sleep`"),
        ("sh -c true", "`sh`"),
        ("/bin/sleep 600", "`/bin/sleep`"),
        ("./sleep 600", "`./sleep`"),
        ("podman run busybox", "`podman`"),
        ("env:MODE=loud sleep 600", "`MODE`"),
        ("env:LD_PRELOAD=evil.so sleep 600", "`LD_PRELOAD`"),
    ];
    check(
        serde_json::to_value(wishes).unwrap(),
        &rows,
        "env:MODE=quiet sleep 600",
    );
}

#[test]
fn a_podman_like_grant_places_nothing_that_the_pod_does_not_declare() {
    let grants = json!({"programs": [{
        "program": "podman",
        "arguments": ["run [--volume {pod:mount} | --device {pod:device} | --cap-add={pod:capability} | --privileged={pod:privileged} | --env {pod:env}]... {pod:image} {pod:args}"],
    }], "signals": true});
    let run = "podman run";
    let rows: Vec<(String, &str)> = [
        ("--volume /:/mnt", "/:/mnt"),
        ("--volume conf:/etc", "conf:/etc"),
        ("--mount type=bind,src=/,dst=/mnt", "--mount"),
        ("--device /dev/sda", "/dev/sda"),
        ("--cap-add=SYS_ADMIN", "SYS_ADMIN"),
        ("--privileged=true", "--privileged=true"),
        ("--pid=host", "--pid=host"),
        ("--env PATH", "PATH"),
    ]
    .map(|(flags, named)| (format!("{run} {flags} busybox sleep 600"), named))
    .into_iter()
    .chain([
        (format!("{run} evil sleep 600"), "evil"),
        (format!("{run} busybox sh -c true"), "sh"),
        ("podman system reset --force".to_owned(), "system"),
        ("docker run busybox sleep 600".to_owned(), "`docker`"),
        ("sleep 600".to_owned(), "`sleep`"),
        (
            format!("env:CONTAINER_HOST=evil {run} busybox sleep 600"),
            "`CONTAINER_HOST`",
        ),
    ])
    .collect();
    let rows: Vec<(&str, &str)> = rows
        .iter()
        .map(|(words, named)| (words.as_str(), *named))
        .collect();
    check(
        grants,
        &rows,
        "podman run --volume RELEASE/config/conf:/mnt --device /dev/fuse --cap-add=NET_ADMIN --privileged=false --env MODE busybox sleep 600",
    );
}
