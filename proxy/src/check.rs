//! `sns-proxy check FILE`: whether everything can be used, and what would come of it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::bail;
use sns_proxy::Outlook;

use crate::ui;

/// Reads everything once; files that are not there yet are fine.
pub(crate) fn run(file: &Path) -> anyhow::Result<()> {
    let outlook = Outlook::of(file)?;
    if !outlook.refused.is_empty() {
        bail!("{}", outlook.refused.join("\n"));
    }
    ui::result(&format!("{} is fine\n{}", file.display(), text(&outlook)))
}

fn text(outlook: &Outlook) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match outlook.relay {
        Some(at) => writeln!(text, "listens for other proxies: {at}"),
        None => writeln!(
            text,
            "listens nowhere yet: hosts.conf has no first line, and proxy.conf no HOST"
        ),
    };
    let ports: Vec<u16> = outlook.cluster_ports.iter().map(SocketAddr::port).collect();
    let mut say = |what: &str, list: String| {
        if !list.is_empty() {
            let _ = writeln!(text, "{what}: {list}");
        }
    };
    say("listens on cluster ports", ranges(&ports));
    let barred: Vec<u16> = outlook.barred.iter().copied().collect();
    say(
        "barred, because CLUSTERPORTS does not name them",
        ranges(&barred),
    );
    say("other proxies", joined(&outlook.peers));
    let path = outlook.metrics_socket.iter().map(|path| path.display());
    say("shows metrics at", joined(path));
    let missing = outlook.missing.iter().map(|path| path.display());
    say("not there yet", joined(missing));
    text
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// Ascending ports, neighbours as ranges.
fn ranges(ports: &[u16]) -> String {
    let ranges = ports.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    joined(ranges.map(|range| match range {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_ranges() {
        let check = |ports: &[u16], expected: &str| assert_eq!(ranges(ports), expected);
        check(&[], "");
        check(&[61000], "61000");
        check(
            &[80, 61000, 61001, 61002, 65534, 65535],
            "80, 61000-61002, 65534-65535",
        );
    }
}
