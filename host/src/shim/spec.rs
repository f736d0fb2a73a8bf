//! What the driver tells a shim, and what the shim answers: one line of JSON each way.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use hostfiles::ReleaseDir;
use names::{ReleaseId, UnitName};
use serde::{Deserialize, Serialize};

use super::Detached;
use crate::cgroup::Group;
use crate::gate::Launch;

/// What a shim should start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShimSpec {
    /// The directory of the release.
    #[serde(with = "release_path")]
    pub release: ReleaseDir,
    /// Pod and version.
    pub id: ReleaseId,
    /// The unit.
    pub unit: UnitName,
    /// Which start of the unit this is.
    pub start_count: u32,
    /// The address that its ports are bound to.
    pub address: Option<IpAddr>,
    /// What the unit executes.
    pub launch: Launch,
    /// How the unit is found when the program leaves it to another parent; none when it is the unit.
    #[serde(default)]
    pub detached: Option<Detached>,
    /// The control group that the unit runs in; none when nothing limits it.
    #[serde(default)]
    pub group: Option<Group>,
}

impl ShimSpec {
    /// The log file of one of the streams `stdout` and `stderr`.
    #[must_use]
    pub fn log_file(&self, stream: &str) -> PathBuf {
        log_file(&self.release, &self.id, &self.unit, stream)
    }
}

/// The log file of one stream of a unit.
pub(crate) fn log_file(
    release: &ReleaseDir,
    id: &ReleaseId,
    unit: &UnitName,
    stream: &str,
) -> PathBuf {
    let name = format!("{unit}-{}-{}-{stream}.log", id.pod, id.version);
    release.log_dir().join(name)
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The process of the unit.
    pub pid: Option<u32>,
    /// Why there is none.
    pub error: Option<String>,
}

impl Answer {
    /// Sends the answer. A driver that is gone does not matter: it finds the records.
    pub(super) fn send(&self, channel: &mut impl Write) {
        if let Ok(mut line) = serde_json::to_string(self) {
            line.push('\n');
            let _ = channel.write_all(line.as_bytes());
        }
    }
}

mod release_path {
    use hostfiles::ReleaseDir;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::path::PathBuf;

    pub(super) fn serialize<S: Serializer>(
        release: &ReleaseDir,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        release.path().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ReleaseDir, D::Error> {
        PathBuf::deserialize(deserializer).map(ReleaseDir::new)
    }
}
