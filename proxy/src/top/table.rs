//! How connections look as a table. Pure: entries in, text out.

use anstyle::{AnsiColor, Style};

use super::Entry;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

const COLUMNS: [(&str, Side); 10] = [
    ("CLIENT", Side::Left),
    ("PORT", Side::Right),
    ("BACKEND", Side::Left),
    ("POD", Side::Left),
    ("STATE", Side::Left),
    ("AGE", Side::Right),
    ("UP", Side::Right),
    ("DOWN", Side::Right),
    ("RATE", Side::Right),
    ("COPY", Side::Left),
];

const HEADING: Style = Style::new().bold();
const PLAIN: Style = Style::new();

type Cells = [String; COLUMNS.len()];

/// One table, and how much room there is for it.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) lines: usize,
    pub(super) columns: usize,
}

impl Page {
    /// The title, the heading, and as many entries as there is room for. Coloured: whoever prints it to something
    /// else than a terminal strips that.
    pub(super) fn text(&self, entries: &[Entry]) -> String {
        let room = self.lines.saturating_sub(2);
        // One line less where it has to be said that there are more.
        let shown = if entries.len() > room {
            room.saturating_sub(1)
        } else {
            entries.len()
        };
        let rows: Vec<(Cells, Style)> = entries
            .iter()
            .take(shown)
            .map(|entry| (cells(entry), style(entry)))
            .collect();
        let heading = COLUMNS.map(|(title, _)| title.to_owned());
        let all: Vec<&Cells> = std::iter::once(&heading)
            .chain(rows.iter().map(|(cells, _)| cells))
            .collect();
        let widths: Vec<usize> = (0..COLUMNS.len())
            .map(|column| {
                let cells = all.iter().filter_map(|cells| cells.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = self.line(&self.title, PLAIN);
        text.push_str(&self.line(&aligned(&heading, &widths), HEADING));
        for (cells, style) in &rows {
            text.push_str(&self.line(&aligned(cells, &widths), *style));
        }
        if shown < entries.len() {
            let more = format!("{} more", entries.len() - shown);
            text.push_str(&self.line(&more, PLAIN));
        }
        text
    }

    fn line(&self, text: &str, style: Style) -> String {
        let cut: String = text.chars().take(self.columns).collect();
        format!("{style}{cut}{style:#}\n")
    }
}

fn aligned(cells: &Cells, widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(COLUMNS)
        .zip(widths)
        .map(|((cell, (_, side)), &width)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        })
        .collect();
    padded.join("  ").trim_end().to_owned()
}

fn cells(entry: &Entry) -> Cells {
    let port = if entry.port == 0 {
        "-".to_owned()
    } else {
        entry.port.to_string()
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither negative nor near the end of the numbers"
    )]
    let (age, rate) = (entry.age_seconds as u64, entry.rate as u64);
    [
        entry.client.clone(),
        port,
        entry.backend.clone(),
        entry.pod.clone(),
        entry.state.clone(),
        time(age),
        size(entry.up),
        size(entry.down),
        format!("{}/s", size(rate)),
        if entry.zero_copy { "zero" } else { "copy" }.to_owned(),
    ]
}

/// What needs a look stands out.
fn style(entry: &Entry) -> Style {
    match entry.state.as_str() {
        "queued" => AnsiColor::Yellow.on_default(),
        "dialling" | "asked" => AnsiColor::Cyan.on_default(),
        "closing" => Style::new().dimmed(),
        _ => PLAIN,
    }
}

/// Bytes, in a few characters.
fn size(bytes: u64) -> String {
    let mut unit = 1_u64;
    for name in ['B', 'K', 'M', 'G'] {
        if bytes / unit < 1024 {
            return scaled(bytes, unit, name);
        }
        unit *= 1024;
    }
    scaled(bytes, unit, 'T')
}

fn scaled(bytes: u64, unit: u64, name: char) -> String {
    let whole = bytes / unit;
    if unit == 1 || whole >= 10 {
        return format!("{whole}{name}");
    }
    let tenths = (bytes % unit) * 10 / unit;
    format!("{whole}.{tenths}{name}")
}

/// Seconds, in a few characters.
fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if minutes == 0 {
        format!("{seconds}s")
    } else if hours == 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else {
        format!("{days}d{:02}h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(client: &str, state: &str) -> Entry {
        Entry {
            client: client.into(),
            port: 61000,
            backend: "10.0.0.1:30000".into(),
            pod: "-".into(),
            state: state.into(),
            age_seconds: 3_725.9,
            up: 5,
            down: 3 << 30,
            zero_copy: true,
            rate: 1_500_000.0,
        }
    }

    fn shown(page: &Page, entries: &[Entry]) -> String {
        anstream::adapter::strip_str(&page.text(entries)).to_string()
    }

    #[test]
    fn columns_line_up() {
        let page = Page {
            title: "title".into(),
            lines: 10,
            columns: 200,
        };
        let entries = [entry("10.0.0.9:4000", "joined"), entry("[::1]:5", "queued")];
        let expected = "\
title
CLIENT          PORT  BACKEND         POD  STATE     AGE  UP  DOWN    RATE  COPY
10.0.0.9:4000  61000  10.0.0.1:30000  -    joined  1h02m  5B  3.0G  1.4M/s  zero
[::1]:5        61000  10.0.0.1:30000  -    queued  1h02m  5B  3.0G  1.4M/s  zero
";
        assert_eq!(shown(&page, &entries), expected);
        assert!(page.text(&entries).contains("\x1b[33m[::1]:5"), "coloured");
    }

    #[test]
    fn it_fits_into_the_terminal() {
        let page = Page {
            title: "a long title".into(),
            lines: 4,
            columns: 8,
        };
        let entries = [
            entry("1", "joined"),
            entry("2", "joined"),
            entry("3", "joined"),
        ];
        let expected = "a long t\nCLIENT\u{20}\u{20}\n1       \n2 more\n";
        assert_eq!(shown(&page, &entries), expected);
    }

    #[test]
    fn numbers_are_short() {
        let check = |bytes, expected: &str| assert_eq!(size(bytes), expected);
        check(0, "0B");
        check(1023, "1023B");
        check(1024, "1.0K");
        check(10 * 1024 + 1023, "10K");
        check(1 << 20, "1.0M");
        check(1023 << 30, "1023G");
        check(1 << 40, "1.0T");
        check(u64::MAX, "16777215T");
        let check = |seconds, expected: &str| assert_eq!(time(seconds), expected);
        check(59, "59s");
        check(60, "1m00s");
        check(86_399, "23h59m");
        check(90_000, "1d01h");
    }
}
