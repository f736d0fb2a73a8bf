//! Syncs over SSH beside rsync and ansible: the same hosts, the same servers, the same contents, in turns.
//!
//! Twenty hosts are twenty servers with a home each, on loopback. Nothing-to-do and a thousand changed files, for 1, 5
//! and 20 hosts; a large file of which one part in a hundred changed; and what went over the wire to the first host,
//! which lies behind a relay that counts. rsync runs once for every host, all at the same time. ansible copies all files
//! as one, because it takes about a second for each.

mod field;
mod relay;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use self::field::{Field, HOSTS_MAX, LARGE, MANY};
use super::table::{Better, Figure, Row, shown};
use super::timing::{median_of, time};
use crate::ui;

/// How often everything is done, for few hosts and for many.
const ROUNDS: usize = 5;
const ROUNDS_OF_MANY: usize = 3;

/// What one system took.
#[derive(Debug, Default)]
struct Took {
    times: Vec<Duration>,
    bytes: Vec<u64>,
}

/// Ours, rsync and ansible, in turns.
type Turns = [Took; 3];

impl Took {
    fn median(&self) -> Result<Duration> {
        median_of(self.times.clone())
    }

    /// The median of what went over the wire, in bytes.
    fn bytes(&self) -> u64 {
        let mut bytes = self.bytes.clone();
        bytes.sort_unstable();
        bytes.get(bytes.len() / 2).copied().unwrap_or_default()
    }
}

/// What is measured of one kind, with what it is called beside each peer.
struct Topic {
    hosts: usize,
    rsync: &'static str,
    ansible: &'static str,
    /// Ours may take so many times what rsync takes.
    target: f64,
}

const NOTHING: [Topic; 3] = [
    Topic {
        hosts: 1,
        rsync: "sync with nothing to do, 1 host, to rsync",
        ansible: "sync with nothing to do, 1 host, to ansible",
        target: 1.0,
    },
    Topic {
        hosts: 5,
        rsync: "sync with nothing to do, 5 hosts, to rsync",
        ansible: "sync with nothing to do, 5 hosts, to ansible",
        target: 1.0,
    },
    Topic {
        hosts: HOSTS_MAX,
        rsync: "sync with nothing to do, 20 hosts, to rsync",
        ansible: "sync with nothing to do, 20 hosts, to ansible",
        target: 1.0,
    },
];

const CHANGED: [Topic; 3] = [
    Topic {
        hosts: 1,
        rsync: "sync of 1 000 changed files, 1 host, to rsync",
        ansible: "sync of 1 000 changed files, 1 host, to ansible",
        target: 1.1,
    },
    Topic {
        hosts: 5,
        rsync: "sync of 1 000 changed files, 5 hosts, to rsync",
        ansible: "sync of 1 000 changed files, 5 hosts, to ansible",
        target: 1.1,
    },
    Topic {
        hosts: HOSTS_MAX,
        rsync: "sync of 1 000 changed files, 20 hosts, to rsync",
        ansible: "sync of 1 000 changed files, 20 hosts, to ansible",
        target: 1.1,
    },
];

const LARGE_FILE: Topic = Topic {
    hosts: 1,
    rsync: "sync of 100 MB of which 1 % changed, to rsync",
    ansible: "sync of 100 MB of which 1 % changed, to ansible",
    target: 1.1,
};

/// All rows.
pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    ui::say("bench: syncs over SSH beside rsync and ansible");
    let mut field = Field::prepare(programs)?;
    let mut rows = Vec::new();
    for (nothing, changed) in NOTHING.iter().zip(&CHANGED) {
        field.grow(nothing.hosts)?;
        let turns = take_turns(&mut field, nothing.hosts, |_| Ok(()))?;
        rows.extend(nothing.rows(&turns)?);
        let is_alone = nothing.hosts == 1;
        if is_alone {
            rows.push(wire("bytes of a sync with nothing to do, to rsync", &turns));
        }
        let turns = take_turns(&mut field, changed.hosts, |field| field.change(MANY))?;
        rows.extend(changed.rows(&turns)?);
        if is_alone {
            rows.push(wire("bytes of a sync of 1 000 files, to rsync", &turns));
            rows.extend(large(&mut field)?);
        }
    }
    Ok(rows)
}

fn large(field: &mut Field) -> Result<Vec<Row>> {
    field.add_large()?;
    let turns = take_turns(field, 1, |field| field.change(LARGE))?;
    field.remove_large()?;
    let mut rows = Vec::from(LARGE_FILE.rows(&turns)?);
    rows.push(wire("bytes of a sync of 100 MB, to rsync", &turns));
    Ok(rows)
}

/// One after the other, so that a disturbance of the machine meets all.
fn take_turns(
    field: &mut Field,
    hosts: usize,
    mut prepare: impl FnMut(&mut Field) -> Result<()>,
) -> Result<Turns> {
    let mut turns = Turns::default();
    let rounds = match hosts == HOSTS_MAX {
        true => ROUNDS_OF_MANY,
        false => ROUNDS,
    };
    // All have what is there now, and their caches are warm.
    for system in Field::SYSTEMS {
        system(field, hosts)?;
    }
    for _ in 0..rounds {
        prepare(field)?;
        for (system, took) in Field::SYSTEMS.iter().zip(&mut turns) {
            let before = field.bytes();
            took.times.push(time(|| system(field, hosts))?);
            took.bytes.push(field.bytes() - before);
        }
    }
    Ok(turns)
}

impl Topic {
    fn rows(&self, [ours, rsync, ansible]: &Turns) -> Result<[Row; 2]> {
        let ours = ours.median()?;
        ui::say(&format!(
            "bench: {} host(s): ours {}",
            self.hosts,
            shown(ours)
        ));
        let row = |what, target, peer: Duration| Row {
            what,
            original: "-",
            figure: Figure::Ratio {
                target,
                ratio: ours.as_secs_f64() / peer.as_secs_f64(),
                better: Better::Less,
                peer: shown(peer),
            },
        };
        Ok([
            row(self.rsync, self.target, rsync.median()?),
            row(self.ansible, 1.0, ansible.median()?),
        ])
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of bytes is shown with two digits"
)]
fn wire(what: &'static str, [ours, rsync, _]: &Turns) -> Row {
    let (ours, rsync) = (ours.bytes(), rsync.bytes());
    Row {
        what,
        original: "-",
        figure: Figure::Ratio {
            target: 1.1,
            ratio: ours as f64 / rsync.max(1) as f64,
            better: Better::Less,
            peer: format!("{} KiB", rsync.div_ceil(1024)),
        },
    }
}
