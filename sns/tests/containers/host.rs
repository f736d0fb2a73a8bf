//! A local host with its own podman and an image; pods reach it by compile and sync alone.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hostfiles::{PodPhase, PodStatus, UnitStatus, read_if_present};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Daemon, Outcome, Podman, User, wait_until};

use crate::bench::{Bench, write};

/// busybox, with a user `app` (1000).
pub(crate) const IMAGE: &str = "localhost/test:1";

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Only ends a test that has failed already.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A host of a cluster. Fields are dropped in this order: who starts containers, then the containers.
pub(crate) struct Host {
    /// The last one runs.
    daemons: RefCell<Vec<Daemon>>,
    pub(crate) podman: Podman,
    pub(crate) bench: Bench,
    /// Who owns the host home, when that is not root.
    user: Option<User>,
}

impl Host {
    /// A host whose daemon does not run yet.
    pub(crate) fn new() -> Self {
        Self::at(LOOPBACK)
    }

    /// The same with its proxy at this address, which is also that of the ports of its pods.
    pub(crate) fn at(address: IpAddr) -> Self {
        let podman = Podman::new().unwrap();
        podman.image(IMAGE, &[]).unwrap();
        // Plugins are translated once for all tests, not once for each.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let cache = ("XDG_CACHE_HOME", cache.display().to_string());
        Self::with(podman, Bench::new().with_variables([cache]), address, None)
    }

    /// A host of an ordinary user, who runs all of it.
    pub(crate) fn of_a_user() -> Self {
        Self::of_a_user_at(LOOPBACK)
    }

    /// The same at this address.
    pub(crate) fn of_a_user_at(address: IpAddr) -> Self {
        let user = User::new().unwrap();
        let podman = Podman::of(&user).unwrap();
        podman.image(IMAGE, &[]).unwrap();
        Self::with(podman, Bench::of_user(&user), address, Some(user))
    }

    fn with(podman: Podman, bench: Bench, address: IpAddr, user: Option<User>) -> Self {
        let bench = bench.with_plugins();
        bench.add_host("laptop", &address.to_string());
        Self {
            daemons: RefCell::new(Vec::new()),
            podman,
            bench,
            user,
        }
    }

    /// The number of the owner of the host home.
    pub(crate) fn owner(&self) -> u32 {
        self.user.as_ref().map_or(0, User::uid)
    }

    /// A host on which this pod runs or should run: `web:1.0.0`, of these sections of a pod.yaml.
    pub(crate) fn of(sections: &str) -> Self {
        let host = Self::new();
        host.pod("web", &[("pod.yaml", &yaml("1.0.0", sections))]);
        host.start();
        host
    }

    /// The same, when it is ready.
    pub(crate) fn ready(sections: &str) -> Self {
        let host = Self::of(sections);
        host.wait("web:1.0.0", "the pod to be ready", |now| now.readiness);
        host
    }

    /// Makes a pod of these files, attaches it, compiles it and brings it to the host.
    pub(crate) fn pod(&self, pod: &str, files: &[(&str, &str)]) {
        self.bench.attach(pod, "laptop", files);
        self.compile(pod);
    }

    /// Another version of a pod that is there already.
    pub(crate) fn version(&self, pod: &str, text: &str) {
        self.bench.change_pod(pod, "pod.yaml", text);
        self.compile(pod);
    }

    /// Compiles a pod and brings it to the host.
    pub(crate) fn compile(&self, pod: &str) {
        self.bench.ok(&["pod", "compile", pod]);
        self.sync();
    }

    /// Commits the project and brings it to the host.
    pub(crate) fn sync(&self) {
        self.bench.commit();
        self.bench.ok(&["cluster", "sync"]);
    }

    /// Says what should become of a release.
    pub(crate) fn state(&self, release: &str, state: &str) {
        let state = format!("--state={state}");
        self.bench.ok(&["pod", "state", release, &state]);
        self.sync();
    }

