//! One frame: four bytes of length, one of kind, the content. Everything that comes is bounded before it is kept.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes of the content of a frame.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most bytes that the content of a packed frame may become.
const UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The same for an answer, which is no more than what a host has in words: a message of JSON takes a multiple of it in
/// memory, and a host may be hostile.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Messages from this size on are packed, in bytes.
const PACK_BYTES_MIN: usize = 1024;

/// How hard the packing tries: what is fast enough for a local network and halves most text.
const PACK_LEVEL: i32 = 3;

/// The far end's first line, before its first frame.
const PREAMBLE: &[u8] = b"simplenetes-sync\n";

/// What a login shell may print before the preamble, in bytes.
const NOISE_BYTES_MAX: usize = 64 * 1024;

const BEAT: u8 = 0;
const MESSAGE: u8 = 1;
const PACKED_MESSAGE: u8 = 2;
const CONTENTS: u8 = 3;
const PIECE: u8 = 4;

/// The other end is gone, or does not speak as it should.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection ended or broke.
    #[error("the connection was lost")]
    Lost(#[source] io::Error),
    /// Nothing was heard for too long.
    #[error("the other end has said nothing for {0} s")]
    Silent(u64),
    /// It is there, and does not answer.
    #[error("the other end is there, and has not answered for {0} s")]
    Late(u64),
    /// Something else answers, or printed too much before.
    #[error("the other end does not speak the protocol of a sync; it said: {0}")]
    Foreign(String),
    /// A frame is not what it should be.
    #[error("the other end broke the protocol of a sync: {0}")]
    Broken(String),
}

/// What an end takes from the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    unpacked_bytes_max: usize,
    has_contents: bool,
}

impl Taken {
    /// What the near end takes: answers, and nothing else.
    pub(crate) const ANSWERS: Self = Self {
        unpacked_bytes_max: ANSWER_BYTES_MAX,
        has_contents: false,
    };
    /// What the far end takes: questions and contents.
    pub(crate) const ALL: Self = Self {
        unpacked_bytes_max: UNPACKED_BYTES_MAX,
        has_contents: true,
    };
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// I am here.
    Beat,
    /// A message as JSON.
    Message(Vec<u8>),
    /// Whole contents.
    Contents(Vec<Vec<u8>>),
    /// The next piece of a large content.
    Piece(Vec<u8>),
}

impl Frame {
    /// A message.
    pub(crate) fn message(message: &impl Serialize) -> Self {
        // Plain data always has a JSON.
        Self::Message(serde_json::to_vec(message).unwrap_or_default())
    }

