//! Syncs over real SSH in which something dies, fills up or comes twice: the host is wholly old or wholly new, and the
//! next sync finishes the work. `meddle` stands between the two ends and says when.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hostfiles::HostHome;
use rustix::process::{Pid, Signal, kill_process};
use simplenetes_sync::{far::Recovered, recover};
use testkit::{Outcome, SmallDisk, program, soak, wait_until};

use crate::bench::write;
use crate::ssh_sync::Stage;

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the release of the test lies in the project.
const RELEASE: &str = "one/pods/web/release/1.0.0";

/// What a host has: its files and where its links lead.
type Snapshot = BTreeMap<PathBuf, String>;

/// One host behind `meddle`, with a pod that changes.
struct Rig {
    stage: Stage,
    /// How often the project has changed.
    version: u64,
}

impl Rig {
    /// The host is as the project wants it.
    fn new() -> Self {
        let mut rig = Self {
            stage: Stage::new(&["one"]),
            version: 0,
        };
        let (meddle, daemon) = (program("meddle").unwrap(), program("simplenetesd").unwrap());
        let (meddle, daemon, place) = (meddle.display(), daemon.display(), rig.place());
        let script = format!(
            "#!/bin/sh\nexec {meddle} {} {daemon} \"$@\"\n",
            place.display()
        );
        hostfiles::replace(&place.join("simplenetesd"), script.as_bytes(), 0o755).unwrap();
        rig.change();
        rig.finish();
        rig
    }

    /// The `bin` of the host, where `meddle` looks, too.
    fn place(&self) -> PathBuf {
        let (_, server) = self.stage.servers.first().unwrap();
        let place = server.home().join("bin");
        fs::create_dir_all(&place).unwrap();
        place
    }

    fn home(&self) -> PathBuf {
        self.stage.home("one")
    }

    /// A commit with something else of everything: small files, a large one, a state.
    fn change(&mut self) {
        self.version += 1;
        let bench = &self.stage.bench;
        let state = match self.version.is_multiple_of(2) {
            true => "running\n",
            false => "stopped\n",
        };
        bench.write(&format!("{RELEASE}/pod.state"), state);
        for name in ["a", "b", "deep/c"] {
            let text = format!("{name} {}\n", self.version);
            bench.write(&format!("{RELEASE}/config/conf/{name}"), &text);
        }
        let large = bench.cluster.project().join(RELEASE);
        let large = large.join("config/conf/large");
        hostfiles::replace(&large, &noise(self.version, 1_200_000), 0o644).unwrap();
        bench.commit();
    }

    /// Says what goes wrong in one of the next connections.
    fn arm(&self, plan: &str) {
        let place = self.place();
        for left in ["reached", "go", "ended"] {
            let _ = fs::remove_file(place.join(left));
        }
        write(&place.join("armed"), plan);
    }

    fn wait_for(&self, sign: &str) {
        let file = self.place().join(sign);
        let is_there = || Ok(file.exists().then_some(()));
        wait_until(&format!("{sign} of meddle"), LIMIT, is_there).unwrap();
    }

    fn go(&self, word: &str) {
        hostfiles::replace(&self.place().join("go"), word.as_bytes(), 0o644).unwrap();
    }

    fn sync(&self) -> Outcome {
        self.stage.sync(&["--confirm-within=1"])
    }

    /// Starts a sync that is held at that frame.
    fn held(&self, plan: &str) -> std::process::Child {
        self.arm(plan);
        let bench = &self.stage.bench;
        let mut sync = bench
            .cluster
            .sns(&["cluster", "sync", "--confirm-within=1"]);
        sync.stdout(Stdio::null()).stderr(Stdio::null());
        let child = sync.spawn().unwrap();
        self.wait_for("reached");
        child
    }

    fn snapshot(&self) -> Snapshot {
        let mut found = BTreeMap::new();
        list(&self.home(), &self.home(), &mut found);
        found
    }

    /// What the host is once nobody is at work any more, and whoever starts first has put in order what was left.
    fn settled(&self) -> Snapshot {
        let home = HostHome::new(self.home());
        let free = || match recover(&home)? {
            Recovered::Busy(_) => Ok(None),
            _ => Ok(Some(())),
        };
        wait_until("the lock of the host", LIMIT, free).unwrap();
        assert!(!home.sync_dir().join("journal.json").exists());
        self.snapshot()
    }

    /// The next sync finishes the work, and the one after that has nothing to do. Gives what the host is.
    fn finish(&self) -> Snapshot {
        let synced = self.sync();
        assert_eq!(synced.code, 0, "{synced}");
        let again = self.stage.sync(&["--exit-code"]);
        assert_eq!(again.code, 0, "{again}");
        let text = fs::read_to_string(self.home().join("pods/web/release/1.0.0/config/conf/a"));
        assert_eq!(text.unwrap(), format!("a {}\n", self.version));
        self.snapshot()
    }

