//! Twenty hosts behind SSH servers, a project for them, and the same contents for the peers.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use testkit::{Cluster, Outcome, Sshd, login_name, make_ssh_key};

use super::relay::Relay;

/// Most hosts of a row.
pub(super) const HOSTS_MAX: usize = 20;

/// What changes: all small files, or a hundredth of the large one.
pub(super) const MANY: usize = 1000;
pub(super) const LARGE: usize = 1;

/// How large a small and the large file are, in bytes, and what of the large one changes.
const SMALL_BYTES: usize = 400;
const LARGE_BYTES: usize = 100_000_000;
const LARGE_CHANGES: usize = 10;
const LARGE_CHANGED_BYTES: usize = LARGE_BYTES / 100 / LARGE_CHANGES;

/// A program of its own: no plugin is needed.
const POD: &str = "\
api: 1.0.0-beta2
runtime: executable
podVersion: 1.0.0
executable:
  file: run.sh
";

/// Brings the contents to so many hosts.
type System = fn(&Field, usize) -> Result<()>;

/// The hosts and everything around them.
pub(super) struct Field {
    servers: Vec<Sshd>,
    relay: Relay,
    cluster: Cluster,
    user: String,
    /// How many of the servers are hosts of the project.
    hosts: usize,
    /// How often something has changed.
    changes: u64,
}

impl Field {
    /// Ours and the peers, in the order in which they take turns.
    pub(super) const SYSTEMS: [System; 3] = [Self::ours, Self::rsync, Self::ansible];

    /// All servers, and a project with a pod and without hosts.
    pub(super) fn prepare(programs: &Path) -> Result<Self> {
        let cluster = Cluster::with_programs(programs)?;
        make_ssh_key(&cluster.folder().join("id"), "ed25519", "")?;
        let public = fs::read_to_string(cluster.folder().join("id.pub"))?;
        let mut servers = Vec::new();
        for _ in 0..HOSTS_MAX {
            let server = Sshd::new()?;
            server.authorize(&public)?;
            // The programs that are measured, not those beside the bench.
            fs::create_dir(server.home().join("bin"))?;
            symlink(
                programs.join("simplenetesd"),
                server.home().join("bin/simplenetesd"),
            )?;
            servers.push(server);
        }
        let first = servers.first().context("there are no hosts")?;
        let relay = Relay::before(first.address())?;
        let mut field = Self {
            servers,
            relay,
            cluster,
            user: login_name()?,
            hosts: 0,
            changes: 0,
        };
        field.make_project()?;
        Ok(field)
    }

    fn make_project(&mut self) -> Result<()> {
        let name = self.cluster.project();
        let name = name.file_name().context("the project has no name")?;
        self.sns(&["cluster", "create", &name.to_string_lossy()])?;
        self.cluster.add_pod(
            "web",
            &[("pod.yaml", POD), ("run.sh", "#!/bin/sh\nexit 0\n")],
        )?;
        Ok(())
    }

    /// Has so many hosts in the project: what a sync does for others must not count.
    pub(super) fn grow(&mut self, hosts: usize) -> Result<()> {
        let mut inventory = String::new();
        for host in 0..hosts {
            let (name, port) = (host_name(host), self.port(host));
            let home = self.home(host);
            let home = home.display();
            inventory +=
                &format!("{name} ansible_host=127.0.0.1 ansible_port={port} home={home}\n");
            if host < self.hosts {
                continue;
            }
            let address = format!("--address=127.0.0.1:{port}");
            let user = format!("--user-name={}", self.user);
            self.sns(&[
                "host",
                "register",
                &name,
                &address,
                &user,
                "--keyfile=../../id",
                "--dir-home=cluster",
            ])?;
            self.sns(&["host", "init", &name])?;
            self.sns(&["host", "attach", &format!("web@{name}")])?;
        }
        self.sns(&["pod", "compile", "web"])?;
        write(
            &self.cluster.folder().join("inventory"),
            inventory.as_bytes(),
        )?;
        self.hosts = hosts;
        self.change(MANY)
    }

