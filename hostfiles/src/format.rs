//! What all formats have in common: text in, value out; value in, text out; and reading with a bound.
//!
//! Must not know any particular format.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::{ReplaceError, replace};

/// Largest file that is read as one of these formats, in bytes. All of them are small; something larger
/// is not one of them.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One kind of file: its name for people, its parser and its printer.
///
/// `parse(to_text(value))` gives `value` again for every value that can be read.
pub trait Format: Sized {
    /// What the file is called in messages, as in `hosts.conf`.
    const NAME: &'static str;

    /// The value of a whole file.
    ///
    /// # Errors
    /// The text is not a whole file of this kind.
    fn parse(text: &str) -> Result<Self, FormatError>;

    /// The whole text of the file.
    fn to_text(&self) -> String;
}

/// A text that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: found `{found}`, expected {expected}", place(file, *line))]
pub struct FormatError {
    /// The kind of file, as in `hosts.conf`.
    pub file: &'static str,
    /// The line at fault, counted from 1; none when the whole file is at fault.
    pub line: Option<usize>,
    /// What stands there, shortened.
    pub found: String,
    /// What should stand there.
    pub expected: String,
}

fn place(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}, line {line}"))
}

/// Longest piece of a foreign text that a message repeats, in characters.
const FOUND_CHARS_MAX: usize = 80;

impl FormatError {
    /// An error of format `F` at a line (from 1).
    #[must_use]
    pub fn at<F: Format>(line: usize, found: &str, expected: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            ..Self::whole::<F>(found, expected)
        }
    }

    /// An error of format `F` about the whole file.
    #[must_use]
    pub fn whole<F: Format>(found: &str, expected: impl Into<String>) -> Self {
        let mut short: String = found.chars().take(FOUND_CHARS_MAX).map(visible).collect();
        if short.len() < found.len() {
            short.push('…');
        }
        Self {
            file: F::NAME,
            line: None,
            found: short,
            expected: expected.into(),
        }
    }
}

/// Control characters of a foreign file must not reach a terminal.
fn visible(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system said no.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The file is too large or no UTF-8 text.
    #[error("{} is no {kind}: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The kind of file that was expected.
        kind: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The text is not of the format.
    #[error("cannot understand {}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: FormatError,
    },
}

impl ReadError {
    /// The file that could not be read.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Foreign { path, .. } | Self::Format { path, .. } => path,
        }
    }
}

/// Reads a whole file of format `F`.
///
/// # Errors
/// The file is absent, unreadable, larger than [`FILE_BYTES_MAX`], not UTF-8, or not of the format.
pub fn read<F: Format>(path: &Path) -> Result<F, ReadError> {
    read_with_text(path).map(|(value, _)| value)
}

/// Reads a whole file of format `F`, and gives the text that was understood with it, for whoever passes it on.
///
/// # Errors
/// As [`read`].
pub fn read_with_text<F: Format>(path: &Path) -> Result<(F, String), ReadError> {
    let text = text::<F>(path)?;
    match F::parse(&text) {
        Ok(value) => Ok((value, text)),
        Err(source) => Err(ReadError::Format {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads a file of format `F` that may be absent.
///
/// # Errors
/// As [`read`], except that an absent file is `None`.
pub fn read_if_present<F: Format>(path: &Path) -> Result<Option<F>, ReadError> {
    present(read(path))
}

/// Makes of a file that is absent no error.
///
/// # Errors
/// Every other one.
pub fn present<T>(result: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file by the text of a value, readable by all (mode 0644). Gives true if it changed.
///
/// # Errors
/// See [`replace()`].
pub fn write<F: Format>(path: &Path, value: &F) -> Result<bool, ReplaceError> {
    replace(path, value.to_text().as_bytes(), 0o644)
}

fn text<F: Format>(path: &Path) -> Result<String, ReadError> {
    let io = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let foreign = |why: String| ReadError::Foreign {
        path: path.to_owned(),
        kind: F::NAME,
        why,
    };
    let file = File::open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(foreign("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(foreign(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        foreign(format!(
            "byte {} is not UTF-8",
            error.utf8_error().valid_up_to()
        ))
    })
}
