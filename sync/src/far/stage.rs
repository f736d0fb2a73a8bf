//! Turns the steps of a plan into staged files and the operations that will put them into their places.
//!
//! Everything that can fail for want of space is done here, below `.sync/stage`, before the point of no
//! return; and whether the places can be changed at all is asked here. Must not change any file that the
//! host uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hostfiles::{Format, HostHome, ReleaseDir};
use names::{PodState, ReleaseId, VolumeName};

use super::confirm::Unconfirmed;
use super::contents::{Content, Contents};
use super::journal::{self, Journal, Operation, SyncDir};
use super::{Far, FarError, Marks, layout, reach, undo};
use crate::plan::RoutesState;
use crate::{Config, Digest, Plan, Release, Step, Tree};

/// Bytes that are kept free per operation for the growth of directories, and in all at most. They are freed
/// when the journal runs, so a disk that fills up meanwhile does not stop it half-way.
const RESERVE_PER_OPERATION_BYTES: usize = 4096;
const RESERVE_BYTES_MAX: usize = 1024 * 1024;

const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;
const PRIVATE_MODE: u32 = 0o600;

/// The name of the journal while it is staged.
pub(super) const JOURNAL: &str = "journal";
/// The name of the bytes that are kept free.
const RESERVE: &str = "reserve";

/// Fills the stage of one host.
pub(super) struct Stager<'a> {
    far: &'a mut Far,
    home: HostHome,
    tree: &'a Tree,
    contents: &'a dyn Contents,
    directory: PathBuf,
    operations: Vec<Operation>,
    /// The places of releases that arrive, with those of their wanted states.
    arrivals: BTreeMap<String, String>,
    plugins: BTreeMap<String, PathBuf>,
    staged_count: usize,
}

type Done = Result<(), FarError>;

impl<'a> Stager<'a> {
    pub(super) fn new(
        far: &'a mut Far,
        tree: &'a Tree,
        contents: &'a dyn Contents,
    ) -> Result<Self, FarError> {
        let home = far.home.clone();
        let directory = SyncDir::of(&home).stage();
        far.effects
            .make_directory(&directory)
            .map_err(FarError::Unchanged)?;
        let (operations, plugins) = (Vec::new(), BTreeMap::new());
        let mut stager = Self {
            far,
            home,
            tree,
            contents,
            directory,
            operations,
            arrivals: BTreeMap::new(),
            plugins,
            staged_count: 0,
        };
        let reserve = stager.relative(&stager.directory.join(RESERVE));
        stager.operations.push(Operation::Remove { path: reserve });
        Ok(stager)
    }

    /// Stages all steps of the plan, and the commits behind them. Gives the journal and where the plugins
    /// that arrive lie now.
    pub(super) fn stage(
        mut self,
        plan: &Plan,
        marks: &Marks,
    ) -> Result<(Journal, BTreeMap<String, PathBuf>), FarError> {
        let directory = SyncDir::of(&self.home);
        if let Some(confirmation) = &marks.confirmation {
            // First, so that a journal that is finished by somebody else is not taken for confirmed.
            let unconfirmed = Unconfirmed {
                commit: marks.head().map(str::to_owned),
                confirmation: confirmation.clone(),
            };
            self.file(
                &unconfirmed.to_bytes(),
                PRIVATE_MODE,
                &directory.unconfirmed(),
            )?;
        } else {
            let path = self.relative(&directory.reverted());
            self.operations.push(Operation::Remove { path });
        }
        for step in &plan.steps {
            self.step(step)?;
        }
        if let Some(chain) = &marks.chain {
            let synced = self.tree.to_bytes();
            self.file(&synced, PRIVATE_MODE, &directory.synced())?;
            let path = self.home.commit_chain();
            self.file(chain.to_text().as_bytes(), FILE_MODE, &path)?;
        }
        self.finish(marks.confirmation.is_some())
    }

