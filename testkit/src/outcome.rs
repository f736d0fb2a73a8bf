//! What one run of a program gave, in the form that snapshots compare.

use std::fmt;
use std::process::{Command, Output};

use anyhow::{Context as _, Result};

/// Exit status, standard output and standard error of a program that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status; -1 when a signal ended the program.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Runs a prepared command to its end.
    ///
    /// # Errors
    /// The program cannot be started. That it fails is an outcome, not an error.
    pub fn of(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let output = command
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self::from(&output))
    }

    /// Standard output of a run that must have succeeded.
    ///
    /// # Errors
    /// It failed; the error shows the whole outcome.
    pub fn success(self) -> Result<String> {
        anyhow::ensure!(self.code == 0, "the program failed:\n{self}");
        Ok(self.stdout)
    }
}

impl From<&Output> for Outcome {
    fn from(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
        } = self;
        writeln!(
            f,
            "exit status: {code}\n--- stdout\n{stdout}--- stderr\n{stderr}---"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_shows_status_and_both_streams() {
        let outcome = Outcome {
            code: 2,
            stdout: "out\n".into(),
            stderr: "err\n".into(),
        };
        assert_eq!(
            outcome.to_string(),
            "exit status: 2\n--- stdout\nout\n--- stderr\nerr\n---\n"
        );
        assert!(outcome.success().unwrap_err().to_string().contains("err"));
    }
}
