//! How the daemon of one host home gets its ramdisks: from root's daemon, by itself when it is root, or
//! not at all; then they are plain directories, as with the original.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use hostfiles::{HostHome, ReleaseDir};
use names::{ReleaseId, VolumeName};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::keeper::{Keeper, Ledger};
use super::request::{LINE_MAX, Request, read_answer};
use super::{default_limit_mib, directories, memory};
use crate::log::one_line;

/// Root answers within so long, or is not asked again.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The way to ramdisks.
#[derive(Debug, Clone)]
pub enum Ramdisks {
    /// There is none: plain directories. What must not lie on a disk is kept in the directory of the user, if he
    /// has one in memory.
    Plain(Option<PathBuf>),
    /// This process is root.
    Own(HostHome, Arc<Ledger>),
    /// Root's daemon is asked. None when it has stopped to answer.
    Parent(Arc<Mutex<Option<BufReader<UnixStream>>>>),
}

impl Ramdisks {
    /// The channel that root's daemon has given to its worker.
    ///
    /// # Errors
    /// It is no such channel, or there is no tokio runtime.
    pub fn parent(channel: StdStream) -> io::Result<Self> {
        channel.set_nonblocking(true)?;
        let channel = BufReader::new(UnixStream::from_std(channel)?);
        Ok(Self::Parent(Arc::new(Mutex::new(Some(channel)))))
    }

    /// Those of a host home that root looks after itself, where it may mount. `runtime` is the directory of the
    /// user (`XDG_RUNTIME_DIR`).
    #[must_use]
    pub fn own(home: &HostHome, runtime: Option<PathBuf>) -> Self {
        if !rustix::process::geteuid().is_root() || !Keeper::may_mount() {
            return Self::Plain(runtime);
        }
        Self::Own(home.clone(), Arc::default())
    }

    /// True when ramdisks are plain directories.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// What the operator should know about the ramdisks of a release that has some.
    #[must_use]
    pub fn problem(&self, release: &ReleaseDir) -> Option<String> {
        // What is encrypted has a link there, to memory.
        let has_some = || {
            let all = fs::read_dir(release.path().join("ramdisk"));
            let mut all = all.into_iter().flatten().flatten();
            all.any(|entry| is_on_disk(&entry))
        };
        (self.are_plain() && has_some()).then(|| {
            "its ramdisks are plain directories on disk: only the daemon of root can mount them"
                .into()
        })
    }

    /// Makes a ramdisk, or leaves the one that is there.
    ///
    /// # Errors
    /// Why it cannot be made, for people.
    pub async fn create(
        &self,
        release: &ReleaseDir,
        id: &ReleaseId,
        name: &VolumeName,
        size_mib: u32,
    ) -> Result<(), String> {
        directories::make(release, name)
            .map_err(|error| format!("cannot make {}: {error}", release.ramdisk(name).display()))?;
        self.ask(Request::Create(id.clone(), name.clone(), size_mib))
            .await
            .map_err(|why| format!("cannot make the ramdisk {name}: {why}"))
    }

    /// Makes the directory of an encrypted config, or leaves the one that is there: in memory, or not at all.
    ///
    /// # Errors
    /// There is no memory for it, for people.
    pub async fn create_in_memory(
        &self,
        release: &ReleaseDir,
        id: &ReleaseId,
        name: &VolumeName,
        size_mib: u32,
    ) -> Result<Dir, String> {
        let failed = |error| format!("cannot make {}: {error}", release.ramdisk(name).display());
        if let Self::Plain(runtime) = self {
            return memory::make(release, name, runtime.as_deref());
        }
        directories::make_for_config(release, name).map_err(failed)?;
        self.ask(Request::Create(id.clone(), name.clone(), size_mib))
            .await
            .map_err(|why| format!("cannot make memory for the encrypted config {name}: {why}"))?;
        let made = directories::make_for_config(release, name).map_err(failed)?;
        match memory::is_memory(&made) {
            Ok(true) => Ok(made),
            Ok(false) => Err(format!(
                "{} is not in memory",
                release.ramdisk(name).display()
            )),
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes all ramdisks of a release, with what they hold.
    ///
    /// # Errors
    /// A directory cannot be removed, or is still mounted.
    pub async fn remove_all(&self, release: &ReleaseDir, id: &ReleaseId) -> io::Result<()> {
        if let Self::Plain(runtime) = self {
            memory::remove_all(release, runtime.as_deref())?;
        }
        let Some(ramdisks) = directories::Ramdisks::of(release)? else {
            return Ok(());
        };
        for name in ramdisks.names()? {
            ramdisks.empty(&name);
            let Some(name) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            self.ask(Request::Remove(id.clone(), name))
                .await
                .map_err(io::Error::other)?;
        }
        ramdisks.remove()
    }

    async fn ask(&self, request: Request) -> Result<(), String> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Own(home, ledger) => {
                let (home, ledger) = (home.clone(), Arc::clone(ledger));
                let done = tokio::task::spawn_blocking(move || ask_own(&home, ledger, request));
                done.await.map_err(|_| "the daemon is ending".to_owned())?
            }
            Self::Parent(channel) => {
                let mut channel = channel.lock().await;
                let Some(stream) = channel.as_mut() else {
                    return Err("root's daemon has stopped to answer".into());
                };
                match timeout(ANSWER_MAX, exchange(stream, &request)).await {
                    Ok(Ok(Some(answer))) => answer,
                    // What it says from now on could belong to this request.
                    Ok(Ok(None) | Err(_)) | Err(_) => {
                        *channel = None;
                        Err("root's daemon does not answer".into())
                    }
                }
            }
        }
    }
}

/// True for a ramdisk that is none.
fn is_on_disk(entry: &fs::DirEntry) -> bool {
    let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let opened = fs::File::open(entry.path());
    is_directory && opened.is_ok_and(|opened| !memory::is_memory(&opened).unwrap_or(false))
}

/// What a worker would ask of root's daemon. The home may be another user's: its owner gets the ramdisk.
fn ask_own(home: &HostHome, ledger: Arc<Ledger>, request: Request) -> Result<(), String> {
    let opened = fs::File::open(home.path()).and_then(|home| Ok((home.metadata()?, home)));
    let (seen, directory) =
        opened.map_err(|error| format!("cannot open {}: {error}", home.path().display()))?;
    let keeper = Keeper::new(
        directory.into(),
        seen.uid(),
        seen.gid(),
        default_limit_mib(),
        ledger,
    );
    let done = match request {
        Request::Create(release, name, size_mib) => keeper.create(&release, &name, size_mib),
        Request::Remove(release, name) => keeper.remove(&release, &name),
    };
    done.map_err(|error| one_line(&error))
}

async fn exchange(
    stream: &mut BufReader<UnixStream>,
    request: &Request,
) -> io::Result<Option<Result<(), String>>> {
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let mut line = String::new();
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    stream.take(limit).read_line(&mut line).await?;
    Ok(line.strip_suffix('\n').and_then(read_answer))
}
