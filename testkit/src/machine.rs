//! A machine that can be set up and spoilt: this one's files under a layer that is thrown away, an address of a network of
//! its own, and an SSH server that lets root in. What is changed there (users, sudo, firewall, settings of the kernel's
//! network) is changed nowhere else. No service manager runs there, as in a container.
//!
//! ```text
//! network namespace of the host, mounts and processes of its own
//!   FOLDER (tmpfs)   upper/  what was changed
//!                    root/   overlay: upper/ over /, where everything runs
//! ```

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::cluster::command;
use crate::sshd::make_ssh_key;
use crate::{Network, Outcome, wait_until};

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(30);

/// Where its SSH server listens.
const PORT: u16 = 22;

/// Directories that change by themselves whenever somebody logs in.
const RESTLESS: [&str; 4] = ["run", "tmp", "var/log", "var/lib/sudo"];

/// Makes the mounts, then becomes the SSH server of the machine, its first process. Arguments: the folder, the host key, and
/// the public line that lets root in.
const BOOT: &str = r#"
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
root=$1/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/sshd" "$root/root/.ssh" "$root/etc/ssh/sshd_config.d"
cat > "$root/root/.ssh/authorized_keys"
chmod 700 "$root/root/.ssh"
cp -p "$2" "$root/etc/ssh/machine_key"
cat > "$root/etc/ssh/sshd_config" <<END
Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/machine_key
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
PrintMotd no
PrintLastLog no
END
exec chroot "$root" /usr/sbin/sshd -D -e
"#;

/// A machine that is gone with its owner, with everything that runs there.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
    address: SocketAddr,
    /// `unshare`, which stands outside of the root; its only child is the first process of the machine.
    outside: Child,
    first: u32,
}

impl Machine {
    /// The machine at that host of a network. Whoever has the key of this public line is let in as root.
    ///
    /// # Errors
    /// This is not root, or a program is missing: `unshare`, OpenSSH's server.
    pub fn at(network: &Network, host: usize, root_key: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("machine-").tempdir()?;
        let keys = tempfile::tempdir()?;
        make_ssh_key(&keys.path().join("host"), "ed25519", "")?;
        let key = keys.path().join("host");
        let log = keys.path().join("log");
        let input = keys.path().join("authorized");
        crate::cluster::write(&input, root_key)?;
        let boot = || -> Result<Child> {
            command("unshare")
                .args([
                    "--mount",
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--",
                    "sh",
                    "-c",
                    BOOT,
                    "boot",
                ])
                .arg(folder.path())
                .arg(&key)
                .env_clear()
                .env(
                    "PATH",
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                )
                .stdin(File::open(&input)?)
                .stdout(Stdio::null())
                .stderr(File::create(&log)?)
                .spawn()
                .context("cannot start unshare")
        };
        let mut outside = network.at(host, boot)??;
        let listens = || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if said.contains("Server listening on") {
                return Ok(Some(()));
            }
            match outside.try_wait()? {
                Some(status) => bail!("the machine ended ({status}): {said}"),
                None => Ok(None),
            }
        };
        let outcome = wait_until("the machine to let somebody in", LIMIT, listens);
        let first = children(outside.id()).first().copied();
        let machine = Self {
            folder,
            address: SocketAddr::new(Network::address(host), PORT),
            outside,
            first: first.unwrap_or_default(),
        };
        // Only now, so that it is ended in any case.
        outcome?;
        anyhow::ensure!(machine.first != 0, "the machine has no process");
        Ok(machine)
    }

    /// Where its SSH server listens, for the hosts of its network.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where one of its files can be read and written from outside.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.first));
        root.join(path.trim_start_matches('/'))
    }

    /// Runs a line of shell there as root, in its network.
    ///
    /// # Errors
    /// The line cannot be run. That it fails is an outcome.
    pub fn shell(&self, line: &str) -> Result<Outcome> {
        Outcome::of(&mut self.command(line))
    }

    /// The same, not started yet.
    #[must_use]
    pub fn command(&self, line: &str) -> Command {
        let mut enter = command("nsenter");
        enter
            .args(["--target", &self.first.to_string()])
            .args([
                "--mount", "--net", "--pid", "--root", "--wdns=/", "--", "sh", "-c", line,
            ])
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            );
        enter
    }

    /// Everything that is there and not on this machine, or otherwise: a line for each, sorted. What changes whenever somebody
    /// logs in is left out.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn changes(&self) -> Result<Vec<String>> {
        let inside = self.folder.path().join("upper");
        let top = PathBuf::from(format!("/proc/{}/root", self.outside.id()));
        let top = top.join(inside.strip_prefix("/")?);
        let mut lines = Vec::new();
        collect(&top, Path::new(""), &mut lines)?;
        lines.sort();
        Ok(lines)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its first process goes with this one, and all others of the machine with that.
        let _ = self.outside.kill();
        let _ = self.outside.wait();
    }
}

fn collect(top: &Path, below: &Path, lines: &mut Vec<String>) -> Result<()> {
    if RESTLESS.iter().any(|name| below == Path::new(name)) {
        return Ok(());
    }
    for entry in fs::read_dir(top.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let meta = entry.metadata()?;
        let shown = path.display();
        if meta.is_dir() {
            collect(top, &path, lines)?;
        } else if meta.is_file() {
            let mut content = Vec::new();
            File::open(entry.path())?.read_to_end(&mut content)?;
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            let hash = hasher.finish();
            let mode = meta.mode() & 0o7777;
            lines.push(format!(
                "{shown} {mode:o} {} {} {hash:x}",
                meta.uid(),
                content.len()
            ));
        } else {
            lines.push(format!("{shown} {:o}", meta.mode()));
        }
    }
    Ok(())
}

fn children(process: u32) -> Vec<u32> {
    let file = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_there_happens_nowhere_else() {
        let network = Network::new(1).unwrap();
        let machine = Machine::at(&network, 0, "").unwrap();
        let before = machine.changes().unwrap();
        let line = "useradd -m -p '*' machine-test && sysctl -q -w net.ipv4.ip_unprivileged_port_start=7 && id -u machine-test";
        machine.shell(line).unwrap().success().unwrap();
        assert_ne!(machine.changes().unwrap(), before);
        assert!(machine.path("/home/machine-test").is_dir());
        let here = fs::read_to_string("/etc/passwd").unwrap();
        assert!(!here.contains("machine-test"));
        let low = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        assert_ne!(low.trim(), "7");
        let folder = machine.folder.path().to_owned();
        drop(machine);
        assert!(!folder.exists(), "the mounts have gone with it");
    }
}
