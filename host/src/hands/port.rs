//! A host port that somebody else holds, after something has failed: told in front of what the failed
//! program said, because it is the reason.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use names::UnitName;
use podspec::{CompiledPod, Unit};
use tokio::task::spawn_blocking;

use super::Hands;
use crate::life::Trouble;
use crate::port::taken;
use crate::scan::read_pod;

/// What programs say, in capitals and not, of a port that is not free (`EADDRINUSE`).
const IN_USE: &str = "address already in use";
/// So much of a log is read to find that.
const TAIL_BYTES_MAX: u64 = 64 * 1024;

impl Hands {
    /// The port of a unit that has ended which somebody holds: nothing of the unit is left that could. The ports
    /// of a detached unit may be held by its pod; they count only when it has complained of them since it was
    /// started, in that second.
    pub(super) async fn port_taken_from(
        &self,
        unit: &UnitName,
        detached_since_s: Option<u64>,
    ) -> Option<String> {
        if let Some(since_s) = detached_since_s
            && !has_complained(&self.stderr_log(unit), since_s)
        {
            return None;
        }
        let spec = read_pod(self.id(), &self.release().run_dir().join("pod")).ok()?;
        self.taken(self.ports(spec.unit(unit)?)).await
    }

    /// Some kinds publish the ports of a pod themselves, all before its first unit starts. Only when the
    /// port is what they have complained of since this second: those of a pod that is half there are held by
    /// the pod itself.
    pub(super) async fn name_holder(
        &self,
        spec: &CompiledPod,
        unit: Option<&UnitName>,
        since_s: u64,
        trouble: &mut Trouble,
    ) {
        let log = unit.map(|unit| self.stderr_log(unit));
        let complains = trouble.message.to_lowercase().contains(IN_USE)
            || log.is_some_and(|log| has_complained(&log, since_s));
        if !complains {
            return;
        }
        let wanted = spec
            .units
            .iter()
            .flat_map(|unit| self.ports(unit))
            .collect();
        if let Some(line) = self.taken(wanted).await {
            trouble.message = format!("{line}: {}", trouble.message);
        }
    }

    fn stderr_log(&self, unit: &UnitName) -> PathBuf {
        let (id, directory) = (self.id(), self.release().log_dir());
        directory.join(format!("{unit}-{}-{}-stderr.log", id.pod, id.version))
    }

    fn ports(&self, unit: &Unit) -> Vec<SocketAddr> {
        let own = self.address_of(&unit.name);
        let ports = unit.expose.iter().filter_map(|expose| {
            let ip = expose.host_interface.unwrap_or(own);
            Some(SocketAddr::new(ip, expose.host_port?.get()))
        });
        ports.collect()
    }

    /// It reads all of /proc.
    async fn taken(&self, wanted: Vec<SocketAddr>) -> Option<String> {
        let (id, release) = (self.id().clone(), self.release().clone());
        let looked = spawn_blocking(move || taken(&wanted, &id, &release)).await;
        looked.unwrap_or_default()
    }
}

/// True when the log says since this second that a port is not free.
fn has_complained(log: &Path, since_s: u64) -> bool {
    let tail = read_tail(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&tail).to_lowercase();
    text.lines().any(|line| {
        let second = line.split(' ').next().and_then(|word| word.parse().ok());
        second.is_some_and(|second: u64| second >= since_s) && line.contains(IN_USE)
    })
}

fn read_tail(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let begin = file.metadata()?.len().saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(begin))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_since_then_counts() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("main-web-1.0.0-stderr.log");
        let check = |text: &str, expected: bool| {
            hostfiles::replace(&log, text.as_bytes(), 0o600).unwrap();
            assert_eq!(has_complained(&log, 100), expected, "{text}");
        };
        assert!(!has_complained(&log, 100), "there is no log");
        check("", false);
        check(
            "100 0 listen tcp4 :80: bind: address already in use\n",
            true,
        );
        check("100 0 OSError: [Errno 98] Address already in use", true);
        check("99 7 bind: address already in use\n100 0 Error\n", false);
        check("address already in use\n", false);
        let long = format!("100 0 {}\n", "x".repeat(200_000));
        check(&format!("{long}101 0 address already in use\n"), true);
        check(&format!("100 0 address already in use\n{long}"), false);
    }
}
