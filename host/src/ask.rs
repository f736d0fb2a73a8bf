//! The verbs of the Pod API that change something: each is handed over, through `pod.action`, to whoever
//! drives the release, and followed in `.pod.hand` until it is done. Where nobody drives it, a process
//! is started that does (`keep`). So there is one way of doing things, with and without a daemon.

use std::fs;
use std::io;
use std::mem::discriminant;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use hostfiles::{Format as _, Placed, PodAction, PodStatus, ReleaseDir, read_if_present};
use tokio::time::{Instant, timeout};

use crate::hand::Request;
use crate::hands::read_hand;
use crate::keep::Place;
use crate::keep::watch::Watch;
use crate::lock::ReleaseLock;
use crate::ramdisk::Ramdisks;
use crate::system::since_epoch;

/// Somebody who drives the release takes a request at once; so long it may lie there.
const TAKEN_MAX: Duration = Duration::from_secs(30);
/// A driver that has taken a request knows of it at once; one that does not so long never will.
const KNOWN_MAX: Duration = Duration::from_secs(5);
/// So often a driver is started for one request: one may end just when it would be needed.
const STARTS_MAX: u32 = 3;
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
    /// It was taken, and whoever drives the release now says nothing of it.
    #[error(
        "process {0} drives the pod and knows nothing of the request, which was lost with the process before it, or it cannot write (is the disk full?): ask again"
    )]
    Lost(u32),
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
    /// The address that ports are bound to where there is no daemon.
    interface: Option<IpAddr>,
    /// The process that was started last to drive the release.
    keep: Option<Child>,
    /// How many were.
    starts: u32,
}

/// What is known of a request.
enum Standing {
    /// Nobody has taken it yet.
    Lies,
    /// It is known to the driver.
    UnderWay,
    /// It is over.
    Ended(Result<(), String>),
    /// It was taken, and the driver does not know of it, at least not yet.
    Unknown,
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
        interface: patience.interface,
        keep: None,
        starts: 0,
    };
    asking.place(&mut watch).await?;
    let limit = patience
        .limit
        .unwrap_or(Duration::from_secs(u32::MAX.into()));
    let mut last = String::new();
    let followed = timeout(limit, asking.follow(&mut watch, &mut last, told)).await;
    followed.unwrap_or(Err(AskError::Late(limit, last)))
}

/// Removes the ramdisks of a pod that nobody drives. `runtime` is the directory of the user
/// (`XDG_RUNTIME_DIR`).
///
/// # Errors
/// Somebody drives it, or the file system refuses.
pub async fn remove_ramdisks(file: &Path, runtime: Option<PathBuf>) -> Result<(), AskError> {
    let place = Place::of(file).map_err(|error| AskError::Pod(file.to_owned(), error))?;
    if let Some(holder) = ReleaseLock::holder(&place.release) {
        let pid = holder.process.pid;
        return Err(AskError::Failed(format!(
            "process {pid} drives the pod: `rm` removes its ramdisks"
        )));
    }
    let ramdisks = match &place.home {
        Some(home) => Ramdisks::own(home, runtime),
        None => Ramdisks::Plain(runtime),
    };
    let removed = ramdisks.remove_all(&place.release, &place.id).await;
    removed.map_err(|error| AskError::File("remove the ramdisks", error))
}

