//! Containers outlive the daemon, and what is killed at any moment leaves nothing twice and nothing behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::host::{Host, kill, shell, sleeper, starts, unit};

fn two() -> String {
    format!(
        "volumes:\n- {{name: data, type: volume}}\ncontainers:\n{}{}",
        sleeper(
            "one",
            "restart: always\nmounts:\n- {volume: data, dest: /data}"
        ),
        shell("two", "echo begun; exec sleep 600", "restart: always")
    )
}

#[test]
fn containers_outlive_the_daemon() {
    let host = Host::ready(&two());
    let before = host.status("web:1.0.0").unwrap();
    let containers = host.podman.words(&["ps", "--quiet", "--no-trunc"]).unwrap();
    for is_asked in [true, false] {
        if is_asked {
            host.end();
        } else {
            host.kill_daemon();
        }
        host.start();
        let after = host.wait("web:1.0.0", "the next daemon to know it", |now| {
            now.readiness && now.pid == Some(host.id())
        });
        for name in ["one", "two"] {
            assert_eq!(unit(&before, name).pid, unit(&after, name).pid);
        }
    }
    assert_eq!(
        host.podman.words(&["ps", "--quiet", "--no-trunc"]).unwrap(),
        containers
    );
    assert_eq!(host.said("two"), "begun\n");
}

#[test]
fn a_container_that_ends_while_no_daemon_runs_is_started_by_the_next() {
    let host = Host::ready(&two());
    let before = host.status("web:1.0.0").unwrap();
    host.end();
    kill(unit(&before, "one").pid.unwrap());
    host.start();
    let after = host.wait("web:1.0.0", "it to be started again", |now| {
        now.readiness
            && unit(now, "one")
                .pid
                .is_some_and(|pid| Some(pid) != unit(&before, "one").pid)
    });
    assert_eq!(unit(&before, "two").pid, unit(&after, "two").pid);
}

#[test]
fn a_container_that_is_removed_by_hand_comes_back() {
    let host = Host::ready(&two());
    let before = host.status("web:1.0.0").unwrap();
    let name = host
        .containers()
        .into_iter()
        .find(|name| name.starts_with("one"));
    host.podman
        .run(&["rm", "--force", "--time", "0", &name.unwrap()])
        .unwrap();
    let after = host.wait("web:1.0.0", "it to come back", |now| {
        starts(now, "one") == 2 && now.readiness
    });
    assert_eq!(unit(&before, "two").pid, unit(&after, "two").pid);
    // The whole podman pod.
    host.podman
        .run(&["pod", "rm", "--force", "--all", "--time", "0"])
        .unwrap();
    host.wait("web:1.0.0", "both to come back", |now| {
        // The first attempt may be made in the belief that the podman pod is still there.
        now.readiness && starts(now, "one") >= 3 && starts(now, "two") >= 2
    });
    assert_eq!(host.containers().len(), 2);
}

#[test]
fn a_killed_shim_leaves_no_container_twice() {
    let host = Host::ready(&two());
    let file = host.release("web:1.0.0").join("run/one.json");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let shim = record["shim"]["pid"].as_u64().unwrap();
    kill(u32::try_from(shim).unwrap());
    host.until("the shim to be gone", || {
        !Path::new(&format!("/proc/{shim}/exe")).exists()
    });
    host.bench.ok(&["pod", "rerun", "web", "one"]);
    host.wait("web:1.0.0", "it to be ready", |now| {
        now.readiness && unit(now, "one").status == "running"
    });
    assert_eq!(host.containers().len(), 2);
}

/// The same numbers for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[test]
fn killed_at_any_moment_nothing_is_there_twice_and_nothing_is_left() {
    let seed = testkit::soak::seed();
    eprintln!("SOAK_SEED={seed}");
    let mut random = Random(seed);
    let host = Host::ready(&two());
    for round in 0..testkit::soak::count(100) {
        // Something is under way …
        match random.below(3) {
            0 => host.ask(&["rerun", "one"]),
            1 => host.ask(&["rerun"]),
            _ => host.ask(&["stop"]),
        }
        // … at any moment of which …
        std::thread::sleep(Duration::from_millis(random.below(700)));
        // … the daemon, or a podman, or both are killed.
        let victims = random.below(3);
        if victims != 0 {
            for pid in host.podman.processes() {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                if name.trim() == "podman" {
                    kill(u32::try_from(pid).unwrap());
                }
            }
        }
        if victims != 1 {
            host.kill_daemon();
            host.start();
        }
        host.verb("web:1.0.0", &["run"]);
        host.wait("web:1.0.0", &format!("round {round} to end well"), |now| {
            now.readiness
                && now.pid == Some(host.id())
                && ["one", "two"]
                    .iter()
                    .all(|name| unit(now, name).pid.is_some())
        });
        let containers = host.containers();
        assert_eq!(containers.len(), 2, "round {round}: {containers:?}");
        assert_eq!((host.pods().len(), host.volumes().len()), (1, 1));
    }
    host.state("web", "removed");
    host.wait("web:1.0.0", "it to be removed", |now| {
        now.status == hostfiles::PodPhase::Removed
    });
    assert_eq!((host.pods(), host.containers()), (vec![], vec![]));
    let all = host
        .podman
        .words(&["ps", "--all", "--quiet", "--external"])
        .unwrap();
    assert_eq!(all, [""; 0], "also none of those that hold a network");
    assert_eq!(host.volumes().len(), 1, "removing keeps volumes");
}

#[test]
fn the_pod_of_a_machine_that_was_switched_off_runs_again() {
    // All processes are gone at once, and podman still believes what it has written down.
    let host = Host::ready(&two());
    let before = host.status("web:1.0.0").unwrap();
    host.kill_daemon();
    for pid in host.podman.processes() {
        kill(u32::try_from(pid).unwrap());
    }
    for name in ["one", "two"] {
        kill(unit(&before, name).pid.unwrap());
    }
    host.start();
    host.wait("web:1.0.0", "it to run again", |now| {
        now.readiness
            && now.pid == Some(host.id())
            && unit(now, "one")
                .pid
                .is_some_and(|pid| Some(pid) != unit(&before, "one").pid)
    });
    assert_eq!(host.containers().len(), 2);
}