    fn step(&mut self, step: &Step) -> Done {
        match step {
            Step::Hosts => self.content(self.tree.hosts_conf, FILE_MODE, &self.home.hosts_conf()),
            Step::ClusterPorts => {
                let ports = self.tree.cluster_ports_conf;
                self.content(ports, FILE_MODE, &self.home.cluster_ports_conf())
            }
            Step::Peers { .. } => {
                let peers = self.tree.peers_conf;
                self.content(peers, FILE_MODE, &self.home.peers_conf())
            }
            Step::Program { name, digest } => {
                let directory = self.home.programs_dir();
                self.make_directory(&directory);
                self.content(*digest, EXECUTABLE_MODE, &directory.join(name))
            }
            Step::Plugin { file_name, digest } => self.plugin(file_name, *digest),
            Step::Grants { .. } => {
                self.content(self.tree.plugins_yaml, FILE_MODE, &self.home.plugins_yaml())
            }
            Step::Add { release, state } => self.add(release, *state),
            Step::Config { release, name } => self.config(release, name),
            Step::Pod { release } => self.pod(release),
            Step::Routes { release, to } => self.routes(release, *to),
            Step::State { release, to, .. } => {
                let path = self.home.release(release).state();
                self.file(to.to_text().as_bytes(), FILE_MODE, &path)
            }
        }
    }

    fn plugin(&mut self, file_name: &str, digest: Digest) -> Done {
        let directory = self.home.plugins_dir();
        self.make_directory(&directory);
        let staged = self.next();
        self.write(&staged, digest, FILE_MODE)?;
        self.place(&staged, &directory.join(file_name));
        self.plugins.insert(file_name.to_owned(), staged);
        Ok(())
    }

    /// A release is built whole and takes its place in one rename.
    fn add(&mut self, id: &ReleaseId, state: PodState) -> Done {
        let release = self.release(id)?;
        let staged = ReleaseDir::new(self.next());
        self.make_now(staged.path())?;
        for (content, mode, path) in [
            (release.pod, EXECUTABLE_MODE, staged.pod()),
            (release.portmappings, FILE_MODE, staged.portmappings()),
            (release.routes, FILE_MODE, staged.ingress()),
            (
                release.routes_inactive,
                FILE_MODE,
                staged.ingress_inactive(),
            ),
        ] {
            if let Some(digest) = content {
                self.write(&path, digest, mode)?;
            }
        }
        for (name, config) in &release.configs {
            let path = staged.config(name);
            self.build_config(&path, config, &layout::data_name(&path, config))?;
            self.write_bytes(
                &staged.config_checksum(name),
                config.checksum().to_text().as_bytes(),
                FILE_MODE,
            )?;
        }
        self.write_bytes(&staged.state(), state.to_text().as_bytes(), FILE_MODE)?;
        let place = self.home.release(id).path().to_owned();
        let state = self.relative(&self.home.release(id).state());
        self.arrivals.insert(self.relative(&place), state);
        if let Some(parent) = place.parent() {
            self.make_directory(parent);
        }
        self.place(staged.path(), &place);
        Ok(())
    }

    /// The new files come beside the old ones, `..data` turns to them, then the entries follow.
    fn config(&mut self, id: &ReleaseId, name: &VolumeName) -> Done {
        let config = self
            .release(id)?
            .configs
            .get(name)
            .ok_or_else(|| FarError::Misfit(id.clone()))?;
        let directory = self.home.release(id).config(name);
        let data = layout::data_name(&directory, config);
        let staged = self.next();
        self.build_config(&staged, config, &data)?;
        self.make_directory(&directory);
        self.place(&staged.join(&data), &directory.join(&data));
        self.place(&staged.join(layout::DATA), &directory.join(layout::DATA));
        for top in config.top() {
            self.place(&staged.join(top), &directory.join(top));
        }
        for (leftover, is_directory) in layout::leftovers(&directory, config) {
            let path = self.relative(&directory.join(leftover));
            self.operations.push(match is_directory {
                true => Operation::RemoveTree { path },
                false => Operation::Remove { path },
            });
        }
        let checksum = self.home.release(id).config_checksum(name);
        self.file(config.checksum().to_text().as_bytes(), FILE_MODE, &checksum)
    }

    fn pod(&mut self, id: &ReleaseId) -> Done {
        let (release, directory) = (self.release(id)?, self.home.release(id));
        self.content(release.portmappings, FILE_MODE, &directory.portmappings())?;
        self.content(release.pod, EXECUTABLE_MODE, &directory.pod())
    }

    fn routes(&mut self, id: &ReleaseId, to: RoutesState) -> Done {
        let (release, directory) = (self.release(id)?, self.home.release(id));
        let in_force = release.routes.filter(|_| to == RoutesState::Active);
        let kept = release
            .routes_inactive
            .filter(|_| to == RoutesState::Inactive);
        self.content(in_force, FILE_MODE, &directory.ingress())?;
        self.content(kept, FILE_MODE, &directory.ingress_inactive())
    }

