//! Socket → process → name, read from `/proc`. What belongs to another user cannot be read: then his name is
//! all that is known.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use names::ReleaseId;

use super::table::{Listener, listeners};
use crate::owner;
use crate::process::family_of;

/// No process has more of its descriptors looked at.
const DESCRIPTORS_MAX: usize = 65_536;

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// A process of a native unit of a pod.
    Unit {
        id: ReleaseId,
        unit: String,
        pid: u32,
    },
    /// Another process.
    Process { name: String, pid: u32 },
    /// A process that this user cannot look at, of that one.
    OfUser(u32),
    /// Nobody can say.
    Unknown,
}

impl Holder {
    /// Who listens there now.
    pub(super) fn of(proc: &Path, wanted: SocketAddr) -> Self {
        let tables = ["net/tcp", "net/tcp6"].map(|name| fs::read_to_string(proc.join(name)));
        let tables = tables.into_iter().flatten().collect::<String>();
        // One for exactly this address says more than one for all.
        let holding = || listeners(&tables).filter(|listener| listener.holds(wanted));
        let exact = holding().find(|listener| listener.address == wanted);
        let Some(listener) = exact.or_else(|| holding().next()) else {
            return Self::Unknown;
        };
        match process_of(proc, &listener) {
            Some(pid) => Self::of_process(proc, pid),
            None => Self::OfUser(listener.uid),
        }
    }

    fn of_process(proc: &Path, pid: u32) -> Self {
        if let Some((id, unit)) = unit_of(proc, pid) {
            return Self::Unit { id, unit, pid };
        }
        let name = fs::read_to_string(proc.join(pid.to_string()).join("comm"));
        let name = name.unwrap_or_default();
        let name = name.trim().replace(char::is_control, "?");
        let of_container = (name == "conmon")
            .then(|| container_of(proc, pid))
            .flatten();
        let name =
            of_container.map_or(name, |container| format!("conmon of container {container}"));
        Self::Process { name, pid }
    }
}

/// A process that has a descriptor of the socket; the one with the lowest number, since others may have
/// inherited it.
fn process_of(proc: &Path, listener: &Listener) -> Option<u32> {
    let socket = format!("socket:[{}]", listener.inode);
    let entries = fs::read_dir(proc).ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let descriptors = fs::read_dir(proc.join(pid.to_string()).join("fd"));
        let mut descriptors = descriptors
            .into_iter()
            .flatten()
            .flatten()
            .take(DESCRIPTORS_MAX);
        descriptors.any(|descriptor| {
            fs::read_link(descriptor.path())
                .is_ok_and(|target| target.as_os_str() == socket.as_str())
        })
    })
    .min()
}

/// The unit whose shim leads the session of the process.
fn unit_of(proc: &Path, pid: u32) -> Option<(ReleaseId, String)> {
    let session = family_of(pid).ok()?.session;
    let line = fs::read_to_string(proc.join(session.to_string()).join("cmdline")).ok()?;
    let mut words = line.split('\0').skip(1);
    let (shim, id, unit) = (words.next()?, words.next()?, words.next()?);
    (shim == "shim").then_some(())?;
    Some((id.parse().ok()?, unit.to_owned()))
}

/// The container that podman's monitor looks after: the word after `-n`.
fn container_of(proc: &Path, pid: u32) -> Option<String> {
    let line = fs::read_to_string(proc.join(pid.to_string()).join("cmdline")).ok()?;
    let mut words = line.split('\0').skip_while(|word| *word != "-n");
    let name = words.nth(1)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.chars().all(is_name).then(|| name.to_owned())
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit { id, unit, pid } => write!(f, "unit {unit} of pod {id} (process {pid})"),
            Self::Process { name, pid } => write!(f, "{name} (process {pid})"),
            Self::OfUser(uid) => write!(f, "a process of {}", owner::describe(*uid)),
            Self::Unknown => f.write_str("another program"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_in_words() {
        let check = |holder: Holder, expected: &str| assert_eq!(holder.to_string(), expected);
        let id = "web:1.0.0".parse().unwrap();
        let unit = "main".to_owned();
        check(
            Holder::Unit { id, unit, pid: 12 },
            "unit main of pod web:1.0.0 (process 12)",
        );
        let name = "haproxy".to_owned();
        check(
            Holder::Process { name, pid: 4711 },
            "haproxy (process 4711)",
        );
        check(Holder::OfUser(0), "a process of user root");
        check(Holder::Unknown, "another program");
    }

    #[test]
    fn the_monitor_of_a_container_names_it() {
        let proc = tempfile::tempdir().unwrap();
        let directory = proc.path().join("4711");
        fs::create_dir(&directory).unwrap();
        let check = |line: &[u8], expected: &str| {
            hostfiles::replace(&directory.join("comm"), b"conmon\n", 0o644).unwrap();
            hostfiles::replace(&directory.join("cmdline"), line, 0o644).unwrap();
            let name = format!("{expected} (process 4711)");
            let holder = Holder::of_process(proc.path(), 4711);
            assert_eq!(holder.to_string(), name);
        };
        check(
            b"conmon\0-c\0abc\0-n\0web-infra\0-l\0x",
            "conmon of container web-infra",
        );
        check(b"conmon\0-n\0a\x1bb\0", "conmon");
        check(b"conmon\0", "conmon");
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_has_a_user() {
        let proc = tempfile::tempdir().unwrap();
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n";
        fs::create_dir(proc.path().join("net")).unwrap();
        hostfiles::replace(&proc.path().join("net/tcp"), line.as_bytes(), 0o644).unwrap();
        let of = |address: &str| Holder::of(proc.path(), address.parse().unwrap());
        assert_eq!(of("127.0.0.1:8080"), Holder::OfUser(0));
        assert_eq!(of("127.0.0.1:8081"), Holder::Unknown);
    }
}
