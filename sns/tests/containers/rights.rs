//! What a container may use and do: limits, users, capabilities, a root that is read-only.

use std::fs;

use super::host::{Host, ended, shell, sleeper, unit};

fn file_of(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap()
}

fn field(pid: u32, name: &str) -> String {
    let status = file_of(pid, "status");
    let found = status.lines().find_map(|line| line.strip_prefix(name));
    found
        .unwrap_or_default()
        .trim_start_matches(':')
        .trim()
        .to_owned()
}

#[test]
fn rights_are_those_that_are_declared() {
    let sections = format!(
        "containers:\n{}{}{}{}",
        sleeper("plain", ""),
        sleeper("app", "user: app"),
        sleeper(
            "dropped",
            "capabilities: {drop: [ALL], add: [NET_ADMIN]}\nreadOnly: true"
        ),
        sleeper("privileged", "privileged: true"),
    );
    let host = Host::ready(&sections);
    let status = host.status("web:1.0.0").unwrap();
    let pid = |name| unit(&status, name).pid.unwrap();
    assert_eq!(field(pid("plain"), "Uid"), "0\t0\t0\t0");
    assert_eq!(field(pid("app"), "Uid"), "1000\t1000\t1000\t1000");
    // NET_ADMIN is the twelfth.
    assert_eq!(field(pid("dropped"), "CapEff"), "0000000000001000");
    let effective = |name| u64::from_str_radix(&field(pid(name), "CapEff"), 16).unwrap();
    assert!(effective("privileged").count_ones() > effective("plain").count_ones());
    let write = |name| {
        host.verb("web:1.0.0", &["exec", "-c", name, "--", "touch", "/new"])
            .code
    };
    assert_eq!(write("plain"), 0);
    assert_ne!(write("dropped"), 0);
    assert_ne!(write("app"), 0);
}

#[test]
fn limits_hold() {
    let limits = "limits: {memory: 32M, cpu: 0.5, pids: 20}";
    let greedy = "tail /dev/zero";
    let sections = format!(
        "containers:\n{}{}",
        sleeper("main", limits),
        shell("greedy", greedy, "limits: {memory: 8M}"),
    );
    let host = Host::of(&sections);
    let status = host.wait("web:1.0.0", "the greedy one to be killed", |now| {
        ended(now, "greedy").is_some() && unit(now, "main").status == "running"
    });
    assert_eq!(ended(&status, "greedy"), Some(137));
    let forks = "i=0; while test $i -lt 40; do sleep 5 & i=$((i+1)); done; echo all";
    let said = host.verb(
        "web:1.0.0",
        &["exec", "-c", "main", "--", "sh", "-c", forks],
    );
    assert!(
        !said.stdout.contains("all") || said.stderr.contains("fork"),
        "{said}"
    );
    let inspect = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
    let name = unit(&status, "main").container.clone();
    let found = host
        .containers()
        .into_iter()
        .find(|found| found.starts_with(&name));
    let said = host
        .podman
        .run(&["inspect", "--format", inspect, &found.unwrap()]);
    assert_eq!(said.unwrap().trim(), "33554432 500000000 20");
}