    /// What the message says.
    pub(crate) fn parse<M: DeserializeOwned>(self) -> Result<M, WireError> {
        match self {
            Self::Message(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                // The error has words of the message.
                let error = first_words(error.to_string().as_bytes());
                WireError::Broken(format!("a message that is none: {error}"))
            }),
            other => Err(WireError::Broken(format!(
                "expected a message, got {}",
                other.name()
            ))),
        }
    }

    /// What it is, for messages about it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Beat => "a beat",
            Self::Message(_) => "a message",
            Self::Contents(_) => "contents",
            Self::Piece(_) => "a piece of a content",
        }
    }

    /// The frame as bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let (kind, content) = match self {
            Self::Beat => (BEAT, Vec::new()),
            Self::Message(bytes) if bytes.len() < PACK_BYTES_MIN => (MESSAGE, bytes.clone()),
            Self::Message(bytes) => (PACKED_MESSAGE, pack(bytes)?),
            Self::Contents(contents) => (CONTENTS, pack(&joined(contents))?),
            Self::Piece(bytes) => (PIECE, pack(bytes)?),
        };
        let too_large = || WireError::Broken(format!("{} that is too large", self.name()));
        if content.len() > FRAME_BYTES_MAX {
            return Err(too_large());
        }
        let length = u32::try_from(content.len()).map_err(|_| too_large())?;
        let mut bytes = Vec::with_capacity(content.len() + 5);
        bytes.extend(length.to_be_bytes());
        bytes.push(kind);
        bytes.extend(content);
        Ok(bytes)
    }

    /// Reads the next frame.
    pub(crate) fn read(from: &mut impl Read, taken: Taken) -> Result<Self, WireError> {
        let mut head = [0; 5];
        from.read_exact(&mut head).map_err(WireError::Lost)?;
        let [a, b, c, d, kind] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length as usize > FRAME_BYTES_MAX {
            return Err(WireError::Broken(format!("a frame of {length} bytes")));
        }
        if matches!(kind, CONTENTS | PIECE) && !taken.has_contents {
            return Err(WireError::Broken(
                "contents, which only a host is sent".to_owned(),
            ));
        }
        let bytes_max = taken.unpacked_bytes_max;
        // Grows with what really comes: a length alone must not cost memory.
        let mut content = Vec::new();
        let read = from.take(length.into()).read_to_end(&mut content);
        if read.map_err(WireError::Lost)? < length as usize {
            return Err(WireError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        match kind {
            BEAT => Ok(Self::Beat),
            MESSAGE => Ok(Self::Message(content)),
            PACKED_MESSAGE => Ok(Self::Message(unpack(&content, bytes_max)?)),
            CONTENTS => Ok(Self::Contents(parted(&unpack(&content, bytes_max)?)?)),
            PIECE => Ok(Self::Piece(unpack(&content, bytes_max)?)),
            other => Err(WireError::Broken(format!("a frame of the kind {other}"))),
        }
    }
}

/// The far end's first line.
pub(crate) fn preamble() -> &'static [u8] {
    PREAMBLE
}