    /// Changes all small files, or parts of the large one, for everybody, and commits.
    pub(super) fn change(&mut self, files: usize) -> Result<()> {
        self.changes += 1;
        let peers = self.peers();
        if files == LARGE {
            let path = peers.join("large");
            let mut bytes = fs::read(&path)?;
            for (number, part) in bytes.chunks_mut(LARGE_BYTES / LARGE_CHANGES).enumerate() {
                let new = noise(self.changes * 100 + number as u64, LARGE_CHANGED_BYTES);
                if let Some(place) = part.get_mut(1000..1000 + new.len()) {
                    place.copy_from_slice(&new);
                }
            }
            write(&path, &bytes)?;
            write(&self.config(0).join("large"), &bytes)?;
            // ansible has one file, whatever is in it.
            write(&self.cluster.folder().join("all"), &bytes)?;
        } else {
            let mut all = Vec::new();
            for number in 0..files {
                let text = noise(self.changes * 10_000 + number as u64, SMALL_BYTES);
                let name = format!("{}/{number}", number % 10);
                write(&peers.join(&name), &text)?;
                for host in 0..self.hosts {
                    write(&self.config(host).join(&name), &text)?;
                }
                all.extend(text);
            }
            write(&self.cluster.folder().join("all"), &all)?;
        }
        self.cluster.commit("Change")
    }

    /// Puts the large file among the contents of the first host and of the peers.
    pub(super) fn add_large(&mut self) -> Result<()> {
        write(&self.peers().join("large"), &noise(7, LARGE_BYTES))?;
        self.change(LARGE)
    }

    /// Takes it away again.
    pub(super) fn remove_large(&self) -> Result<()> {
        for folder in [self.peers(), self.config(0)] {
            fs::remove_file(folder.join("large"))?;
        }
        self.cluster.commit("Remove")
    }

    /// What went over the wire to the first host and from it so far.
    pub(super) fn bytes(&self) -> u64 {
        self.relay.bytes()
    }

    fn ours(&self, _: usize) -> Result<()> {
        self.sns(&["cluster", "sync", "--quiet"])
    }

    fn rsync(&self, hosts: usize) -> Result<()> {
        let from = format!("{}/", self.peers().display());
        let started = (0..hosts).map(|host| {
            let shell = format!("ssh -p {} {}", self.port(host), self.ssh_options());
            let mut rsync = self.command("rsync");
            rsync.args(["-a", "--delete", "-e", &shell, &from]);
            let home = self.home(host);
            rsync.arg(format!("{}@127.0.0.1:{}/peer/", self.user, home.display()));
            Ok(rsync.spawn()?)
        });
        let started: Vec<_> = started.collect::<Result<_>>()?;
        for mut child in started {
            ensure!(child.wait()?.success(), "rsync failed");
        }
        Ok(())
    }

    fn ansible(&self, hosts: usize) -> Result<()> {
        let names: Vec<String> = (0..hosts).map(host_name).collect();
        let all = self.cluster.folder().join("all");
        let mut ansible = self.command("ansible");
        ansible.arg(names.join(":")).arg("-i");
        ansible.arg(self.cluster.folder().join("inventory"));
        ansible.args(["--forks", "20", "--user", &self.user, "--private-key"]);
        ansible.arg(self.cluster.folder().join("id"));
        ansible.args(["--ssh-common-args", &self.ssh_options()]);
        let words = format!("src={} dest={{{{ home }}}}/all", all.display());
        ansible.args(["-m", "copy", "-a", &words]);
        ansible.env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3");
        let outcome = Outcome::of(ansible.stdout(Stdio::piped()))?;
        outcome.success().map(drop)
    }

    fn ssh_options(&self) -> String {
        format!(
            "-F none -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            self.cluster.folder().join("id").display()
        )
    }

    fn command(&self, name: &str) -> Command {
        let mut command = self.cluster.command(name);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn sns(&self, arguments: &[&str]) -> Result<()> {
        let mut sns = self.cluster.sns(arguments);
        sns.env("SIMPLENETES_PLUGINS", self.cluster.folder().join("none"));
        Outcome::of(&mut sns)?.success().map(drop)
    }

    /// The config of a host in the project.
    fn config(&self, host: usize) -> PathBuf {
        let release = self.cluster.project().join(host_name(host));
        release.join("pods/web/release/1.0.0/config/conf")
    }

    fn peers(&self) -> PathBuf {
        self.cluster.folder().join("peers")
    }

    /// The home of a host, which is not where whoever logs in begins.
    fn home(&self, host: usize) -> PathBuf {
        let server = self.servers.get(host);
        server.map_or_else(PathBuf::new, |server| server.home().to_owned())
    }

    fn port(&self, host: usize) -> u16 {
        let server = self.servers.get(host).filter(|_| host > 0);
        server.map_or(self.relay.address.port(), |server| server.address().port())
    }
}

fn host_name(number: usize) -> String {
    format!("host{:02}", number + 1)
}

/// Bytes that do not repeat.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [_, _, _, byte, ..] = state.to_le_bytes();
        byte
    };
    (0..length).map(byte).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the input of a bench is written before anybody reads it"
)]
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
