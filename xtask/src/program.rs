//! The one place of `xtask` that starts other programs.
//!
//! A [`Program`] is an argument vector, never a shell line. Its failure names the whole command, so
//! that it can be repeated by hand.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A program with its arguments and environment, not yet started.
#[derive(Debug)]
pub(crate) struct Program(Command);

impl Program {
    /// A program by its name on the search path, or by its path.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the named place where xtask starts programs"
    )]
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        Self(Command::new(name))
    }

    /// The cargo that runs this very task, so that the toolchain is the same.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// Adds several arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.0.args(arguments);
        self
    }

    /// Sets an environment variable of the program.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Takes an environment variable away from the program.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// The directory in which the program starts.
    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.0.current_dir(path);
        self
    }

    /// The command as a person would type it.
    pub(crate) fn line(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// Runs the program in this terminal and insists that it succeeds.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self
            .0
            .status()
            .with_context(|| format!("cannot start `{}`", self.line()))?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.line());
        }
        Ok(())
    }

    /// Runs the program and returns what it wrote on standard output; what it wrote on standard error
    /// becomes part of the error when it fails.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self
            .0
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{}`", self.line()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`{}` ended with {}: {}",
                self.line(),
                output.status,
                said.trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// True if a program of this name lies on the search path.
pub(crate) fn is_installed(name: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// A word as a shell would need it.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:@,+%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let program = Program::new("git").args(["commit", "-m", "it's here", ""]);
        assert_eq!(program.line(), r"git commit -m 'it'\''s here' ''");
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = Program::new("sh")
            .args(["-c", "echo no such luck >&2; exit 3"])
            .output();
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("exit 3") && text.contains("no such luck"),
            "{text}"
        );
    }
}
