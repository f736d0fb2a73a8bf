//! Container pods that lie by themselves, in no cluster: `sns pod compile --standalone`, then `./pod`.

use std::path::{Path, PathBuf};

use testkit::{Outcome, Podman, wait_until};

use crate::bench::{Bench, write};

use super::host::{IMAGE, LIMIT};

/// The same pod in several directories of one user.
struct Checkouts {
    podman: Podman,
    bench: Bench,
}

impl Checkouts {
    fn new() -> Self {
        let podman = Podman::new().unwrap();
        podman.image(IMAGE, &[]).unwrap();
        let bench = Bench::empty().with_plugins();
        Self { podman, bench }
    }

    fn checkout(&self, name: &str) -> PathBuf {
        let directory = self.bench.cluster.folder().join(name);
        let text = format!(
            "api: 1.0.0-beta2\npodVersion: 1.0.0\nvolumes: [{{name: data, type: volume}}]\ncontainers:\n  - name: main\n    image: {IMAGE}\n    command: [sh, -c, 'echo {name} >> /data/name; exec sleep 600']\n    mounts: [{{volume: data, dest: /data}}]\n"
        );
        write(&directory.join("pod.yaml"), &text);
        let arguments = ["pod", "compile", "web", "--standalone"];
        let outcome = self.bench.run_in(&directory, &arguments);
        outcome.success().unwrap();
        directory
    }

    fn verb(&self, directory: &Path, words: &[&str]) -> Outcome {
        let program = directory.join("pod");
        let mut command = self.bench.cluster.command(program.to_str().unwrap());
        command.args(words).current_dir(directory);
        command.env("SIMPLENETES_PLUGINS", self.bench.plugins());
        command.envs(self.podman.environment());
        Outcome::of(&mut command).unwrap()
    }

    fn containers(&self) -> usize {
        let names = [
            "ps",
            "--filter=label=io.simplenetes.unit",
            "--format={{.Names}}",
        ];
        self.podman.run(&names).unwrap().lines().count()
    }
}

impl Drop for Checkouts {
    fn drop(&mut self) {
        for name in ["one", "two"] {
            let directory = self.bench.cluster.folder().join(name);
            if directory.join(".pod.status").exists() {
                self.verb(&directory, &["rm", "--kill"]);
            }
        }
    }
}

#[test]
fn a_pod_in_two_directories_is_two_pods() {
    let checkouts = Checkouts::new();
    let (one, two) = (checkouts.checkout("one"), checkouts.checkout("two"));
    for directory in [&one, &two] {
        checkouts.verb(directory, &["run"]).success().unwrap();
    }
    assert_eq!(checkouts.containers(), 2);
    for (directory, name) in [(&one, "one\n"), (&two, "two\n")] {
        let said = wait_until("the container to write", LIMIT, || {
            let said = checkouts.verb(directory, &["exec", "--", "cat", "/data/name"]);
            Ok(Some(said.success()?).filter(|said| !said.is_empty()))
        });
        assert_eq!(said.unwrap(), name, "each has volumes of its own");
    }
    checkouts.verb(&one, &["rm"]).success().unwrap();
    assert_eq!(checkouts.containers(), 1, "the other goes on");
    checkouts.verb(&two, &["rm"]).success().unwrap();
    assert_eq!(checkouts.containers(), 0);
    let pods = checkouts.podman.run(&["pod", "ps", "--quiet"]).unwrap();
    assert_eq!(pods, "", "nothing is left");
}