    /// Changes a file of a config of `web`.
    pub(crate) fn config(&self, path: &str, text: &str) {
        self.bench.write(&format!("_config/web/{path}"), text);
        self.bench.ok(&["pod", "updateconfig", "web"]);
        self.sync();
    }

    /// Starts the daemon.
    pub(crate) fn start(&self) {
        let mut command = self.program("simplenetesd");
        command.arg(self.home());
        self.start_as(&mut command);
    }

    /// Starts the daemon by this command. Those before are kept: a guard that is dropped ends the units.
    pub(crate) fn start_as(&self, command: &mut Command) {
        let daemon = Daemon::start(command, &self.home()).unwrap();
        self.daemons.borrow_mut().push(daemon);
    }

    /// Asks the daemon to end; its pods stay.
    pub(crate) fn end(&self) {
        self.daemons
            .borrow_mut()
            .last_mut()
            .unwrap()
            .stop()
            .unwrap();
    }

    /// Kills the daemon; its pods stay.
    pub(crate) fn kill_daemon(&self) {
        kill(self.id());
        let has_ended = || {
            !self
                .daemons
                .borrow_mut()
                .last_mut()
                .unwrap()
                .is_running()
                .unwrap()
        };
        self.until("the daemon to be gone", has_ended);
    }

    /// The daemon's process.
    pub(crate) fn id(&self) -> u32 {
        self.daemons.borrow().last().unwrap().id()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.bench.cluster.host_home("laptop")
    }

    pub(crate) fn release(&self, id: &str) -> PathBuf {
        let (pod, version) = id.split_once(':').unwrap();
        self.home()
            .join("pods")
            .join(pod)
            .join("release")
            .join(version)
    }

    /// One of our programs as the daemon is started, with this podman and no other.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = self.bench.cluster.command(name);
        let path = self.bench.cluster.search_path().unwrap();
        command
            .envs(self.bench.variables())
            .envs(self.podman.environment())
            .env("PATH", format!("{}:{path}", self.podman.bin().display()))
            // A change that is not noticed must not be found by the safety net.
            .env("SNS_RESCAN_SECONDS", "86400");
        command
    }

    /// A verb of the Pod API: `./pod VERB`.
    pub(crate) fn verb(&self, id: &str, words: &[&str]) -> Outcome {
        let mut command = self.program("simplenetesd");
        command.arg("pod").arg(self.release(id).join("pod"));
        Outcome::of(command.args(words)).unwrap()
    }

    /// Asks for a verb and waits for nothing.
    pub(crate) fn ask(&self, words: &[&str]) {
        self.verb("web:1.0.0", &[&["--timeout", "0"], words].concat());
    }

    /// `sns` with this podman.
    pub(crate) fn sns(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.program("sns").args(words)).unwrap()
    }

    /// What a command in a unit of `web:1.0.0` says.
    pub(crate) fn exec(&self, unit: &str, words: &[&str]) -> String {
        let command = [&["exec", "-c", unit, "--"], words].concat();
        self.verb("web:1.0.0", &command).success().unwrap()
    }

    pub(crate) fn status(&self, id: &str) -> Option<PodStatus> {
        read_if_present(&self.release(id).join(".pod.status")).unwrap()
    }

    /// Waits until the status of a release is so.
    #[track_caller]
    pub(crate) fn wait(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&PodStatus) -> bool,
    ) -> PodStatus {
        let found = wait_until(what, LIMIT, || Ok(self.status(id).filter(&is_so)));
        found.unwrap_or_else(|error| panic!("{error}: {:#?}\n{}", self.status(id), self.logs(id)))
    }

    /// Waits until `ps` tells this, in one line.
    #[track_caller]
    pub(crate) fn wait_for_reason(&self, id: &str, text: &str) -> PodStatus {
        let status = self.wait(id, text, |now| now.message.contains(text));
        assert_eq!(status.message.lines().count(), 1, "{status:#?}");
        status
    }

    /// Waits for something of the world.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let found = wait_until(what, LIMIT, || Ok(is_so().then_some(())));
        found.unwrap_or_else(|error| {
            let status = self.status("web:1.0.0");
            panic!("{error}: {status:#?}\n{}", self.logs("web:1.0.0"))
        });
    }

    /// Waits until a unit of `web:1.0.0` has written this.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, unit: &str, text: &str) {
        self.until(&format!("`{text}` from {unit}"), || {
            self.said(unit).contains(text)
        });
    }

    /// What a unit of `web:1.0.0` has written.
    pub(crate) fn said(&self, unit: &str) -> String {
        self.verb("web:1.0.0", &["logs", "-d", "none", unit]).stdout
    }

    fn logs(&self, id: &str) -> String {
        self.verb(id, &["logs"]).stdout
    }

    /// Names of all containers but those that hold a pod's network.
    pub(crate) fn containers(&self) -> Vec<String> {
        let format = "{{if not .IsInfra}}{{.Names}}{{end}}";
        let mut names = self
            .podman
            .words(&["ps", "--all", "--format", format])
            .unwrap();
        names.sort();
        names
    }

    pub(crate) fn pods(&self) -> Vec<String> {
        self.podman
            .words(&["pod", "ps", "--format", "{{.Name}}"])
            .unwrap()
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        self.podman.words(&["volume", "ls", "--quiet"]).unwrap()
    }
}

