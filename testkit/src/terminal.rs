//! A terminal with a person at it: a program that asks is answered, and sees a terminal on all its streams.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::cluster::command;
use crate::wait_until;

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(60);

/// A program in a terminal of its own, which is its controlling one.
#[derive(Debug)]
pub struct Terminal {
    near: File,
    child: Child,
    said: String,
}

impl Terminal {
    /// Starts what the command says, with its arguments, environment and directory.
    ///
    /// # Errors
    /// There is no terminal, or `setsid` of util-linux is missing.
    pub fn start(program: &Command, columns: u16, rows: u16) -> Result<Self> {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let path = ptsname(&near, Vec::new())?;
        let far = open(
            path,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        resize(&far, columns, rows)?;
        // No program of ours can become the leader of a session without unsafe code.
        let mut start = command("setsid");
        start
            .args(["--ctty", "--wait"])
            .arg(program.get_program())
            .args(program.get_args());
        start.env_clear();
        for (name, value) in program.get_envs() {
            value.map(|value| start.env(name, value));
        }
        program
            .get_current_dir()
            .map(|folder| start.current_dir(folder));
        let child = start
            .stdin(far.try_clone()?)
            .stdout(far.try_clone()?)
            .stderr(far)
            .spawn()
            .context("cannot start setsid")?;
        Ok(Self {
            near: File::from(near),
            child,
            said: String::new(),
        })
    }

    /// Waits until the program has said that, behind what was waited for before; gives all that stands before it.
    ///
    /// # Errors
    /// It ends or is silent before it says so.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        loop {
            if let Some(place) = self.said.find(text) {
                let rest = self.said.split_off(place + text.len());
                let before = std::mem::replace(&mut self.said, rest);
                return Ok(before);
            }
            if !self.read()? {
                bail!("it ended without saying {text:?}: {}", self.said);
            }
        }
    }

    /// Types that.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        Ok(self.near.write_all(text.as_bytes())?)
    }

    /// True while the terminal does not show what is typed.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn hides_input(&self) -> Result<bool> {
        Ok(!tcgetattr(&self.near)?
            .local_modes
            .contains(LocalModes::ECHO))
    }

    /// Types that as soon as the terminal does not show what is typed.
    ///
    /// # Errors
    /// The terminal has gone, or shows it for ever.
    pub fn type_in_secret(&mut self, text: &str) -> Result<()> {
        let hides = || Ok(self.hides_input()?.then_some(()));
        wait_until("the terminal to hide what is typed", LIMIT, hides)?;
        self.type_in(text)
    }

    /// Changes the size of the terminal.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        resize(&self.near, columns, rows)
    }

    /// Waits for the end of the program; gives the rest that it said.
    ///
    /// # Errors
    /// It does not end.
    pub fn finish(&mut self) -> Result<(ExitStatus, String)> {
        while self.read()? {}
        let status = self.child.wait()?;
        Ok((status, std::mem::take(&mut self.said)))
    }

    /// Takes what comes. False at the end.
    fn read(&mut self) -> Result<bool> {
        let limit = Timespec::try_from(LIMIT)?;
        let mut watched = [PollFd::new(&self.near, PollFlags::IN)];
        if poll(&mut watched, Some(&limit))? == 0 {
            bail!(
                "it says nothing for {} s after {}",
                LIMIT.as_secs(),
                self.said
            );
        }
        let mut buffer = [0; 4096];
        // The kernel says EIO when the last one at the other end has gone.
        let count = self.near.read(&mut buffer).unwrap_or_default();
        let bytes = buffer.get(..count).unwrap_or_default();
        self.said.push_str(&String::from_utf8_lossy(bytes));
        Ok(count > 0)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &impl std::os::fd::AsFd, columns: u16, rows: u16) -> Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered() {
        let mut asks = command("sh");
        asks.args([
            "-c",
            "tty -s && stty size; printf 'name? ' >/dev/tty; read name; echo hello $name; exit 3",
        ]);
        asks.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let mut terminal = Terminal::start(&asks, 90, 20).unwrap();
        assert!(terminal.wait_for("name? ").unwrap().starts_with("20 90"));
        terminal.type_in("you\n").unwrap();
        terminal.wait_for("hello you").unwrap();
        assert_eq!(terminal.finish().unwrap().0.code(), Some(3));
    }
}
