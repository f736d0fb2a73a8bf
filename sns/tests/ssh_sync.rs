//! `sns host init`, `sns cluster diff · sync · ps` with hosts behind real SSH servers, each with a home of its own.

use std::fs;
use std::path::PathBuf;

use testkit::{Outcome, Sshd, login_name, make_ssh_key};

use crate::bench::{Bench, PROGRAM, RUN};

/// A project whose hosts are behind servers.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) servers: Vec<(String, Sshd)>,
}

impl Stage {
    /// Hosts that are registered, initialised, and have a pod that was compiled and committed.
    pub(crate) fn new(hosts: &[&str]) -> Self {
        let mut stage = Self {
            bench: Bench::new(),
            servers: Vec::new(),
        };
        for host in hosts {
            stage.add(host);
        }
        stage.bench.ok(&["pod", "compile", "web"]);
        stage.bench.commit();
        stage
    }

    fn add(&mut self, host: &str) {
        let server = Sshd::new().unwrap();
        let bench = &self.bench;
        bench.ok(&[
            "host",
            "register",
            host,
            &format!("--address={}", server.address()),
            &format!("--user-name={}", login_name().unwrap()),
            "--keyfile=../../id",
            "--dir-home=cluster",
        ]);
        let key = bench.cluster.project().join("../id");
        if !key.exists() {
            make_ssh_key(&key, "ed25519", "").unwrap();
        }
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        server.authorize(&public).unwrap();
        bench.ok(&["host", "init", host]);
        let files: &[(&str, &str)] = match self.servers.is_empty() {
            true => &[("pod.yaml", PROGRAM), ("run.sh", RUN)],
            false => &[],
        };
        bench.attach("web", host, files);
        self.servers.push((host.to_owned(), server));
    }

    pub(crate) fn home(&self, host: &str) -> PathBuf {
        let server = self.servers.iter().find(|(name, _)| name == host);
        server.unwrap().1.home().join("cluster")
    }

    fn has_pod(&self, host: &str) -> bool {
        let pod = self.home(host).join("pods/web/release/1.0.0/pod");
        pod.exists()
    }

    pub(crate) fn sync(&self, more: &[&str]) -> Outcome {
        self.bench.run(&[&["cluster", "sync"], more].concat())
    }

    /// Ends the server of a host: it is out of reach.
    fn cut_off(&mut self, host: &str) {
        for (name, server) in &mut self.servers {
            if name == host {
                server.kill();
            }
        }
    }
}

#[test]
fn hosts_are_made_equal_and_confirmed_over_a_fresh_connection() {
    let stage = Stage::new(&["one", "two"]);
    assert!(stage.bench.read("one/age-recipient.txt").contains("age1"));
    let diff = stage.bench.run(&["cluster", "diff", "--exit-code"]);
    assert_eq!(diff.code, 10, "{diff}");
    let synced = stage.sync(&["--exit-code"]);
    assert_eq!(synced.code, 10, "{synced}");
    for host in ["one", "two"] {
        assert!(stage.has_pod(host));
        let kept = stage.home(host).join(".sync/former");
        assert!(!kept.exists(), "{host} has given up the way back");
    }
    let again = stage.sync(&["--exit-code"]);
    assert_eq!(
        (again.code, again.stderr.contains("syncing")),
        (0, false),
        "{again}"
    );
    assert_eq!(stage.bench.run(&["cluster", "diff", "--exit-code"]).code, 0);
    assert_eq!(stage.bench.git_status(), "");
}

#[test]
fn a_host_that_is_down_does_not_hold_up_the_others() {
    let mut stage = Stage::new(&["one", "two"]);
    stage.cut_off("one");
    let synced = stage.sync(&[]);
    assert_eq!(synced.code, 6, "{synced}");
    assert!(synced.stdout.contains("one: failed"), "{synced}");
    assert!(
        synced.stderr.contains("could not reach host one"),
        "{synced}"
    );
    assert!(stage.has_pod("two"));
    let shown = stage.bench.run(&["cluster", "ps"]);
    assert!(shown.stdout.contains("could not reach host one"), "{shown}");
}

