//! The daemon of the machine (`simplenetesd` without a host home): finds every host home and keeps one
//! unprivileged worker process for each, which is the daemon of that home.
//!
//! It runs as root, so it does as little as can be: it loads no plugin, reads no pod and no file of a user,
//! and follows no link below a user's directory. What it does for a worker are ramdisks.
//!
//! ```text
//! root: homes ─▶ worker ──spawn──▶ gate: group, user, nothing left ─▶ simplenetesd HOSTHOME
//!          ▲ watch   └─ ramdisk::serve ◀── one line, one answer ────────────┘
//! ```
//! Workers end when root's daemon ends, however it ended; pods are left running by both.

mod gate;
mod homes;
mod watch;
mod words;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::log::Log;
use crate::ramdisk::Ledger;
use crate::systemd::Notifier;

pub use gate::{Become, enter};
use homes::{Found, Identity};
pub use homes::{Pattern, PatternError};
use watch::Watch;
use worker::{Machine, Worker};

/// Changes that come together are taken together, and nobody keeps root busy by making more of them.
const BETWEEN_SCANS: Duration = Duration::from_millis(300);
/// After so long without a change everything is looked at again.
pub const SAFETY_RESCAN: Duration = Duration::from_secs(10);

/// Settings of the daemon of the machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where host homes are looked for.
    pub homes: Vec<Pattern>,
    /// What the ramdisks of one owner may have together, in MiB.
    pub ramdisk_max_mib: u32,
    /// The directory with `etc/passwd`, `etc/group` and `run/user`: `/`, except in tests.
    pub machine: PathBuf,
    /// After so long without a change everything is looked at again.
    pub safety_rescan: Duration,
}

/// Serves all host homes of the machine until it is asked to end. Pods are left running.
///
/// # Errors
/// This is not root, or the machine lacks something that the daemon needs.
pub async fn run(settings: Settings, log: Log) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "only root can serve all host homes of the machine: name one, as in `simplenetesd ~/my-cluster`, or start it as root"
        );
    }
    let notifier = Notifier::from_environment();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut rescan = interval(settings.safety_rescan);
    rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let patterns: Vec<String> = settings.homes.iter().map(ToString::to_string).collect();
    log.info(format_args!(
        "serving all host homes in {}",
        patterns.join(" ")
    ));
    let mut root = Root::new(settings, log);
    root.rescan().await;
    rescan.reset();
    notifier.ready(&root.state());
    loop {
        tokio::select! {
            () = root.watch.changed() => sleep(BETWEEN_SCANS).await,
            _ = rescan.tick() => {}
            _ = hup.recv() => notifier.reloading(),
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
        root.rescan().await;
        notifier.ready(&root.state());
    }
    log.info("ending; pods are left running");
    notifier.stopping();
    root.end().await;
    Ok(())
}

struct Root {
    patterns: Vec<Pattern>,
    machine: Arc<Machine>,
    watch: Watch,
    workers: BTreeMap<PathBuf, (Identity, Worker)>,
    /// Those whose home is gone; one that takes its time holds up nobody.
    ending: JoinSet<()>,
    /// What was wrong at the last look, so that each problem is told once.
    problems: Vec<String>,
    log: Log,
}

impl Root {
    fn new(settings: Settings, log: Log) -> Self {
        let watch = Watch::start();
        if let Some(problem) = watch.problem() {
            log.warn(format_args!(
                "new host homes are noticed after a while only, this machine cannot watch: {problem}"
            ));
        }
        Self {
            patterns: settings.homes,
            machine: Arc::new(Machine {
                root: settings.machine,
                ramdisk_max_mib: settings.ramdisk_max_mib,
                ledger: Arc::new(Ledger::default()),
            }),
            watch,
            workers: BTreeMap::new(),
            ending: JoinSet::new(),
            problems: Vec::new(),
            log,
        }
    }

    /// One worker for each home that is there now, and none for one that is gone.
    async fn rescan(&mut self) {
        let (patterns, watch) = (self.patterns.clone(), self.watch.clone());
        // A user's directory may lie on a file system that takes its time.
        let looked = tokio::task::spawn_blocking(move || {
            let mut look = watch.look();
            let found = homes::find(&patterns, &mut |directory, owner| {
                look.add(directory, owner);
            });
            look.end();
            found
        });
        let Ok(Found { homes, problems }) = looked.await else {
            return;
        };
        for problem in problems.iter().filter(|new| !self.problems.contains(new)) {
            self.log.warn(problem);
        }
        self.problems = problems;
        while self.ending.try_join_next().is_some() {}
        let known = std::mem::take(&mut self.workers);
        for (path, (identity, worker)) in known {
            if homes
                .get(&path)
                .is_some_and(|home| home.identity == identity)
            {
                self.workers.insert(path, (identity, worker));
            } else {
                self.log.info(format_args!(
                    "{}: no longer a host home, or another one",
                    path.display()
                ));
                self.ending.spawn(worker.end());
            }
        }
        for (path, home) in homes {
            if !self.workers.contains_key(&path) {
                let identity = home.identity;
                let worker = Worker::start(path.clone(), home, Arc::clone(&self.machine), self.log);
                self.workers.insert(path, (identity, worker));
            }
        }
    }

    fn state(&self) -> String {
        match self.workers.len() {
            1 => "serving 1 host home".into(),
            count => format!("serving {count} host homes"),
        }
    }

    /// All workers end at the same time.
    async fn end(mut self) {
        for (_, worker) in self.workers.into_values() {
            self.ending.spawn(worker.end());
        }
        while self.ending.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Root's own code must not reach what reads plugins, pods or files of a cluster.
    #[test]
    fn root_loads_no_plugin_and_reads_no_pod() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let own = fs::read_dir(source.join("root")).unwrap();
        let files = own.map(|entry| entry.unwrap().path());
        let ramdisk = ["keeper", "place", "request", "serve", "table"]
            .map(|name| source.join("ramdisk").join(name).with_extension("rs"));
        let mut count = 0;
        for file in files.chain(ramdisk).chain([source.join("root.rs")]) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for word in [
                "simplenetes_plugin",
                "podspec",
                "hostfiles",
                "crate::daemon",
                "wasmtime",
            ] {
                assert!(!code.contains(word), "{}: {word}", file.display());
            }
            count += 1;
        }
        assert!(count >= 10);
    }
}
