//! The way to the driver. It may be stopped or gone: nothing here waits for it, except to tell the end.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::Frame;

/// The driver's end of the socket, seen from here.
pub(super) struct Driver {
    channel: UnixStream,
    /// What is left of a line that was told when the driver had no room for all of it.
    unsent: Vec<u8>,
    /// False when its stream has ended: it has nothing to say any more.
    speaks: bool,
    cancels: bool,
}

impl Driver {
    /// Waits for the request of the driver.
    pub(super) fn hear(channel: UnixStream) -> io::Result<(Self, String)> {
        let mut reader = BufReader::new(channel);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let cancels = !reader.buffer().is_empty();
        let channel = reader.into_inner();
        channel.set_nonblocking(true)?;
        let driver = Self {
            channel,
            unsent: Vec::new(),
            speaks: true,
            cancels,
        };
        Ok((driver, request))
    }

    /// What becomes readable when it says something; none when it does not speak any more.
    pub(super) fn speech(&self) -> Option<BorrowedFd<'_>> {
        self.speaks.then(|| self.channel.as_fd())
    }

    /// True when it wants the end of the step: any byte says so. The end of its stream is only its own end.
    pub(super) fn cancels(&mut self) -> bool {
        if self.speaks && !self.cancels {
            match (&self.channel).read(&mut [0]) {
                Ok(0) => self.speaks = false,
                Ok(_) => self.cancels = true,
                Err(error) => {
                    let later = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
                    self.speaks = later.contains(&error.kind());
                }
            }
        }
        self.cancels
    }

    /// Tells the last line, if the driver has room for it now: one that does not read misses some.
    pub(super) fn tell_line(&mut self, line: &str) {
        if self.unsent.is_empty() {
            let frame = Frame::Line(line.to_owned());
            self.unsent = frame.to_bytes().unwrap_or_default();
        }
        while !self.unsent.is_empty() {
            match (&self.channel).write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It has no room, or is gone.
                Err(_) => return,
            }
        }
    }

    /// Tells the end, which is waited for: nothing is left that could last too long.
    pub(super) fn tell_end(&mut self, frame: &Frame) -> io::Result<()> {
        self.channel.set_nonblocking(false)?;
        self.channel.write_all(&self.unsent)?;
        self.channel.write_all(&frame.to_bytes()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::read_frame;

    fn driver() -> (Driver, UnixStream) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"request\n").unwrap();
        let (driver, request) = Driver::hear(theirs).unwrap();
        assert_eq!(request, "request\n");
        (driver, ours)
    }

    #[test]
    fn a_byte_cancels_and_the_end_of_the_stream_does_not() {
        let (mut step, mut ours) = driver();
        assert!(!step.cancels());
        ours.write_all(b"c").unwrap();
        assert!(step.cancels());
        let (mut step, ours) = driver();
        drop(ours);
        assert!(!step.cancels());
        assert!(step.speech().is_none());
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"request\nc").unwrap();
        assert!(Driver::hear(theirs).unwrap().0.cancels());
    }

    #[tokio::test]
    async fn a_driver_that_does_not_read_holds_nothing_up_and_misses_lines_only() {
        let (mut step, ours) = driver();
        let line = "x".repeat(200);
        for _ in 0..100_000 {
            step.tell_line(&line);
        }
        let end = Frame::not_started("the end".to_owned(), false);
        let told = end.clone();
        let telling = std::thread::spawn(move || step.tell_end(&told));
        ours.set_nonblocking(true).unwrap();
        let ours = tokio::net::UnixStream::from_std(ours).unwrap();
        let mut frames = tokio::io::BufReader::new(ours);
        loop {
            match read_frame(&mut frames).await.unwrap().unwrap() {
                Frame::Line(told) => assert_eq!(told, line),
                last => break assert_eq!(last, end),
            }
        }
        telling.join().unwrap().unwrap();
    }
}
