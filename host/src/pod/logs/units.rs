//! Which units a pod has that is a program of its own: nobody says so but the names of its log files.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hostfiles::ReleaseDir;
use names::{ReleaseId, UnitName};

use super::{Logs, STREAMS};
use crate::pod::PodError;

/// The logs of a release whose pod is a program: where it lies says which one it is.
pub(super) fn of_program(file: PathBuf) -> Result<Logs, PodError> {
    let Some((id, directory)) = release(&file) else {
        return Err(PodError::Nowhere(file));
    };
    let release = ReleaseDir::new(directory);
    let logs = release.log_dir();
    let units = match fs::read_dir(&logs) {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| unit(entry.file_name().to_str()?, &id))
            .collect::<BTreeSet<UnitName>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => return Err(PodError::Unreadable(logs, error)),
    };
    Ok(Logs {
        release,
        id,
        units: units.into_iter().collect(),
    })
}

/// `…/POD/release/VERSION/pod`, where the directories may be hidden behind a link or `..`.
fn release(file: &Path) -> Option<(ReleaseId, PathBuf)> {
    let directory = file.parent().filter(|parent| *parent != Path::new(""));
    let directory = fs::canonicalize(directory.unwrap_or(Path::new("."))).ok()?;
    let version = directory.file_name()?.to_str()?;
    let pod = directory.parent()?.parent()?.file_name()?.to_str()?;
    let id = format!("{pod}:{version}").parse().ok()?;
    Some((id, directory))
}

/// The unit of `UNIT-POD-VERSION-stdout.log`, perhaps with `.UNIXSECONDS` behind; none for the pod's own log.
fn unit(name: &str, id: &ReleaseId) -> Option<UnitName> {
    let own = |stream: &str| format!("-{}-{}-{stream}.log", id.pod, id.version);
    let (unit, end) = STREAMS
        .into_iter()
        .find_map(|stream| name.split_once(own(stream).as_str()))?;
    let is_log = end.is_empty() || end.strip_prefix('.')?.parse::<u64>().is_ok();
    is_log.then(|| unit.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_that_have_logs() {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("web/release/1.0.0-rc1");
        let put = |name: &str, text: &str| {
            hostfiles::replace(&release.join(name), text.as_bytes(), 0o755).unwrap();
        };
        fs::create_dir_all(release.join("log")).unwrap();
        put("pod", "#!/bin/sh\nexit 9\n");
        for name in [
            "main-web-1.0.0-rc1-stdout.log",
            "side-web-1.0.0-rc1-stderr.log.1700000000",
            "web-1.0.0-rc1-stdout.log",
            "old-web-1.0.0-stdout.log",
            "main-web-1.0.0-rc1.log",
            "torn-web-1.0.0-rc1-stdout.log.tmp",
            "notes.txt",
        ] {
            put(&format!("log/{name}"), "100 0 line\n");
        }
        let logs = of_program(release.join("pod")).unwrap();
        let units: Vec<&str> = logs.units.iter().map(UnitName::as_str).collect();
        assert_eq!(
            (logs.id.to_string().as_str(), units),
            ("web:1.0.0-rc1", vec!["main", "side"])
        );
    }

    #[test]
    fn a_program_elsewhere_is_no_release() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pod");
        hostfiles::replace(&file, b"#!/bin/sh\n", 0o755).unwrap();
        assert!(matches!(of_program(file), Err(PodError::Nowhere(_))));
    }
}
