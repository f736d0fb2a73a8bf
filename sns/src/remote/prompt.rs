//! A question on the terminal whose answer nobody sees.
//!
//! Ctrl-C ends `sns` as it does elsewhere, but not before the terminal shows again what is typed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The terminal of this process, wherever its streams lead.
const TERMINAL: &str = "/dev/tty";

/// Longer than any answer. Reserved at once: a text that grows would leave copies behind.
const ANSWER_BYTES_MAX: usize = 1024;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACES: [u8; 2] = [0x08, 0x7f];
const KILL_LINE: u8 = 0x15;

/// Asks, and gives what was typed before Enter.
///
/// # Errors
/// There is no terminal, it has gone, or nobody wants to answer.
pub(super) fn ask(question: &str) -> io::Result<Zeroizing<String>> {
    let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL)?;
    let hidden = Hidden::of(&terminal)?;
    (&terminal).write_all(question.as_bytes())?;
    let answer = line(&mut &terminal);
    // What follows begins on a line of its own.
    let _ = (&terminal).write_all(b"\n");
    drop(hidden);
    if answer
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
    {
        let _ = kill_process(getpid(), Signal::INT);
    }
    answer
}

fn line(terminal: &mut impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut answer = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    loop {
        let mut byte = [0];
        if terminal.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match byte {
            [b'\r' | b'\n'] => break,
            [INTERRUPT] => return Err(io::ErrorKind::Interrupted.into()),
            [END] if answer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            [KILL_LINE] => answer.clear(),
            [typed] if BACKSPACES.contains(&typed) => take_back(&mut answer),
            [typed] if answer.len() < ANSWER_BYTES_MAX => answer.push(typed),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    let text = str::from_utf8(&answer).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Takes back the last character, which may be of several bytes.
fn take_back(answer: &mut Vec<u8>) {
    while let Some(byte) = answer.pop() {
        if byte & 0b1100_0000 != 0b1000_0000 {
            break;
        }
    }
}

/// A terminal that does not show what is typed and gives each key at once, until this is dropped.
struct Hidden<'a> {
    terminal: &'a File,
    former: Termios,
}

impl<'a> Hidden<'a> {
    fn of(terminal: &'a File) -> io::Result<Self> {
        let former = tcgetattr(terminal)?;
        let mut hidden = former.clone();
        hidden.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Now, &hidden)?;
        Ok(Self { terminal, former })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.former);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_take_back() {
        let check = |typed: &[u8], expected: Option<&str>| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(typed).unwrap();
            io::Seek::rewind(&mut file).unwrap();
            let answer = line(&mut file).ok();
            assert_eq!(answer.as_ref().map(|answer| answer.as_str()), expected);
        };
        check(b"open sesame\n", Some("open sesame"));
        check(b"ab\x7f\x08c\r", Some("c"));
        check("aé\u{7f}b\n".as_bytes(), Some("ab"));
        check(b"wrong\x15right\n", Some("right"));
        check(b"\n", Some(""));
        check(b"ab\x03", None);
        check(b"\x04", None);
        check(b"no end", None);
        check(&[b'x'; 2000], None);
    }
}
