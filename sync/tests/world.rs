//! A project with one host, `h1`, and its host home, in one temporary directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hostfiles::{ClusterId, ClusterPorts, CommitChain, HostHome, Project, ReleaseDir, Routers};
use names::HostName;
use simplenetes_sync::far::{Content, Contents, FarError, Gate, Holder, Marks, Takeover};
use simplenetes_sync::{Digest, Far, Near, Options, Plan, Wanted, far};

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) project: Project,
    pub(crate) home: HostHome,
}

/// Memory if there is some: the tests bring file systems to disk all the time.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

pub(crate) fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    hostfiles::replace(path, text.as_bytes(), mode).unwrap();
}

/// Changes a file in place, as nobody should.
pub(crate) fn tamper(path: &Path, text: &str) {
    use std::io::Write;
    fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

pub(crate) fn host() -> HostName {
    "h1".parse().unwrap()
}

pub(crate) fn cluster() -> ClusterId {
    "test-1".parse().unwrap()
}

pub(crate) fn commits(hashes: &[&str]) -> CommitChain {
    CommitChain::new(hashes.iter().map(|hash| (*hash).to_owned())).unwrap()
}

/// What is written down with a sync of these commits that needs no confirmation.
pub(crate) fn at(hashes: &[&str]) -> Marks {
    Marks {
        chain: Some(commits(hashes)),
        confirmation: None,
    }
}

/// Contents as they lie in the project, without a connection between.
pub(crate) struct AtHand<'a>(pub(crate) &'a Wanted);

impl Contents for AtHand<'_> {
    fn content(&self, digest: &Digest) -> Result<Content, FarError> {
        let content = self.0.content(digest);
        content
            .map(Content::Bytes)
            .map_err(|error| FarError::Content(error.into()))
    }
}

pub(crate) fn holder() -> Holder {
    Holder {
        who: "anna".to_owned(),
        pid: 1,
        since: Some("noon".to_owned()),
        why: "a test".to_owned(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = scratch();
        let project = Project::new(directory.path().join("project"));
        let home = HostHome::new(directory.path().join("home"));
        write(&project.cluster_id(), "test-1\n", 0o644);
        write(&project.host(&host()).host_env(), "HOST=local\n", 0o644);
        far::init(&home, &cluster(), Takeover::Refused).unwrap();
        Self {
            directory,
            project,
            home,
        }
    }

    /// A release in the project.
    pub(crate) fn release(&self, id: &str) -> ReleaseDir {
        self.project.host(&host()).release(&id.parse().unwrap())
    }

    /// A release on the host.
    pub(crate) fn on_host(&self, id: &str) -> ReleaseDir {
        self.home.release(&id.parse().unwrap())
    }

    /// Puts a release with one config into the project.
    pub(crate) fn add(&self, id: &str, state: &str, config: &str) -> ReleaseDir {
        let release = self.release(id);
        write(&release.pod(), &format!("#!/bin/sh\n# {id}\n"), 0o755);
        write(&release.state(), &format!("{state}\n"), 0o644);
        write(&release.portmappings(), "61000:30000:4096:false\n", 0o644);
        write(&release.path().join("config/conf/main.cfg"), config, 0o644);
        write(&release.path().join("config/conf/.hidden"), "h", 0o644);
        write(&release.path().join("config/conf/bin/tool"), "t", 0o755);
        release
    }

    pub(crate) fn wanted(&self) -> Wanted {
        let routers = Routers(vec!["127.0.0.1:32767".parse().unwrap()]);
        let near = Near::new(self.project.clone());
        let wanted = near.wanted(&host(), &routers).unwrap();
        wanted.with_cluster_ports(&ClusterPorts::merged(["61000".parse().unwrap()]))
    }

    pub(crate) fn sync(&self) -> Plan {
        self.sync_with(&Options::default())
    }

    pub(crate) fn sync_with(&self, options: &Options) -> Plan {
        self.try_sync(None, options).unwrap()
    }

    /// A whole sync, with the project's files as they are and a commit named after nothing in particular.
    pub(crate) fn try_sync(
        &self,
        gate: Option<Box<dyn Gate>>,
        options: &Options,
    ) -> Result<Plan, FarError> {
        self.try_sync_at(gate, options, &at(&["aaaaaaa", "bbbbbbb"]))
    }

    /// As [`Self::try_sync`], with something else written down.
    pub(crate) fn try_sync_at(
        &self,
        gate: Option<Box<dyn Gate>>,
        options: &Options,
        marks: &Marks,
    ) -> Result<Plan, FarError> {
        let wanted = self.wanted();
        let mut far = match gate {
            Some(gate) => Far::open_through(self.home.clone(), &cluster(), &holder(), gate)?,
            None => Far::open(self.home.clone(), &cluster(), &holder())?,
        };
        let plan = far.plan(&wanted.tree, options)?;
        far.stage(&plan, &wanted.tree, &AtHand(&wanted), marks)?
            .apply()?;
        Ok(plan)
    }

    /// Everything in the host home but the sync's own directory: path, then what it is.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        list(self.home.path(), self.home.path(), &mut found);
        found
    }
}

fn list(root: &Path, directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root).unwrap().to_owned();
        let present = fs::symlink_metadata(&path).unwrap();
        if relative == Path::new(".sync") {
            continue;
        }
        if present.is_dir() {
            found.insert(relative, "directory".to_owned());
            list(root, &path, found);
        } else if present.is_symlink() {
            found.insert(
                relative,
                format!("-> {}", fs::read_link(&path).unwrap().display()),
            );
        } else {
            let mode = present.permissions().mode() & 0o7777;
            found.insert(
                relative,
                format!(
                    "{mode:o} {}",
                    String::from_utf8_lossy(&fs::read(&path).unwrap())
                ),
            );
        }
    }
}
