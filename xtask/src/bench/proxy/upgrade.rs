//! New binaries in the place of the running one, while thousands are connected and one of them asks all the time.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::held::{Held, asks};
use super::helper::Helper;
use super::ours::{OURS, configured, mapping};
use super::rival::{Rival, Servers, new_ports};
use super::server::Service;
use crate::bench::table::{Figure, Row, shown};
use crate::bench::timing::median_of;
use crate::program::Program;
use crate::ui;

const CONNECTED: usize = 5000;
const UPGRADES: usize = 7;
/// How often the one that notices asks.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// What comes after an upgrade belongs to it for so long.
const AFTER: Duration = Duration::from_millis(500);

/// When it was asked, and how long the answer took.
type Ping = (Instant, Duration);

pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    // In a process of its own: this one has no room for both ends of so many connections.
    let server = Helper::start(Service::Echo)?;
    let program = programs.join("sns-proxy");
    let ports = Servers::one(new_ports([127, 0, 0, 1].into())?.echo);
    let proxy = Rival::start_at(OURS, ports, |folder, ports| {
        let mappings = mapping(ports.echo, server.address);
        configured(folder, &program, &mappings, "METRICSSOCKET metrics.sock")
    })?;
    let held = Held::connect(proxy.ports.echo, CONNECTED)?;
    let over = AtomicBool::new(false);
    let (pings, upgrades) = thread::scope(|scope| {
        let pinging = scope.spawn(|| ping(proxy.ports.echo, &over));
        let upgrades = upgrade(&proxy, &program);
        over.store(true, Ordering::Relaxed);
        let pings = pinging.join().ok().context("a client has panicked")?;
        anyhow::Ok((pings?, upgrades?))
    })?;
    let longest = |(from, to): &(Instant, Instant)| {
        let meanwhile = pings.iter().filter(|(at, _)| from <= at && at <= to);
        meanwhile.map(|(_, wait)| *wait).max().unwrap_or_default()
    };
    let mut pauses: Vec<_> = upgrades.iter().map(longest).collect();
    pauses.sort_unstable();
    let shown: Vec<_> = pauses.iter().map(|pause| shown(*pause)).collect();
    let lost = held.lost();
    ui::say(&format!(
        "{UPGRADES} upgrades with {} connections: {lost} lost, pauses of {}",
        held.count(),
        shown.join(", ")
    ));
    rows(lost, pauses)
}

fn rows(lost: usize, pauses: Vec<Duration>) -> Result<Vec<Row>> {
    #[expect(clippy::cast_precision_loss, reason = "at most some thousands")]
    let lost = lost as f64;
    let pause = |what, ours| Row {
        what,
        original: "all lost",
        figure: Figure::Time {
            target: Duration::from_millis(50),
            ours,
        },
    };
    let longest = pauses.last().copied().context("there was no upgrade")?;
    Ok(vec![
        Row {
            what: "proxy: lost of 5 000 connections in 7 upgrades",
            original: "all",
            figure: Figure::Count {
                target: 0.0,
                ours: lost,
            },
        },
        pause("proxy: pause of an upgrade, median", median_of(pauses)?),
        pause("proxy: pause of an upgrade, longest", longest),
    ])
}

/// Asks on one connection until it is over.
fn ping(at: SocketAddr, over: &AtomicBool) -> Result<Vec<Ping>> {
    let client = TcpStream::connect(at)?;
    client.set_nodelay(true)?;
    let mut pings = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        asks(&client).context("the client that asks all the time is answered no more")?;
        pings.push((asked, asked.elapsed()));
        thread::sleep(ASK_EVERY);
    }
    Ok(pings)
}

/// From when to when each upgrade counts.
fn upgrade(proxy: &Rival, program: &Path) -> Result<Vec<(Instant, Instant)>> {
    let mut upgrades = Vec::new();
    for number in 0..UPGRADES {
        let next = proxy.file(&format!("sns-proxy-{number}"))?;
        fs::copy(program, &next)?;
        // The copy has to be written before, or the upgrade would wait for the disk.
        fs::File::open(&next)?.sync_all()?;
        thread::sleep(AFTER);
        let began = Instant::now();
        Program::new(&next)
            .arg("upgrade")
            .arg(proxy.file("proxy.conf")?)
            .output()?;
        thread::sleep(AFTER);
        upgrades.push((began, Instant::now()));
    }
    Ok(upgrades)
}
