//! What a proxy tells the others of its host, and what they say in between: lines of text.
//!
//! ```text
//! has 61000 2 17 200    cluster port, backends that are ready, connections that they have, and may have together
//! gone 61000            none of them is ready any more
//! complete              everything there is was said
//! draining              this proxy ends soon: ask it for nothing new
//! beat                  nothing has changed
//! ```
//!
//! Words that a newer proxy may say are skipped. Pure.

use std::fmt;

/// The longest line that is believed, in bytes.
pub const LINE_BYTES_MAX: usize = 80;

/// What a host offers at one cluster port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Backends that are ready, at least one.
    pub backends: u32,
    /// Connections that they have, together.
    pub active: u32,
    /// Connections that they may have, together.
    pub max: u32,
}

impl Offer {
    /// Whether there is no place left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.active >= self.max
    }
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A cluster port has backends.
    Has(u16, Offer),
    /// A cluster port has none any more.
    Gone(u16),
    /// Everything there is was said.
    Complete,
    /// Nothing new is taken.
    Draining,
    /// The speaker is alive.
    Beat,
    /// Something that this version does not know.
    Unknown,
}

/// A line that no proxy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line that no proxy says")]
pub struct Nonsense;

impl Message {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// It is too long, or a word that is known has the wrong words after it.
    pub fn parse(line: &str) -> Result<Self, Nonsense> {
        if line.len() > LINE_BYTES_MAX {
            return Err(Nonsense);
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["has", port, backends, active, max] => {
                let offer = Offer {
                    backends: number(backends)?,
                    active: number(active)?,
                    max: number(max)?,
                };
                if offer.backends == 0 {
                    return Err(Nonsense);
                }
                Ok(Self::Has(cluster_port(port)?, offer))
            }
            ["gone", port] => Ok(Self::Gone(cluster_port(port)?)),
            ["complete"] => Ok(Self::Complete),
            ["draining"] => Ok(Self::Draining),
            ["beat"] => Ok(Self::Beat),
            ["has" | "gone", ..] | [] => Err(Nonsense),
            _ => Ok(Self::Unknown),
        }
    }
}

/// The line with its end; of an unknown one nothing is left.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Has(port, offer) => {
                let Offer {
                    backends,
                    active,
                    max,
                } = offer;
                writeln!(f, "has {port} {backends} {active} {max}")
            }
            Self::Gone(port) => writeln!(f, "gone {port}"),
            Self::Complete => f.write_str("complete\n"),
            Self::Draining => f.write_str("draining\n"),
            Self::Beat => f.write_str("beat\n"),
            Self::Unknown => Ok(()),
        }
    }
}

/// Digits without a sign, as they are written.
fn number(text: &str) -> Result<u32, Nonsense> {
    let number: u32 = text.parse().map_err(|_| Nonsense)?;
    (number.to_string() == text)
        .then_some(number)
        .ok_or(Nonsense)
}

fn cluster_port(text: &str) -> Result<u16, Nonsense> {
    let port = u16::try_from(number(text)?).map_err(|_| Nonsense)?;
    (port > 0).then_some(port).ok_or(Nonsense)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer {
        backends: 2,
        active: 17,
        max: 200,
    };

    #[test]
    fn what_is_said_is_understood() {
        for message in [
            Message::Has(61000, OFFER),
            Message::Gone(1),
            Message::Complete,
            Message::Draining,
            Message::Beat,
        ] {
            let line = message.to_string();
            let line = line.strip_suffix('\n').unwrap();
            assert_eq!(Message::parse(line), Ok(message), "{line}");
        }
    }

    #[test]
    fn what_is_new_is_skipped_and_what_is_wrong_refused() {
        assert_eq!(Message::parse("weights 1 2"), Ok(Message::Unknown));
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        for line in [
            "has",
            "has 61000 1 2",
            "has 61000 1 2 3 4",
            "has 0 1 2 3",
            "has 65536 1 2 3",
            "has 61000 0 2 3",
            "has 61000 +1 2 3",
            "has 61000 01 2 3",
            "has 61000 1  3",
            "gone",
            "gone x",
            long.as_str(),
        ] {
            assert_eq!(Message::parse(line), Err(Nonsense), "{line}");
        }
    }
}
