//! Reads what a host should have: the releases below its home, as plain data.
//!
//! A release that cannot be read is a problem of that release alone, and one that vanishes while it is
//! read is no problem at all. It changes nothing, starts nothing and decides nothing.

mod configs;
mod release;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use hostfiles::{HostHome, Routers, read_if_present};
use names::ReleaseId;

pub(crate) use release::read_pod;
pub use release::{DesiredRelease, Reading};

/// What a host should have.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Desired {
    /// Its releases. One that is not there any more should not exist.
    pub releases: BTreeMap<ReleaseId, DesiredRelease>,
}

/// Reads the home of a host, and remembers what it read to read less the next time.
#[derive(Debug)]
pub struct Scanner {
    home: HostHome,
    readings: BTreeMap<ReleaseId, Reading>,
}

impl Scanner {
    /// A scanner that has read nothing yet.
    #[must_use]
    pub fn new(home: HostHome) -> Self {
        Self {
            home,
            readings: BTreeMap::new(),
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// The list of releases cannot be read.
    pub fn scan(&mut self) -> io::Result<Desired> {
        let ids = self.home.releases()?;
        self.readings.retain(|id, _| ids.contains(id));
        let releases = ids
            .into_iter()
            .filter_map(|id| self.scan_release(&id).map(|release| (id, release)))
            .collect();
        Ok(Desired { releases })
    }

    /// Reads one release; none when there is no such release.
    pub fn scan_release(&mut self, id: &ReleaseId) -> Option<DesiredRelease> {
        let directory = self.home.release(id);
        if !directory.state().exists() && !directory.pod().exists() {
            self.readings.remove(id);
            return None;
        }
        let reading = self.readings.entry(id.clone()).or_default();
        Some(DesiredRelease {
            programs: release::programs(&self.home.programs_dir()),
            ..reading.read(id, &directory)
        })
    }

    /// The address that ports are bound to and the cluster proxy listens on: the first of `hosts.conf`.
    ///
    /// # Errors
    /// The file is damaged; its line is named.
    pub fn own_address(&self) -> Result<Option<IpAddr>, hostfiles::ReadError> {
        let routers: Option<Routers> = read_if_present(&self.home.hosts_conf())?;
        Ok(routers
            .and_then(|routers| routers.own())
            .map(|address| address.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfiles::replace;
    use names::PodState;

    const POD: &str = "#!/usr/bin/env -S simplenetesd pod\nformat: 1\npod: web\npodVersion: 1.0.0\nruntime: native\nvolumes:\n- name: conf\n  type: config\nunits:\n- name: main\n";

    fn home(files: &[(&str, &str)]) -> (tempfile::TempDir, Scanner) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            put(&folder, path, text);
        }
        let scanner = Scanner::new(HostHome::new(folder.path()));
        (folder, scanner)
    }

    fn put(folder: &tempfile::TempDir, path: &str, text: &str) {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        replace(&path, text.as_bytes(), 0o644).unwrap();
    }

    #[test]
    fn a_broken_release_stands_beside_a_good_one() {
        let (_folder, mut scanner) = home(&[
            ("pods/web/release/1.0.0/pod", POD),
            ("pods/web/release/1.0.0/pod.state", "running\n"),
            (
                "pods/web/release/1.0.0/pod.portmappings.conf",
                "61000:30000:10:false\n",
            ),
            ("pods/bad/release/1.0.0/pod", "echo\n"),
            ("pods/bad/release/1.0.0/pod.state", "maybe\n"),
            ("pods/.hidden/release/1.0.0/pod.state", "running\n"),
            ("pods/empty/release/1.0.0/log/x", ""),
        ]);
        let desired = scanner.scan().unwrap();
        let ids: Vec<String> = desired.releases.keys().map(ToString::to_string).collect();
        assert_eq!(ids, ["bad:1.0.0", "web:1.0.0"]);
        let web = &desired.releases[&"web:1.0.0".parse().unwrap()];
        assert_eq!(
            (web.state.clone(), web.mappings.len(), web.problem()),
            (Ok(Some(PodState::Running)), 1, None)
        );
        let bad = &desired.releases[&"bad:1.0.0".parse().unwrap()];
        let problem = bad.problem().unwrap();
        assert!(
            problem.contains("not a compiled pod") && problem.contains("maybe"),
            "{problem}"
        );
    }

    #[test]
    fn the_pod_of_another_release_is_refused() {
        let (_folder, mut scanner) = home(&[
            ("pods/other/release/1.0.0/pod", POD),
            ("pods/other/release/1.0.0/pod.state", "running"),
        ]);
        let desired = scanner.scan().unwrap();
        let problem = desired.releases.values().next().unwrap().problem().unwrap();
        assert!(problem.contains("web:1.0.0"), "{problem}");
    }

    #[test]
    fn a_config_is_known_by_what_is_in_it() {
        let (folder, mut scanner) = home(&[
            ("pods/web/release/1.0.0/pod", POD),
            ("pods/web/release/1.0.0/pod.state", "running\n"),
            ("pods/web/release/1.0.0/config/conf/a.txt", "one"),
        ]);
        let id = "web:1.0.0".parse().unwrap();
        let before = scanner.scan_release(&id).unwrap();
        assert_eq!(scanner.scan_release(&id).unwrap(), before);
        for foreign in ["..data/a.txt", ".a.txt.a1B2c3.tmp"] {
            let path = format!("pods/web/release/1.0.0/config/conf/{foreign}");
            put(&folder, &path, "x");
            assert_eq!(scanner.scan_release(&id).unwrap(), before, "{foreign}");
        }
        put(&folder, "pods/web/release/1.0.0/config/conf/.htpasswd", "x");
        let hidden = scanner.scan_release(&id).unwrap();
        assert_ne!(hidden.configs, before.configs);
        put(&folder, "pods/web/release/1.0.0/config/conf/a.txt", "two");
        assert_ne!(scanner.scan_release(&id).unwrap().configs, hidden.configs);
    }
}
