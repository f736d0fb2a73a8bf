//! Output that is kept: it becomes a file of the release, and nobody is told more than its size and digest.

use std::io;

use simplenetes_plugin::{Answer, Kept, Step};

use super::{StepError, StepRunner};

/// Only its owner reads what is kept: it may be a key.
const MODE: u32 = 0o600;

impl StepRunner {
    /// Puts what a command wrote into a file. One that failed leaves the file as it was; what it wrote is
    /// lost. `is_whole` is false when the runner had to leave something out.
    pub(super) async fn keep(
        &self,
        path: &str,
        answer: Answer,
        is_whole: bool,
    ) -> Result<Answer, StepError> {
        let Answer {
            exit,
            stdout,
            stderr,
            ..
        } = answer;
        let kept = match (exit, is_whole) {
            (0, true) => {
                let kept = Kept::of(&stdout);
                self.change(Step::Write {
                    path: path.to_owned(),
                    content: stdout,
                    mode: MODE,
                })
                .await?;
                kept
            }
            (0, false) => {
                return Err(StepError::Path {
                    what: "keep the output in",
                    path: path.to_owned(),
                    source: io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 4 MiB"),
                });
            }
            _ => Kept::of(&[]),
        };
        Ok(Answer {
            exit,
            stdout: Vec::new(),
            stderr,
            kept: Some(kept),
        })
    }
}
