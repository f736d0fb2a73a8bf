//! The first bytes of a client: is there a PROXY header, and what does the target get instead?
//!
//! Pure: a little state machine that is told what was heard and says what to send. It must not know
//! sockets or clocks. The rules, and why nothing is ever delayed that need not be, stand in
//! `docs/decisions/0003-proxy-protocol-without-sniffing-delay.md`.

use std::fmt;
use std::time::Duration;

use names::{AcceptProxy, SendProxy};
use serde::{Deserialize, Serialize};

use crate::Patience;
use crate::header::{self, Header, Parsed};

/// What a target says about headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// What its clients bring.
    pub accept: AcceptProxy,
    /// What it wants itself.
    pub send: SendProxy,
}

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
    /// The client brings no header where it has to.
    Refuse(NoHeader),
}

/// Why a client that has to bring a header is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHeader {
    /// It began with something else.
    Foreign,
    /// There was no whole one for so long.
    Late,
    /// It had said all before there was a whole one.
    Ended,
}

impl fmt::Display for NoHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "began with something else",
            Self::Late => "sent none in time",
            Self::Ended => "ended without one",
        })
    }
}

/// How the first bytes of a client are treated.
#[derive(Debug)]
pub enum Begun {
    /// Nobody looks at them: these bytes go to the target now, and then all that the client says.
    Done(Vec<u8>),
    /// They are listened to.
    Listens(Opening),
}

/// Decides about the first bytes of one client.
#[derive(Debug)]
pub struct Opening {
    manner: Manner,
    /// The header that the target still has to get, unless the client brings its own.
    owed: Option<Header>,
    /// Bytes that may become a header.
    held: Vec<u8>,
    patience: Patience,
}

impl Opening {
    /// `made` is the header for a client that brings none; a target that wants none is owed none.
    #[must_use]
    pub fn begin(manner: Manner, made: Option<Header>, patience: Patience) -> Begun {
        let mut opening = Self {
            manner,
            owed: made.filter(|_| manner.send.is_wanted()),
            held: Vec::new(),
            patience,
        };
        match manner.accept {
            AcceptProxy::Absent => Begun::Done(opening.release()),
            AcceptProxy::Optional | AcceptProxy::Required => Begun::Listens(opening),
        }
    }

    /// What it has come to so far: how headers are treated, the one that is owed, and what is held.
    pub(crate) fn into_parts(self) -> (Manner, Option<Header>, Vec<u8>) {
        (self.manner, self.owed, self.held)
    }

    /// One that goes on from there.
    pub(crate) fn of_parts(
        manner: Manner,
        owed: Option<Header>,
        held: Vec<u8>,
        patience: Patience,
    ) -> Self {
        Self {
            manner,
            owed,
            held,
            patience,
        }
    }

    /// How long to wait for the client before telling [`Heard::Silence`]; `None` means for ever.
    /// `age` is the time since the client connected.
    #[must_use]
    pub fn patience(&self, age: Duration) -> Option<Duration> {
        if self.is_required() {
            // From the beginning, however slowly it comes: whoever brings none must not hold a place.
            return Some(self.patience.header_max.saturating_sub(age));
        }
        match (&self.owed, self.held.is_empty()) {
            (_, false) => Some(self.patience.partial_max),
            (Some(_), true) => Some(self.patience.silence_max.saturating_sub(age)),
            (None, true) => None,
        }
    }

