//! Changes of configuration: how soon they are in force, and what they cost those who are connected.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::held::asks;
use super::load::{self, Kind, Load, Outcome};
use super::ours::{OURS, configured, mapping, settings_of_all};
use super::rival::{Rival, Servers, new_ports};
use super::server::{Server, Service};
use crate::bench::table::{Figure, Row};
use crate::bench::timing::median_of;
use crate::ui;

const CHANGES: usize = 30;
/// Ten changes a second for so long.
const LOADED: Duration = Duration::from_secs(6);
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// A change that is not in force by then never is.
const CHANGE_MAX: Duration = Duration::from_secs(10);
/// A question is one byte, which an echo gives back.
const ECHO: u8 = b'?';

pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    let mut rows = visible(programs)?;
    rows.push(under_load(programs)?);
    Ok(rows)
}

/// The cluster proxy with one cluster port that leads to that server.
fn leading_to(programs: &Path, server: SocketAddr) -> Result<Rival> {
    let ports = Servers::one(new_ports([127, 0, 0, 1].into())?.echo);
    let program = programs.join("sns-proxy");
    Rival::start_at(OURS, ports, |folder, ports| {
        configured(folder, &program, &mapping(ports.echo, server), "")
    })
}

/// From the moment that a file is in its place to an answer of the backend that it names.
fn visible(programs: &Path) -> Result<Vec<Row>> {
    let (echo, greet) = (
        Server::start(Service::Echo)?,
        Server::start(Service::Greet)?,
    );
    let proxy = leading_to(programs, echo.address)?;
    let at = proxy.ports.echo;
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let (server, is_echo) = if change % 2 == 0 {
            (&greet, false)
        } else {
            (&echo, true)
        };
        proxy.change("ports.conf", &mapping(at, server.address))?;
        let began = Instant::now();
        while is_answered_by_echo(at)? != is_echo {
            ensure!(began.elapsed() < CHANGE_MAX, "a change was never in force");
        }
        times.push(began.elapsed());
        // Not in step with whatever the proxy does from time to time.
        thread::sleep(Duration::from_millis(31));
    }
    let longest = times.iter().max().copied().context("nothing was changed")?;
    let row = |what, ours| Row {
        what,
        original: "5 s",
        figure: Figure::Time {
            target: Duration::from_millis(20),
            ours,
        },
    };
    Ok(vec![
        row(
            "proxy: change on disk to routed by, median",
            median_of(times)?,
        ),
        row("proxy: change on disk to routed by, longest of 30", longest),
    ])
}

fn is_answered_by_echo(at: SocketAddr) -> Result<bool> {
    Ok(asks(&TcpStream::connect(at)?)? == ECHO)
}

/// Ten changes a second, while some ask all the time and others come and go.
fn under_load(programs: &Path) -> Result<Row> {
    let servers = [Server::start(Service::Echo)?, Server::start(Service::Echo)?];
    let [one, other] = servers.each_ref().map(|server| server.address);
    let proxy = leading_to(programs, one)?;
    let at = proxy.ports.echo;
    let under = |kind| move || load::run(Load::new(kind, 32, LOADED), at);
    let (asked, connected, changes) = thread::scope(|scope| {
        let (asking, connecting) = (
            scope.spawn(under(Kind::Ask)),
            scope.spawn(under(Kind::Connect)),
        );
        let changes = change(&proxy, one, other);
        let joined = |load: thread::ScopedJoinHandle<'_, Result<Outcome>>| {
            load.join().ok().context("a load has panicked")?
        };
        anyhow::Ok((joined(asking)?, joined(connecting)?, changes?))
    })?;
    let resets = asked.failures.len() + connected.failures.len();
    ui::say(&format!(
        "{changes} changes: {} answers and {} connections, {resets} broke off",
        asked.done, connected.done
    ));
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let ours = resets as f64;
    Ok(Row {
        what: "proxy: 10 changes a second under load, broken off",
        original: "-",
        figure: Figure::Count { target: 0.0, ours },
    })
}

/// Other backends, other limits, other settings; how many changes there were.
fn change(proxy: &Rival, one: SocketAddr, other: SocketAddr) -> Result<u32> {
    let at = proxy.ports.echo;
    let began = Instant::now();
    let mut changes = 0;
    while began.elapsed() < LOADED {
        let both = mapping(at, one) + &mapping(at, other);
        match changes % 4 {
            0 => proxy.change("ports.conf", &mapping(at, other))?,
            1 => proxy.change("ports.conf", &both)?,
            2 => proxy.change("ports.conf", &both.replace(":60000:", ":50000:"))?,
            _ => {
                let settings = settings_of_all(&format!("QUEUEWAIT {}", 1 + changes % 7));
                proxy.change("proxy.conf", &settings)?;
                proxy.signal(Signal::HUP)?;
                proxy.change("ports.conf", &mapping(at, one))?;
            }
        }
        changes += 1;
        thread::sleep(CHANGE_EVERY);
    }
    Ok(changes)
}
