//! A Cluster Project in a temporary folder, driven through the programs only.
//!
//! ```text
//! FOLDER/project       the Cluster Project
//! FOLDER/pods          PODPATH: one git repository per pod
//! FOLDER/hosts/NAME    one host home per local host
//! FOLDER/home          HOME of everything that is started
//! ```

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::user::own;
use crate::{Outcome, User, program};

/// The project's name.
const NAME: &str = "project";

/// What git knows about the person who works in the project.
const GIT_CONFIG: &str = "[user]\n\tname = Simplenetes test\n\temail = test@example.com\n\
    [init]\n\tdefaultBranch = main\n";

/// A temporary folder with everything that a cluster of local hosts consists of.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    ids: Option<(u32, u32)>,
}

impl Cluster {
    /// An empty folder in which no project exists yet, for the programs of the calling test's profile.
    ///
    /// # Errors
    /// `sns` has not been built, or there is no room for a folder.
    pub fn empty() -> Result<Self> {
        let sns = program("sns")?;
        Self::with_programs(sns.parent().context("sns lies nowhere")?)
    }

    /// The same with the programs of another folder.
    ///
    /// # Errors
    /// There is no room for a folder.
    pub fn with_programs(programs: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("simplenetes-").tempdir()?;
        for name in ["pods", "hosts", "home"] {
            fs::create_dir(folder.path().join(name))?;
        }
        write(&folder.path().join("home/.gitconfig"), GIT_CONFIG)?;
        Ok(Self {
            folder,
            programs: programs.to_owned(),
            ids: None,
        })
    }

    /// A project without hosts of an ordinary user, who runs everything. The programs and plugins are copied:
    /// the directory in which they were built may be closed to others.
    ///
    /// # Errors
    /// As [`Cluster::create`], or this is not root.
    pub fn of(user: &User) -> Result<Self> {
        let mut cluster = Self::empty()?;
        let copies = cluster.folder().join("programs");
        copy(&cluster.programs.join("plugins"), &copies.join("plugins"))?;
        for name in ["sns", "simplenetesd", "sns-proxy"] {
            fs::copy(program(name)?, copies.join(name))?;
        }
        cluster.programs = copies;
        user.own(cluster.folder())?;
        cluster.ids = Some((user.uid(), user.gid()));
        cluster.make_project()?;
        Ok(cluster)
    }

    /// A project without hosts, made by `sns cluster create`.
    ///
    /// # Errors
    /// As [`Cluster::empty`], or the program failed.
    pub fn create() -> Result<Self> {
        let cluster = Self::empty()?;
        cluster.make_project()?;
        Ok(cluster)
    }

    fn make_project(&self) -> Result<()> {
        let mut create = self.sns(&["cluster", "create", NAME]);
        Outcome::of(create.current_dir(self.folder()))?.success()?;
        Ok(())
    }

