//! A conversation over two streams of bytes: frames in both directions, beats while nothing is said.
//!
//! One thread reads, another sends beats; both end with the streams. Must not know what is said.

use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::frame::{Frame, Taken, WireError, pass_preamble, preamble};

/// How often each end says that it is there.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);

/// How long the other end may say nothing.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long the far end may take for an answer although it is there: more than any host needs to take its place.
const ANSWER_MAX: Duration = Duration::from_secs(600);

/// Frames that were read and not taken yet. More stay with the sender.
const FRAMES_WAITING_MAX: usize = 4;

/// The same for answers: there is one to each question.
const ANSWERS_WAITING_MAX: usize = 1;

/// Beats that may come within [`BEAT_EVERY`]: what lay on the way for half an hour comes at once.
const BEATS_AT_ONCE_MAX: u32 = 1000;

/// Bytes in both directions, as they went over the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Sent to the other end.
    pub sent: u64,
    /// Received from it.
    pub received: u64,
}

type Frames = Receiver<Result<Frame, WireError>>;

/// One end of a conversation.
pub struct Channel {
    frames: Frames,
    /// How long an answer may take; questions may take for ever.
    patience: Option<Duration>,
    writer: Arc<Writer>,
    received: Arc<AtomicU64>,
    /// Dropped with the channel, which ends the beats.
    _beats: mpsc::Sender<()>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

struct Writer {
    stream: Mutex<Box<dyn Write + Send>>,
    sent: AtomicU64,
}

impl Writer {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(bytes)?;
        stream.flush()?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Channel {
    /// The end that asks.
    pub fn near(reader: impl Read + Send + 'static, writer: impl Write + Send + 'static) -> Self {
        Self::open(reader, Box::new(writer), Some(ANSWER_MAX))
    }

    /// The end that answers.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn far(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> Result<Self, WireError> {
        let channel = Self::open(reader, Box::new(writer), None);
        channel.writer.send(preamble()).map_err(WireError::Lost)?;
        Ok(channel)
    }

    fn open(
        reader: impl Read + Send + 'static,
        writer: Box<dyn Write + Send>,
        patience: Option<Duration>,
    ) -> Self {
        let writer = Arc::new(Writer {
            stream: Mutex::new(writer),
            sent: AtomicU64::new(0),
        });
        let received = Arc::new(AtomicU64::new(0));
        let is_near = patience.is_some();
        let (sender, frames) = mpsc::sync_channel(match is_near {
            true => ANSWERS_WAITING_MAX,
            false => FRAMES_WAITING_MAX,
        });
        let counted = Counted {
            stream: reader,
            count: Arc::clone(&received),
        };
        thread::spawn(move || read_all(counted, is_near, &sender));
        let (beats, ended) = mpsc::channel();
        let beating = Arc::clone(&writer);
        thread::spawn(move || beat(&beating, &ended));
        Self {
            frames,
            patience,
            writer,
            received,
            _beats: beats,
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&self, frame: &Frame) -> Result<(), WireError> {
        self.writer
            .send(&frame.to_bytes()?)
            .map_err(WireError::Lost)
    }

    /// The next frame that is no beat.
    ///
    /// # Errors
    /// The other end is gone, silent or late, or breaks the protocol.
    pub fn receive(&self) -> Result<Frame, WireError> {
        let since = Instant::now();
        loop {
            match self.frames.recv_timeout(SILENCE_MAX) {
                Ok(Ok(Frame::Beat)) => match self.patience {
                    Some(patience) if since.elapsed() >= patience => {
                        return Err(WireError::Late(patience.as_secs()));
                    }
                    _ => {}
                },
                Ok(frame) => return frame,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(WireError::Silent(SILENCE_MAX.as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(WireError::Lost(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        }
    }

    /// What went over the stream so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.writer.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}

fn read_all(stream: impl Read, is_near: bool, sender: &SyncSender<Result<Frame, WireError>>) {
    let mut stream = BufReader::new(stream);
    let taken = match is_near {
        true => Taken::ANSWERS,
        false => Taken::ALL,
    };
    if is_near && let Err(error) = pass_preamble(&mut stream) {
        let _ = sender.send(Err(error));
        return;
    }
    let mut beats = Beats::default();
    loop {
        let frame = Frame::read(&mut stream, taken);
        let frame = frame.and_then(|frame| beats.hear(frame));
        let is_last = frame.is_err();
        if matches!(frame, Ok(Frame::Beat)) {
            // Where something waits to be taken nobody has to be told that the other end is there.
            if let Err(TrySendError::Disconnected(_)) = sender.try_send(frame) {
                return;
            }
            continue;
        }
        // Nobody waits for it when the channel is gone.
        if sender.send(frame).is_err() || is_last {
            return;
        }
    }
}

/// Notices an end that does nothing but say that it is there.
#[derive(Default)]
struct Beats {
    since: Option<Instant>,
    count: u32,
}

impl Beats {
    fn hear(&mut self, frame: Frame) -> Result<Frame, WireError> {
        if frame != Frame::Beat {
            return Ok(frame);
        }
        let is_over = self.since.is_none_or(|since| since.elapsed() > BEAT_EVERY);
        if is_over {
            self.since = Some(Instant::now());
            self.count = 0;
        }
        self.count += 1;
        match self.count > BEATS_AT_ONCE_MAX {
            true => Err(WireError::Broken("beats without end".to_owned())),
            false => Ok(frame),
        }
    }
}

/// A beat that cannot be sent tells nothing that the next reading will not tell.
fn beat(writer: &Writer, ended: &Receiver<()>) {
    let Ok(bytes) = Frame::Beat.to_bytes() else {
        return;
    };
    while ended.recv_timeout(BEAT_EVERY) == Err(RecvTimeoutError::Timeout) {
        if writer.send(&bytes).is_err() {
            return;
        }
    }
}

/// Counts what is read.
struct Counted<R> {
    stream: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a near end that hears these beats, and has no patience.
    fn hears(beats: usize) -> WireError {
        let beat = Frame::Beat.to_bytes().unwrap();
        let said = [preamble(), &beat.repeat(beats)].concat();
        let stream = io::Cursor::new(said).chain(Endless);
        let channel = Channel::open(stream, Box::new(io::sink()), Some(Duration::ZERO));
        channel.receive().unwrap_err()
    }

    /// Says nothing, for ever.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            loop {
                thread::park();
            }
        }
    }

    #[test]
    fn one_that_is_there_and_does_not_answer_is_given_up() {
        assert!(matches!(hears(1), WireError::Late(0)));
    }

    #[test]
    fn beats_without_end_are_an_error() {
        let beat = Frame::Beat.to_bytes().unwrap();
        let said = [preamble(), &beat.repeat(1001)].concat();
        let channel = Channel::open(
            io::Cursor::new(said),
            Box::new(io::sink()),
            Some(ANSWER_MAX),
        );
        assert!(matches!(channel.receive(), Err(WireError::Broken(_))));
    }
}
