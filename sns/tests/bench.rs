//! The workbench of these tests: a project in a temporary folder, pods, and commands with their outcomes.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Cluster, Outcome, Redactor, User};

/// A small native pod without configs.
pub(crate) const WEB: &str = "\
api: 1.0.0-beta2
runtime: native
podVersion: 1.0.0
processes:
  - name: main
    command: [/bin/sleep, infinity]
    restart: always
    expose:
      - targetPort: 8080
        hostPort: ${HOSTPORTAUTO1}
        clusterPort: ${CLUSTERPORTAUTO1}
";

/// A foreign program as a pod: needs no plugin.
pub(crate) const PROGRAM: &str = "\
api: 1.0.0-beta2
runtime: executable
podVersion: 1.0.0
executable:
  file: run.sh
";

/// What `executable.file` of [`PROGRAM`] holds.
pub(crate) const RUN: &str = "#!/bin/sh\nexit 0\n";

/// A project with everything around it.
pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    redactor: Redactor,
    plugins: Option<PathBuf>,
    variables: Vec<(&'static str, String)>,
}

impl Bench {
    /// A project without hosts.
    pub(crate) fn new() -> Self {
        Self::of(Cluster::create().unwrap())
    }

    /// A project without hosts of an ordinary user.
    pub(crate) fn of_user(user: &User) -> Self {
        Self::of(Cluster::of(user).unwrap())
    }

    /// No project at all.
    pub(crate) fn empty() -> Self {
        Self::of(Cluster::empty().unwrap())
    }

    fn of(cluster: Cluster) -> Self {
        let id = fs::read_to_string(cluster.project().join("cluster-id.txt")).unwrap_or_default();
        let mut redactor = Redactor::new()
            .folder(&cluster.project(), "PROJECT")
            .folder(&cluster.pods(), "PODS")
            .folder(&cluster.folder().join("hosts"), "HOSTS")
            .folder(
                testkit::program("sns").unwrap().parent().unwrap(),
                "PROGRAMS",
            )
            .folder(cluster.folder(), "FOLDER");
        if !id.is_empty() {
            redactor = redactor.text(id.trim(), "CLUSTER");
        }
        Self {
            cluster,
            redactor,
            plugins: None,
            variables: Vec::new(),
        }
    }

    /// A project with one local host that has no plugins.
    pub(crate) fn with_host() -> Self {
        let bench = Self::new();
        bench.add_host("laptop", "127.0.0.1");
        bench
    }

    /// The same with `web` attached to the host: a foreign program with one config.
    pub(crate) fn with_program() -> Self {
        let bench = Self::with_host();
        let files = [
            ("pod.yaml", PROGRAM),
            ("run.sh", RUN),
            ("config/conf/a", "1\n"),
        ];
        bench.attach("web", "laptop", &files);
        bench
    }

    /// A project with one local host that has the native plugin.
    pub(crate) fn with_native_host() -> Self {
        let bench = Self::new().with_plugins();
        bench.add_host("laptop", "127.0.0.1");
        bench
    }

    /// Registers and initialises a local host.
    pub(crate) fn add_host(&self, host: &str, address: &str) {
        let (home, router) = (
            self.home_option(host),
            format!("--router-address={address}"),
        );
        self.ok(&["host", "register", host, "--address=local", &home, &router]);
        self.ok(&["host", "init", host]);
    }

    /// Lets `sns` find the built plugins.
    pub(crate) fn with_plugins(mut self) -> Self {
        // They lie beside the programs, also where those were copied to.
        let copied = self.cluster.folder().join("programs/plugins");
        let is_copied = copied.is_dir();
        self.plugins = Some(if is_copied { copied } else { built_plugins() });
        self
    }

    /// Where `sns` and pods look for plugins; nowhere when they should find none.
    pub(crate) fn plugins(&self) -> PathBuf {
        // What a test finds must not depend on what lies beside the built program.
        let nowhere = self.cluster.folder().join("no-plugins");
        self.plugins.clone().unwrap_or(nowhere)
    }

