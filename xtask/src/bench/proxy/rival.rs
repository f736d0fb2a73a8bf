//! Something to connect to: a proxy in front of servers, or the servers themselves.
//!
//! How each proxy is set up stands in `ours` and `peers`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::{free_port, wait_until};

use crate::bench::one_host::quiet;

pub(super) const START_MAX: Duration = Duration::from_secs(10);

/// Where a proxy leads, or is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Servers {
    pub(super) echo: SocketAddr,
    pub(super) blast: SocketAddr,
}

impl Servers {
    /// One server, or one port, for all.
    pub(super) fn one(address: SocketAddr) -> Self {
        Self {
            echo: address,
            blast: address,
        }
    }
}

/// Something to connect to.
pub(super) struct Rival {
    pub(super) name: &'static str,
    pub(super) ports: Servers,
    /// None for the servers themselves.
    process: Option<Child>,
    folder: Option<TempDir>,
    /// The proxies of other hosts behind it.
    pub(super) behind: Vec<Self>,
}

impl Rival {
    /// No proxy at all.
    pub(super) fn direct(servers: Servers) -> Self {
        Self {
            name: "direct",
            ports: servers,
            process: None,
            folder: None,
            behind: Vec::new(),
        }
    }

    pub(super) fn start(
        name: &'static str,
        prepare: impl FnOnce(&Path, Servers) -> Result<Command>,
    ) -> Result<Self> {
        Self::start_at(name, new_ports(Ipv4Addr::LOCALHOST)?, prepare)
    }

    /// Starts what `prepare` says, once it has laid its files into the folder.
    pub(super) fn start_at(
        name: &'static str,
        ports: Servers,
        prepare: impl FnOnce(&Path, Servers) -> Result<Command>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let command = prepare(folder.path(), ports)?;
        let process = quiet(command)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let rival = Self {
            name,
            ports,
            process: Some(process),
            folder: Some(folder),
            behind: Vec::new(),
        };
        for port in [ports.echo, ports.blast] {
            let connected = || Ok(TcpStream::connect(port).ok().map(drop));
            wait_until(&format!("{name} to listen on {port}"), START_MAX, connected)?;
        }
        Ok(rival)
    }

    /// A file of its folder.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.as_ref().context("servers have no folder")?;
        Ok(folder.path().join(name))
    }

    /// Puts another file in the place of one of its own.
    pub(super) fn change(&self, name: &str, text: &str) -> Result<()> {
        let (path, beside) = (self.file(name)?, self.file("beside")?);
        #[expect(
            clippy::disallowed_methods,
            reason = "what is measured begins with the rename, so nothing is synced before"
        )]
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path))?;
        Ok(())
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("servers hear no signals")?;
        Ok(kill_process(Pid::from_child(process), signal)?)
    }

    /// The time that its processes have worked, all their threads together.
    pub(super) fn busy(&self) -> Duration {
        let nanoseconds = self.processes().into_iter().flat_map(|process| {
            let threads = fs::read_dir(format!("/proc/{process}/task"));
            threads
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|thread| {
                    let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
                    text.split(' ').next()?.parse::<u64>().ok()
                })
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The memory that its processes have for themselves, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.status("RssAnon:")
    }

    /// The same with what they have of files, their programs among them, which is there once for all of them.
    pub(super) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let kibibytes = self.processes().into_iter().filter_map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        kibibytes.sum::<u64>() << 10
    }

    /// Its process and the children of that.
    fn processes(&self) -> Vec<u32> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let id = process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split(' ')
            .filter_map(|child| child.trim().parse().ok());
        let behind = self.behind.iter().flat_map(Self::processes);
        std::iter::once(id).chain(children).chain(behind).collect()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // The master of nginx takes its workers with it when it is asked to end.
            let _ = kill_process(Pid::from_child(process), Signal::TERM);
            let ended = wait_until("a proxy to end", START_MAX, || Ok(process.try_wait()?));
            if ended.is_err() {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

pub(super) fn new_ports(host: Ipv4Addr) -> Result<Servers> {
    let port = || Ok::<_, anyhow::Error>(SocketAddr::from((host, free_port()?)));
    Ok(Servers {
        echo: port()?,
        blast: port()?,
    })
}

/// Whether a word comes back.
pub(super) fn echoes(at: SocketAddr) -> bool {
    let Ok(mut client) = TcpStream::connect(at) else {
        return false;
    };
    let mut answer = [0];
    client.write_all(b"?").is_ok() && client.read_exact(&mut answer).is_ok()
}

pub(super) fn put(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    #[expect(
        clippy::disallowed_methods,
        reason = "the input of a proxy is written before it starts"
    )]
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// A program that is not started yet.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured has to run beside the measurement"
)]
pub(super) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}
