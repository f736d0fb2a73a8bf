//! Where the demo plays: the temporary cluster, the running daemon, and the echo of every command.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use signal_hook::consts::{SIGINT, SIGTERM};
use testkit::{Cluster, Daemon, Outcome, wait_until};

use crate::ui;
use crate::workspace::{Profile, Workspace};

/// How long the cluster may take to do what was asked.
const LIMIT: Duration = Duration::from_secs(30);

/// The name of the only host.
pub(super) const HOST: &str = "laptop";

/// How many lines of the daemon's log an error shows.
const LOG_LINES: usize = 20;

/// The cluster in its folder. The daemon is dropped first, then the folder.
pub(super) struct Stage {
    daemon: Option<Daemon>,
    pub(super) cluster: Cluster,
    pub(super) programs: PathBuf,
    pub(super) examples: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl Stage {
    /// An empty folder.
    pub(super) fn open(workspace: &Workspace) -> Result<Self> {
        let interrupted = interruption()?;
        let programs = workspace.programs(Profile::Debug);
        let cluster = Cluster::with_programs(&programs)?;
        let examples = workspace.root.join("examples");
        Ok(Self {
            daemon: None,
            cluster,
            programs,
            examples,
            interrupted,
        })
    }

    /// Shows a command line and runs it in the project.
    pub(super) fn run(&self, words: &[&str]) -> Result<()> {
        ui::print(&format!("\n$ {}", line(words)));
        let status = self.command(words)?.stdin(Stdio::null()).status()?;
        ensure!(status.success(), "`{}` ended with {status}", line(words));
        Ok(())
    }

    /// Runs a command without showing it and returns what it printed.
    pub(super) fn ask(&self, words: &[&str]) -> Result<String> {
        Outcome::of(&mut self.command(words)?)?.success()
    }

    fn command(&self, words: &[&str]) -> Result<std::process::Command> {
        let (name, arguments) = words.split_first().context("an empty command")?;
        let mut command = self.cluster.command(name);
        command.args(arguments);
        Ok(command)
    }

    /// Starts the daemon; what it says goes to a file, so that it does not talk into the scenes.
    pub(super) fn start_daemon(&mut self) -> Result<()> {
        let home = self.cluster.host_home(HOST);
        ui::print(&format!("\n$ simplenetesd {} &", home.display()));
        let log = File::create(self.log()).context("cannot make the daemon's log")?;
        let mut command = self.cluster.daemon(HOST);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.daemon = Some(Daemon::start(&mut command, &home)?);
        Ok(())
    }

    /// The file with what the daemon says.
    pub(super) fn log(&self) -> PathBuf {
        self.cluster.folder().join("simplenetesd.log")
    }

    /// Waits for something that the cluster does by itself.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        wait_until(what, LIMIT, || {
            ensure!(!self.is_interrupted(), "interrupted");
            if let Some(daemon) = &mut self.daemon {
                ensure!(daemon.is_running()?, "simplenetesd has ended by itself");
            }
            Ok(look(self))
        })
    }

    /// Stays until Ctrl-C.
    pub(super) fn stay(&self) {
        while !self.is_interrupted() {
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What an error of the scenes is told with: the last words of the daemon.
    pub(super) fn complaint(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        let last = lines.split_at(lines.len().saturating_sub(LOG_LINES)).1;
        format!(
            "the demo failed; the daemon's last words:\n{}\nthe reason",
            last.join("\n")
        )
    }

    /// Removes the pods as an operator would, ends the daemon and removes the folder.
    pub(super) fn close(mut self) -> Result<()> {
        ui::print("\n== Cleaning up");
        self.interrupted.store(false, Ordering::Relaxed);
        let removed = if self.daemon.is_some() {
            self.remove_pods()
        } else {
            Ok(())
        };
        if let Some(daemon) = &mut self.daemon {
            daemon.stop()?;
        }
        removed?;
        ui::print("The pods are removed and the daemon has ended.");
        Ok(())
    }

    fn remove_pods(&mut self) -> Result<()> {
        self.ask(&["sns", "pod", "state", "website", "proxy", "--state=removed"])?;
        self.cluster.commit("Remove everything")?;
        self.ask(&["sns", "cluster", "sync"])?;
        self.wait("the pods to be removed", |stage| {
            let is_removed = |pod: &&str| stage.status(pod).is_some_and(|word| word == "removed");
            ["website", "proxy"].iter().all(is_removed).then_some(())
        })
    }

    /// What `sns pod ps` says about the first replica of a pod.
    pub(super) fn replica(&self, pod: &str) -> Option<serde_json::Value> {
        let text = self.ask(&["sns", "pod", "ps", pod, "--json"]).ok()?;
        let all = serde_json::from_str::<serde_json::Value>(&text).ok()?;
        all.get(0).cloned()
    }

    fn status(&self, pod: &str) -> Option<String> {
        Some(self.replica(pod)?.get("status")?.as_str()?.to_owned())
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// True as soon as somebody wants it to end: from now on Ctrl-C is a request and no longer the end.
pub(crate) fn interruption() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}

/// The command as a person types it; a word with a space is quoted.
pub(crate) fn line(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| match word.contains(' ') {
        true => format!("'{word}'"),
        false => (*word).to_owned(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Copies a folder; there are no links in the examples.
pub(super) fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    if from.is_file() {
        std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        return Ok(());
    }
    if !from.is_dir() {
        bail!("{} is missing", from.display());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_typed_again() {
        assert_eq!(
            line(&["git", "commit", "-m", "First sync"]),
            "git commit -m 'First sync'"
        );
    }

    #[test]
    fn a_folder_is_copied_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        File::create(folder.path().join("a/b/c")).unwrap();
        copy(&folder.path().join("a"), &folder.path().join("d")).unwrap();
        assert!(folder.path().join("d/b/c").is_file());
        assert!(copy(&folder.path().join("x"), &folder.path().join("y")).is_err());
    }
}
