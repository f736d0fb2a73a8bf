//! How full the kernel's list of connections is. Where it tracks them for a packet filter, a list that is full loses the
//! packets of new connections, and nobody is told but the kernel's own log; so the operator is told before.
//!
//! `Tracked` is read in one place; `Watch` is pure.

use std::fs::read_to_string;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::event::Event;

/// Where the kernel says it, when it tracks connections.
pub(crate) const FOLDER: &str = "/proc/sys/net/netfilter";
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// From this share of the list on it is nearly full, and below that one no more, in per cent.
const NEARLY_FULL: u64 = 90;
const FINE: u64 = 80;

/// Connections that are tracked in the network of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tracked {
    pub(crate) count: u64,
    /// How many there may be.
    pub(crate) max: u64,
}

impl Tracked {
    /// What stands in that folder; none when nothing is tracked, or without a limit.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let number = |name| read_to_string(folder.join(name)).ok()?.trim().parse().ok();
        let (count, max) = (number("nf_conntrack_count")?, number("nf_conntrack_max")?);
        (max > 0).then_some(Self { count, max })
    }

    fn is_over(self, share: u64) -> bool {
        self.count.saturating_mul(100) >= self.max.saturating_mul(share)
    }
}

/// When to look, and whether it was told.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    looked: Option<Instant>,
    told: bool,
}

impl Watch {
    /// Looks if it is time to, and says what the operator should know: once, until it was fine again.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        read: impl FnOnce() -> Option<Tracked>,
    ) -> Option<Event> {
        let is_due = |looked| now.saturating_duration_since(looked) >= LOOK_EVERY;
        if !self.looked.is_none_or(is_due) {
            return None;
        }
        self.looked = Some(now);
        let tracked = read()?;
        if !tracked.is_over(FINE) {
            self.told = false;
        }
        let tells = tracked.is_over(NEARLY_FULL) && !std::mem::replace(&mut self.told, true);
        let Tracked { count, max } = tracked;
        tells.then_some(Event::Tracked { count, max })
    }
}

#[cfg(test)]
mod tests {
    use hostfiles::replace;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn it_is_told_once_until_it_was_fine_again() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let steps = [
            (0, 899, false),
            (1, 999, false),
            (60, 900, true),
            (120, 1000, false),
            (180, 850, false),
            (240, 950, false),
            (300, 799, false),
            (360, 950, true),
        ];
        for (at, count, expected) in steps {
            let now = start + Duration::from_secs(at);
            let told = watch.look(now, || Some(Tracked { count, max: 1000 }));
            // In between nobody looks.
            assert_eq!(told.is_some() && at != 1, expected, "at {at} s");
        }
        let later = start + Duration::from_secs(420);
        assert!(watch.look(later, || None).is_none());
    }

    #[test]
    fn what_the_kernel_says_is_read_where_it_says_something() {
        let folder = TempDir::new().unwrap();
        assert_eq!(Tracked::read(folder.path()), None);
        let write = |name: &str, text: &str| {
            replace(&folder.path().join(name), text.as_bytes(), 0o644).unwrap();
        };
        write("nf_conntrack_count", "12\n");
        write("nf_conntrack_max", "262144\n");
        let (count, max) = (12, 262_144);
        assert_eq!(Tracked::read(folder.path()), Some(Tracked { count, max }));
        write("nf_conntrack_max", "0\n");
        assert_eq!(Tracked::read(folder.path()), None);
    }
}
