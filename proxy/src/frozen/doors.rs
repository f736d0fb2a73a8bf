//! What every later program can go on with, whatever the rest of the state looks like by then: the open ports, and whose
//! tickets are good.
//!
//! ```text
//! simplenetes doors 1
//! door 0 cluster 61000 10.0.0.1:61000 10.0.0.1:61000
//! door 1 relay 10.0.0.1:32767 10.0.0.1:32767
//! guest SESSION KEY SECRET NEXT TAKEN
//! end
//! ```
//!
//! A door: the place of its descriptor, whose clients come there, where it was to be opened, and where it is. A guest
//! is a proxy that holds tickets, in hexadecimal digits but for NEXT. Each program reads all numbers up to its own, and
//! skips lines whose first word it does not know, so that a number is needed only for what must not be skipped. This
//! never changes otherwise: see decision 14.

use std::fmt::Write as _;
use std::io;

use zeroize::Zeroizing;

use super::{Descriptors, Frozen, FrozenDoor, State};
use crate::connection::Entrance;
use crate::peers::reception::FrozenGuest;

/// The highest number of such a text that this program reads, and the one that it writes.
pub const DOORS_FORMAT: u32 = 1;

/// What the text begins with; the state of all connections begins with a small number, which this is not.
const TITLE: &str = "simplenetes doors ";

impl Frozen {
    /// Only the open ports, and whose tickets are good, in a form that later programs understand as well. What is
    /// at rest stays as it is.
    ///
    /// # Errors
    /// It is not whole, or the system has no descriptors left.
    pub fn doors(&self) -> io::Result<Self> {
        let mut state = self.open()?;
        let mut descriptors = Descriptors::default();
        for door in &mut state.doors {
            door.listener = descriptors.put(self.descriptors.copy(door.listener)?);
        }
        let state = Zeroizing::new(write(&state)?.as_bytes().to_vec());
        Ok(Self { state, descriptors })
    }
}

fn write(state: &State) -> io::Result<Zeroizing<String>> {
    // What a string leaves behind when it grows is not wiped.
    let bytes_max = 1024 + state.doors.len() * 256 + state.guests.len() * 4096;
    let mut text = Zeroizing::new(String::with_capacity(bytes_max));
    let mut add = || -> std::fmt::Result {
        writeln!(text, "{TITLE}{DOORS_FORMAT}")?;
        for door in &state.doors {
            write!(text, "door {} ", door.listener)?;
            match door.entrance {
                Entrance::Cluster(port) => write!(text, "cluster {port}")?,
                Entrance::Relay => text.write_str("relay")?,
            }
            writeln!(text, " {} {}", door.wanted, door.address)?;
        }
        for guest in &state.guests {
            guest.write(&mut text)?;
        }
        text.write_str("end\n")
    };
    add().map_err(io::Error::other)?;
    Ok(text)
}

/// Reads such a text; none when it is something else.
pub(super) fn read(bytes: &[u8]) -> Option<io::Result<State>> {
    let rest = bytes.strip_prefix(TITLE.as_bytes())?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no list of doors");
    let text = std::str::from_utf8(rest).map_err(|_| invalid());
    Some(text.and_then(|text| parse(text).ok_or_else(invalid)))
}

fn parse(text: &str) -> Option<State> {
    let mut lines = text.lines();
    let number: u32 = lines.next()?.parse().ok()?;
    if number > DOORS_FORMAT {
        return None;
    }
    let mut state = State::default();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["door", listener, "cluster", port, wanted, address] => state.doors.push(FrozenDoor {
                entrance: Entrance::Cluster(port.parse().ok()?),
                listener: listener.parse().ok()?,
                wanted: wanted.parse().ok()?,
                address: address.parse().ok()?,
            }),
            ["door", listener, "relay", wanted, address] => state.doors.push(FrozenDoor {
                entrance: Entrance::Relay,
                listener: listener.parse().ok()?,
                wanted: wanted.parse().ok()?,
                address: address.parse().ok()?,
            }),
            ["guest", words @ ..] => state.guests.push(FrozenGuest::read(words)?),
            ["end"] => return Some(state),
            // A door of another kind would be closed.
            ["door", ..] => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the first program that could do this has written it. Never change it: add another one.
    const SAMPLE_1: &str = include_str!("doors/1.txt");

    fn check(text: &str, doors: &[&str], guests: usize) {
        let state = read(text.as_bytes()).unwrap().unwrap();
        let found: Vec<String> = state
            .doors
            .iter()
            .map(|door| {
                let FrozenDoor {
                    wanted,
                    address,
                    entrance,
                    listener,
                } = door;
                format!("{listener} {entrance:?} {wanted} {address}")
            })
            .collect();
        assert_eq!(found, doors);
        assert_eq!(state.guests.len(), guests);
    }

    const DOORS_1: [&str; 3] = [
        "0 Cluster(61000) 10.0.0.1:61000 10.0.0.1:61000",
        "1 Relay [fd00::1]:32767 [fd00::1]:32767",
        "2 Cluster(61001) 10.0.0.1:0 10.0.0.1:40001",
    ];

    #[test]
    fn what_was_written_once_is_read_for_ever() {
        check(SAMPLE_1, &DOORS_1, 1);
    }

    #[test]
    fn what_is_written_now_is_the_same() {
        let state = read(SAMPLE_1.as_bytes()).unwrap().unwrap();
        assert_eq!(write(&state).unwrap().as_str(), SAMPLE_1);
    }

    #[test]
    fn what_a_later_program_adds_is_skipped() {
        let more = SAMPLE_1.replace("end\n", "weather fine and warm\nend\n");
        check(&more, &DOORS_1, 1);
        check("simplenetes doors 0\nend\n", &[], 0);
    }

    #[test]
    fn half_of_it_and_a_later_number_are_refused() {
        for length in 0..SAMPLE_1.len() - 1 {
            let read = read(&SAMPLE_1.as_bytes()[..length]);
            assert!(read.is_none_or(|read| read.is_err()), "{length}");
        }
        for text in [
            "simplenetes doors 2\nend\n",
            "simplenetes doors 1\ndoor 0 window 10.0.0.1:1 10.0.0.1:1\nend\n",
            "simplenetes doors 1\nguest 1 2 3\nend\n",
            "simplenetes doors 1\ndoor x relay 10.0.0.1:1 10.0.0.1:1\nend\n",
        ] {
            assert!(read(text.as_bytes()).unwrap().is_err(), "{text}");
        }
        assert!(read(b"\x01\0\0\0").is_none());
    }
}
