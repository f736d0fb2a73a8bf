//! One measurement of one load through one proxy, and those of several rounds.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::load::{self, Kind, Load};
use super::rival::Rival;
use crate::ui;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Answers, connections or bytes a second.
    pub(super) rate: f64,
    pub(super) middle: Duration,
    pub(super) late: Duration,
    /// Processor seconds of the proxy for each of them.
    pub(super) cost: f64,
}

/// The samples of one proxy, by load.
pub(super) struct Measured {
    pub(super) name: &'static str,
    samples: Vec<Vec<Sample>>,
}

/// What of a sample.
pub(super) type Value = fn(&Sample) -> f64;
pub(super) const RATE: Value = |sample| sample.rate;
pub(super) const COST: Value = |sample| sample.cost;
pub(super) const LATE: Value = |sample| sample.late.as_secs_f64();
pub(super) const MIDDLE: Value = |sample| sample.middle.as_secs_f64();

pub(super) fn sample(rival: &Rival, load: Load) -> Result<Sample> {
    let at = match load.kind {
        Kind::Ask | Kind::Connect => rival.ports.echo,
        Kind::Listen => rival.ports.blast,
    };
    let before = rival.busy();
    let outcome = load::run(load, at)?;
    let busy = rival.busy().saturating_sub(before);
    if !outcome.failures.is_empty() {
        ui::say(&format!("{} connections broke off", outcome.failures.len()));
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
    pub(super) fn shown(&self) -> String {
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
    pub(super) fn median(&self, load: usize, value: impl Fn(&Sample) -> f64) -> Result<f64> {
        let samples = self.samples.get(load).context("no such load")?;
        let mut values: Vec<f64> = samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().context("no sample")
    }
}

/// Measures all rivals with all loads, in turns.
pub(super) fn rounds(
    rounds: usize,
    layout: &str,
    rivals: &[Rival],
    loads: &[(&str, Load)],
) -> Result<Vec<Measured>> {
    let unmeasured = |rival: &Rival| Measured {
        name: rival.name,
        samples: vec![Vec::new(); loads.len()],
    };
    let mut all: Vec<_> = rivals.iter().map(unmeasured).collect();
    for round in 0..rounds {
        for (number, (what, load)) in loads.iter().enumerate() {
            // Each comes first once.
            for place in 0..rivals.len() {
                let place = (place + round) % rivals.len();
                let (Some(rival), Some(measured)) = (rivals.get(place), all.get_mut(place)) else {
                    continue;
                };
                let sample =
                    sample(rival, *load).with_context(|| format!("{what}: {}", rival.name))?;
                let shown = sample.shown();
                ui::say(&format!("{what:32} {:10} {layout:6} {shown}", rival.name));
                let samples = measured.samples.get_mut(number);
                samples.context("no such load")?.push(sample);
            }
        }
    }
    Ok(all)
}

/// Those of one name.
pub(super) fn of<'a>(all: &'a [Measured], name: &str) -> Result<&'a Measured> {
    let found = all.iter().find(|measured| measured.name == name);
    found.with_context(|| format!("{name} was not measured"))
}

pub(super) fn shown(value: f64, unit: &str) -> String {
    match value {
        _ if value >= 1e9 => format!("{:.1} G{unit}", value / 1e9),
        _ if value >= 1e6 => format!("{:.1} M{unit}", value / 1e6),
        _ if value >= 1e4 => format!("{:.1} k{unit}", value / 1e3),
        _ if value >= 1.0 => format!("{value:.0} {unit}"),
        _ if value >= 1e-3 => format!("{:.1} m{unit}", value * 1e3),
        _ if value >= 1e-6 => format!("{:.1} µ{unit}", value * 1e6),
        _ => format!("{:.2} n{unit}", value * 1e9),
    }
}
