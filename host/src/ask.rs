//! The verbs of the Pod API that change something: each is handed over, through `pod.action`, to whoever
//! drives the release, and followed in `.pod.status` until it is done. Where nobody drives it, a process
//! is started that does (`keep`). So there is one way of doing things, with and without a daemon.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use hostfiles::{Format as _, Placed, PodAction, PodStatus, ReleaseDir, read_if_present};
use tokio::time::{Instant, timeout};

use crate::keep::Place;
use crate::keep::watch::Watch;
use crate::lock::ReleaseLock;
use crate::ramdisk::Ramdisks;

/// Somebody who drives the release takes a request at once; so long it may lie there.
const TAKEN_MAX: Duration = Duration::from_secs(30);
/// Where nothing is heard of, it is looked again after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The pod cannot be asked.
    #[error("cannot use the pod {}", .0.display())]
    Pod(PathBuf, #[source] anyhow::Error),
    /// A sync is in the middle of its changes.
    #[error("a sync is changing this host: ask again when it is done")]
    Syncing,
    /// A file of the release cannot be used.
    #[error("cannot {0}")]
    File(&'static str, #[source] io::Error),
    /// Nobody drives the release, and nobody could be found to.
    #[error(
        "the process that should drive the pod has ended at once: `simplenetesd pod {} keep` says why",
        .0.display()
    )]
    NoDriver(PathBuf),
    /// Whoever drives the release does not listen.
    #[error(
        "process {0} drives the pod and does not take the request; is it stopped or very busy?"
    )]
    Deaf(u32),
    /// Whoever drove the release has ended.
    #[error("the process that drove the pod has ended before it was done: ask again")]
    Abandoned,
    /// It takes longer than it may.
    #[error("not done after {} s{}; it goes on, `ps` tells", .0.as_secs(), because(.1))]
    Late(Duration, String),
    /// It was tried, and this is why it failed.
    #[error("{0}")]
    Failed(String),
}

fn because(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

/// A request on its way.
struct Asking<'a> {
    file: &'a Path,
    release: ReleaseDir,
    action: PodAction,
    id: String,
    /// The process that was started to drive the release.
    keep: Option<Child>,
}

/// What a request may have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    /// Time, as far as it is bounded.
    pub limit: Option<Duration>,
    /// The address that ports are bound to where there is no daemon.
    pub interface: Option<IpAddr>,
}

/// Asks for something and waits until it is done. `told` hears what the driver says meanwhile.
///
/// # Errors
/// It could not be asked, failed or takes too long; the driver goes on with it in the last case.
pub async fn ask(
    file: &Path,
    mut action: PodAction,
    patience: Patience,
    told: &mut dyn FnMut(&str),
) -> Result<(), AskError> {
    let place = Place::of(file).map_err(|error| AskError::Pod(file.to_owned(), error))?;
    if place.is_disturbed() {
        return Err(AskError::Syncing);
    }
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map_err(|error| AskError::File("find a name for the request", error))?;
    action.id = Some(id.trim().to_owned());
    // What cannot be written down would be thrown away by whoever reads it.
    let written: Result<PodAction, _> = PodAction::parse(&action.to_text());
    written.map_err(|error| AskError::Failed(error.to_string()))?;
    let mut watch = Watch::start(&place.release)
        .map_err(|error| AskError::File("watch the release", io::Error::other(error)))?;
    let mut asking = Asking {
        file,
        id: id.trim().to_owned(),
        release: place.release,
        action,
        keep: None,
    };
    asking.place(&mut watch).await?;
    if ReleaseLock::holder(&asking.release).is_none() {
        asking.start_keep(patience.interface)?;
    }
    let limit = patience
        .limit
        .unwrap_or(Duration::from_secs(u32::MAX.into()));
    let mut last = String::new();
    let followed = timeout(limit, asking.follow(&mut watch, &mut last, told)).await;
    followed.unwrap_or(Err(AskError::Late(limit, last)))
}

