//! A pipe between the task that serves a connection and the thread that reads: bytes are counted, not messages, so
//! that many small ones never hold up a connection.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So much may lie in a pipe that nobody reads; then whoever writes waits, and with it the connection.
const PIPE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was written, or the end came.
    filled: Condvar,
    /// Something was read, or the reader has gone.
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    ended: bool,
    abandoned: bool,
}

/// The end that a task writes to.
#[derive(Debug)]
pub(super) struct PipeWriter(Arc<Shared>);

/// The end that a thread reads from.
#[derive(Debug)]
pub(super) struct PipeReader(Arc<Shared>);

/// An empty pipe.
pub(super) fn pipe() -> (PipeWriter, PipeReader) {
    let shared = Arc::<Shared>::default();
    (PipeWriter(Arc::clone(&shared)), PipeReader(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PipeWriter {
    /// Writes all of it as soon as there is room; drops it when nobody will read it.
    pub(super) async fn write(&self, bytes: &[u8]) {
        loop {
            {
                let mut state = self.0.lock();
                if state.abandoned {
                    return;
                }
                if state.bytes.len() < PIPE_BYTES_MAX {
                    state.bytes.extend(bytes);
                    self.0.filled.notify_one();
                    return;
                }
            }
            self.0.drained.notified().await;
        }
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        self.0.lock().ended = true;
        self.0.filled.notify_one();
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.end();
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.lock();
        while state.bytes.is_empty() && !state.ended {
            let waited = self.0.filled.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let taken = state.bytes.read(buffer)?;
        drop(state);
        self.0.drained.notify_one();
        Ok(taken)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.abandoned = true;
        state.bytes = VecDeque::new();
        drop(state);
        self.0.drained.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    #[test]
    fn more_than_fits_arrives_in_order() {
        let (writer, mut reader) = pipe();
        let chunk: Vec<u8> = (0..=250).cycle().take(1_000_003).collect();
        let sent = chunk.clone();
        let writes = thread::spawn(move || {
            runtime().block_on(async {
                for _ in 0..10 {
                    writer.write(&sent).await;
                }
            });
        });
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        writes.join().unwrap();
        assert!(all == chunk.repeat(10));
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_gone() {
        let (writer, reader) = pipe();
        let full = vec![0; PIPE_BYTES_MAX];
        let writes = thread::spawn(move || {
            runtime().block_on(async {
                writer.write(&full).await;
                writer.write(&full).await;
            });
        });
        drop(reader);
        writes.join().unwrap();
    }
}
