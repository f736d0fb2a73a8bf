//! What the kernel says of this process.

use std::fs;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};

/// When it was started, in seconds since 1970.
pub(super) fn start_time() -> Option<f64> {
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // Field 22; the second one is a name, which may hold blanks and brackets.
    let (_, after_name) = own.rsplit_once(')')?;
    let ticks: f64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted = machine
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    let booted: f64 = booted.trim().parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a hundred ticks, or a thousand, in a second"
    )]
    let second = clock_ticks_per_second() as f64;
    Some(booted + ticks / second)
}

/// How many descriptors are open.
pub(super) fn open_descriptors() -> Option<u64> {
    // Kernels since 6.2 say it at once; going through all of them takes long where there are many.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok(),
        count => Some(count),
    }
}

/// How many may be open; none when there is no limit.
pub(super) fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