impl Asking<'_> {
    /// Puts the request where the driver looks, as soon as none lies there that it has not seen.
    async fn place(&mut self, watch: &mut Watch) -> Result<(), AskError> {
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
                None if is_old(&path) => drop(fs::remove_file(&path)),
                // Who asked for that has just begun to.
                None if self.keep.is_none() => self.start_keep()?,
                Some(holder) if Instant::now() > due => {
                    return Err(AskError::Deaf(holder.process.pid));
                }
                None | Some(_) => drop(timeout(LOOK_AGAIN, watch.next()).await),
            }
        }
    }

    /// Starts the process that drives the release where there is no daemon. It outlives this one.
    fn start_keep(&mut self) -> Result<(), AskError> {
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
        if let Some(interface) = self.interface {
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
        self.starts += 1;
        Ok(())
    }

    /// Waits until the driver tells what has become of the request.
    async fn follow(
        &mut self,
        watch: &mut Watch,
        last: &mut String,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), AskError> {
        let mut is_alone = false;
        let mut before = None;
        let mut since = Instant::now();
        loop {
            let standing = self.standing();
            match &standing {
                Standing::Ended(outcome) => return outcome.clone().map_err(AskError::Failed),
                Standing::UnderWay => self.tell(last, told),
                Standing::Lies | Standing::Unknown => {}
            }
            // It is looked once more: what was written last before the end counts.
            if is_alone {
                self.drive_on(&standing)?;
            }
            if before.replace(discriminant(&standing)) != Some(discriminant(&standing)) {
                since = Instant::now();
            }
            self.give_up(&standing, since.elapsed())?;
            is_alone = self.is_driven_by_nobody();
            if !is_alone {
                let _ = timeout(LOOK_AGAIN, watch.next()).await;
            }
        }
    }

    fn standing(&self) -> Standing {
        let hand = read_hand(&self.release);
        match hand.request(&self.id).map(Request::outcome) {
            Some(Some(outcome)) => Standing::Ended(outcome.clone()),
            Some(None) => Standing::UnderWay,
            None if self.lies_there() => Standing::Lies,
            None => Standing::Unknown,
        }
    }

    fn lies_there(&self) -> bool {
        let action = read_if_present::<PodAction>(&self.release.action());
        action.is_ok_and(|action| action.is_some_and(|action| action.id.as_ref() == Some(&self.id)))
    }

    /// Says what the driver says, once.
    fn tell(&self, last: &mut String, told: &mut dyn FnMut(&str)) {
        let status = read_if_present::<PodStatus>(&self.release.status());
        if let Ok(Some(PodStatus { message, .. })) = status
            && message != *last
        {
            told(&message);
            *last = message;
        }
    }

    /// Nobody drives the release. What nobody has taken is driven by a process that is started for it.
    fn drive_on(&mut self, standing: &Standing) -> Result<(), AskError> {
        match standing {
            Standing::Lies if self.starts < STARTS_MAX => self.start_keep(),
            Standing::Lies => {
                // It must not be taken by somebody later.
                let _ = fs::remove_file(self.release.action());
                Err(AskError::NoDriver(self.file.to_owned()))
            }
            Standing::UnderWay | Standing::Ended(_) | Standing::Unknown => Err(AskError::Abandoned),
        }
    }

    /// Somebody drives the release and the request has stood like this for so long.
    fn give_up(&self, standing: &Standing, elapsed: Duration) -> Result<(), AskError> {
        let Some(holder) = ReleaseLock::holder(&self.release) else {
            return Ok(());
        };
        match standing {
            Standing::Lies if elapsed > TAKEN_MAX => {
                // It must not be taken by somebody later.
                let _ = fs::remove_file(self.release.action());
                Err(AskError::Deaf(holder.process.pid))
            }
            Standing::Unknown if elapsed > KNOWN_MAX => Err(AskError::Lost(holder.process.pid)),
            Standing::Lies | Standing::UnderWay | Standing::Ended(_) | Standing::Unknown => Ok(()),
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
}

/// True when who has placed this is not about to start a driver for it.
fn is_old(path: &Path) -> bool {
    let written = fs::metadata(path).and_then(|meta| meta.modified());
    let age = written
        .ok()
        .and_then(|written| written.duration_since(UNIX_EPOCH).ok())
        .map(|written| since_epoch().saturating_sub(written));
    age.is_some_and(|age| age > TAKEN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Attempt, Role};

    struct Scene {
        folder: tempfile::TempDir,
        release: ReleaseDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let release = ReleaseDir::new(folder.path().join("1.0.0"));
            fs::create_dir(release.path()).unwrap();
            Self { folder, release }
        }

        /// Somebody drives the release.
        fn driven(&self) -> ReleaseLock {
            match ReleaseLock::try_take(&self.release, Role::Daemon).unwrap() {
                Attempt::Taken(lock) => lock,
                Attempt::Held(holder) => panic!("held by {holder:?}"),
            }
        }

        async fn follow(&self) -> Result<(), AskError> {
            let mut asking = Asking {
                file: self.folder.path(),
                release: self.release.clone(),
                action: PodAction::new(hostfiles::PodVerb::Stop),
                id: "mine".to_owned(),
                interface: None,
                keep: None,
                starts: STARTS_MAX,
            };
            let mut watch = Watch::start(&self.release).unwrap();
            asking
                .follow(&mut watch, &mut String::new(), &mut |_| {})
                .await
        }

        fn put(path: &Path, text: &str) {
            hostfiles::replace(path, text.as_bytes(), 0o644).unwrap();
        }
    }

    fn ended(id: &str) -> String {
        format!(r#"{{"id":"{id}","verb":"stop","progress":{{"ended":{{"Err":"{id} failed"}}}}}}"#)
    }

    #[tokio::test(start_paused = true)]
    async fn each_asker_finds_what_has_become_of_its_own_request() {
        let scene = Scene::new();
        let _lock = scene.driven();
        let requests = format!(r#"{{"requests":[{},{}]}}"#, ended("mine"), ended("other"));
        Scene::put(&scene.release.hand(), &requests);
        let error = scene.follow().await.unwrap_err();
        assert_eq!(error.to_string(), "mine failed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_taken_and_is_known_to_nobody_is_lost() {
        let scene = Scene::new();
        let lock = scene.driven();
        let requests = format!(r#"{{"requests":[{}]}}"#, ended("other"));
        Scene::put(&scene.release.hand(), &requests);
        assert!(matches!(scene.follow().await, Err(AskError::Lost(_))));
        drop(lock);
        assert!(matches!(scene.follow().await, Err(AskError::Abandoned)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_nobody_takes_is_taken_back() {
        for is_driven in [true, false] {
            let scene = Scene::new();
            let lock = is_driven.then(|| scene.driven());
            Scene::put(&scene.release.action(), "stop\nid mine\n");
            let error = scene.follow().await.unwrap_err();
            let expected = match error {
                AskError::Deaf(pid) => is_driven && pid == std::process::id(),
                AskError::NoDriver(_) => !is_driven,
                _ => false,
            };
            assert!(expected, "{error}");
            assert!(!scene.release.action().exists());
            drop(lock);
        }
    }
}
