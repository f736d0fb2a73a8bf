//! A server in a process of its own, which can be stopped, killed, or be in another network: this very program,
//! started as `cargo xtask serve`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::rival::command;
use super::server::{BACKLOG, Server, Service};
use crate::ui;

/// Options of the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What it does
    service: Service,
    /// Where it listens on loopback; 0: anywhere
    port: u16,
    /// How many may wait until they are accepted
    backlog: i32,
}

/// Serves until standard input is closed.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let server = Server::start_at(options.service, options.port, options.backlog)?;
    ui::print(&server.address.port().to_string());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Such a process, which ends when this is dropped.
pub(super) struct Helper {
    pub(super) address: SocketAddr,
    process: Child,
}

impl Helper {
    /// In the network of this process.
    pub(super) fn start(service: Service) -> Result<Self> {
        Self::with_backlog(service, BACKLOG)
    }

    /// The same, where fewer may wait.
    pub(super) fn with_backlog(service: Service, backlog: i32) -> Result<Self> {
        let own = std::env::current_exe()?;
        let mut helper = command(&own);
        helper.args(arguments(service, 0, backlog));
        Self::of(helper)
    }

    /// What `prepared` starts has to become [`serving`].
    pub(super) fn of(mut prepared: Command) -> Result<Self> {
        let mut process = prepared
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a server")?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("the server has no output")?;
        let read = BufReader::new(stdout).read_line(&mut line);
        let port: Result<u16> = read
            .map_err(anyhow::Error::from)
            .and_then(|_| Ok(line.trim().parse()?));
        let mut helper = Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            process,
        };
        helper
            .address
            .set_port(port.context("the server does not say where it listens")?);
        Ok(helper)
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it: who connects waits in its queue, and nobody at all once that is full.
    pub(super) fn stop(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.process), Signal::STOP)?)
    }

    /// Kills it; it is gone when this returns.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The arguments of this program for a server.
fn arguments(service: Service, port: u16, backlog: i32) -> [String; 4] {
    let service = match service {
        Service::Echo => "echo",
        Service::Blast => "blast",
        Service::Greet => "greet",
    };
    [
        "serve".into(),
        service.into(),
        port.to_string(),
        backlog.to_string(),
    ]
}

/// The words that start an echo server as that program.
pub(super) fn serving(program: &Path, port: u16) -> String {
    let words = arguments(Service::Echo, port, BACKLOG).join(" ");
    format!("{} {words}", program.display())
}
