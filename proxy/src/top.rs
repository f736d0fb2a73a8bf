//! `sns-proxy top FILE`: the connections of a running proxy, busiest first.

mod table;

use std::collections::HashMap;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use self::table::Page;
use crate::cli::TopArgs;
use crate::{ask, ui};

/// How often the table is drawn again.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// How wide a table is that nobody looks at, in columns.
const WIDTH_MAX: usize = 4096;

/// One connection as the proxy tells of it.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    client: String,
    port: u16,
    backend: String,
    pod: String,
    state: String,
    age_seconds: f64,
    up: u64,
    down: u64,
    zero_copy: bool,
    /// Bytes in a second, both ways.
    rate: f64,
}

/// What was seen of a connection the last time: its age in seconds, and its bytes both ways.
type Before = HashMap<(String, u16), (f64, u64)>;

/// Everything that was told at one time.
#[derive(Debug, Default, PartialEq)]
struct Look {
    entries: Vec<Entry>,
    connections: u64,
    left_out: u64,
}

/// Shows them as long as somebody looks.
pub(crate) fn run(arguments: &TopArgs) -> anyhow::Result<()> {
    let socket = ask::socket(&arguments.file)?;
    let target = match arguments.port {
        Some(port) => format!("/connections?port={port}"),
        None => "/connections".to_owned(),
    };
    let mut before = Before::new();
    loop {
        let text = ask::get(&socket, &target)?;
        if arguments.json {
            return ui::result(&text);
        }
        let mut look = Look::parse(&text)
            .with_context(|| format!("cannot understand the proxy at {}", socket.display()))?;
        before = look.rate(&before);
        if arguments.once || !ui::is_terminal() {
            return ui::result(&shown(&look, arguments, usize::MAX, WIDTH_MAX));
        }
        let (lines, columns) = ui::size();
        // The last line stays free, so that nothing scrolls.
        ui::page(&shown(&look, arguments, lines.saturating_sub(1), columns))?;
        sleep(REFRESH_EVERY);
    }
}

fn shown(look: &Look, arguments: &TopArgs, lines: usize, columns: usize) -> String {
    let page = Page {
        title: title(look, &arguments.file, arguments.port),
        lines,
        columns,
    };
    page.text(&look.entries)
}

fn title(look: &Look, file: &Path, port: Option<u16>) -> String {
    let of_port = port.map_or_else(String::new, |port| format!(" of cluster port {port}"));
    let many = if look.connections == 1 { "" } else { "s" };
    let mut title = format!(
        "{}: {} connection{many}{of_port}",
        file.display(),
        look.connections
    );
    if look.left_out > 0 {
        let more = format!(", {} that have moved least are left out", look.left_out);
        title.push_str(&more);
    }
    title
}

impl Look {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut look = Self::default();
        for line in text.lines() {
            let record: Value =
                serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
            match record.get("connections").and_then(Value::as_u64) {
                Some(connections) => {
                    look.connections = connections;
                    look.left_out = number(&record, "left_out");
                }
                None => look.entries.push(Entry::of(&record)),
            }
        }
        Ok(look)
    }

    /// Works out how fast each is, sorts them by that, and says what to compare with the next time.
    fn rate(&mut self, before: &Before) -> Before {
        let mut now = Before::new();
        for entry in &mut self.entries {
            let bytes = entry.up.saturating_add(entry.down);
            let key = (entry.client.clone(), entry.port);
            // A younger one is another one that has come from the same place.
            let (age, known) = before
                .get(&key)
                .filter(|(age, known)| *age < entry.age_seconds && *known <= bytes)
                .copied()
                .unwrap_or_default();
            let seconds = (entry.age_seconds - age).max(0.001);
            #[expect(
                clippy::cast_precision_loss,
                reason = "of so many bytes one does not matter"
            )]
            let more = bytes.saturating_sub(known) as f64;
            entry.rate = more / seconds;
            now.insert(key, (entry.age_seconds, bytes));
        }
        let bytes = |entry: &Entry| entry.up.saturating_add(entry.down);
        self.entries.sort_by(|one, other| {
            let faster = other.rate.total_cmp(&one.rate);
            faster.then_with(|| bytes(other).cmp(&bytes(one)))
        });
        now
    }
}

impl Entry {
    /// What is not told is not shown.
    fn of(record: &Value) -> Self {
        let text = |key: &str| match record.get(key).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => "-".to_owned(),
        };
        Self {
            client: text("client"),
            port: u16::try_from(number(record, "cluster_port")).unwrap_or_default(),
            backend: text("backend"),
            pod: text("pod"),
            state: text("state"),
            age_seconds: record
                .get("age_seconds")
                .and_then(Value::as_f64)
                .unwrap_or_default(),
            up: number(record, "up_bytes"),
            down: number(record, "down_bytes"),
            zero_copy: record.get("zero_copy") == Some(&Value::Bool(true)),
            rate: 0.0,
        }
    }
}

fn number(record: &Value, key: &str) -> u64 {
    record.get(key).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(client: &str, age: f64, up: u64) -> String {
        let record = serde_json::json!({
            "client": client, "cluster_port": 61000, "age_seconds": age, "up_bytes": up, "down_bytes": 0,
            "state": "joined", "new_in_a_later_version": 1,
        });
        format!("{record}\n")
    }

    /// The clients in order, each with its rate.
    fn check(look: &Look, expected: &[(&str, f64)]) {
        let found: Vec<(&str, f64)> = look
            .entries
            .iter()
            .map(|entry| (entry.client.as_str(), entry.rate))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_fastest_comes_first() {
        let last = "{\"connections\":9,\"left_out\":7}\n";
        let text = line("a:1", 100.0, 5000) + &line("b:1", 10.0, 1000) + last;
        let mut look = Look::parse(&text).unwrap();
        assert_eq!((look.connections, look.left_out), (9, 7));
        let before = look.rate(&Before::new());
        check(&look, &[("b:1", 100.0), ("a:1", 50.0)]);
        // From the second look on it is what has flowed in between; c has come from the place of b.
        let text = line("a:1", 102.0, 5800) + &line("b:1", 1.0, 10);
        let mut look = Look::parse(&text).unwrap();
        look.rate(&before);
        check(&look, &[("a:1", 400.0), ("b:1", 10.0)]);
    }

    #[test]
    fn what_is_no_json_is_told() {
        let error = Look::parse("nonsense").unwrap_err();
        assert_eq!(error.to_string(), "not JSON: nonsense");
    }
}