/// A pod.yaml of this version with these sections.
pub(crate) fn yaml(version: &str, sections: &str) -> String {
    format!("api: 1.0.0-beta2\npodVersion: {version}\n{sections}")
}

/// A container of the test's image that runs this shell script, with more keys on lines of their own. The
/// first process of a container ignores TERM unless it has a handler, so it is not waited for long.
pub(crate) fn shell(name: &str, script: &str, keys: &str) -> String {
    let script = serde_json::to_string(script).unwrap();
    let keys: String = keys.lines().map(|line| format!("  {line}\n")).collect();
    let patience = if keys.contains("stopTimeout") {
        ""
    } else {
        "  stopTimeout: 1\n"
    };
    format!("- name: {name}\n  image: {IMAGE}\n  command: [sh, -c, {script}]\n{patience}{keys}")
}

/// One that does nothing until it is asked to end.
pub(crate) fn sleeper(name: &str, keys: &str) -> String {
    shell(name, SLEEP, keys)
}

/// A shell waits for its child, and so notices a signal only when it waits for it with `wait`.
pub(crate) const SLEEP: &str = "trap 'exit 0' TERM; sleep 600 & wait";

pub(crate) fn unit<'a>(status: &'a PodStatus, name: &str) -> &'a UnitStatus {
    let found = status.units.iter().find(|unit| unit.name == name);
    found.unwrap_or_else(|| panic!("no unit {name}: {status:#?}"))
}

pub(crate) fn is_running(status: &PodStatus) -> bool {
    status.status == PodPhase::Running
}

pub(crate) fn has_ended(status: &PodStatus) -> bool {
    status.status == PodPhase::Exited
}

/// Kills a process, which may have ended meanwhile.
pub(crate) fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = kill_process(pid, Signal::KILL);
}

/// How a unit ended, when it has.
pub(crate) fn ended(status: &PodStatus, name: &str) -> Option<i32> {
    let unit = unit(status, name);
    unit.exit_code.filter(|_| unit.status == "exited")
}

pub(crate) fn starts(status: &PodStatus, name: &str) -> u32 {
    unit(status, name).start_count
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A file in the folder of the test, with its absolute path.
pub(crate) fn file(host: &Host, name: &str, text: &str) -> String {
    let path = host.bench.cluster.folder().join(name);
    write(&path, text);
    path.display().to_string()
}