    /// The temporary folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The Cluster Project.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.folder().join(NAME)
    }

    /// PODPATH.
    #[must_use]
    pub fn pods(&self) -> PathBuf {
        self.folder().join("pods")
    }

    /// The host home of a local host.
    #[must_use]
    pub fn host_home(&self, host: &str) -> PathBuf {
        self.folder().join("hosts").join(host)
    }

    /// One of our programs, or one of the system, in the project and with a clean environment.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let ours = self.programs.join(name);
        let mut command = if ours.is_file() {
            command(ours)
        } else {
            command(name)
        };
        command.env_clear().envs(self.environment());
        if let Ok(path) = self.search_path() {
            command.env("PATH", path);
        }
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        let project = self.project();
        command.current_dir(if project.is_dir() {
            &project
        } else {
            self.folder()
        });
        command
    }

    /// `sns` with these arguments, in the project and with a clean environment.
    #[must_use]
    pub fn sns(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("sns");
        command.args(arguments);
        command
    }

    /// `git` with these arguments, in the project.
    #[must_use]
    pub fn git(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("git");
        command.args(arguments);
        command
    }

    /// `simplenetesd` for the home of a local host.
    #[must_use]
    pub fn daemon(&self, host: &str) -> Command {
        let mut command = self.command("simplenetesd");
        command.arg(self.host_home(host));
        command
    }

    /// Registers and initialises a local host whose proxy listens on `router`.
    ///
    /// # Errors
    /// One of the commands failed.
    pub fn add_host(&self, host: &str, router: SocketAddr) -> Result<()> {
        let home = format!("--dir-home={}", self.host_home(host).display());
        let router = format!("--router-address={router}");
        let register = ["host", "register", host, "--address=local", &home, &router];
        Outcome::of(&mut self.sns(&register))?.success()?;
        Outcome::of(&mut self.sns(&["host", "init", host]))?.success()?;
        Ok(())
    }

    /// Makes the git repository of a pod below PODPATH from `(path, text)` pairs.
    ///
    /// # Errors
    /// A file cannot be written or git failed.
    pub fn add_pod(&self, pod: &str, files: &[(&str, &str)]) -> Result<()> {
        let folder = self.pods().join(pod);
        for (path, text) in files {
            write(&folder.join(path), text)?;
        }
        if let Some(ids) = self.ids {
            own(&folder, ids)?;
        }
        self.make_repository(&folder)
    }

    /// Makes a git repository of a folder, with everything in it committed.
    ///
    /// # Errors
    /// git failed.
    pub fn make_repository(&self, folder: &Path) -> Result<()> {
        for arguments in [
            &["init", "-q"][..],
            &["add", "."],
            &["commit", "-q", "-m", "First"],
        ] {
            Outcome::of(self.git(arguments).current_dir(folder))?.success()?;
        }
        Ok(())
    }

    /// Commits everything in the project.
    ///
    /// # Errors
    /// git failed, for example because there is nothing to commit.
    pub fn commit(&self, message: &str) -> Result<()> {
        Outcome::of(&mut self.git(&["add", "."]))?.success()?;
        Outcome::of(&mut self.git(&["commit", "-q", "-m", message]))?.success()?;
        Ok(())
    }

    /// The environment that every started program sees, apart from PATH: nothing of the person's own.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HOME", self.folder().join("home").display().to_string()),
            ("PODPATH", self.pods().display().to_string()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("LANG", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("COLUMNS", "100".into()),
        ]
    }

    /// PATH with the programs first.
    ///
    /// # Errors
    /// The folder of the programs has a `:` in its name.
    pub fn search_path(&self) -> Result<String> {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders =
            std::iter::once(self.programs.clone()).chain(std::env::split_paths(&inherited));
        Ok(std::env::join_paths(folders)?
            .to_string_lossy()
            .into_owned())
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The one place of this crate where programs are named.
#[expect(
    clippy::disallowed_methods,
    reason = "tests start the programs that they test; this is the named place"
)]
pub(crate) fn command(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the input of a test is written before anybody reads it"
)]
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    if text.starts_with("#!") {
        // A script is meant to be executed.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_person_reaches_a_program() {
        let cluster = Cluster::with_programs(Path::new("/no/programs")).unwrap();
        let mut env = cluster.command("env");
        let text = Outcome::of(&mut env).unwrap().success().unwrap();
        let names = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name);
        let known = cluster.environment();
        let foreign =
            names.filter(|name| *name != "PATH" && known.iter().all(|(ours, _)| ours != name));
        assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn a_pod_is_a_repository_below_podpath() {
        let cluster = Cluster::with_programs(Path::new("/no/programs")).unwrap();
        cluster
            .add_pod(
                "web",
                &[("pod.yaml", "api: 1.0.0\n"), ("config/conf/a", "b")],
            )
            .unwrap();
        let mut log = cluster.git(&["ls-files"]);
        let listed = Outcome::of(log.current_dir(cluster.pods().join("web"))).unwrap();
        assert_eq!(listed.success().unwrap(), "config/conf/a\npod.yaml\n");
    }
}
