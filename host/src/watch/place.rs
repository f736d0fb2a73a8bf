//! What a path below a host home means, and which directories are worth watching.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hostfiles::HostHome;
use names::ReleaseId;

use super::inode;

/// Deeper directories of a config are not watched.
const DEPTH_MAX: u32 = 16;

/// What changed when this path did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The list of releases, or `hosts.conf`.
    Everything,
    /// The list of plugins, or one of their files.
    Plugins,
    /// One release.
    Release(ReleaseId),
    /// The request by hand to the driver of a release.
    Action(ReleaseId),
    /// The status of a release, which only its driver writes.
    Status(ReleaseId),
    /// The routes of the host, which only the daemon writes.
    Routes,
    /// Nothing that matters to the daemon.
    Nothing,
}

impl Place {
    pub(super) fn of(home: &Path, path: &Path) -> Self {
        let Ok(inside) = path.strip_prefix(home) else {
            return Self::Nothing;
        };
        let names: Vec<&str> = inside.iter().filter_map(|name| name.to_str()).collect();
        match names.as_slice() {
            ["hosts.conf" | "pods"]
            | [".sync", "journal.json"]
            | ["pods", _]
            | ["pods", _, "release"] => Self::Everything,
            ["plugins.yaml"] | ["plugins", ..] => Self::Plugins,
            ["pods", _, "release", version] if version.starts_with('.') => Self::Nothing,
            ["pods", _, "release", _] => Self::Everything,
            [
                "pods",
                pod,
                "release",
                version,
                "pod" | "pod.state" | "pod.portmappings.conf" | "config",
                ..,
            ] => release(pod, version).map_or(Self::Nothing, Self::Release),
            ["pods", pod, "release", version, ".pod.status"] => {
                release(pod, version).map_or(Self::Nothing, Self::Status)
            }
            ["pods", pod, "release", version, "pod.action"] => {
                release(pod, version).map_or(Self::Nothing, Self::Action)
            }
            ["portmappings.conf" | "endpoints.conf"] => Self::Routes,
            _ => Self::Nothing,
        }
    }
}

fn release(pod: &str, version: &str) -> Option<ReleaseId> {
    let (pod, version) = (pod.parse().ok()?, version.parse().ok()?);
    Some(ReleaseId { pod, version })
}

/// Every directory that holds desired state, with its inode.
pub(super) fn directories(home: &HostHome) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut add = |path: &Path| {
        inode(path)
            .map(|inode| found.insert(path.to_owned(), inode))
            .is_some()
    };
    add(home.path());
    add(&home.plugins_dir());
    // A sync that is done closes its journal there.
    add(&home.sync_dir());
    add(&home.pods_dir());
    for pod in visible(&home.pods_dir()) {
        add(&pod);
        add(&pod.join("release"));
    }
    let configs: Vec<PathBuf> = home
        .releases()
        .unwrap_or_default()
        .iter()
        .map(|id| home.release(id))
        .filter(|release| add(release.path()))
        .map(|release| release.configs_dir())
        .collect();
    for config in configs {
        add_tree(&mut found, &config, 0);
    }
    found
}

fn add_tree(found: &mut BTreeMap<PathBuf, u64>, directory: &Path, depth: u32) {
    let Some(inode) = inode(directory) else {
        return;
    };
    found.insert(directory.to_owned(), inode);
    if depth < DEPTH_MAX {
        // Hidden names are part of a config; those that its links lead through change together with them.
        for inner in entries(directory, "..") {
            add_tree(found, &inner, depth + 1);
        }
    }
}

fn visible(directory: &Path) -> Vec<PathBuf> {
    entries(directory, ".")
}

/// What lies in the directory under names that do not begin so.
fn entries(directory: &Path, hidden: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            !entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(hidden.as_bytes())
        })
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_desired_state_and_what_the_daemon_writes_itself_matter() {
        let web = || Place::Release("web:1.0.0".parse().unwrap());
        let table = [
            ("hosts.conf", Place::Everything),
            (".sync/journal.json", Place::Everything),
            (".sync/stage", Place::Nothing),
            ("portmappings.conf", Place::Routes),
            ("endpoints.conf", Place::Routes),
            (".portmappings.conf.a1B2c3.tmp", Place::Nothing),
            ("plugins.yaml", Place::Plugins),
            ("plugins/native-0.1.0.wasm", Place::Plugins),
            ("pods/web", Place::Everything),
            ("pods/web/release/1.0.0", Place::Everything),
            ("pods/web/release/.tmp", Place::Nothing),
            ("pods/web/release/1.0.0/pod", web()),
            ("pods/web/release/1.0.0/pod.state", web()),
            ("pods/web/release/1.0.0/config/conf/..data", web()),
            (
                "pods/web/release/1.0.0/.pod.status",
                Place::Status("web:1.0.0".parse().unwrap()),
            ),
            (
                "pods/web/release/1.0.0/log/main-web-1.0.0-stdout.log",
                Place::Nothing,
            ),
        ];
        for (path, expected) in table {
            assert_eq!(
                Place::of(Path::new("/home"), &Path::new("/home").join(path)),
                expected,
                "{path}"
            );
        }
        assert_eq!(
            Place::of(Path::new("/home"), Path::new("/other/hosts.conf")),
            Place::Nothing
        );
    }

    #[test]
    fn logs_and_roots_are_not_watched_and_links_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("pods/web/release/1.0.0");
        for directory in [
            "config/conf/inner",
            "config/conf/.hidden",
            "config/conf/..abc",
            "log",
            "root/main",
            "run",
        ] {
            fs::create_dir_all(release.join(directory)).unwrap();
        }
        std::os::unix::fs::symlink("/", release.join("config/conf/all")).unwrap();
        let found = directories(&HostHome::new(folder.path()));
        let names: Vec<String> = found
            .keys()
            .filter_map(|path| path.strip_prefix(&release).ok())
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "",
                "config",
                "config/conf",
                "config/conf/.hidden",
                "config/conf/inner"
            ]
        );
    }
}