    /// Sets more variables for every `sns` that runs.
    pub(crate) fn with_variables<const N: usize>(
        mut self,
        variables: [(&'static str, String); N],
    ) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Those that were set so.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        self.variables.clone()
    }

    pub(crate) fn home_option(&self, host: &str) -> String {
        format!("--dir-home={}", self.cluster.host_home(host).display())
    }

    /// Runs `sns` in the project.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_in(&self.cluster.project(), arguments)
    }

    /// Runs `sns` somewhere.
    pub(crate) fn run_in(&self, directory: &Path, arguments: &[&str]) -> Outcome {
        let mut command = self.cluster.sns(arguments);
        if directory.is_dir() {
            command.current_dir(directory);
        }
        command.env("SIMPLENETES_PLUGINS", self.plugins());
        command.env("USER", "tester");
        command.envs(self.variables());
        Outcome::of(&mut command).unwrap()
    }

    /// The whole outcome as snapshots keep it: the command, both streams, the status.
    pub(crate) fn show(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        self.shown(arguments, &outcome)
    }

    /// An outcome as snapshots keep it.
    pub(crate) fn shown(&self, arguments: &[&str], outcome: &Outcome) -> String {
        let mut text = format!("$ sns {}\n{}", arguments.join(" "), outcome.stdout);
        for line in outcome.stderr.lines() {
            text.push_str(format!("| {line}").trim_end());
            text.push('\n');
        }
        text.push_str(&format!("[exit {}]", outcome.code));
        self.redact(&text)
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// Runs `sns` and insists on success. Gives stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).success().unwrap()
    }

    /// Makes a pod, attaches it to a host and commits.
    pub(crate) fn attach(&self, pod: &str, host: &str, files: &[(&str, &str)]) {
        if !files.is_empty() {
            self.cluster.add_pod(pod, files).unwrap();
        }
        self.ok(&["host", "attach", &format!("{pod}@{host}")]);
    }

    /// Changes a file of a pod and commits it in the pod's repository.
    pub(crate) fn change_pod(&self, pod: &str, path: &str, text: &str) {
        let directory = self.cluster.pods().join(pod);
        write(&directory.join(path), text);
        for arguments in [&["add", "."][..], &["commit", "-q", "-m", "Change"]] {
            Outcome::of(self.cluster.git(arguments).current_dir(&directory))
                .unwrap()
                .success()
                .unwrap();
        }
    }

    /// Commits the project.
    pub(crate) fn commit(&self) {
        self.cluster.commit("Change").unwrap();
    }

    /// Runs git in the project and insists on success. Gives stdout.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        Outcome::of(&mut self.cluster.git(arguments))
            .unwrap()
            .success()
            .unwrap()
    }

    /// What git says of the project.
    pub(crate) fn git_status(&self) -> String {
        self.git(&["status", "--short"])
    }

    /// A file of the project.
    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.cluster.project().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.cluster.project().join(path), text);
    }

    /// A file of a host home.
    pub(crate) fn read_home(&self, host: &str, path: &str) -> String {
        let path = self.cluster.host_home(host).join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a file of a host home.
    pub(crate) fn write_home(&self, host: &str, path: &str, text: &str) {
        write(&self.cluster.host_home(host).join(path), text);
    }
}

/// Writes a file and the directories above it.
#[expect(
    clippy::disallowed_methods,
    reason = "the input of a test is written before anybody reads it"
)]
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The built plugin components; without them no test of a real kind can run.
fn built_plugins() -> PathBuf {
    let named = std::env::var_os("SIMPLENETES_PLUGINS").map(PathBuf::from);
    let program = testkit::program("sns").unwrap();
    let directory = named.unwrap_or_else(|| program.parent().unwrap().join("plugins"));
    let is_there = fs::read_dir(&directory).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("native-runtime")
        })
    });
    assert!(
        is_there,
        "{} holds no native-runtime component: run `cargo xtask plugins`",
        directory.display()
    );
    directory
}