    /// After a fault: old or new, and the next sync finishes.
    fn check(&self, old: &Snapshot, what: &str) {
        let now = self.settled();
        let new = self.finish();
        assert!(now == *old || now == new, "neither old nor new: {what}");
    }
}

/// Bytes that do not repeat.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(byte).collect()
}

fn list(root: &Path, directory: &Path, found: &mut Snapshot) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root).unwrap().to_owned();
        if relative == Path::new(".sync") || relative == Path::new(".filling") {
            continue;
        }
        let present = fs::symlink_metadata(&path).unwrap();
        if present.is_dir() {
            list(root, &path, found);
        } else if present.is_symlink() {
            found.insert(
                relative,
                fs::read_link(&path).unwrap().display().to_string(),
            );
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(relative, simplenetes_sync::Digest::of(&bytes).to_string());
        }
    }
}

/// Some of them, other ones in each run: SOAK says how many.
fn some<T>(mut all: Vec<T>, seed: u64) -> Vec<T> {
    let count = soak::count(u32::try_from(all.len()).unwrap()) as usize;
    let mut order = noise(seed, all.len() * 4).into_iter();
    let mut chosen = Vec::new();
    while chosen.len() < count && !all.is_empty() {
        let number: usize = order.by_ref().take(4).map(usize::from).sum();
        chosen.push(all.remove(number % all.len()));
    }
    chosen
}

/// Frames of this sync in both directions: hello, lock, stage, contents, some 18 pieces, sent, apply; and their answers.
const FRAMES: [(&str, &str); 14] = [
    ("asked", "1"),
    ("asked", "2"),
    ("asked", "3"),
    ("asked", "4"),
    ("asked", "5"),
    ("asked", "12"),
    ("asked", "20"),
    ("asked", "sent"),
    ("asked", "apply"),
    ("answered", "1"),
    ("answered", "2"),
    ("answered", "3"),
    ("answered", "4"),
    ("answered", "5"),
];

#[test]
fn killed_at_a_frame_of_either_end() {
    let (mut rig, seed) = (Rig::new(), soak::seed());
    let both = |(side, at)| [(side, at, "kill"), (side, at, "hold")];
    let moments = FRAMES.into_iter().flat_map(both).collect();
    for (side, at, deed) in some(moments, seed) {
        let old = rig.snapshot();
        rig.change();
        let plan = format!("1 {side} {at} {deed}");
        if deed == "kill" {
            rig.arm(&plan);
            rig.sync();
        } else {
            let mut sns = rig.held(&plan);
            sns.kill().unwrap();
            sns.wait().unwrap();
            rig.go("cut");
        }
        rig.wait_for("ended");
        rig.check(&old, &format!("{plan}, SOAK_SEED={seed}"));
    }
}

#[test]
fn killed_while_it_changes() {
    let (mut rig, seed) = (Rig::new(), soak::seed());
    let moments: Vec<u32> = (0..60).map(|step| step * 500).collect();
    for micros in some(moments, seed) {
        let old = rig.snapshot();
        rig.change();
        let plan = format!("1 asked apply kill-after={micros}");
        rig.arm(&plan);
        rig.sync();
        rig.wait_for("ended");
        rig.check(&old, &format!("{plan}, SOAK_SEED={seed}"));
    }
}

/// The process that waits for the confirmation.
fn settler(home: &Path) -> Option<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.find_map(|id: i32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0).skip(1);
        let is_it = words.next() == Some(b"settle")
            && words.next() == Some(home.as_os_str().as_encoded_bytes());
        is_it.then(|| Pid::from_raw(id)).flatten()
    })
}

#[test]
fn whoever_waits_for_the_confirmation_is_killed() {
    let mut rig = Rig::new();
    for is_before in [true, false] {
        let old = rig.snapshot();
        rig.change();
        // The confirmation is the second connection; `hello` and `confirm` are its frames.
        let mut sns = rig.held(if is_before {
            "2 asked 1 hold"
        } else {
            "2 asked 2 hold"
        });
        let settler = settler(&rig.home()).unwrap();
        kill_process(settler, Signal::KILL).unwrap();
        rig.go("on");
        assert!(!sns.wait().unwrap().success());
        let home = HostHome::new(rig.home());
        assert_eq!(recover(&home).unwrap(), Recovered::Reverted);
        assert_eq!(rig.snapshot(), old);
        rig.finish();
    }
}

#[test]
fn a_server_that_dies_between_change_and_confirmation_takes_the_host_back() {
    let mut rig = Rig::new();
    let old = rig.snapshot();
    rig.change();
    let mut sns = rig.held("2 asked 1 hold");
    let (_, server) = rig.stage.servers.first_mut().unwrap();
    server.kill_alone();
    rig.go("cut");
    // Nobody knows what the host is now; the exit code says so.
    assert_eq!(sns.wait().unwrap().code(), Some(9));
    let reverted = rig.home().join(".sync/reverted.json");
    let back = || Ok(reverted.exists().then_some(()));
    wait_until("the host to go back by itself", LIMIT, back).unwrap();
    assert_eq!(rig.settled(), old);
    let (_, server) = rig.stage.servers.first_mut().unwrap();
    server.restart().unwrap();
    let shown = rig.stage.bench.run(&["cluster", "ps"]);
    assert!(
        shown.stderr.contains("host one went back by itself"),
        "{shown}"
    );
    rig.finish();
}