/// Removes the ramdisks of a pod that nobody drives.
///
/// # Errors
/// Somebody drives it, or the file system refuses.
pub async fn remove_ramdisks(file: &Path) -> Result<(), AskError> {
    let place = Place::of(file).map_err(|error| AskError::Pod(file.to_owned(), error))?;
    if let Some(holder) = ReleaseLock::holder(&place.release) {
        let pid = holder.process.pid;
        return Err(AskError::Failed(format!(
            "process {pid} drives the pod: `rm` removes its ramdisks"
        )));
    }
    let ramdisks = place.home.as_ref().map_or(Ramdisks::Plain, Ramdisks::own);
    let removed = ramdisks.remove_all(&place.release, &place.id).await;
    removed.map_err(|error| AskError::File("remove the ramdisks", error))
}

impl Asking<'_> {
    /// Puts the request where the driver looks, as soon as none lies there that it has not seen.
    async fn place(&self, watch: &mut Watch) -> Result<(), AskError> {
        let path = self.release.action();
        let due = Instant::now() + TAKEN_MAX;
        loop {
            match self.action.place(&path) {
                Ok(Placed::Yes) => return Ok(()),
                Ok(Placed::Busy) => {}
                Err(error) => return Err(AskError::File("put the request down", error)),
            }
            match ReleaseLock::holder(&self.release) {
                // Nobody will ever take it: who asked for that has been told so.
                None => drop(fs::remove_file(&path)),
                Some(holder) if Instant::now() > due => {
                    return Err(AskError::Deaf(holder.process.pid));
                }
                Some(_) => drop(timeout(LOOK_AGAIN, watch.next()).await),
            }
        }
    }

    /// Starts the process that drives the release where there is no daemon. It outlives this one.
    fn start_keep(&mut self, interface: Option<IpAddr>) -> Result<(), AskError> {
        let failed = |error| AskError::File("start the process that drives the pod", error);
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where a driver of one release is started"
        )]
        let mut command = std::process::Command::new("/proc/self/exe");
        // It stays, and should not keep a directory busy.
        command
            .arg("pod")
            .arg(self.release.pod())
            .arg("keep")
            .current_dir("/");
        if let Some(interface) = interface {
            command.arg(format!("--host-interface={interface}"));
        }
        let keep = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        self.keep = Some(keep);
        Ok(())
    }

    /// Waits until the status tells what has become of the request.
    async fn follow(
        &mut self,
        watch: &mut Watch,
        last: &mut String,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), AskError> {
        let mut is_alone = false;
        loop {
            let status = read_if_present::<PodStatus>(&self.release.status())
                .ok()
                .flatten();
            let ours = status.and_then(|status| {
                let action = status.action.filter(|action| action.id == self.id)?;
                Some((action.outcome, status.message))
            });
            match ours {
                Some((Some(outcome), _)) => return outcome.map_err(AskError::Failed),
                Some((None, message)) if message != *last => {
                    told(&message);
                    *last = message;
                }
                Some((None, _)) | None => {}
            }
            // It is looked once more: what was written last before the end counts.
            if is_alone {
                return Err(self.abandoned());
            }
            is_alone = self.is_driven_by_nobody();
            if !is_alone {
                let _ = timeout(LOOK_AGAIN, watch.next()).await;
            }
        }
    }

    /// True when whoever drove the release has ended, or has never begun to.
    fn is_driven_by_nobody(&mut self) -> bool {
        if ReleaseLock::holder(&self.release).is_some() {
            return false;
        }
        match &mut self.keep {
            // It may not have got so far yet.
            Some(keep) => !matches!(keep.try_wait(), Ok(None)),
            None => true,
        }
    }

    /// A request that nobody took must not be taken by somebody later.
    fn abandoned(&self) -> AskError {
        let lies_there = read_if_present::<PodAction>(&self.release.action())
            .is_ok_and(|action| action.is_some_and(|action| action.id.as_ref() == Some(&self.id)));
        if !lies_there {
            return AskError::Abandoned;
        }
        let _ = fs::remove_file(self.release.action());
        AskError::NoDriver(self.file.to_owned())
    }
}
