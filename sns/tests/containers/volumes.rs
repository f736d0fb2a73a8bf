//! What containers mount: volumes and who shares them, memory, configs, paths of the host.

use std::fs;

use super::host::{Host, file, has_ended, is_running, shell, sleeper, starts, unit, yaml};

/// All kinds of volumes that podman makes.
const SHARED: &str = "\
volumes:
- name: own
  type: volume
- name: pods
  type: volume
  shared: pod
- name: hosts
  type: volume
  shared: host
";

const MOUNTS: &str = "\
mounts:
- {volume: own, dest: /own}
- {volume: pods, dest: /pods}
- {volume: hosts, dest: /hosts}
restart: always";

/// Writes its version into each volume and says what it has found there.
fn writer(version: &str) -> String {
    let script = format!(
        "for v in own pods hosts; do echo {version} >> /$v/by; echo $v $(cat /$v/by); done; exec sleep 600"
    );
    let sections = format!("{SHARED}containers:\n{}", shell("main", &script, MOUNTS));
    yaml(version, &sections)
}

#[test]
fn volumes_outlive_versions_as_far_as_they_are_shared() {
    let host = Host::new();
    host.pod("web", &[("pod.yaml", &writer("1.0.0"))]);
    host.start();
    host.wait_for_line("main", "hosts 1.0.0");
    host.version("web", &writer("2.0.0"));
    let said = || {
        host.verb("web:2.0.0", &["logs", "-d", "none", "main"])
            .stdout
    };
    host.until("the second version to have written", || {
        said().contains("hosts 1.0.0 2.0.0")
    });
    assert_eq!(said(), "own 2.0.0\npods 1.0.0 2.0.0\nhosts 1.0.0 2.0.0\n");
    assert_eq!(host.volumes().len(), 4, "{:?}", host.volumes());
    // A pod that is there cannot be purged; one that is not loses what is its own, and nothing else.
    assert_ne!(host.verb("web:1.0.0", &["purge"]).code, 0);
    host.state("web:1.0.0", "removed");
    host.wait("web:1.0.0", "it to be removed", |now| {
        now.status == hostfiles::PodPhase::Removed
    });
    assert_eq!(host.volumes().len(), 4, "removing keeps volumes");
    let purged = host.verb("web:1.0.0", &["purge"]);
    assert_eq!(purged.code, 0, "{purged}");
    let left = host.volumes();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.iter().all(|name| !name.contains("1.0.0")), "{left:?}");
    let kept = host.sns(&[
        "pod",
        "exec",
        "web:2.0.0",
        "-u",
        "main",
        "--",
        "cat",
        "/pods/by",
    ]);
    assert_eq!(kept.stdout, "1.0.0\n2.0.0\n");
}

/// A container that mounts memory, a config, and of the host one file, one directory and a device.
fn mounting(single: &str, directory: &str) -> String {
    format!(
        "\
volumes:
- {{name: memory, type: ramdisk, size: 2M}}
- {{name: conf, type: config}}
- {{name: single, type: host, bind: {single}}}
- {{name: directory, type: host, bind: {directory}}}
- {{name: device, type: host, bind: /dev/null}}
containers:
{}",
        sleeper(
            "main",
            "\
mounts:
- {volume: memory, dest: /memory}
- {volume: conf, dest: /conf}
- {volume: single, dest: /single.txt}
- {volume: directory, dest: /directory}
- {volume: device, dest: /dev/nothing}"
        )
    )
}