    /// Whether the client is served only if it brings a header.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.manner.accept == AcceptProxy::Required
    }

    /// Tells what the client did.
    pub fn hear(&mut self, heard: Heard<'_>) -> Verdict {
        match heard {
            Heard::Bytes(bytes) => {
                self.held.extend_from_slice(bytes);
                match header::parse(&self.held) {
                    Parsed::Partial => Verdict::Hold,
                    Parsed::Foreign if self.is_required() => Verdict::Refuse(NoHeader::Foreign),
                    Parsed::Foreign => Verdict::Done(self.release()),
                    Parsed::Complete { header, length } => {
                        Verdict::Done(self.with_own_header(header, length))
                    }
                }
            }
            Heard::Silence if self.is_required() => Verdict::Refuse(NoHeader::Late),
            Heard::End if self.is_required() => Verdict::Refuse(NoHeader::Ended),
            // A silent client may still bring a header later, which then is one too many: listen on.
            Heard::Silence if self.held.is_empty() => Verdict::Send(self.release()),
            Heard::Silence | Heard::End => Verdict::Done(self.release()),
        }
    }

    /// The owed header, if any, and what was held.
    fn release(&mut self) -> Vec<u8> {
        let owed = self.owed.take().map(|made| made.bytes(self.manner.send));
        let mut bytes = owed.unwrap_or_default();
        bytes.append(&mut self.held);
        bytes
    }

    /// The client's own header takes the place of the owed one, to the byte where it has the version that is wanted:
    /// one of version 2 says more than the addresses. Nobody waiting for it, it is dropped.
    fn with_own_header(&mut self, header: Header, length: usize) -> Vec<u8> {
        let mut after = self.held.split_off(length);
        let own = std::mem::take(&mut self.held);
        if self.owed.take().is_none() {
            return after;
        }
        let is_wanted = header::is_binary(&own) == (self.manner.send == SendProxy::V2);
        let mut bytes = if is_wanted {
            own
        } else {
            header.bytes(self.manner.send)
        };
        bytes.append(&mut after);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AcceptProxy::{Absent, Optional, Required};
    use SendProxy::{None as No, V1, V2};

    const OWN: &str = "PROXY TCP4 9.9.9.9 8.8.8.8 7 6\r\n";
    const OWN_2: &[u8] =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x09\x09\x09\x09\x08\x08\x08\x08\0\x07\0\x06";
    /// The same with a field behind the addresses.
    const OWN_MORE: &[u8] =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\x09\x09\x09\x09\x08\x08\x08\x08\0\x07\0\x06\x02\0\x01a";
    const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    const MADE: &str = "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n";
    const MADE_2: &[u8] =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x01\x01\x01\x02\x02\x02\x02\0\x03\0\x04";

    fn begin(accept: AcceptProxy, send: SendProxy) -> Begun {
        let made = Header::of("1.1.1.1:3".parse().unwrap(), "2.2.2.2:4".parse().unwrap());
        Opening::begin(Manner { accept, send }, Some(made), Patience::default())
    }

    fn opening(accept: AcceptProxy, send: SendProxy) -> Opening {
        match begin(accept, send) {
            Begun::Listens(opening) => opening,
            Begun::Done(_) => panic!("{accept:?} is not looked at"),
        }
    }

    /// What the target got in the end.
    #[derive(Debug, PartialEq, Eq)]
    enum Got {
        /// This, and the opening is over.
        All(String),
        /// This so far.
        SoFar(String),
        Refused(NoHeader),
    }

    fn all(parts: &[&[u8]]) -> Got {
        Got::All(String::from_utf8_lossy(&parts.concat()).into_owned())
    }

    fn so_far(bytes: &[u8]) -> Got {
        Got::SoFar(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Feeds what was heard, one after the other.
    fn got(accept: AcceptProxy, send: SendProxy, heard: &[Heard<'_>]) -> Got {
        let mut opening = match begin(accept, send) {
            Begun::Listens(opening) => opening,
            Begun::Done(bytes) => return all(&[&bytes]),
        };
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
                Verdict::Refuse(why) => {
                    assert!(out.is_empty(), "the target has got something");
                    return Got::Refused(why);
                }
            }
        }
        if over { all(&[&out]) } else { so_far(&out) }
    }

    fn say(text: &str) -> Heard<'_> {
        Heard::Bytes(text.as_bytes())
    }

    #[test]
    fn every_beginning_of_a_client_whose_header_is_optional() {
        let (made, own) = (MADE.as_bytes(), OWN.as_bytes());
        for (send, none, one, two, local) in [
            (No, &b""[..], &b""[..], &b""[..], &b""[..]),
            (V1, made, own, own, b"PROXY UNKNOWN\r\n"),
            (V2, MADE_2, OWN_2, OWN_MORE, LOCAL),
        ] {
            let check = |heard: &[Heard<'_>], expected: Got| {
                assert_eq!(got(Optional, send, heard), expected, "{send:?} {heard:?}");
            };
            for (header, expected) in [(own, one), (OWN_MORE, two), (LOCAL, local)] {
                let with = [header, b"hello"].concat();
                check(&[Heard::Bytes(&with)], all(&[expected, b"hello"]));
                let (head, tail) = with.split_at(11);
                check(
                    &[Heard::Bytes(head), Heard::Bytes(tail)],
                    all(&[expected, b"hello"]),
                );
                check(&[Heard::Bytes(head)], so_far(b""));
                check(&[Heard::Bytes(head), Heard::Silence], all(&[none, head]));
                check(&[Heard::Bytes(head), Heard::End], all(&[none, head]));
                // One that comes after one was made is never payload.
                check(
                    &[Heard::Silence, Heard::Bytes(&with)],
                    all(&[none, b"hello"]),
                );
            }
            check(&[say("hello")], all(&[none, b"hello"]));
            check(&[say("PROXY T"), say("ONE")], all(&[none, b"PROXY TONE"]));
            check(&[Heard::Silence], so_far(none));
            check(&[Heard::Silence, say("hello")], all(&[none, b"hello"]));
            check(&[Heard::End], all(&[none]));
        }
    }

    #[test]
    fn every_beginning_of_a_client_whose_header_is_required() {
        let own = OWN.as_bytes();
        for (send, one, two, local) in [
            (No, &b""[..], &b""[..], &b""[..]),
            (V1, own, own, b"PROXY UNKNOWN\r\n"),
            (V2, OWN_2, OWN_MORE, LOCAL),
        ] {
            let check = |heard: &[Heard<'_>], expected: Got| {
                assert_eq!(got(Required, send, heard), expected, "{send:?} {heard:?}");
            };
            for (header, expected) in [(own, one), (OWN_MORE, two), (LOCAL, local)] {
                let with = [header, b"hello"].concat();
                check(&[Heard::Bytes(&with)], all(&[expected, b"hello"]));
                let (head, tail) = with.split_at(11);
                check(
                    &[Heard::Bytes(head), Heard::Bytes(tail)],
                    all(&[expected, b"hello"]),
                );
                check(&[Heard::Bytes(head)], so_far(b""));
                check(
                    &[Heard::Bytes(head), Heard::Silence],
                    Got::Refused(NoHeader::Late),
                );
                check(
                    &[Heard::Bytes(head), Heard::End],
                    Got::Refused(NoHeader::Ended),
                );
            }
            check(&[say("hello")], Got::Refused(NoHeader::Foreign));
            check(
                &[say("PROXY T"), say("ONE")],
                Got::Refused(NoHeader::Foreign),
            );
            check(&[Heard::Silence], Got::Refused(NoHeader::Late));
            check(&[Heard::End], Got::Refused(NoHeader::Ended));
        }
    }

    #[test]
    fn where_no_header_comes_nobody_looks_and_nobody_waits() {
        for (send, expected) in [(No, &b""[..]), (V1, MADE.as_bytes()), (V2, MADE_2)] {
            assert_eq!(got(Absent, send, &[]), all(&[expected]), "{send:?}");
        }
    }

    #[test]
    fn a_v1_header_over_ipv6_is_translated() {
        let own = Header::of("[::1]:3".parse().unwrap(), "[::2]:4".parse().unwrap());
        let (one, two) = (own.bytes(V1), own.bytes(V2));
        assert_eq!(got(Optional, V2, &[Heard::Bytes(&one)]), all(&[&two]));
        assert_eq!(got(Optional, V1, &[Heard::Bytes(&two)]), all(&[&one]));
        let unknown = say("PROXY UNKNOWN ffff::1 ::2 1 2\r\n");
        assert_eq!(got(Optional, V2, &[unknown]), all(&[LOCAL]));
    }

    #[test]
    fn only_a_target_that_wants_a_header_waits() {
        let whole = Patience::default().silence_max;
        let half = whole / 2;
        assert_eq!(opening(Optional, No).patience(Duration::ZERO), None);
        for send in [V1, V2] {
            let mut told = opening(Optional, send);
            assert_eq!(told.patience(half), Some(half));
            assert_eq!(told.patience(whole * 2), Some(Duration::ZERO));
            told.hear(Heard::Silence);
            assert_eq!(told.patience(half), None);
        }
    }

    #[test]
    fn a_required_header_has_its_time_however_slowly_it_comes() {
        let whole = Patience::default().header_max;
        let half = whole / 2;
        for send in SendProxy::ALL {
            let mut slow = opening(Required, send);
            assert_eq!(slow.patience(half), Some(half));
            assert_eq!(slow.hear(say("PROXY T")), Verdict::Hold);
            assert_eq!(slow.patience(half), Some(half));
            assert_eq!(slow.patience(whole * 2), Some(Duration::ZERO));
        }
    }
}
