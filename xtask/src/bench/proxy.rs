//! The cluster proxy beside HAProxy and nginx, on the machine that everything shares: what a user of a small
//! server gets.
//!
//! All proxies run all the time, the measurements take turns. Each line that is told is one measurement; the table
//! has the medians.

mod load;
mod rival;
mod server;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::load::{Kind, Load};
use self::rival::{Rival, Servers};
use self::server::{Server, Service};
use super::table::{Better, Figure, Row};
use crate::ui;

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(3);
/// The length of a question and its answer, in bytes.
const QUESTION_BYTES: usize = 64;
/// So many clients connect and do nothing.
const IDLE_CLIENTS: usize = 2000;

/// Two proxies of two hosts; the same over TLS.
const TWO_HOSTS: &str = "two hosts";
const ENCRYPTED: &str = "with TLS";

/// What is measured in every round.
const LOADS: [(&str, Load); 5] = [
    ("one client asks", load(Kind::Ask, 1)),
    ("64 clients ask", load(Kind::Ask, 64)),
    ("32 clients connect and ask once", load(Kind::Connect, 32)),
    ("one client listens", load(Kind::Listen, 1)),
    ("4 clients listen", load(Kind::Listen, 4)),
];

const fn load(kind: Kind, clients: usize) -> Load {
    Load {
        kind,
        clients,
        bytes: QUESTION_BYTES,
        time: TIME,
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Answers, connections or bytes a second.
    rate: f64,
    middle: Duration,
    late: Duration,
    /// Processor seconds of the proxy for each of them.
    cost: f64,
}

/// The samples of one proxy, by load.
struct Measured {
    name: &'static str,
    samples: Vec<Vec<Sample>>,
}

/// Measures and compares.
pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    let (echo, blast) = (
        Server::start(Service::Echo)?,
        Server::start(Service::Blast)?,
    );
    let servers = Servers {
        echo: echo.address,
        blast: blast.address,
    };
    let mut rows = idle(programs, servers)?;
    let rivals = [
        Rival::direct(servers),
        Rival::haproxy(servers)?,
        Rival::nginx(servers)?,
        Rival::ours(programs, servers)?,
        Rival::two_hosts(TWO_HOSTS, programs, servers, "")?,
        Rival::two_hosts(ENCRYPTED, programs, servers, "ENCRYPT yes")?,
    ];
    let mut all: Vec<Measured> = rivals
        .iter()
        .map(|rival| Measured {
            name: rival.name,
            samples: vec![Vec::new(); LOADS.len()],
        })
        .collect();
    for round in 0..ROUNDS {
        for (number, (what, load)) in LOADS.iter().enumerate() {
            // Each comes first once.
            for place in 0..rivals.len() {
                let place = (place + round) % rivals.len();
                let (Some(rival), Some(measured)) = (rivals.get(place), all.get_mut(place)) else {
                    continue;
                };
                let sample =
                    sample(rival, *load).with_context(|| format!("{what}: {}", rival.name))?;
                ui::say(&format!("{what:32} {:10} {}", rival.name, sample.shown()));
                measured
                    .samples
                    .get_mut(number)
                    .context("no such load")?
                    .push(sample);
            }
        }
    }
    rows.extend(compared(&all)?);
    Ok(rows)
}

fn sample(rival: &Rival, load: Load) -> Result<Sample> {
    let at = match load.kind {
        Kind::Ask | Kind::Connect => rival.ports.echo,
        Kind::Listen => rival.ports.blast,
    };
    let before = rival.busy();
    let mut outcome = load::run(load, at)?;
    let busy = rival.busy().saturating_sub(before);
    if outcome.broken > 0 {
        ui::say(&format!("{} connections broke off", outcome.broken));
    }
    let rate = outcome.rate();
    Ok(Sample {
        rate,
        middle: outcome.wait(0.5),
        late: outcome.wait(0.99),
        cost: busy.as_secs_f64() / (rate * outcome.took.as_secs_f64()),
    })
}

impl Sample {
    fn shown(&self) -> String {
        format!(
            "{:12.0}/s  p50 {:6.0} µs  p99 {:6.0} µs  cpu {:9.3} µs",
            self.rate,
            self.middle.as_secs_f64() * 1e6,
            self.late.as_secs_f64() * 1e6,
            self.cost * 1e6
        )
    }
}

impl Measured {
    /// The median of one value of one load.
    fn median(&self, load: usize, value: impl Fn(&Sample) -> f64) -> Result<f64> {
        let samples = self.samples.get(load).context("no such load")?;
        let mut values: Vec<f64> = samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().context("no sample")
    }
}

/// Which of the loads.
const ONE: usize = 0;
const MANY: usize = 1;
const NEW: usize = 2;
const STREAM: usize = 3;
const STREAMS: usize = 4;

