//! Two backends of which one is stopped, or killed, while clients come and go.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::helper::Helper;
use super::load::{self, Kind, Load, Outcome};
use super::ours::{OURS, configured, mapping};
use super::rival::{Rival, Servers, new_ports};
use super::server::{Server, Service};
use crate::bench::table::{Figure, Row, shown};
use crate::bench::timing::median_of;
use crate::ui;

const ROUNDS: usize = 3;
/// Something happens in the middle.
const TIME: Duration = Duration::from_secs(6);
/// Whoever hears nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(1);
/// The queue of the backend that is stopped: no client of the load finds it full before.
const QUEUE: u8 = 64;
const LATE: f64 = 0.99;

pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    let mut rows = stopped(programs)?;
    rows.push(killed(programs)?);
    Ok(rows)
}

/// Clients come and go through a proxy with two backends, and something happens to one of them, at the time that
/// it says.
fn loaded(
    programs: &Path,
    victim: SocketAddr,
    happens: impl FnOnce() -> Result<Instant>,
) -> Result<(Outcome, Instant)> {
    let healthy = Server::start(Service::Echo)?;
    let ports = Servers::one(new_ports([127, 0, 0, 1].into())?.echo);
    let program = programs.join("sns-proxy");
    let proxy = Rival::start_at(OURS, ports, |folder, ports| {
        let mappings = mapping(ports.echo, victim) + &mapping(ports.echo, healthy.address);
        configured(folder, &program, &mappings, "")
    })?;
    let load = Load {
        patience: PATIENCE,
        ..Load::new(Kind::Connect, 32, TIME)
    };
    thread::scope(|scope| {
        let loading = scope.spawn(|| load::run(load, proxy.ports.echo));
        thread::sleep(TIME / 3);
        let at = happens()?;
        let outcome = loading.join().ok().context("the load has panicked")?;
        Ok((outcome?, at))
    })
}

/// When each of those failed that came after something had happened, counted from that.
fn failed_after(outcome: &Outcome, at: Instant) -> Vec<Duration> {
    let failures = outcome.failures.iter();
    failures
        .filter_map(|asked| asked.checked_duration_since(at))
        .collect()
}

/// Fills the queue of a stopped backend, so that it takes no connection and refuses none. Whoever waits in a queue is
/// connected as far as a proxy can see.
fn fill(at: SocketAddr) -> Result<Vec<OwnedFd>> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let waiting = (0..QUEUE + 8).map(|_| {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match connect(&socket, &at) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(error) => Err(error.into()),
        }
    });
    waiting.collect()
}

/// A backend that is silent from one moment to the next.
fn stopped(programs: &Path) -> Result<Vec<Row>> {
    let (mut until, mut added) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let victim = Helper::with_backlog(Service::Echo, i32::from(QUEUE))?;
        let mut waiting = Vec::new();
        let stop = || {
            let at = Instant::now();
            victim.stop()?;
            waiting = fill(victim.address)?;
            Ok(at)
        };
        let (outcome, at) = loaded(programs, victim.address, stop)?;
        let failures = failed_after(&outcome, at);
        let (before, after) = (
            outcome.wait_where(LATE, |asked| asked < at - PATIENCE),
            outcome.wait_where(LATE, |asked| asked >= at),
        );
        let last = failures.iter().max().copied().unwrap_or_default();
        ui::say(&format!(
            "stopped backend: {} connections stood still with it, {} that came later, the last one after {}; p99 {} \
             before, {} after",
            outcome.failures.len() - failures.len(),
            failures.len(),
            shown(last),
            shown(before),
            shown(after)
        ));
        until.push(last);
        added.push(after.saturating_sub(before));
    }
    let row = |what, original, target, ours| Row {
        what,
        original,
        figure: Figure::Time {
            target: Duration::from_millis(target),
            ours,
        },
    };
    Ok(vec![
        row(
            "proxy: a stopped backend, until nobody fails",
            "-",
            1000,
            median_of(until)?,
        ),
        row(
            "proxy: a stopped backend, added to p99",
            "3 s",
            60,
            median_of(added)?,
        ),
    ])
}

/// A backend whose process is gone.
fn killed(programs: &Path) -> Result<Row> {
    let mut failed = 0;
    for _ in 0..ROUNDS {
        let mut victim = Helper::start(Service::Echo)?;
        // From the last moment: until it is gone it may take connections.
        let address = victim.address;
        let kill = || victim.kill().map(|()| Instant::now());
        let (outcome, at) = loaded(programs, address, kill)?;
        let failures = failed_after(&outcome, at).len();
        ui::say(&format!(
            "killed backend: {} connections broke off with it, {failures} that came later",
            outcome.failures.len() - failures
        ));
        failed += failures;
    }
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let ours = failed as f64;
    Ok(Row {
        what: "proxy: a killed backend, clients that failed later",
        original: "-",
        figure: Figure::Count { target: 0.0, ours },
    })
}
