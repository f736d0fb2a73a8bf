//! A real podman of one test's own: its images, containers, locks and settings lie in one folder, so that
//! tests disturb neither each other nor the containers of whoever runs them.
//!
//! A fresh store with an image of one static program takes 0.2 s (overlay, in memory); sharing one between
//! tests would save that, and cost the certainty that what is found was made by this test. Only the addresses
//! of root's containers are shared by the machine. It knows nothing of pods of ours.

mod image;
mod remains;
mod wrapper;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};
use tempfile::TempDir;

pub(crate) use self::remains::numbers;
use crate::cluster::{command, write};
use crate::user::open_to_all;
use crate::{Outcome, Registry, User};

/// A podman with an empty store. Dropping it removes everything that it has made, also after a panic.
#[derive(Debug)]
pub struct Podman {
    folder: TempDir,
    ids: Option<(u32, u32)>,
}

impl Podman {
    /// A podman of whoever runs the test, which is root.
    ///
    /// # Errors
    /// This is not root.
    pub fn new() -> Result<Self> {
        Self::prepare(None)
    }

    /// A podman of an ordinary user: rootless.
    ///
    /// # Errors
    /// As [`Podman::new`], or the user's memory directory cannot be made.
    pub fn of(user: &User) -> Result<Self> {
        let podman = Self::prepare(Some((user.uid(), user.gid())))?;
        let memory = podman.runtime_dir();
        fs::create_dir(&memory)?;
        let owner = format!("mode=700,uid={},gid={}", user.uid(), user.gid());
        mount_memory(&memory, &owner)?;
        user.own(podman.path())?;
        Ok(podman)
    }

    fn prepare(ids: Option<(u32, u32)>) -> Result<Self> {
        // Not TMPDIR: podman refuses a run directory with a path of more than 50 characters.
        let folder = tempfile::Builder::new().prefix("sns-").tempdir_in("/tmp")?;
        let podman = Self { folder, ids };
        if ids.is_none() {
            // Half the time of a disk that others write to. For an ordinary user only new kernels can do that.
            mount_memory(podman.path(), "mode=755")?;
        }
        for name in ["home", "image", "bin"] {
            fs::create_dir(podman.path().join(name))?;
        }
        podman.settings()?;
        open_to_all(podman.path())?;
        Ok(podman)
    }

    /// `runc`, because crun refuses machines that mix both versions of control groups; limits that any
    /// machine may set; and locks in a file, because those in memory are few and shared by the machine.
    fn settings(&self) -> Result<()> {
        let folder = self.path().display();
        let own = match self.ids {
            None => format!("tmp_dir = \"{folder}/tmp\"\n"),
            // Rootless podman keeps everything below HOME and XDG_RUNTIME_DIR by itself.
            Some(_) => String::new(),
        };
        let engine = format!(
            "[engine]\nruntime = \"runc\"\nlock_type = \"file\"\nevents_logger = \"none\"\n{own}\
             [containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=1000:1000\"]\n"
        );
        write(&self.path().join("containers.conf"), &engine)?;
        let storage = match self.ids {
            None => format!(
                "[storage]\ndriver = \"overlay\"\ngraphroot = \"{folder}/store\"\nrunroot = \"{folder}/run\"\n"
            ),
            Some(_) => "[storage]\ndriver = \"overlay\"\n".into(),
        };
        write(&self.path().join("storage.conf"), &storage)?;
        write(&self.path().join("registries.conf"), "")?;
        // A file of logins that is named and missing is an error to podman.
        write(&self.path().join("auth.json"), "{}\n")
    }

