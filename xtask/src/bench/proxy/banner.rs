//! A server that speaks first: how long its words take, and whether they come in order.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::ours::OURS;
use super::rival::{Rival, Servers};
use super::server::{GREETING, Server, Service};
use crate::bench::table::{Figure, Row, shown};
use crate::bench::timing::median_of;
use crate::ui;

const ROUNDS: usize = 1000;
/// The server's words may take so long on their way.
const TARGET: Duration = Duration::from_millis(1);

pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    let server = Server::start(Service::Greet)?;
    let servers = Servers::one(server.address);
    let rivals = [
        Rival::direct(servers),
        Rival::ours(programs, servers)?,
        Rival::two_hosts("two hosts", programs, servers, "")?,
    ];
    let mut waits = rivals.each_ref().map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (rival, waits) in rivals.iter().zip(&mut waits) {
            waits.push(greeted(rival.ports.echo)?);
        }
    }
    let [direct, one, two] = waits.map(median_of);
    let (direct, one, two) = (direct?, one?, two?);
    ui::say(&format!(
        "greeted: direct {}, {OURS} {}, two hosts {}",
        shown(direct),
        shown(one),
        shown(two)
    ));
    let row = |what, wait: Duration| Row {
        what,
        original: "1000 ms",
        figure: Figure::Time {
            target: TARGET,
            ours: wait.saturating_sub(direct),
        },
    };
    Ok(vec![
        row("proxy: added until a server that speaks first, p50", one),
        row("proxy: the same, two hosts", two),
    ])
}

/// How long until all that the server says first is heard, in its order.
fn greeted(at: SocketAddr) -> Result<Duration> {
    let expected = GREETING.concat();
    let mut heard = vec![0; expected.len()];
    let began = Instant::now();
    let mut client = TcpStream::connect(at)?;
    client.read_exact(&mut heard)?;
    let took = began.elapsed();
    let heard = String::from_utf8_lossy(&heard);
    ensure!(heard == expected, "the server's words came as {heard:?}");
    Ok(took)
}
