//! Clients that ask beside thousands that do nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::held::Held;
use super::helper::Helper;
use super::load::{Kind, Load};
use super::ours::OURS;
use super::rival::{Rival, Servers};
use super::sample::{LATE, RATE, Value, of, rounds, shown};
use super::server::Service;
use crate::bench::table::{Better, Figure, Row};

const ROUNDS: usize = 5;
const IDLE: usize = 5000;
const LOADS: [(&str, Load); 1] = [(
    "64 clients ask",
    Load::new(Kind::Ask, 64, Duration::from_secs(2)),
)];
/// Those that the idle clients are connected to.
const CROWDED: [&str; 2] = ["sns 5000", "ha 5000"];

pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    // In a process of its own: this one has no room for both ends of so many connections.
    let server = Helper::start(Service::Echo)?;
    let servers = Servers::one(server.address);
    let mut rivals = vec![
        Rival::ours(programs, servers)?,
        Rival::haproxy(servers, 2)?,
        Rival::ours(programs, servers)?,
        Rival::haproxy(servers, 2)?,
    ];
    let mut held = Vec::new();
    for (rival, name) in rivals.iter_mut().skip(2).zip(CROWDED) {
        rival.name = name;
        held.push(Held::connect(rival.ports.echo, IDLE)?);
    }
    let all = rounds(ROUNDS, "", &rivals, &LOADS)?;
    let median = |name, value| of(&all, name)?.median(0, value);
    let [ours, haproxys] = CROWDED;
    let row = |what, target, better, value: Value, unit| -> Result<Row> {
        let alone = median(OURS, value)?;
        let haproxy = median(haproxys, value)? / median("haproxy", value)?;
        Ok(Row {
            what,
            original: "without",
            figure: Figure::Ratio {
                target,
                ratio: median(ours, value)? / alone,
                better,
                peer: format!("{}; haproxy {haproxy:.2}", shown(alone, unit)),
            },
        })
    };
    let lost: usize = held.iter().map(Held::lost).sum();
    #[expect(clippy::cast_precision_loss, reason = "at most ten thousand")]
    let lost = lost as f64;
    Ok(vec![
        row(
            "proxy: answers a second beside 5 000 idle clients",
            0.95,
            Better::More,
            RATE,
            "/s",
        )?,
        row(
            "proxy: p99 of these answers beside them",
            1.1,
            Better::Less,
            LATE,
            "s",
        )?,
        Row {
            what: "proxy: idle clients that are answered no more",
            original: "-",
            figure: Figure::Count {
                target: 0.0,
                ours: lost,
            },
        },
    ])
}