#[test]
fn memory_configs_and_paths_of_the_host() {
    let host = Host::new();
    let single = file(&host, "shared/one.txt", "one file\n");
    let directory = host.bench.cluster.folder().join("shared");
    let sections = mounting(&single, &directory.display().to_string());
    let files = [
        ("pod.yaml", &*yaml("1.0.0", &sections)),
        ("config/conf/text", "a config\n"),
        ("config/conf/.hidden", "hidden\n"),
        ("config/conf/deep/er", "deeper\n"),
    ];
    host.pod("web", &files);
    host.start();
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
    let said = host.exec(
        "main",
        &[
            "cat",
            "/conf/text",
            "/conf/.hidden",
            "/conf/deep/er",
            "/single.txt",
        ],
    );
    assert_eq!(said, "a config\nhidden\ndeeper\none file\n");
    let kinds = host.exec(
        "main",
        &[
            "sh",
            "-c",
            "test -c /dev/nothing && echo x > /dev/nothing && echo device",
        ],
    );
    assert_eq!(kinds, "device\n");
    // A config cannot be written to; what is of the host can.
    let refused = host.verb(
        "web:1.0.0",
        &["exec", "-c", "main", "--", "touch", "/conf/text"],
    );
    assert_ne!(refused.code, 0);
    host.exec(
        "main",
        &[
            "sh",
            "-c",
            "echo changed > /directory/two.txt; echo x > /memory/y",
        ],
    );
    let two = host.bench.cluster.folder().join("shared/two.txt");
    assert_eq!(fs::read_to_string(two).unwrap(), "changed\n");
    // Memory is empty again when the pod is.
    host.state("web", "removed");
    host.wait("web:1.0.0", "it to be removed", |now| {
        now.status == hostfiles::PodPhase::Removed
    });
    assert!(!host.release("web:1.0.0").join("ramdisk/memory/y").exists());
}

#[test]
fn memory_is_there_for_a_container_of_another_user_too() {
    let script = "id -u; echo x > /tmp/y && echo written; exec sleep 600";
    let keys = "user: '1000'\nreadOnly: true\nmounts:\n- {volume: scratch, dest: /tmp}";
    let sections = format!(
        "volumes:\n- {{name: scratch, type: ramdisk, size: 1M}}\ncontainers:\n{}",
        shell("main", script, keys)
    );
    let host = Host::of(&sections);
    host.wait_for_line("main", "written");
    assert!(host.said("main").contains("1000"));
}

#[test]
fn a_changed_config_is_told_by_signal_or_by_a_start() {
    let script = "trap 'cat /conf/text' HUP; cat /conf/text; while :; do sleep 600 & wait $!; done";
    let mounts = "mounts:\n- {volume: conf, dest: /conf}\nrestart: always";
    let sections = format!(
        "volumes:\n- {{name: conf, type: config}}\ncontainers:\n{}{}{}",
        shell("told", script, &format!("{mounts}\nsignal:\n- sig: HUP")),
        shell("untold", "cat /conf/text; sleep 600", mounts),
        sleeper("other", "restart: always"),
    );
    let host = Host::new();
    let files = [
        ("pod.yaml", &*yaml("1.0.0", &sections)),
        ("config/conf/text", "first\n"),
    ];
    host.pod("web", &files);
    host.start();
    let before = host.wait("web:1.0.0", "it to run", |now| now.readiness);
    host.wait_for_line("told", "first");
    host.config("conf/text", "second\n");
    host.wait_for_line("told", "second");
    let after = host.status("web:1.0.0").unwrap();
    for name in ["told", "untold", "other"] {
        let pid = |status| unit(status, name).pid;
        assert_eq!(pid(&before), pid(&after), "{name}");
    }
    // One without a signal of its own sees the new files when it starts again.
    host.bench.ok(&["pod", "rerun", "web", "untold"]);
    host.wait_for_line("untold", "second");
    assert_eq!(
        starts(&host.wait("web:1.0.0", "it to run", is_running), "other"),
        1
    );
}

#[test]
fn a_path_of_the_host_that_is_missing_is_told_in_one_line() {
    let host = Host::new();
    let missing = host.bench.cluster.folder().join("missing");
    let sections = format!(
        "volumes:\n- {{name: pages, type: host, bind: {}}}\ncontainers:\n{}",
        missing.display(),
        sleeper(
            "main",
            "mounts:\n- {volume: pages, dest: /pages}\nrestart: always"
        )
    );
    host.pod("web", &[("pod.yaml", &yaml("1.0.0", &sections))]);
    host.start();
    host.wait_for_reason("web:1.0.0", missing.to_str().unwrap());
    host.state("web", "stopped");
    host.wait("web:1.0.0", "it to be given up", has_ended);
}
