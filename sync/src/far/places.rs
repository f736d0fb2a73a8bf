//! Where the contents that a host has lie, so that none of them is sent again: neither to another release nor as a
//! piece of a new version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hostfiles::HostHome;

use super::layout;
use crate::{Digest, Tree};

/// A place for each content of `present`.
pub(super) fn of(home: &HostHome, present: &Tree) -> BTreeMap<Digest, PathBuf> {
    let mut places = Places(BTreeMap::new());
    places.put(present.hosts_conf, home.hosts_conf());
    places.put(present.cluster_ports_conf, home.cluster_ports_conf());
    places.put(present.peers_conf, home.peers_conf());
    places.put(present.plugins_yaml, home.plugins_yaml());
    for (name, digest) in &present.plugins {
        places.put(Some(*digest), home.plugins_dir().join(name));
    }
    for (name, digest) in &present.programs {
        places.put(Some(*digest), home.programs_dir().join(name));
    }
    for (id, release) in &present.releases {
        let directory = home.release(id);
        places.put(release.pod, directory.pod());
        places.put(release.portmappings, directory.portmappings());
        places.put(release.routes, directory.ingress());
        places.put(release.routes_inactive, directory.ingress_inactive());
        for (name, config) in &release.configs {
            let data = directory.config(name).join(layout::DATA);
            for (path, mark) in &config.files {
                places.put(Some(mark.digest), data.join(Path::new(path)));
            }
        }
    }
    places.0
}

struct Places(BTreeMap<Digest, PathBuf>);

impl Places {
    fn put(&mut self, digest: Option<Digest>, path: PathBuf) {
        if let Some(digest) = digest {
            self.0.entry(digest).or_insert(path);
        }
    }
}