    /// Its folder, which is gone when it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The directory in memory of its user; only an ordinary user has one.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.path().join("xdg")
    }

    /// What a program must find in its environment to use this podman and no other. PATH is not among it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.path().join(name).display().to_string();
        let mut variables = vec![
            ("HOME", at("home")),
            ("CONTAINERS_CONF", at("containers.conf")),
            ("CONTAINERS_STORAGE_CONF", at("storage.conf")),
            ("CONTAINERS_REGISTRIES_CONF", at("registries.conf")),
            ("REGISTRY_AUTH_FILE", at("auth.json")),
        ];
        if self.ids.is_some() {
            variables.push(("XDG_RUNTIME_DIR", at("xdg")));
        }
        variables
    }

    /// `podman` with these arguments.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut podman = command("podman");
        podman.args(arguments).env_clear().envs(self.environment());
        if let Some(path) = std::env::var_os("PATH") {
            podman.env("PATH", path);
        }
        podman.current_dir(self.path());
        if let Some((uid, gid)) = self.ids {
            podman.uid(uid).gid(gid);
        }
        podman
    }

    /// Runs `podman` with these arguments and gives what it says.
    ///
    /// # Errors
    /// It failed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        Outcome::of(&mut self.command(arguments))?.success()
    }

    /// The words of what `podman` says: the names of a list.
    ///
    /// # Errors
    /// It failed.
    pub fn words(&self, arguments: &[&str]) -> Result<Vec<String>> {
        let said = self.run(arguments)?;
        Ok(said.split_whitespace().map(str::to_owned).collect())
    }

    /// Lets it pull from a registry that speaks plain HTTP.
    ///
    /// # Errors
    /// The setting cannot be written.
    pub fn trust(&self, registry: &Registry) -> Result<()> {
        let text = format!(
            "[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
            registry.address()
        );
        write(&self.path().join("registries.conf"), &text)
    }
}

fn mount_memory(path: &Path, options: &str) -> Result<()> {
    let options = std::ffi::CString::new(format!("size=256m,{options}"))?;
    let none = MountFlags::empty();
    mount("tmpfs", path, "tmpfs", none, Some(options.as_c_str()))
        .with_context(|| format!("cannot mount memory at {}: this needs root", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "localhost/test:1";

    /// Runs a container and gives the process of it.
    fn sleeper(podman: &Podman) -> i32 {
        podman.image(IMAGE, &[]).unwrap();
        let run = ["run", "-d", "--name", "one", "-v", "data:/data", IMAGE];
        podman.run(&[&run[..], &["sleep", "600"]].concat()).unwrap();
        let pid = podman.run(&["inspect", "-f", "{{.State.Pid}}", "one"]);
        pid.unwrap().trim().parse().unwrap()
    }

    /// What has ended and waits to be collected has no command line any more.
    fn is_alive(pid: i32) -> bool {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    }

    #[test]
    fn nothing_is_left_after_a_panic() {
        let podman = Podman::new().unwrap();
        let folder = podman.path().to_owned();
        let pid = sleeper(&podman);
        assert!(is_alive(pid));
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _podman = podman;
            panic!("as a test that fails");
        }));
        assert!(stopped.is_err() && !is_alive(pid) && !folder.exists());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
    }

    #[test]
    fn two_of_them_do_not_see_each_other() {
        let (one, two) = (Podman::new().unwrap(), Podman::new().unwrap());
        sleeper(&one);
        let names = ["ps", "-a", "--format", "{{.Names}}"];
        assert_eq!(one.words(&names).unwrap(), ["one"]);
        assert_eq!(one.words(&["volume", "ls", "-q"]).unwrap(), ["data"]);
        assert_eq!(two.words(&names).unwrap(), [""; 0]);
        assert_eq!(two.words(&["image", "ls", "-q"]).unwrap(), [""; 0]);
        drop(two);
        assert_eq!(one.words(&names).unwrap(), ["one"]);
    }

    #[test]
    fn an_ordinary_user_has_one_too() {
        let user = User::new().unwrap();
        let podman = Podman::of(&user).unwrap();
        let pid = sleeper(&podman);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let uid = format!("\nUid:\t{}\t", user.uid());
        assert!(status.contains(&uid), "{status}");
        let folder = podman.path().to_owned();
        drop(podman);
        assert!(!is_alive(pid) && !folder.exists());
        // Those that watch over a container end a moment after it.
        let gone = || Ok(user.processes().is_empty().then_some(()));
        crate::wait_until(
            "all processes of the user to end",
            std::time::Duration::from_secs(10),
            gone,
        )
        .unwrap();
    }

    #[test]
    fn an_image_is_pulled_from_a_registry_that_wants_a_login() {
        let registry = Registry::with_login().unwrap();
        let podman = Podman::new().unwrap();
        podman.trust(&registry).unwrap();
        podman.image(IMAGE, &[]).unwrap();
        let name = registry.push(&podman, IMAGE, "team/test:1").unwrap();
        podman.run(&["rmi", "-f", IMAGE, &name]).unwrap();
        let refused = podman.run(&["pull", &name]).unwrap_err().to_string();
        assert!(refused.contains("authentication required"), "{refused}");
        registry.log_in(&podman).unwrap();
        podman.run(&["pull", &name]).unwrap();
    }
}
