//! A conversation over two streams of bytes: frames in both directions, beats while nothing is said.
//!
//! One thread reads, another sends beats; both end with the streams. Must not know what is said.

use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::frame::{Frame, WireError, pass_preamble, preamble};

/// How often each end says that it is there.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);

/// How long the other end may say nothing.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Frames that were read and not taken yet. More stay with the sender.
const FRAMES_WAITING_MAX: usize = 4;

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
        Self::open(reader, Box::new(writer), true)
    }

    /// The end that answers.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn far(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> Result<Self, WireError> {
        let channel = Self::open(reader, Box::new(writer), false);
        channel.writer.send(preamble()).map_err(WireError::Lost)?;
        Ok(channel)
    }

    fn open(
        reader: impl Read + Send + 'static,
        writer: Box<dyn Write + Send>,
        expects_preamble: bool,
    ) -> Self {
        let writer = Arc::new(Writer {
            stream: Mutex::new(writer),
            sent: AtomicU64::new(0),
        });
        let received = Arc::new(AtomicU64::new(0));
        let (sender, frames) = mpsc::sync_channel(FRAMES_WAITING_MAX);
        let counted = Counted {
            stream: reader,
            count: Arc::clone(&received),
        };
        thread::spawn(move || read_all(counted, expects_preamble, &sender));
        let (beats, ended) = mpsc::channel();
        let beating = Arc::clone(&writer);
        thread::spawn(move || beat(&beating, &ended));
        Self {
            frames,
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
    /// The other end is gone, silent, or breaks the protocol.
    pub fn receive(&self) -> Result<Frame, WireError> {
        loop {
            match self.frames.recv_timeout(SILENCE_MAX) {
                Ok(Ok(Frame::Beat)) => {}
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

fn read_all(
    stream: impl Read,
    expects_preamble: bool,
    sender: &SyncSender<Result<Frame, WireError>>,
) {
    let mut stream = BufReader::new(stream);
    if expects_preamble && let Err(error) = pass_preamble(&mut stream) {
        let _ = sender.send(Err(error));
        return;
    }
    loop {
        let frame = Frame::read(&mut stream);
        let is_last = frame.is_err();
        // Nobody waits for it when the channel is gone.
        if sender.send(frame).is_err() || is_last {
            return;
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
