//! The unix socket at which a proxy shows what it does.
//!
//! Only the owner of the proxy may look. One request for each connection, a bounded number of them at a time, each
//! within a bounded time: whoever reads slowly keeps nobody but others who look waiting. What a proxy that has died
//! left there is replaced; a socket at which somebody answers, and anything else, is not touched.

use std::fs::{Metadata, Permissions, read_link, remove_file, set_permissions, symlink_metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::request::{Asked, REQUEST_MAX, Status, Wanted, answer, parse};
use super::{SocketPath, Sources, exposition};
use crate::event::{Event, MetricsNews, Reporter};

/// How many may look at a time; others wait.
const LOOKS_MAX: usize = 16;
/// How many may wait.
const BACKLOG: i32 = 64;
/// How long somebody may take to say what it wants.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(1);
/// How long somebody may take to read the answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// Pause after a look could not be taken, mostly because no descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Only the owner.
const MODE: u32 = 0o600;

/// The socket, as far as it is wanted and can be opened.
pub(crate) struct Window {
    sources: Arc<Sources>,
    report: Reporter,
    open: Option<Open>,
    /// What was told last: which socket cannot be opened, and why.
    failed: Option<(PathBuf, String)>,
}

/// An open socket. Dropped, it is gone.
struct Open {
    path: PathBuf,
    /// Which file it is.
    file: (u64, u64),
    task: JoinHandle<()>,
}

impl Window {
    pub(crate) fn new(sources: Sources, report: Reporter) -> Self {
        Self {
            sources: Arc::new(sources),
            report,
            open: None,
            failed: None,
        }
    }

    /// Whether a socket is wanted and cannot be opened.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// From now on the socket is there, or there is none. May be called again at any time: what could not be opened
    /// is tried again, and so is one that somebody has removed.
    pub(crate) fn follow(&mut self, wanted: Option<PathBuf>) {
        if let Some(open) = &self.open
            && (Some(&open.path) != wanted.as_ref() || !open.is_there())
        {
            (self.report)(&Event::Metrics(open.path.clone(), MetricsNews::Closed));
            self.open = None;
        }
        let Some(path) = wanted.filter(|_| self.open.is_none()) else {
            if self.open.is_none() {
                self.failed = None;
            }
            return;
        };
        match Open::at(&path, &self.sources) {
            Ok(open) => {
                (self.report)(&Event::Metrics(path, MetricsNews::Opened));
                self.open = Some(open);
                self.failed = None;
            }
            Err(error) => {
                let failed = Some((path.clone(), error.to_string()));
                if self.failed != failed {
                    let news = MetricsNews::CannotOpen(error.to_string());
                    (self.report)(&Event::Metrics(path, news));
                    self.failed = failed;
                }
            }
        }
    }
}

impl Open {
    fn at(path: &Path, sources: &Arc<Sources>) -> io::Result<Self> {
        clear(path)?;
        let listener = UnixListener::from_std(listener(path)?.into())?;
        let found = symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: identity(&found),
            task: tokio::spawn(show(listener, Arc::clone(sources))),
        })
    }

    fn is_there(&self) -> bool {
        symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.file)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
        if self.is_there() {
            // What cannot be removed is replaced by the next one.
            let _ = remove_file(&self.path);
        }
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Removes what a dead proxy left.
fn clear(path: &Path) -> io::Result<()> {
    let found = match symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let why = "something else than a socket is there: move it away, or name another path";
        return Err(io::Error::other(why));
    }
    let short = SocketPath::of(path)?;
    match connect(&socket()?, &SocketAddrUnix::new(short.path())?) {
        Err(Errno::CONNREFUSED) => remove_file(path),
        Ok(()) | Err(Errno::AGAIN) => {
            let why = "another proxy answers there: end it, or name another path";
            Err(io::Error::other(why))
        }
        Err(error) => Err(error.into()),
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

/// Nobody gets in before the mode is set, because nobody listens before.
fn listener(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket()?;
    let short = SocketPath::of(path)?;
    let address = SocketAddrUnix::new(short.path())
        .map_err(|_| io::Error::other("its name is too long: write a shorter one"))?;
    bind(&socket, &address)?;
    set_permissions(path, Permissions::from_mode(MODE))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Answers whoever comes, until it is aborted.
async fn show(listener: UnixListener, sources: Arc<Sources>) {
    let looks = Arc::new(Semaphore::new(LOOKS_MAX));
    loop {
        let Ok(look) = Arc::clone(&looks).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sources = Arc::clone(&sources);
                tokio::spawn(async move {
                    // Whoever leaves before it has read all does not want it.
                    let _ = serve(stream, &sources).await;
                    drop(look);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(mut stream: UnixStream, sources: &Sources) -> io::Result<()> {
    let asked = match timeout(REQUEST_TIME_MAX, hear(&mut stream)).await {
        Ok(asked) => asked?,
        Err(_) => Asked::Refused(Status::Timeout, "nothing was asked within a second\n"),
    };
    let text = "text/plain; charset=utf-8";
    let bytes = match asked {
        // It left without asking.
        Asked::Partial => return Ok(()),
        Asked::Refused(status, why) => answer(status, text, why),
        Asked::Whole(Wanted::Upgrade) => match upgrade(&stream, sources).await {
            Ok(()) => answer(Status::Fine, text, "going on with another program\n"),
            Err(why) => answer(Status::Conflict, text, &format!("{why}\n")),
        },
        Asked::Whole(Wanted::Metrics) => answer(
            Status::Fine,
            "text/plain; version=0.0.4; charset=utf-8",
            &exposition::render(sources),
        ),
        Asked::Whole(Wanted::Connections(port)) => answer(
            Status::Fine,
            "application/x-ndjson",
            &sources.connections(port).await.to_lines(),
        ),
    };
    timeout(ANSWER_TIME_MAX, async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    })
    .await
    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Goes on with the program that asks: whoever calls is what comes next.
async fn upgrade(stream: &UnixStream, sources: &Sources) -> Result<(), String> {
    let caller = stream.peer_cred().ok().and_then(|caller| caller.pid());
    let caller = caller.ok_or("the system does not say who asks")?;
    let program = read_link(format!("/proc/{caller}/exe"))
        .map_err(|error| format!("the program that asks cannot be seen: {error}"))?;
    sources.upgrade(program).await
}

/// Reads until it is known what is wanted.
async fn hear(stream: &mut UnixStream) -> io::Result<Asked> {
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let room = buffer.len().min(REQUEST_MAX.saturating_sub(heard.len()));
        let count = stream
            .read(buffer.get_mut(..room).unwrap_or_default())
            .await?;
        if count == 0 {
            return Ok(Asked::Partial);
        }
        heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
        match parse(&heard) {
            Asked::Partial => {}
            asked => return Ok(asked),
        }
    }
}
