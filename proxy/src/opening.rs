//! The first bytes of a client: is there a PROXY header, and what does the target get instead?
//!
//! Pure: a little state machine that is told what was heard and says what to send. It must not know
//! sockets or clocks. The rules, and why nothing is ever delayed that need not be, stand in
//! `docs/decisions/0003-proxy-protocol-without-sniffing-delay.md`.

use std::time::Duration;

use crate::Patience;
use crate::header::{self, Header, Parsed};

/// What the client did.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// It sent these bytes.
    Bytes(&'a [u8]),
    /// It sent nothing for as long as [`Opening::patience`] said.
    Silence,
    /// It will never send another byte.
    End,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing can be said yet: listen on.
    Hold,
    /// Send these bytes to the target now, and listen on.
    Send(Vec<u8>),
    /// Send these bytes to the target; everything after them is passed on as it is.
    Done(Vec<u8>),
}

/// Decides about the first bytes of one client.
#[derive(Debug)]
pub struct Opening {
    /// The header that the target still has to get, unless the client brings its own.
    owed: Option<Header>,
    /// Bytes that may become a header.
    held: Vec<u8>,
    patience: Patience,
}

impl Opening {
    /// `owed` is the header for a target that wants one, `None` for a target that does not.
    #[must_use]
    pub fn new(owed: Option<Header>, patience: Patience) -> Self {
        Self {
            owed,
            held: Vec::new(),
            patience,
        }
    }

    /// What it has come to so far: the header that is owed, and what is held.
    pub(crate) fn into_parts(self) -> (Option<Header>, Vec<u8>) {
        (self.owed, self.held)
    }

    /// One that goes on from there.
    pub(crate) fn of_parts(owed: Option<Header>, held: Vec<u8>, patience: Patience) -> Self {
        Self {
            owed,
            held,
            patience,
        }
    }

    /// How long to wait for the client before telling [`Heard::Silence`]; `None` means for ever.
    /// `age` is the time since the client connected.
    #[must_use]
    pub fn patience(&self, age: Duration) -> Option<Duration> {
        match (&self.owed, self.held.is_empty()) {
            (_, false) => Some(self.patience.partial_max),
            (Some(_), true) => Some(self.patience.silence_max.saturating_sub(age)),
            (None, true) => None,
        }
    }

    /// Tells what the client did.
    pub fn hear(&mut self, heard: Heard<'_>) -> Verdict {
        match heard {
            Heard::Bytes(bytes) => {
                self.held.extend_from_slice(bytes);
                match header::parse(&self.held) {
                    Parsed::Partial => Verdict::Hold,
                    Parsed::Foreign => Verdict::Done(self.release()),
                    Parsed::Complete { header, length } => {
                        Verdict::Done(self.with_own_header(header, length))
                    }
                }
            }
            // A silent client may still bring a header later, which then is one too many: listen on.
            Heard::Silence if self.held.is_empty() => Verdict::Send(self.release()),
            Heard::Silence | Heard::End => Verdict::Done(self.release()),
        }
    }

    /// The owed header, if any, and what was held.
    fn release(&mut self) -> Vec<u8> {
        let mut bytes = self
            .owed
            .take()
            .map(|made| made.to_string().into_bytes())
            .unwrap_or_default();
        bytes.append(&mut self.held);
        bytes
    }

