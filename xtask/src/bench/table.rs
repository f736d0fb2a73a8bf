//! The figures as text.

use std::time::Duration;

/// One measurement.
pub(super) struct Row {
    /// What was measured.
    pub(super) what: &'static str,
    /// What the original took, in words.
    pub(super) original: &'static str,
    /// What the design promises.
    pub(super) target: Duration,
    /// What was measured now.
    pub(super) ours: Duration,
}

/// The table; `shell` is what `sh -c true` takes on this machine at this moment.
pub(super) fn text(rows: &[Row], shell: Duration) -> String {
    let mut text = format!(
        "{:52} {:>10} {:>10} {:>10} {:>10}\n",
        "what", "original", "promised", "ours", "in shells"
    );
    for Row {
        what,
        original,
        target,
        ours,
    } in rows
    {
        let shells = ours.as_secs_f64() / shell.as_secs_f64();
        let missed = if ours > target { "  MISSED" } else { "" };
        let promised = format!("< {}", shown(*target));
        text += &format!(
            "{what:52} {original:>10} {promised:>10} {:>10} {shells:>10.2}{missed}\n",
            shown(*ours)
        );
    }
    text + &format!(
        "in shells: how often `sh -c true` ({}) could have been started instead",
        shown(shell)
    )
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.1 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_promise_is_shown() {
        let row = |ours| Row {
            what: "a thing",
            original: "1.4 s",
            target: Duration::from_millis(20),
            ours: Duration::from_micros(ours),
        };
        let text = text(&[row(9_900), row(21_000)], Duration::from_millis(2));
        let lines = text.lines().collect::<Vec<_>>();
        assert!(
            lines[1].ends_with("1.4 s  < 20.0 ms     9.9 ms       4.95"),
            "{text}"
        );
        assert!(lines[2].ends_with("21.0 ms      10.50  MISSED"), "{text}");
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
