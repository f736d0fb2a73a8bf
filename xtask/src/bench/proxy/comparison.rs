//! Ours beside HAProxy and nginx, once with everything on the cores that all share, and once with the proxy alone on
//! one of them.
//!
//! All proxies run all the time, the measurements take turns. Each line that is told is one measurement; the table
//! has the medians.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::layout::Layout;
use super::load::{Kind, Load};
use super::ours::OURS;
use super::rival::{Rival, Servers};
use super::sample::{COST, LATE, MIDDLE, Measured, RATE, Value, of, rounds, shown};
use super::server::{Server, Service};
use crate::bench::table::{Better, Figure, Row};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(3);

/// Two proxies of two hosts; the same over TLS.
const TWO_HOSTS: &str = "two hosts";
const ENCRYPTED: &str = "with TLS";

/// What is measured in every round.
const LOADS: [(&str, Load); 5] = [
    ("one client asks", Load::new(Kind::Ask, 1, TIME)),
    ("64 clients ask", Load::new(Kind::Ask, 64, TIME)),
    (
        "32 clients connect and ask once",
        Load::new(Kind::Connect, 32, TIME),
    ),
    ("one client listens", Load::new(Kind::Listen, 1, TIME)),
    ("4 clients listen", Load::new(Kind::Listen, 4, TIME)),
];

/// Which of the loads.
const ONE: usize = 0;
const MANY: usize = 1;
const NEW: usize = 2;
const STREAM: usize = 3;
const STREAMS: usize = 4;

/// Something that is compared with the better of the two peers.
struct Comparison {
    /// What, in both layouts.
    what: [&'static str; 2],
    load: usize,
    /// In both layouts.
    targets: [f64; 2],
    better: Better,
    value: Value,
    unit: &'static str,
}

macro_rules! compare {
    ($what:literal, $load:ident, $targets:expr, $better:ident, $value:ident, $unit:literal) => {
        Comparison {
            what: [
                concat!("proxy: ", $what),
                concat!("proxy: ", $what, ", pinned"),
            ],
            load: $load,
            targets: $targets,
            better: Better::$better,
            value: $value,
            unit: $unit,
        }
    };
}

/// The must column of the design is about shared cores. With a core of its own, a proxy is held to what a prototype
/// reached there beside the same peers; where that was a tie, to the better peer.
#[rustfmt::skip]
const COMPARISONS: [Comparison; 9] = [
    compare!("one client's wait, p50", ONE, [1.0, 1.0], Less, MIDDLE, "s"),
    compare!("answers a second, 64 clients", MANY, [0.97, 0.97], More, RATE, "/s"),
    compare!("p99 of these answers", MANY, [1.0, 1.0], Less, LATE, "s"),
    compare!("processor time for an answer", MANY, [1.0, 1.0], Less, COST, "s"),
    compare!("new connections a second, 32", NEW, [1.05, 1.0], More, RATE, "/s"),
    compare!("processor time for a connection", NEW, [1.0, 1.0], Less, COST, "s"),
    compare!("bytes a second, one stream", STREAM, [1.4, 1.4], More, RATE, "B/s"),
    compare!("bytes a second, 4 streams", STREAMS, [1.75, 1.35], More, RATE, "B/s"),
    compare!("processor time a byte, 4 streams", STREAMS, [0.55, 0.55], Less, COST, "s"),
];

/// Measures and compares.
pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    let shared = measured(Layout::Shared, programs)?;
    let pinned = measured(Layout::Pinned, programs)?;
    let mut rows = vec![added(&shared)?];
    for comparison in &COMPARISONS {
        for (layout, all) in [&shared, &pinned].into_iter().enumerate() {
            rows.extend(comparison.row(layout, all)?);
        }
    }
    rows.extend(between_hosts(&shared)?);
    Ok(rows)
}

fn measured(layout: Layout, programs: &Path) -> Result<Vec<Measured>> {
    layout.loading(|| {
        let (echo, blast) = (
            Server::start(Service::Echo)?,
            Server::start(Service::Blast)?,
        );
        let servers = Servers {
            echo: echo.address,
            blast: blast.address,
        };
        let rivals = layout.proxying(|| {
            let mut rivals = vec![
                Rival::direct(servers),
                Rival::haproxy(servers, layout.threads())?,
                Rival::nginx(servers, layout.threads())?,
                Rival::ours(programs, servers)?,
            ];
            // Both hosts would be on the one core.
            if layout == Layout::Shared {
                rivals.push(Rival::two_hosts(TWO_HOSTS, programs, servers, "")?);
                rivals.push(Rival::two_hosts(
                    ENCRYPTED,
                    programs,
                    servers,
                    "ENCRYPT yes",
                )?);
            }
            Ok(rivals)
        })?;
        rounds(ROUNDS, layout.word(), &rivals, &LOADS)
    })
}

/// Where cores are shared: on a core of its own a proxy is first of all on another one than its clients.
fn added(all: &[Measured]) -> Result<Row> {
    let added = of(all, OURS)?.median(ONE, MIDDLE)? - of(all, "direct")?.median(ONE, MIDDLE)?;
    Ok(Row {
        what: "proxy: what it adds to one client's wait, p50",
        original: "22 µs",
        figure: Figure::Time {
            target: Duration::from_micros(10),
            ours: Duration::from_secs_f64(added.max(0.0)),
        },
    })
}

impl Comparison {
    fn row(&self, layout: usize, all: &[Measured]) -> Result<Option<Row>> {
        let (Some(what), Some(target)) = (self.what.get(layout), self.targets.get(layout)) else {
            return Ok(None);
        };
        let median = |name: &str| of(all, name)?.median(self.load, self.value);
        let [haproxy, nginx] = [median("haproxy")?, median("nginx")?];
        let (best, name) = if self.better.prefers(haproxy, nginx) {
            (haproxy, "haproxy")
        } else {
            (nginx, "nginx")
        };
        Ok(Some(Row {
            what,
            original: name,
            figure: Figure::Ratio {
                target: *target,
                ratio: median(OURS)? / best,
                better: self.better,
                peer: shown(best, self.unit),
            },
        }))
    }
}

/// What another host costs, beside a pod of the same one.
fn between_hosts(all: &[Measured]) -> Result<Vec<Row>> {
    let (one, two, sealed) = (of(all, OURS)?, of(all, TWO_HOSTS)?, of(all, ENCRYPTED)?);
    let row = |what, original, target, ratio, peer| Row {
        what,
        original,
        figure: Figure::Ratio {
            target,
            ratio,
            better: Better::Less,
            peer,
        },
    };
    let cost = |measured: &Measured, load| measured.median(load, COST);
    let (alone, plain) = (cost(one, NEW)?, cost(two, NEW)?);
    Ok(vec![
        row(
            "proxy: processor time for a connection, two hosts",
            "one host",
            1.7,
            plain / alone,
            shown(alone, "s"),
        ),
        row(
            "proxy: the same with TLS",
            "without",
            10.0,
            cost(sealed, NEW)? / plain,
            shown(plain, "s"),
        ),
        row(
            "proxy: processor time for a byte with TLS",
            "without",
            5.0,
            cost(sealed, STREAMS)? / cost(two, STREAMS)?,
            shown(cost(two, STREAMS)?, "s"),
        ),
    ])
}