    /// The client's own header takes the place of the owed one, in version 1, which is what targets want; nobody
    /// waiting for it, it is dropped.
    fn with_own_header(&mut self, header: Header, length: usize) -> Vec<u8> {
        let after = self.held.split_off(length);
        if self.owed.take().is_some() {
            if header::is_binary(&self.held) {
                self.held = header.to_string().into_bytes();
            }
            self.held.extend_from_slice(&after);
            std::mem::take(&mut self.held)
        } else {
            self.held.clear();
            after
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "PROXY TCP4 9.9.9.9 8.8.8.8 7 6\r\n";
    const MADE: &str = "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n";

    fn opening(wants: bool) -> Opening {
        let made = Header::of("1.1.1.1:3".parse().unwrap(), "2.2.2.2:4".parse().unwrap());
        Opening::new(wants.then_some(made), Patience::default())
    }

    /// Feeds the pieces one after the other; what the target got, and whether the opening is over.
    fn sent(wants: bool, heard: &[Heard<'_>]) -> (String, bool) {
        let mut opening = opening(wants);
        let (mut out, mut over) = (Vec::new(), false);
        for heard in heard {
            assert!(!over, "heard more after the end: {heard:?}");
            match opening.hear(*heard) {
                Verdict::Hold => {}
                Verdict::Send(bytes) => out.extend(bytes),
                Verdict::Done(bytes) => {
                    out.extend(bytes);
                    over = true;
                }
            }
        }
        (String::from_utf8(out).unwrap(), over)
    }

    fn check(wants: bool, heard: &[Heard<'_>], expected: &str, expected_over: bool) {
        assert_eq!(
            sent(wants, heard),
            (expected.to_owned(), expected_over),
            "{wants} {heard:?}"
        );
    }

    fn say(text: &str) -> Heard<'_> {
        Heard::Bytes(text.as_bytes())
    }

    #[test]
    fn a_header_is_kept_made_or_stripped() {
        let with = format!("{OWN}hello");
        check(true, &[say(&with)], &with, true);
        check(true, &[say("hello")], &format!("{MADE}hello"), true);
        check(false, &[say(&with)], "hello", true);
        check(false, &[say("hello")], "hello", true);
    }

    #[test]
    fn a_header_of_version_2_becomes_one_of_version_1() {
        let head =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x09\x09\x09\x09\x08\x08\x08\x08\0\x07\0\x06";
        let with = [head, &b"hello"[..]].concat();
        let all = [Heard::Bytes(&with)];
        assert_eq!(sent(true, &all), (format!("{OWN}hello"), true));
        assert_eq!(sent(false, &all), ("hello".into(), true));
        let (one, two) = with.split_at(5);
        let pieces = [Heard::Bytes(one), Heard::Bytes(two)];
        assert_eq!(sent(true, &pieces), (format!("{OWN}hello"), true));
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        let alone = [Heard::Bytes(local)];
        assert_eq!(sent(true, &alone), ("PROXY UNKNOWN\r\n".into(), true));
    }

    #[test]
    fn a_header_may_come_in_pieces() {
        let (head, tail) = OWN.split_at(13);
        check(true, &[say(head), say(tail)], OWN, true);
        check(false, &[say(head), say(tail)], "", true);
        check(false, &[say("PROXY T"), say("ONE")], "PROXY TONE", true);
        check(false, &[say(head)], "", false);
    }

    #[test]
    fn a_client_that_hesitates_is_not_held_for_ever() {
        check(false, &[say("PROXY"), Heard::Silence], "PROXY", true);
        check(
            true,
            &[say("PROXY"), Heard::Silence],
            &format!("{MADE}PROXY"),
            true,
        );
        check(true, &[Heard::Silence], MADE, false);
    }

    #[test]
    fn a_header_that_comes_too_late_is_never_payload() {
        let with = format!("{OWN}hello");
        check(
            true,
            &[Heard::Silence, say(&with)],
            &format!("{MADE}hello"),
            true,
        );
        check(
            true,
            &[Heard::Silence, say("hello")],
            &format!("{MADE}hello"),
            true,
        );
    }

    #[test]
    fn a_client_that_ends() {
        check(true, &[Heard::End], MADE, true);
        check(false, &[Heard::End], "", true);
        check(false, &[say("PRO"), Heard::End], "PRO", true);
    }

    #[test]
    fn only_a_target_that_wants_a_header_waits() {
        let whole = Patience::default().silence_max;
        let half = whole / 2;
        assert_eq!(opening(false).patience(Duration::ZERO), None);
        assert_eq!(opening(true).patience(half), Some(half));
        assert_eq!(opening(true).patience(whole * 2), Some(Duration::ZERO));
        let mut told = opening(true);
        told.hear(Heard::Silence);
        assert_eq!(told.patience(half), None);
    }
}
