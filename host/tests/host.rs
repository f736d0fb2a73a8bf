//! A host home in a temporary folder, with the plugin for native pods, and what is asked of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use hostfiles::{
    HostHome, PluginEntry, PluginsYaml, PodStatus, ReleaseDir, read_if_present, replace, write,
};
use rustix::process::{Pid, Signal, kill_process};
use simplenetes_plugin::{Digest, Manifest};
use tempfile::TempDir;
use testkit::{Daemon, wait_until};

/// Only ends a test that has failed already.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A host home.
pub(crate) struct Host {
    folder: TempDir,
}

impl Host {
    /// A home that has everything, but no pods.
    pub(crate) fn new() -> Self {
        let host = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let component = native_component();
        let manifest = Manifest::read(&component).unwrap();
        let entry = PluginEntry {
            name: "native-runtime".into(),
            version: manifest.version.clone(),
            digest: Digest::of(&component).to_string(),
            source: "test".into(),
            grants: serde_json::to_value(&manifest.wishes).unwrap(),
        };
        fs::create_dir_all(host.home().plugins_dir()).unwrap();
        fs::create_dir_all(host.home().pods_dir()).unwrap();
        Self::put(
            &host.home().plugins_dir().join(entry.file_name()),
            &component,
        );
        write(
            &host.home().plugins_yaml(),
            &PluginsYaml {
                plugins: vec![entry],
            },
        )
        .unwrap();
        Self::put(&host.home().cluster_id(), b"test\n");
        Self::put(&host.home().hosts_conf(), b"127.0.0.1:1\n");
        host
    }

    pub(crate) fn home(&self) -> HostHome {
        HostHome::new(self.folder.path().join("home"))
    }

    pub(crate) fn release(&self, id: &str) -> ReleaseDir {
        self.home().release(&id.parse().unwrap())
    }

    pub(crate) fn put(path: &Path, content: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        replace(path, content, 0o644).unwrap();
    }

    /// A release with these units, in the wanted state.
    pub(crate) fn pod(&self, id: &str, state: &str, units: &str) {
        self.pod_of("native", id, state, units);
    }

    /// Likewise, of another kind.
    pub(crate) fn pod_of(&self, kind: &str, id: &str, state: &str, units: &str) {
        let (pod, version) = id.split_once(':').unwrap();
        let text = format!(
            "{}\nformat: 1\npod: {pod}\npodVersion: {version}\nruntime: {kind}\nvolumes:\n- name: conf\n  type: config\nunits:\n{units}\n",
            podspec::FIRST_LINE
        );
        let release = self.release(id);
        Self::put(&release.pod(), text.as_bytes());
        Self::put(&release.portmappings(), b"61000:30000:10:false\n");
        self.state(id, state);
    }

    pub(crate) fn state(&self, id: &str, state: &str) {
        Self::put(&self.release(id).state(), format!("{state}\n").as_bytes());
    }

    pub(crate) fn config(&self, id: &str, text: &str) {
        let config = self.release(id).config(&"conf".parse().unwrap());
        Self::put(&config.join("text"), text.as_bytes());
    }

    /// `simplenetesd` with these arguments, which sees nothing of the developer's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_simplenetesd"), arguments)
    }

    /// Another program in the environment of the daemon.
    pub(crate) fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", self.search_path())
            .env("HOME", self.folder.path())
            // A change that is not noticed must not be found by the safety net.
            .env("SNS_RESCAN_SECONDS", "86400")
            .env(
                "XDG_CACHE_HOME",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            );
        command
    }

    /// A program of this host that is found before all others.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        replace(&path, format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755).unwrap();
    }

    fn search_path(&self) -> OsString {
        let own = self.folder.path().join("bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn daemon(&self) -> Daemon {
        let home = self.home().path().to_owned();
        Daemon::start(&mut self.command(&[home.to_str().unwrap()]), &home).unwrap()
    }

    pub(crate) fn status(&self, id: &str) -> Option<PodStatus> {
        read_if_present(&self.release(id).status()).unwrap()
    }

    /// Waits until the status of a release is so.
    pub(crate) fn wait(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&PodStatus) -> bool,
    ) -> PodStatus {
        let found = wait_until(what, LIMIT, || Ok(self.status(id).filter(&is_so)));
        found.unwrap_or_else(|error| panic!("{error}: {:#?}", self.status(id)))
    }

    /// Waits until a text stands in the log of a unit.
    pub(crate) fn wait_for_line(&self, id: &str, unit: &str, stream: &str, text: &str) {
        let path = self.log(id, unit, stream);
        let read = || fs::read_to_string(&path).unwrap_or_default();
        let found = wait_until(text, LIMIT, || Ok(read().contains(text).then_some(())));
        found.unwrap_or_else(|error| panic!("{error}: {}", read()));
    }

    pub(crate) fn wait_for_routes(&self, expected: &str) {
        let path = self.home().portmappings_conf();
        let read = || fs::read_to_string(&path).unwrap_or_default();
        let found = wait_until("the routes", LIMIT, || {
            Ok((read() == expected).then_some(()))
        });
        found.unwrap_or_else(|error| panic!("{error}: `{}`", read()));
    }

    pub(crate) fn log(&self, id: &str, unit: &str, stream: &str) -> PathBuf {
        self.release(id)
            .log_dir()
            .join(format!("{unit}-{}-{stream}.log", id.replace(':', "-")))
    }
}

/// The plugin for native pods lies beside the daemon that is tested.
pub(crate) fn native_component() -> Vec<u8> {
    let plugins = Path::new(env!("CARGO_BIN_EXE_simplenetesd"))
        .parent()
        .unwrap()
        .join("plugins");
    let found = fs::read_dir(&plugins)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("native-runtime-"))
        });
    let Some(path) = found else {
        panic!(
            "there is no plugin for native pods in {}: run `cargo xtask plugins`",
            plugins.display()
        );
    };
    fs::read(path).unwrap()
}

/// A unit that runs this shell script.
pub(crate) fn shell(name: &str, keys: &str, script: &str) -> String {
    let keys: String = keys
        .split(';')
        .filter(|key| !key.trim().is_empty())
        .map(|key| format!("  {}\n", key.trim()))
        .collect();
    let script = serde_json::to_string(script).unwrap();
    format!("- name: {name}\n{keys}  spec:\n    program: sh\n    args: [\"-c\", {script}]\n")
}

/// The process of the first unit.
pub(crate) fn pid(status: &PodStatus) -> u32 {
    status.units.first().and_then(|unit| unit.pid).unwrap()
}

pub(crate) fn is_running(status: &PodStatus) -> bool {
    status.status == hostfiles::PodPhase::Running
}

pub(crate) fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// Has it stand still.
pub(crate) fn stop(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
}

/// True while the process runs; one that has ended and waits to be collected does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}