#[test]
fn only_what_is_named_is_synced() {
    let stage = Stage::new(&["one", "two"]);
    let named = stage.sync(&["--only", "one"]);
    assert_eq!(named.code, 0, "{named}");
    assert!(stage.has_pod("one") && !stage.has_pod("two"));
    let part = stage.sync(&["--only", "two/web"]);
    assert_eq!(part.code, 0, "{part}");
    assert!(stage.has_pod("two"));
    let chain = stage.home("two").join("commit-chain.txt");
    assert!(!chain.exists(), "a part of a commit is no commit");
    let unknown = stage.sync(&["--only", "two/wep"]);
    assert_eq!(unknown.code, 3, "{unknown}");
    assert!(unknown.stderr.contains("did you mean `web`"), "{unknown}");
}

#[test]
fn what_was_changed_by_hand_shows_in_diff_and_ps() {
    let stage = Stage::new(&["one"]);
    assert_eq!(stage.sync(&[]).code, 0);
    let state = stage.home("one").join("pods/web/release/1.0.0/pod.state");
    hostfiles::replace(&state, b"stopped\n", 0o644).unwrap();
    let diff = stage.bench.run(&["cluster", "diff"]);
    assert!(
        diff.stderr
            .contains("host one is not as its last sync left it")
            && diff.stderr.contains("~ web:1.0.0 stopped -> running"),
        "{diff}"
    );
    let shown = stage.bench.run(&["cluster", "ps"]);
    assert!(
        shown
            .stderr
            .contains("host one is not as its last sync left it"),
        "{shown}"
    );
}

#[test]
fn old_releases_are_collected_when_it_is_asked_for_or_by_every_sync() {
    let stage = Stage::new(&["one"]);
    assert_eq!(stage.sync(&[]).code, 0);
    stage.bench.ok(&["pod", "state", "web", "-s", "removed"]);
    stage.bench.commit();
    assert_eq!(stage.sync(&[]).code, 0);
    let release = stage.home("one").join("pods/web/release/1.0.0");
    assert_eq!(stage.bench.ok(&["cluster", "gc"]), "");
    assert!(release.exists(), "two of each pod stay");
    let shown = stage.bench.ok(&["cluster", "gc", "--keep=0", "--dry-run"]);
    assert_eq!(shown, "one: would remove web:1.0.0\n");
    stage.bench.write("gc.env", "KEEP_REMOVED=0\nAUTO=yes\n");
    stage.bench.commit();
    let synced = stage.sync(&[]);
    assert!(
        synced.stderr.contains("removed what was left of web:1.0.0"),
        "{synced}"
    );
    assert!(!release.exists());
    assert_eq!(
        stage.sync(&["--exit-code"]).code,
        0,
        "it does not come back"
    );
}

#[test]
fn a_host_without_the_program_says_so() {
    let stage = Stage::new(&["one"]);
    let env = "one/host.env";
    let text = stage.bench.read(env);
    // A login that runs nothing but this.
    let public = fs::read_to_string(stage.bench.cluster.project().join("../id.pub")).unwrap();
    let (_, server) = stage.servers.first().unwrap();
    let only = format!("restrict,command=\"exec nonesuch\" {public}");
    fs::remove_file(server.home().join("authorized")).unwrap();
    hostfiles::replace(&server.home().join("authorized"), only.as_bytes(), 0o600).unwrap();
    let synced = stage.sync(&[]);
    assert_eq!(synced.code, 6, "{synced}");
    assert!(
        synced.stderr.contains("host one stopped answering") && synced.stderr.contains("nonesuch"),
        "{synced}"
    );
    assert!(text.contains("HOSTHOME=cluster"));
}
