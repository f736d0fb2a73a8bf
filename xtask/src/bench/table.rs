//! The figures as text.

use std::time::Duration;

/// One measurement.
pub(super) struct Row {
    /// What was measured.
    pub(super) what: &'static str,
    /// What the original took, in words.
    pub(super) original: &'static str,
    /// What was promised and what was measured now.
    pub(super) figure: Figure,
}

/// Which of two values is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

impl Better {
    /// Whether `one` is at least as good as `other`.
    pub(super) fn prefers(self, one: f64, other: f64) -> bool {
        match self {
            Self::More => one >= other,
            Self::Less => one <= other,
        }
    }
}

/// What the design promises and what was measured.
#[derive(Debug, Clone)]
pub(super) enum Figure {
    /// How long it takes.
    Time { target: Duration, ours: Duration },
    /// Memory in bytes.
    Memory { target: u64, ours: u64 },
    /// The part of one core that is busy.
    Core { target: f64, ours: f64 },
    /// How often something happens.
    Count { target: f64, ours: f64 },
    /// How often something happens in a second; the more the better.
    Rate { target: f64, ours: f64 },
    /// A part of what the peer reached in the same run.
    Ratio {
        target: f64,
        ratio: f64,
        better: Better,
        /// What the peer reached, in words.
        peer: String,
    },
}

/// The table; `shell` is what `sh -c true` takes on this machine at this moment.
pub(super) fn text(rows: &[Row], shell: Duration) -> String {
    let mut text = format!(
        "{:52} {:>10} {:>10} {:>10} {:>10}\n",
        "what", "original", "promised", "ours", "in shells"
    );
    for row in rows {
        let (what, original) = (row.what, row.original);
        let (promised, ours, is_missed) = row.figure.shown();
        let missed = if is_missed { "  MISSED" } else { "" };
        let shells = row.figure.in_shells(shell);
        text +=
            &format!("{what:52} {original:>10} {promised:>10} {ours:>10} {shells:>10}{missed}\n");
    }
    text + &format!(
        "in shells: how often `sh -c true` ({}) could have been started instead; \
         a ratio is `of` what the peer in the second column took",
        shown(shell)
    )
}

impl Figure {
    /// The promise, the measurement, and whether it misses the promise.
    fn shown(&self) -> (String, String, bool) {
        let mut sign = '<';
        let (target, ours, is_missed) = match *self {
            Self::Time { target, ours } => (shown(target), shown(ours), ours > target),
            Self::Memory { target, ours } => (mebibytes(target), mebibytes(ours), ours > target),
            Self::Core { target, ours } => (percent(target), percent(ours), ours > target),
            // Not above is a promise that something that never happens keeps too.
            Self::Count { target, ours } => (plain(target), plain(ours), ours > target),
            Self::Rate { target, ours } => {
                sign = '>';
                (rounded(target), rounded(ours), ours < target)
            }
            Self::Ratio {
                target,
                ratio,
                better,
                ..
            } => {
                if better == Better::More {
                    sign = '>';
                }
                (plain(target), plain(ratio), !better.prefers(ratio, target))
            }
        };
        (format!("{sign} {target}"), ours, is_missed)
    }

    fn in_shells(&self, shell: Duration) -> String {
        match self {
            Self::Time { ours, .. } => {
                format!("{:.2}", ours.as_secs_f64() / shell.as_secs_f64())
            }
            Self::Ratio { peer, .. } => format!("of {peer}"),
            Self::Memory { .. } | Self::Core { .. } | Self::Count { .. } | Self::Rate { .. } => {
                String::new()
            }
        }
    }
}

pub(super) fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.1 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn plain(number: f64) -> String {
    format!("{number:.2}")
}

fn rounded(number: f64) -> String {
    format!("{number:.0}")
}

fn percent(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: Figure) -> Row {
        Row {
            what: "a thing",
            original: "1.4 s",
            figure,
        }
    }

    fn took(ours: u64) -> Row {
        row(Figure::Time {
            target: Duration::from_millis(20),
            ours: Duration::from_micros(ours),
        })
    }

    #[test]
    fn a_missed_promise_is_shown() {
        let text = text(&[took(9_900), took(21_000)], Duration::from_millis(2));
        let lines = text.lines().collect::<Vec<_>>();
        assert!(
            lines[1].ends_with("1.4 s  < 20.0 ms     9.9 ms       4.95"),
            "{text}"
        );
        assert!(lines[2].ends_with("21.0 ms      10.50  MISSED"), "{text}");
    }

    #[test]
    fn memory_and_cores_are_told_in_their_own_units() {
        let memory = |ours| {
            row(Figure::Memory {
                target: 64 << 20,
                ours,
            })
        };
        let core = |ours| {
            row(Figure::Core {
                target: 0.005,
                ours,
            })
        };
        let rows = [
            memory((30 << 20) + 1),
            memory(65 << 20),
            core(0.0012),
            core(0.006),
        ];
        let text = text(&rows, Duration::from_millis(2));
        let ends: Vec<_> = text.lines().skip(1).map(|line| line[63..].trim()).collect();
        assert_eq!(
            ends[..4],
            [
                "< 64 MiB     31 MiB",
                "< 64 MiB     65 MiB             MISSED",
                "< 0.50 %     0.12 %",
                "< 0.50 %     0.60 %             MISSED"
            ]
        );
    }

    #[test]
    fn a_ratio_stands_beside_what_the_peer_took() {
        let ratio = |ratio, better| {
            row(Figure::Ratio {
                target: 1.15,
                ratio,
                better,
                peer: "10.0 s".into(),
            })
        };
        let rows = [
            ratio(1.14, Better::Less),
            ratio(1.16, Better::Less),
            ratio(1.16, Better::More),
            ratio(1.14, Better::More),
        ];
        let text = text(&rows, Duration::from_millis(2));
        let ends: Vec<_> = text.lines().skip(1).map(|line| line[63..].trim()).collect();
        assert_eq!(
            ends[..4],
            [
                "< 1.15       1.14  of 10.0 s",
                "< 1.15       1.16  of 10.0 s  MISSED",
                "> 1.15       1.16  of 10.0 s",
                "> 1.15       1.14  of 10.0 s  MISSED"
            ]
        );
    }

    #[test]
    fn times_are_shown_with_a_fitting_unit() {
        for (micros, expected) in [
            (48, "48 µs"),
            (2_200, "2.2 ms"),
            (150_000, "150 ms"),
            (1_400_000, "1.4 s"),
        ] {
            assert_eq!(shown(Duration::from_micros(micros)), expected);
        }
    }
}
