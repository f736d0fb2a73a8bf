//! What a step tells its driver: one line of JSON for each frame, and behind the last one the bytes that
//! the program wrote.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// No frame is longer, without the bytes behind it.
const LINE_BYTES_MAX: u64 = 65_536;
/// No stream is longer: head, tail and the line between them.
const STREAM_BYTES_MAX: usize = 5 << 20;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// By itself, with this status; 128 + signal number when a signal ended it.
    Exited(i32),
    /// It had no more time.
    Late,
    /// It wrote nothing for too long.
    Silent,
    /// The driver wanted it.
    Cancelled,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The last line that the program wrote, now and then.
    Line(String),
    /// The program could not be executed.
    NotStarted {
        /// Why.
        message: String,
        /// True when there is no such program.
        is_not_found: bool,
    },
    /// The program has ended.
    End {
        /// How.
        ending: Ending,
        /// The last line that it wrote.
        last_line: String,
        /// True when nothing of the standard output had to be left out.
        is_whole: bool,
        /// Standard output: its head and its tail.
        stdout: Vec<u8>,
        /// Standard error, likewise.
        stderr: Vec<u8>,
    },
}

/// A frame without its bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Head {
    Line(String),
    NotStarted {
        message: String,
        is_not_found: bool,
    },
    End {
        ending: Ending,
        last_line: String,
        is_whole: bool,
        stdout_bytes: usize,
        stderr_bytes: usize,
    },
}

impl Frame {
    pub(super) fn not_started(message: String, is_not_found: bool) -> Self {
        Self::NotStarted {
            message,
            is_not_found,
        }
    }

    /// The frame as it is sent.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let head = match self {
            Self::Line(line) => Head::Line(line.clone()),
            Self::NotStarted {
                message,
                is_not_found,
            } => Head::NotStarted {
                message: message.clone(),
                is_not_found: *is_not_found,
            },
            Self::End {
                ending,
                last_line,
                is_whole,
                stdout,
                stderr,
            } => Head::End {
                ending: *ending,
                last_line: last_line.clone(),
                is_whole: *is_whole,
                stdout_bytes: stdout.len(),
                stderr_bytes: stderr.len(),
            },
        };
        let mut bytes = serde_json::to_vec(&head)?;
        bytes.push(b'\n');
        if let Self::End { stdout, stderr, .. } = self {
            bytes.extend_from_slice(stdout);
            bytes.extend_from_slice(stderr);
        }
        Ok(bytes)
    }
}

/// Reads the next frame; none when the step was killed.
///
/// # Errors
/// What came is no frame.
pub async fn read_frame(channel: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut line = Vec::new();
    (&mut *channel)
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .await?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(match serde_json::from_slice(&line)? {
        Head::Line(line) => Frame::Line(line),
        Head::NotStarted {
            message,
            is_not_found,
        } => Frame::NotStarted {
            message,
            is_not_found,
        },
        Head::End {
            ending,
            last_line,
            is_whole,
            stdout_bytes,
            stderr_bytes,
        } => Frame::End {
            ending,
            last_line,
            is_whole,
            stdout: read_bytes(channel, stdout_bytes).await?,
            stderr: read_bytes(channel, stderr_bytes).await?,
        },
    }))
}

async fn read_bytes(
    channel: &mut (impl AsyncBufRead + Unpin),
    length: usize,
) -> io::Result<Vec<u8>> {
    if length > STREAM_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a stream of {length} bytes was announced"),
        ));
    }
    let mut bytes = vec![0; length];
    channel.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_arrive_as_they_were_sent() {
        let frames = [
            Frame::Line("10 %".into()),
            Frame::not_started("no such file".into(), true),
            Frame::End {
                ending: Ending::Exited(3),
                last_line: "x".into(),
                is_whole: false,
                stdout: b"out\n".to_vec(),
                stderr: Vec::new(),
            },
            Frame::Line("after".into()),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            bytes.extend(frame.to_bytes().unwrap());
        }
        let mut reader = &bytes[..];
        for frame in frames {
            assert_eq!(read_frame(&mut reader).await.unwrap(), Some(frame));
        }
        assert_eq!(read_frame(&mut reader).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_cut_short_or_too_long_is_refused() {
        for bytes in [
            &b"{"[..],
            b"{\"line\":1}\n",
            b"{\"end\":{\"ending\":\"late\",\"lastLine\":\"\",\"isWhole\":true,\"stdoutBytes\":9,\"stderrBytes\":0}}\nshort",
            b"{\"end\":{\"ending\":\"late\",\"lastLine\":\"\",\"isWhole\":true,\"stdoutBytes\":99999999,\"stderrBytes\":0}}\n",
        ] {
            assert!(read_frame(&mut &bytes[..]).await.is_err());
        }
    }
}