    fn release(&self, id: &ReleaseId) -> Result<&'a Release, FarError> {
        self.tree
            .releases
            .get(id)
            .ok_or_else(|| FarError::Misfit(id.clone()))
    }

    /// A file gets the content, or goes if there is none.
    fn content(&mut self, content: Option<Digest>, mode: u32, to: &Path) -> Done {
        if let Some(digest) = content {
            let staged = self.next();
            self.write(&staged, digest, mode)?;
            self.place(&staged, to);
        } else {
            let path = self.relative(to);
            self.operations.push(Operation::Remove { path });
        }
        Ok(())
    }

    fn file(&mut self, bytes: &[u8], mode: u32, to: &Path) -> Done {
        let staged = self.next();
        self.write_bytes(&staged, bytes, mode)?;
        self.place(&staged, to);
        Ok(())
    }

    /// A whole config directory, links included, with its files in `data`.
    fn build_config(&mut self, directory: &Path, config: &Config, data: &str) -> Done {
        let files = directory.join(data);
        self.make_now(&files)?;
        let mut last = files.clone();
        for (relative, mark) in &config.files {
            let path = files.join(relative);
            if let Some(parent) = path.parent()
                && parent != last
            {
                self.make_now(parent)?;
                parent.clone_into(&mut last);
            }
            self.write(
                &path,
                mark.digest,
                if mark.executable {
                    EXECUTABLE_MODE
                } else {
                    FILE_MODE
                },
            )?;
        }
        self.link(&directory.join(layout::DATA), data)?;
        for top in config.top() {
            self.link(&directory.join(top), &layout::entry_target(top))?;
        }
        Ok(())
    }

    /// Writes the journal and the reserve, and brings the whole stage to disk.
    fn finish(
        mut self,
        keeps_former: bool,
    ) -> Result<(Journal, BTreeMap<String, PathBuf>), FarError> {
        reach::check(&self.home, &self.operations)?;
        if keeps_former {
            let operations = std::mem::take(&mut self.operations);
            let effects = &mut self.far.effects;
            self.operations = undo::keep(&self.home, effects, operations, &self.arrivals)
                .map_err(FarError::Unchanged)?;
        }
        let reserve =
            vec![0; (self.operations.len() * RESERVE_PER_OPERATION_BYTES).min(RESERVE_BYTES_MAX)];
        self.write_bytes(&self.directory.join(RESERVE), &reserve, FILE_MODE)?;
        let journal = Journal::new(std::mem::take(&mut self.operations));
        self.write_bytes(
            &self.directory.join(JOURNAL),
            &journal.to_bytes(),
            FILE_MODE,
        )?;
        self.far
            .effects
            .sync_all(&self.directory)
            .map_err(FarError::Unchanged)?;
        Ok((journal, self.plugins))
    }

    /// The next free path of the stage.
    fn next(&mut self) -> PathBuf {
        self.staged_count += 1;
        self.directory.join(self.staged_count.to_string())
    }

    fn relative(&self, path: &Path) -> String {
        journal::relative(&self.home, path)
    }

    fn place(&mut self, from: &Path, to: &Path) {
        let (from, to) = (self.relative(from), self.relative(to));
        self.operations.push(Operation::Place { from, to });
    }

    /// A directory that is made when the journal runs, once.
    fn make_directory(&mut self, path: &Path) {
        let operation = Operation::MakeDirectory {
            path: self.relative(path),
        };
        if !path.is_dir() && !self.operations.contains(&operation) {
            self.operations.push(operation);
        }
    }

    fn make_now(&mut self, path: &Path) -> Done {
        self.far
            .effects
            .make_directory(path)
            .map_err(FarError::Unchanged)
    }

    fn write(&mut self, path: &Path, digest: Digest, mode: u32) -> Done {
        match self.contents.content(&digest)? {
            Content::Bytes(bytes) => self.write_bytes(path, &bytes, mode),
            Content::File(file) => self
                .far
                .effects
                .copy(&file, path, mode)
                .map_err(FarError::Unchanged),
        }
    }

    fn write_bytes(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Done {
        self.far
            .effects
            .write(path, bytes, mode)
            .map_err(FarError::Unchanged)
    }

    fn link(&mut self, path: &Path, target: &str) -> Done {
        self.far
            .effects
            .link(path, target)
            .map_err(FarError::Unchanged)
    }
}
