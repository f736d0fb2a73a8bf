//! A proxy with nothing to do: alone, with many clients that do nothing, and among other hosts.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use testkit::free_port;

use super::held::Held;
use super::ours::{Hosts, OURS, configured, mapping};
use super::rival::{Rival, Servers};
use super::server::{Server, Service};
use crate::bench::table::{Figure, Row};

/// So many clients connect and do nothing.
const CLIENTS: usize = 2000;
const PORTS: usize = 100;
/// A host with ten others.
const HOSTS: u8 = 11;
/// How long after it has begun a proxy has nothing to do.
const CALM: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(30);

pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    let server = Server::start(Service::Echo)?;
    let servers = Servers::one(server.address);
    let mut rows = memory(programs, servers)?;
    rows.push(time(programs, servers)?);
    Ok(rows)
}

/// Ports that nobody listens on, beside the two of each proxy.
fn more() -> Result<Vec<u16>> {
    (2..PORTS).map(|_| free_port()).collect()
}

fn memory(programs: &Path, servers: Servers) -> Result<Vec<Row>> {
    let program = programs.join("sns-proxy");
    let more = more()?;
    let rival = Rival::start(OURS, |folder, ports| {
        let all = more.iter().copied();
        let all = all.chain([ports.echo.port(), ports.blast.port()]);
        let mappings: String = all
            .map(|port| mapping(SocketAddr::from(([127, 0, 0, 1], port)), servers.echo))
            .collect();
        configured(folder, &program, &mappings, "")
    })?;
    thread::sleep(CALM);
    let (alone, resident) = (rival.memory(), rival.resident());
    let clients = Held::connect(rival.ports.echo, CLIENTS)?;
    let crowded = rival.memory();
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure")]
    let each = crowded.saturating_sub(alone) as f64 / clients.count() as f64;
    let memory = |what, ours| Row {
        what,
        original: "48 MB",
        figure: Figure::Memory {
            target: 4 << 20,
            ours,
        },
    };
    Ok(vec![
        memory("proxy: its own memory, idle with 100 ports", alone),
        memory("proxy: the same with its program and libraries", resident),
        Row {
            what: "proxy: bytes for a connection that waits",
            original: "23700",
            figure: Figure::Count {
                target: 512.0,
                ours: each,
            },
        },
    ])
}

/// Each of the proxies knows all others, so what is told is the mean of all.
fn time(programs: &Path, servers: Servers) -> Result<Row> {
    let more = more()?;
    let hosts = Hosts {
        name: "11 hosts",
        count: HOSTS,
        more: &more,
        settings: "",
    };
    let proxies = hosts.start(programs, servers)?;
    thread::sleep(CALM);
    let before = proxies.busy();
    thread::sleep(IDLE);
    let busy = proxies.busy().saturating_sub(before) / u32::from(HOSTS);
    Ok(Row {
        what: "proxy: idle, 100 ports and 10 peers, part of a core",
        original: "-",
        figure: Figure::Core {
            target: 0.001,
            ours: busy.as_secs_f64() / IDLE.as_secs_f64(),
        },
    })
}
