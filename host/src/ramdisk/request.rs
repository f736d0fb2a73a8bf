//! What a worker may ask of root, as one line, and root's answer, as another.
//!
//! ```text
//! create web:1.0.0 cache 64     a ramdisk of 64 MiB          done
//! remove web:1.0.0 cache        none any more                refused TEXT
//! ```
//! The host home is not named: root knows whose line it reads. Anything else is refused.

use std::fmt;
use std::str::FromStr;

use names::{ReleaseId, VolumeName};

/// A line is no longer than this, in bytes.
pub(super) const LINE_MAX: usize = 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// There should be this ramdisk, of that many MiB.
    Create(ReleaseId, VolumeName, u32),
    /// There should be none.
    Remove(ReleaseId, VolumeName),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(release, name, size_mib) => {
                write!(f, "create {release} {name} {size_mib}")
            }
            Self::Remove(release, name) => write!(f, "remove {release} {name}"),
        }
    }
}

/// A line that is no request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a request: expected `create POD:VERSION NAME MIB` or `remove POD:VERSION NAME`")]
pub(super) struct NotARequest;

impl FromStr for Request {
    type Err = NotARequest;

    fn from_str(line: &str) -> Result<Self, NotARequest> {
        let words: Vec<&str> = line.split(' ').collect();
        let release = |word: &str| word.parse::<ReleaseId>().map_err(|_| NotARequest);
        let volume = |word: &str| word.parse::<VolumeName>().map_err(|_| NotARequest);
        match words.as_slice() {
            ["create", id, name, size] => {
                let size_mib = size.parse().ok().filter(|size| *size > 0);
                Ok(Self::Create(
                    release(id)?,
                    volume(name)?,
                    size_mib.ok_or(NotARequest)?,
                ))
            }
            ["remove", id, name] => Ok(Self::Remove(release(id)?, volume(name)?)),
            _ => Err(NotARequest),
        }
    }
}

/// The answer as a line without its end.
pub(super) fn answer(done: &Result<(), String>) -> String {
    match done {
        Ok(()) => "done".into(),
        Err(why) => {
            let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
            format!("refused {why}")
        }
    }
}

/// What an answer says; none when it is no answer.
pub(super) fn read_answer(line: &str) -> Option<Result<(), String>> {
    if line == "done" {
        return Some(Ok(()));
    }
    line.strip_prefix("refused ").map(|why| Err(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for line in ["create web:1.0.0 cache 64", "remove web:1.0.0-beta1 ab"] {
            assert_eq!(line.parse::<Request>().unwrap().to_string(), line);
        }
        for done in [Ok(()), Err("no room".to_owned())] {
            assert_eq!(read_answer(&answer(&done)), Some(done));
        }
        assert_eq!(answer(&Err("a\nb".into())), "refused ab");
        assert_eq!(read_answer("perhaps"), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "create",
            "create web:1.0.0 cache",
            "create web:1.0.0 cache 0",
            "create web:1.0.0 cache -1",
            "create web:1.0.0 cache 99999999999",
            "create web:1.0.0 cache 64 /etc",
            "create web:1.0.0 ../../etc 64",
            "create ../web:1.0.0 cache 64",
            "create web:../../.. cache 64",
            "create web cache 64",
            "create web:1.0.0 . 64",
            "create  web:1.0.0 cache 64",
            "remove web:1.0.0 a/b",
            "CREATE web:1.0.0 cache 64",
            "create web:1.0.0 cache 64\0",
        ] {
            assert_eq!(line.parse::<Request>(), Err(NotARequest), "{line}");
        }
    }
}