/// What of a sample.
type Value = fn(&Sample) -> f64;
const RATE: Value = |sample| sample.rate;
const COST: Value = |sample| sample.cost;
const LATE: Value = |sample| sample.late.as_secs_f64();
const MIDDLE: Value = |sample| sample.middle.as_secs_f64();

/// Something that is compared: what, in which load, the target, which value is better, of what, and its unit.
type Comparison = (&'static str, usize, f64, Better, Value, &'static str);

/// The targets are those of the better of the two peers.
#[rustfmt::skip]
const COMPARISONS: [Comparison; 8] = [
    ("proxy: answers a second, 64 clients", MANY, 0.97, Better::More, RATE, "/s"),
    ("proxy: p99 of these answers", MANY, 1.0, Better::Less, LATE, "s"),
    ("proxy: processor time for an answer", MANY, 1.0, Better::Less, COST, "s"),
    ("proxy: new connections a second, 32 clients", NEW, 1.05, Better::More, RATE, "/s"),
    ("proxy: processor time for a connection", NEW, 1.0, Better::Less, COST, "s"),
    ("proxy: bytes a second, one stream", STREAM, 1.4, Better::More, RATE, "B/s"),
    ("proxy: bytes a second, 4 streams", STREAMS, 1.75, Better::More, RATE, "B/s"),
    ("proxy: processor time for a byte, 4 streams", STREAMS, 0.55, Better::Less, COST, "s"),
];

fn compared(all: &[Measured]) -> Result<Vec<Row>> {
    let of = |name: &str| {
        let found = all.iter().find(|measured| measured.name == name);
        found.context("not measured")
    };
    let (direct, ours) = (of("direct")?, of("sns-proxy")?);
    let peers = [of("haproxy")?, of("nginx")?];
    let added = ours.median(ONE, MIDDLE)? - direct.median(ONE, MIDDLE)?;
    let mut rows = vec![Row {
        what: "proxy: what it adds to one client's wait, p50",
        original: "22 µs",
        figure: Figure::Time {
            target: Duration::from_micros(10),
            ours: Duration::from_secs_f64(added.max(0.0)),
        },
    }];
    for (what, load, target, better, value, unit) in COMPARISONS {
        let [one, two] = [peers[0].median(load, value)?, peers[1].median(load, value)?];
        let (best, name) = if better.prefers(one, two) {
            (one, peers[0].name)
        } else {
            (two, peers[1].name)
        };
        rows.push(Row {
            what,
            original: name,
            figure: Figure::Ratio {
                target,
                ratio: ours.median(load, value)? / best,
                better,
                peer: shown(best, unit),
            },
        });
    }
    rows.extend(between_hosts(&of)?);
    Ok(rows)
}

/// What another host costs, beside a pod of the same one.
fn between_hosts<'a>(of: &impl Fn(&str) -> Result<&'a Measured>) -> Result<Vec<Row>> {
    let (one, two) = (of("sns-proxy")?, of(TWO_HOSTS)?);
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
            cost(of(ENCRYPTED)?, NEW)? / plain,
            shown(plain, "s"),
        ),
        row(
            "proxy: processor time for a byte with TLS",
            "without",
            5.0,
            cost(of(ENCRYPTED)?, STREAMS)? / cost(two, STREAMS)?,
            shown(cost(two, STREAMS)?, "s"),
        ),
    ])
}

/// A proxy with nothing to do, and one with many clients that do nothing.
fn idle(programs: &Path, servers: Servers) -> Result<Vec<Row>> {
    let rival = Rival::ours(programs, servers)?;
    let alone = rival.memory();
    let clients: Vec<_> = (0..IDLE_CLIENTS)
        .map(|_| std::net::TcpStream::connect(rival.ports.echo))
        .collect::<Result<_, _>>()?;
    // Each is known to the server when it has been answered once.
    for client in &clients {
        use std::io::{Read as _, Write as _};
        let mut client = client;
        client.write_all(b"?")?;
        client.read_exact(&mut [0])?;
    }
    let crowded = rival.memory();
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure")]
    let each = crowded.saturating_sub(alone) as f64 / clients.len() as f64;
    Ok(vec![
        Row {
            what: "proxy: memory, idle",
            original: "48 MB",
            figure: Figure::Memory {
                target: 4 << 20,
                ours: alone,
            },
        },
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

fn shown(value: f64, unit: &str) -> String {
    match value {
        _ if value >= 1e9 => format!("{:.1} G{unit}", value / 1e9),
        _ if value >= 1e4 => format!("{:.1} k{unit}", value / 1e3),
        _ if value >= 1.0 => format!("{value:.0} {unit}"),
        _ if value >= 1e-3 => format!("{:.1} m{unit}", value * 1e3),
        _ if value >= 1e-6 => format!("{:.1} µ{unit}", value * 1e6),
        _ => format!("{:.2} n{unit}", value * 1e9),
    }
}
