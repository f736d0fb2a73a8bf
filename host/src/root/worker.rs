//! The worker process of one host home: started as its owner, started again when it dies, and given
//! ramdisks while it lives. A worker that fails concerns no other.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{Gid, Mode, Uid, chown, mkdir};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::homes::FoundHome;
use super::words;
use crate::cgroup;
use crate::gate::look_up_id;
use crate::log::{Log, one_line};
use crate::ramdisk::{Keeper, Ledger, serve};

/// A worker that dies is started again after so long; each further time twice as long passes, at most
/// the last of these.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(30)];
/// A worker that has run for so long begins anew with the first pause.
const HEALTHY: Duration = Duration::from_secs(20);
/// A worker finishes what it is in the middle of before it ends; after so long it is killed. Its pods
/// do not notice.
const END_MAX: Duration = Duration::from_secs(80);
/// What of root's environment a worker sees.
const PASSED_ON: [&str; 7] = [
    "LANG",
    "LC_ALL",
    "TZ",
    "SNS_LOG_LEVEL",
    "SNS_RESCAN_SECONDS",
    "SIMPLENETES_PLUGINS",
    "JOURNAL_STREAM",
];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What all workers share.
#[derive(Debug)]
pub(super) struct Machine {
    /// The directory with `etc` and `run`.
    pub(super) root: PathBuf,
    /// What the ramdisks of one owner may have together, in MiB.
    pub(super) ramdisk_max_mib: u32,
    /// What they have.
    pub(super) ledger: Arc<Ledger>,
}

/// A worker that is kept running.
#[derive(Debug)]
pub(super) struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Keeps one running for this home.
    pub(super) fn start(path: PathBuf, home: FoundHome, machine: Arc<Machine>, log: Log) -> Self {
        let (stop, stopped) = watch::channel(false);
        let keep = Keep {
            about: path.display().to_string(),
            path,
            home,
            machine,
            log,
        };
        Self {
            stop,
            task: tokio::spawn(keep.run(stopped)),
        }
    }

    /// Asks it to end and waits until it has.
    pub(super) async fn end(self) {
        self.stop.send_replace(true);
        // It only fails when the daemon is torn down.
        let _ = self.task.await;
    }
}

struct Keep {
    path: PathBuf,
    about: String,
    home: FoundHome,
    machine: Arc<Machine>,
    log: Log,
}

impl Keep {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let [first, last] = PAUSE;
        let mut pause = first;
        loop {
            let begin = Instant::now();
            match self.spawn() {
                Ok((child, server)) => {
                    let is_over = self.accompany(child, &mut stopped).await;
                    server.abort();
                    if is_over {
                        return;
                    }
                }
                Err(error) => self.log.error(format_args!(
                    "{}: cannot start its worker: {}",
                    self.about,
                    one_line(&*error)
                )),
            }
            if begin.elapsed() >= HEALTHY {
                pause = first;
            }
            self.log.info(format_args!(
                "{}: its worker is started again in {} ms",
                self.about,
                pause.as_millis()
            ));
            tokio::select! {
                () = sleep(pause) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            pause = (pause * 2).min(last);
        }
    }

    /// True when it was asked to end, and has.
    async fn accompany(&self, mut child: Child, stopped: &mut watch::Receiver<bool>) -> bool {
        let asked = async { stopped.wait_for(|stop| *stop).await.is_ok() };
        let ended = tokio::select! {
            ended = child.wait() => Some(ended),
            _ = asked => None,
        };
        let Some(ended) = ended else {
            end(&mut child).await;
            return true;
        };
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.log
            .warn(format_args!("{}: its worker has ended: {how}", self.about));
        false
    }

    fn spawn(&self) -> anyhow::Result<(Child, JoinHandle<()>)> {
        let owner = self.home.identity.owner;
        let (name, user) = look_up_id(&self.machine.root.join("etc"), owner).context(
            "its owner is not known here; a user of a directory service runs the daemon himself, see `simplenetesd systemd-unit --help`",
        )?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let entrances = cgroup::delegate(owner, user.gid).unwrap_or_else(|error| {
            self.log.warn(format_args!(
                "{}: its units cannot have limits: {}",
                self.about,
                one_line(&error)
            ));
            Vec::new()
        });
        let groups: Vec<String> = user.groups.iter().map(ToString::to_string).collect();
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where workers are started"
        )]
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("worker-gate")
            .args(["--uid", &owner.to_string(), "--gid", &user.gid.to_string()])
            .args(["--groups", &groups.join(",")])
            .args(["--parent", &std::process::id().to_string()])
            .args(
                entrances
                    .iter()
                    .flat_map(|file| [Path::new("--enter"), file]),
            )
            .arg(&self.path)
            .env_clear()
            .envs(environment(&name, &user.home))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(words::way(self.log));
        match runtime_directory(&self.machine.root, owner, user.gid) {
            Ok(directory) => _ = command.env("XDG_RUNTIME_DIR", directory),
            Err(error) => self.log.warn(format_args!(
                "{}: it has no runtime directory, which podman needs: {error}",
                self.about
            )),
        }
        let mut child = command.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(words::pass_on(stderr, self.about.clone(), self.log));
        }
        self.log
            .info(format_args!("{}: served as user {name}", self.about));
        let keeper = Keeper::new(
            self.home.directory.try_clone()?,
            owner,
            user.gid,
            self.machine.ramdisk_max_mib,
            Arc::clone(&self.machine.ledger),
        );
        let channel = tokio::net::UnixStream::from_std(ours)?;
        let server = serve(channel, Arc::new(keeper), self.about.clone(), self.log);
        Ok((child, tokio::spawn(server)))
    }
}

async fn end(child: &mut Child) {
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // It is our child and not collected yet, so the number is its own.
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(END_MAX, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn environment(name: &str, home: &str) -> Vec<(&'static str, OsString)> {
    let passed_on = PASSED_ON
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let own = [
        ("PATH", path),
        ("HOME", home.into()),
        ("USER", name.into()),
        ("LOGNAME", name.into()),
    ];
    own.into_iter().chain(passed_on).collect()
}

/// `/run/user/UID`, which rootless podman needs and a login would make. All above it is root's.
fn runtime_directory(root: &Path, uid: u32, gid: u32) -> io::Result<PathBuf> {
    let all = root.join("run/user");
    fs::create_dir_all(&all)?;
    let own = all.join(uid.to_string());
    match mkdir(&own, Mode::RWXU) {
        Ok(()) => chown(&own, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let seen = fs::symlink_metadata(&own)?;
    if !seen.is_dir() || seen.uid() != uid {
        let message = format!("{} does not belong to user {uid}", own.display());
        return Err(io::Error::other(message));
    }
    Ok(own)
}