#[test]
fn a_full_disk_of_the_host() {
    let mut rig = Rig::new();
    let disk = onto_a_disk(&rig, 12 << 20);
    rig.finish();
    let seed = soak::seed();
    // All of it fits somewhere above 1 200 KB.
    let mut failed = 0;
    for left in some((0..100).map(|step| step * 16_384).collect(), seed) {
        let old = rig.snapshot();
        rig.change();
        disk.fill_but(left).unwrap();
        let synced = rig.sync();
        failed += u32::from(synced.code != 0);
        let is_told = synced.code == 0 || synced.stderr.contains("No space left");
        assert!(is_told, "{left} bytes left: {synced}");
        disk.empty().unwrap();
        rig.check(&old, &format!("{left} bytes left, SOAK_SEED={seed}"));
    }
    assert!(failed > 0);
}

/// Moves the host home onto a small disk.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody reads a host home while a test moves it"
)]
fn onto_a_disk(rig: &Rig, bytes: u64) -> SmallDisk {
    let (home, beside) = (rig.home(), rig.home().with_file_name("beside"));
    fs::rename(&home, &beside).unwrap();
    fs::create_dir(&home).unwrap();
    let disk = SmallDisk::mount(&home, bytes).unwrap();
    let mut copy = rig.stage.bench.cluster.command("cp");
    copy.args(["-a", "--"]).arg(beside.join(".")).arg(&home);
    Outcome::of(&mut copy).unwrap().success().unwrap();
    disk
}

#[test]
fn a_disk_of_the_host_that_can_only_be_read() {
    let mut rig = Rig::new();
    let disk = onto_a_disk(&rig, 12 << 20);
    let old = rig.finish();
    rig.change();
    disk.set_read_only(true).unwrap();
    let synced = rig.sync();
    assert_eq!(synced.code, 7, "{synced}");
    assert!(synced.stderr.contains("Read-only file system"), "{synced}");
    let diff = rig.stage.bench.run(&["cluster", "diff"]);
    assert!(diff.stdout.contains("one: 2 changes to make"), "{diff}");
    assert_eq!(rig.snapshot(), old);
    disk.set_read_only(false).unwrap();
    rig.check(&old, "a file system that could only be read");
}

#[test]
fn a_full_disk_of_the_operator() {
    let mut rig = Rig::new();
    let old = rig.snapshot();
    rig.change();
    let logs = rig.stage.bench.cluster.project().join("_synclogs");
    let disk = SmallDisk::mount(&logs, 1 << 20).unwrap();
    disk.fill_but(0).unwrap();
    let synced = rig.sync();
    assert_eq!(synced.code, 7, "{synced}");
    assert!(
        synced.stderr.contains("No space left on device"),
        "{synced}"
    );
    assert_eq!(rig.snapshot(), old);
    disk.empty().unwrap();
    rig.finish();
}

#[test]
fn of_two_operators_the_second_is_told_who_the_first_is() {
    let mut rig = Rig::new();
    let old = rig.snapshot();
    rig.change();
    let mut first = rig.held("1 asked 3 hold");
    let clone = rig.stage.bench.cluster.folder().join("clone");
    let project = rig.stage.bench.cluster.project();
    let (from, to) = (project.to_str().unwrap(), clone.to_str().unwrap());
    rig.stage.bench.git(&["clone", "-q", from, to]);
    let second = rig.stage.bench.run_in(&clone, &["cluster", "sync"]);
    assert_eq!(second.code, 5, "{second}");
    assert!(second.stderr.contains("is locked by"), "{second}");
    assert!(second.stderr.contains(": sync of "), "{second}");
    assert_eq!(rig.snapshot(), old);
    rig.go("on");
    assert!(first.wait().unwrap().success());
    let third = rig
        .stage
        .bench
        .run_in(&clone, &["cluster", "sync", "--exit-code"]);
    assert_eq!(third.code, 0, "{third}");
}

#[test]
fn a_confirmation_whose_answer_is_lost_is_found_out() {
    let mut rig = Rig::new();
    rig.change();
    // The second connection is the one that confirms: the host has settled, and nobody hears of it.
    rig.arm("2 answered done kill");
    let synced = rig.sync();
    assert_eq!(synced.code, 0, "{synced}");
    assert!(
        rig.place().join("ended").exists(),
        "nothing went wrong at all"
    );
    assert!(!synced.stdout.contains("went back"), "{synced}");
    let again = rig.stage.sync(&["--exit-code"]);
    assert_eq!(again.code, 0, "{again}");
}
