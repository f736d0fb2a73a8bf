//! What podman says of an image: is it there, and how are its containers asked to end?

use serde::Deserialize;

use crate::plan::{Answer, Step};

/// The signal for images that name none.
pub(crate) const STOP_SIGNAL: &str = "TERM";
/// What podman ends with when it could not do what it was asked, for whatever reason.
const FAILED: i32 = 125;
/// So it says that there is no such image.
const ABSENT: [&str; 2] = ["image not known", "no such image"];

/// An image on this host.
pub(crate) enum Image {
    /// Ask this first.
    Unknown(Step),
    Absent,
    There {
        /// Without `SIG`.
        stop_signal: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    stop_signal: Option<String>,
}

/// Reads the answer of `podman image inspect`.
pub(crate) fn read(image: &str, answer: &Answer) -> Result<Image, String> {
    let text = String::from_utf8_lossy(&answer.stderr);
    match answer.exit {
        0 => {
            let images: Vec<Inspected> = serde_json::from_slice(&answer.stdout).unwrap_or_default();
            let named = images
                .into_iter()
                .next()
                .and_then(|image| image.config?.stop_signal);
            Ok(Image::There {
                stop_signal: stop_signal(named),
            })
        }
        1 | FAILED if ABSENT.iter().any(|words| text.contains(words)) => Ok(Image::Absent),
        _ => Err(failed(&format!("image {image}"), answer)),
    }
}

/// The signals by which images want to end, with their numbers on Linux for x86 and ARM: builders write
/// either.
const SIGNALS: [(&str, &str); 13] = [
    ("1", "HUP"),
    ("2", "INT"),
    ("3", "QUIT"),
    ("6", "ABRT"),
    ("9", "KILL"),
    ("10", "USR1"),
    ("12", "USR2"),
    ("13", "PIPE"),
    ("14", "ALRM"),
    ("15", "TERM"),
    ("18", "CONT"),
    ("28", "WINCH"),
    ("30", "PWR"),
];

/// One that could not be sent is as good as none.
fn stop_signal(named: Option<String>) -> String {
    let text = named.unwrap_or_default();
    let text = text.to_ascii_uppercase();
    let text = text.strip_prefix("SIG").unwrap_or(&text);
    let known = SIGNALS
        .iter()
        .find(|(number, name)| text == *number || text == *name);
    known.map_or(STOP_SIGNAL, |(_, name)| name).to_owned()
}

/// A sentence about a look that brought nothing.
pub(crate) fn failed(about: &str, answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    format!(
        "podman cannot say how {about} is: {}",
        line.map_or_else(|| format!("it ended with {}", answer.exit), str::to_owned)
    )
}