/// Reads up to and with the far end's first line; what a login shell prints before is passed over.
pub(crate) fn pass_preamble(from: &mut impl Read) -> Result<(), WireError> {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(PREAMBLE) {
        let read = from.read(&mut byte);
        match read {
            Ok(0) if heard.is_empty() => {
                return Err(WireError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(0) => return Err(WireError::Foreign(first_words(&heard))),
            Ok(_) => heard.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(WireError::Lost(error)),
        }
        if heard.len() > NOISE_BYTES_MAX {
            return Err(WireError::Foreign(first_words(&heard)));
        }
    }
    Ok(())
}

fn first_words(heard: &[u8]) -> String {
    let text = String::from_utf8_lossy(heard);
    let plain = text.trim().replace(char::is_control, " ");
    plain.chars().take(200).collect()
}

fn pack(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    zstd::bulk::compress(bytes, PACK_LEVEL).map_err(WireError::Lost)
}

fn unpack(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, WireError> {
    let broken = |error: io::Error| WireError::Broken(format!("what cannot be unpacked: {error}"));
    let mut unpacked = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(bytes).map_err(broken)?;
    // One more than allowed, to tell too much from just enough.
    let bounded = &mut decoder.take(bytes_max as u64 + 1);
    bounded.read_to_end(&mut unpacked).map_err(broken)?;
    if unpacked.len() > bytes_max {
        return Err(WireError::Broken(format!(
            "a frame of more than {bytes_max} bytes, unpacked"
        )));
    }
    Ok(unpacked)
}

fn joined(contents: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for content in contents {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend(content);
    }
    bytes
}

fn parted(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, WireError> {
    let torn = || WireError::Broken("contents that are torn".to_owned());
    let mut contents = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (content, rest) = rest.split_at_checked(length).ok_or_else(torn)?;
        contents.push(content.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(contents).ok_or_else(torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(frame: &Frame) -> Result<Frame, WireError> {
        Frame::read(&mut frame.to_bytes().unwrap().as_slice(), Taken::ALL)
    }

    #[test]
    fn frames_come_as_they_went() {
        for frame in [
            Frame::Beat,
            Frame::Message(b"{}".to_vec()),
            Frame::Message(vec![b' '; 100_000]),
            Frame::Contents(vec![Vec::new(), b"one".to_vec(), vec![7; 70_000]]),
            Frame::Contents(Vec::new()),
            Frame::Piece(vec![1; 300_000]),
        ] {
            assert_eq!(again(&frame).unwrap(), frame);
        }
    }

    #[test]
    fn a_frame_that_is_cut_anywhere_is_a_lost_connection() {
        let bytes = Frame::Contents(vec![b"content".to_vec()])
            .to_bytes()
            .unwrap();
        for end in 0..bytes.len() {
            let read = Frame::read(&mut &bytes[..end], Taken::ALL);
            assert!(matches!(read, Err(WireError::Lost(_))), "cut at {end}");
        }
    }

    #[test]
    fn what_would_cost_memory_is_refused_before_it_is_kept() {
        let long = [0xff, 0xff, 0xff, 0xff, MESSAGE];
        assert!(matches!(
            Frame::read(&mut long.as_slice(), Taken::ALL),
            Err(WireError::Broken(_))
        ));
        // Less than 10 KiB that would become 65 MiB.
        let bomb = pack(&vec![0; UNPACKED_BYTES_MAX + 1]).unwrap();
        let mut bytes = u32::try_from(bomb.len()).unwrap().to_be_bytes().to_vec();
        bytes.push(PIECE);
        bytes.extend(bomb);
        assert!(matches!(
            Frame::read(&mut bytes.as_slice(), Taken::ALL),
            Err(WireError::Broken(_))
        ));
    }

    #[test]
    fn an_answer_is_words_and_not_too_many() {
        let near =
            |frame: &Frame| Frame::read(&mut frame.to_bytes().unwrap().as_slice(), Taken::ANSWERS);
        near(&Frame::Message(vec![b' '; ANSWER_BYTES_MAX])).unwrap();
        for frame in [
            Frame::Message(vec![b' '; ANSWER_BYTES_MAX + 1]),
            Frame::Contents(Vec::new()),
            Frame::Piece(vec![1]),
        ] {
            assert!(matches!(near(&frame), Err(WireError::Broken(_))));
        }
        let said = Frame::Message(b"{\"answer\":\"\\u001b[2J\"}".to_vec());
        let error = said.parse::<crate::wire::Answer>().unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(crate::soak::cases(20_000)))]

        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), kind in 0_u8..6) {
            // As they are, and as the content of a frame of every kind.
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            let framed = [&length[..], &[kind], &bytes].concat();
            for bytes in [&bytes, &framed] {
                for taken in [Taken::ALL, Taken::ANSWERS] {
                    let read = Frame::read(&mut bytes.as_slice(), taken);
                    let _ = read.and_then(Frame::parse::<crate::wire::Ask>);
                    let _ = Frame::read(&mut bytes.as_slice(), taken).and_then(Frame::parse::<crate::wire::Answer>);
                }
            }
            let _ = pass_preamble(&mut bytes.as_slice());
        }

        #[test]
        fn what_is_packed_comes_back(contents in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..50), 0..8), bit in 0_usize..4000) {
            let frame = Frame::Contents(contents);
            proptest::prop_assert_eq!(&again(&frame).unwrap(), &frame);
            // One bit is another: some frame, or an error.
            let mut bytes = frame.to_bytes().unwrap();
            let at = bit / 8 % bytes.len();
            bytes[at] ^= 1 << (bit % 8);
            let _ = Frame::read(&mut bytes.as_slice(), Taken::ALL);
        }
    }

    #[test]
    fn what_a_login_shell_prints_is_passed_over() {
        let mut said: &[u8] = b"Welcome to Debian!\nsimplenetes-sync\nrest";
        pass_preamble(&mut said).unwrap();
        assert_eq!(said, b"rest");
        let mut foreign: &[u8] = b"bash: simplenetesd: command not found\n";
        let error = pass_preamble(&mut foreign).unwrap_err();
        assert!(error.to_string().contains("command not found"), "{error}");
        let endless = &mut io::repeat(b'x');
        assert!(matches!(pass_preamble(endless), Err(WireError::Foreign(_))));
    }
}
