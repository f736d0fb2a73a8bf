//! Finds and reads the log files of a release, the ones that were set aside for their size included.

use std::fs;
use std::path::{Path, PathBuf};

use names::ReleaseId;

use super::{Line, Stream, parse};
use crate::command_error::CommandError;

/// The name that is shown for the pod's own log.
pub(crate) const POD: &str = "<pod>";

/// One log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// The unit, or `<pod>`.
    pub(crate) name: String,
    /// The stream.
    pub(crate) stream: Stream,
    /// When it was set aside; the one that is being written has none.
    rotated: Option<u64>,
}

/// All log files of a release, oldest first for each unit. A release that never ran has none.
pub(crate) fn find(directory: &Path, release: &ReleaseId) -> Result<Vec<LogFile>, CommandError> {
    let failed = |error| {
        CommandError::files(
            format!("could not list the logs in {}", directory.display()),
            error,
        )
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        files.extend(log_file(
            &entry.path(),
            &entry.file_name().to_string_lossy(),
            release,
        ));
    }
    // The file that is being written comes after those that were set aside.
    files.sort_by_key(|file| {
        (
            file.name.clone(),
            file.stream,
            file.rotated.unwrap_or(u64::MAX),
        )
    });
    Ok(files)
}

/// `UNIT-POD-VERSION-stdout.log`, `POD-VERSION-stderr.log`, either with `.UNIXSECONDS` behind.
fn log_file(path: &Path, name: &str, release: &ReleaseId) -> Option<LogFile> {
    let (rest, rotated) = match name.strip_suffix(".log") {
        Some(rest) => (rest, None),
        None => {
            let (rest, seconds) = name.rsplit_once(".log.")?;
            (rest, Some(seconds.parse().ok()?))
        }
    };
    let stream = [Stream::Stdout, Stream::Stderr]
        .into_iter()
        .find(|stream| rest.ends_with(stream.as_str()))?;
    let rest = rest.strip_suffix(stream.as_str())?.strip_suffix('-')?;
    let unit = rest.strip_suffix(&format!("{}-{}", release.pod, release.version))?;
    let name = if unit.is_empty() {
        POD.to_owned()
    } else {
        unit.strip_suffix('-')?.to_owned()
    };
    Some(LogFile {
        path: path.to_owned(),
        name,
        stream,
        rotated,
    })
}

impl LogFile {
    /// Its lines.
    pub(crate) fn lines(&self) -> Result<Vec<Line>, CommandError> {
        let bytes = fs::read(&self.path).map_err(|error| {
            CommandError::files(format!("could not read {}", self.path.display()), error)
        })?;
        let mut lines: Vec<Line> = Vec::new();
        for text in String::from_utf8_lossy(&bytes).lines() {
            let line = parse(text, &self.name, self.stream, lines.last());
            lines.push(line);
        }
        Ok(lines)
    }

    /// False when the file was set aside before that time, so that all of its lines are older.
    pub(crate) fn may_reach(&self, since: i64) -> bool {
        self.rotated
            .and_then(|seconds| i64::try_from(seconds).ok())
            .is_none_or(|seconds| seconds >= since)
    }

    /// True for the pod's own log.
    pub(crate) fn is_of_pod(&self) -> bool {
        self.name == POD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_log_files() {
        let release: ReleaseId = "web:1.0.0-rc1".parse().unwrap();
        let check = |name: &str, expected: Option<(&str, Stream, Option<u64>)>| {
            let found = log_file(Path::new(name), name, &release);
            let found = found
                .as_ref()
                .map(|file| (file.name.as_str(), file.stream, file.rotated));
            assert_eq!(found, expected, "{name}");
        };
        check(
            "main-web-1.0.0-rc1-stdout.log",
            Some(("main", Stream::Stdout, None)),
        );
        check(
            "main-web-1.0.0-rc1-stderr.log.1700000000",
            Some(("main", Stream::Stderr, Some(1_700_000_000))),
        );
        check(
            "web-1.0.0-rc1-stderr.log",
            Some(("<pod>", Stream::Stderr, None)),
        );
        for name in [
            "main-web-1.0.0-stdout.log",
            "main-web-1.0.0-rc1.log",
            "notes.txt",
            "main-web-1.0.0-rc1-stdout.log.old",
        ] {
            check(name, None);
        }
    }
}
