//! Ramdisks: memory that looks like a directory of one release, and is gone with it.
//!
//! Only root can mount one. The daemon of a host home asks for it (`client`) in one line (`request`); who
//! is root opens the directory step by step without following a link (`place`), counts what the owner has
//! already (`table`) and mounts (`keeper`). The directories themselves are made and removed without root
//! (`directories`). Where nobody can mount, what must not lie on a disk finds memory elsewhere (`memory`). None of these reads a pod: a size and two names are all they know.

mod client;
mod directories;
mod keeper;
mod memory;
mod place;
mod request;
mod serve;
mod table;
#[cfg(test)]
mod tests;

use names::VolumeName;
use podspec::{CompiledPod, VolumeKind};

pub use client::Ramdisks;
pub use keeper::{Keeper, Ledger};
pub use place::RamdiskError;
pub(crate) use serve::serve;

/// An owner gets so much, unless the operator says otherwise: 1024 MiB, but no more than a quarter of
/// the machine's memory.
#[must_use]
pub fn default_limit_mib() -> u32 {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit.max(1));
    let bytes = info.totalram.saturating_mul(unit);
    u32::try_from(bytes / 4 / 1024 / 1024)
        .unwrap_or(u32::MAX)
        .clamp(1, 1024)
}

/// The ramdisks of a pod and their sizes in MiB.
pub fn of(pod: &CompiledPod) -> impl Iterator<Item = (&VolumeName, u32)> {
    pod.volumes.iter().filter_map(|volume| match volume.kind {
        VolumeKind::Ramdisk { size_mib } => Some((&volume.name, size_mib)),
        VolumeKind::Config { .. } | VolumeKind::Volume { .. } | VolumeKind::Host { .. } => None,
    })
}

/// What `create-ramdisks -l` prints: one `NAME:SIZEM` per line.
#[must_use]
pub fn list(pod: &CompiledPod) -> String {
    of(pod)
        .map(|(name, size_mib)| format!("{name}:{size_mib}M\n"))
        .collect()
}
