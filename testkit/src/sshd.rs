//! The SSH server of OpenSSH, with keys of its own and an agent for them, for as long as a test needs it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cluster::{command, write};
use crate::{Outcome, free_port, wait_until};

/// Debian's place, which is in no ordinary user's PATH. The server wants to be called by its whole path.
const PROGRAM: &str = "/usr/sbin/sshd";

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(30);

/// How often another port is tried when somebody was faster.
const PORTS_TRIED: usize = 5;

/// A server that ends with its owner, and so does everything that runs in it.
#[derive(Debug)]
pub struct Sshd {
    folder: TempDir,
    address: SocketAddr,
    lines: String,
    child: Child,
}

impl Sshd {
    /// A server on 127.0.0.1 with an Ed25519 key.
    ///
    /// # Errors
    /// OpenSSH's server is not installed or does not start.
    pub fn new() -> Result<Self> {
        Self::with("ed25519", "")
    }

    /// A server with a key of that kind, and more lines for its configuration.
    ///
    /// # Errors
    /// As [`Sshd::new`].
    pub fn with(kind: &str, lines: &str) -> Result<Self> {
        Self::at(IpAddr::from(Ipv4Addr::LOCALHOST), None, kind, lines)
    }

    /// A server at that address, which may be one of a [`crate::Network`]; on a free port unless one is given.
    ///
    /// # Errors
    /// As [`Sshd::new`], or the port is taken.
    pub fn at(ip: IpAddr, port: Option<u16>, kind: &str, lines: &str) -> Result<Self> {
        // A server of root wants this directory, which a service manager makes elsewhere.
        let _ = fs::create_dir("/run/sshd");
        let folder = tempfile::tempdir()?;
        make_ssh_key(&folder.path().join("host"), kind, "")?;
        write(&folder.path().join("authorized"), "")?;
        let mut tried = 0;
        loop {
            tried += 1;
            let address = SocketAddr::new(ip, port.map_or_else(free_port, Ok)?);
            match start(folder.path(), address, lines) {
                Ok(child) => {
                    return Ok(Self {
                        folder,
                        address,
                        lines: lines.to_owned(),
                        child,
                    });
                }
                Err(error) if port.is_some() || tried == PORTS_TRIED => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its public key, as it stands in a file of OpenSSH.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn host_key(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("host.pub"))?)
    }

    /// Its fingerprint, as OpenSSH's own program says it.
    ///
    /// # Errors
    /// The program fails.
    pub fn fingerprint(&self) -> Result<String> {
        ssh_fingerprint(&self.folder.path().join("host.pub"))
    }

    /// Lets whoever has the key of this public line in.
    ///
    /// # Errors
    /// The file cannot be changed.
    pub fn authorize(&self, public: &str) -> Result<()> {
        let path = self.folder.path().join("authorized");
        let mut file = OpenOptions::new().append(true).open(path)?;
        Ok(writeln!(file, "{}", public.trim())?)
    }

    /// The home directory of everybody who logs in.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends the server and all connections at once, with everything that was started over them.
    pub fn kill(&mut self) {
        self.kill_all(|_| true);
    }

    /// Ends the server and all connections at once; what was started over them is left to itself.
    pub fn kill_alone(&mut self) {
        let is_server = |pid: Pid| {
            let file = format!("/proc/{}/exe", pid.as_raw_nonzero());
            fs::read_link(file).is_ok_and(|program| program == Path::new(PROGRAM))
        };
        self.kill_all(is_server);
    }

    /// Starts the server again, at the same address and with the same keys. To be called where the first one was started.
    ///
    /// # Errors
    /// As [`Sshd::new`].
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.child = start(self.folder.path(), self.address, &self.lines)?;
        Ok(())
    }

    fn kill_all(&mut self, is_meant: impl Fn(Pid) -> bool) {
        if let Some(pid) = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default()) {
            // What is stopped starts nothing new while its descendants are looked for.
            let _ = kill_process(pid, Signal::STOP);
            for descendant in descendants(pid).into_iter().filter(|pid| is_meant(*pid)) {
                let _ = kill_process(descendant, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(folder: &Path, address: SocketAddr, lines: &str) -> Result<Child> {
    let path = folder.display();
    // What the shell of a person does at its start is no business of a test: it takes time, and may lock files. The
    // programs of this build are those of the host, unless a test has put others into `bin` of its home.
    let programs = crate::program("simplenetesd").ok();
    let programs = programs.as_deref().and_then(Path::parent);
    let programs = programs.map_or_else(String::new, |path| format!("{}:", path.display()));
    let config = format!(
        "ListenAddress {address}\nHostKey {path}/host\nAuthorizedKeysFile {path}/authorized\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin yes\nMaxStartups 100\nPrintMotd no\nPrintLastLog no\n\
         SetEnv HOME={path} PATH={path}/bin:{programs}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\n{lines}\n"
    );
    write(&folder.join("config"), &config)?;
    let log = folder.join("log");
    let mut child = command(PROGRAM)
        .args(["-D", "-e", "-f"])
        .arg(folder.join("config"))
        .env_clear()
        .stdin(Stdio::null())
        .stderr(File::create(&log)?)
        .spawn()
        .context("cannot start sshd; install it: apt-get install openssh-server")?;
    let listens = || {
        let said = fs::read_to_string(&log).unwrap_or_default();
        if said.contains("Server listening on") {
            return Ok(Some(()));
        }
        match child.try_wait()? {
            Some(status) => bail!("sshd ended ({status}): {said}"),
            None => Ok(None),
        }
    };
    let outcome = wait_until("sshd to listen", LIMIT, listens);
    if outcome.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    outcome.map(|()| child)
}

/// All processes below one, which may be in sessions of their own.
fn descendants(pid: Pid) -> Vec<Pid> {
    let raw = pid.as_raw_nonzero();
    let file = format!("/proc/{raw}/task/{raw}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    let children = text
        .split_whitespace()
        .filter_map(|word| Pid::from_raw(word.parse().ok()?));
    children
        .flat_map(|child| [descendants(child), vec![child]].concat())
        .collect()
}

/// Makes a key pair of OpenSSH, `PATH` and `PATH.pub`, and gives the public line. The kind may be followed by more
/// options of `ssh-keygen`, as in `rsa -m PEM`.
///
/// # Errors
/// `ssh-keygen` is missing or fails.
pub fn make_ssh_key(path: &Path, kind: &str, passphrase: &str) -> Result<String> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut keygen = command("ssh-keygen");
    keygen
        .args(["-q", "-N", passphrase, "-C", "test", "-t"])
        .args(kind.split(' '))
        .arg("-f")
        .arg(path);
    Outcome::of(&mut keygen)?.success()?;
    Ok(fs::read_to_string(path.with_extension("pub"))?)
}

/// The fingerprint of a public key as OpenSSH's own program says it.
///
/// # Errors
/// `ssh-keygen` is missing or fails.
pub fn ssh_fingerprint(public: &Path) -> Result<String> {
    let mut keygen = command("ssh-keygen");
    keygen.arg("-lf").arg(public);
    let said = Outcome::of(&mut keygen)?.success()?;
    let word = said
        .split(' ')
        .nth(1)
        .context("ssh-keygen says no fingerprint")?;
    Ok(word.to_owned())
}

/// Who the programs of a test are for an SSH server.
///
/// # Errors
/// `id` fails.
pub fn login_name() -> Result<String> {
    let mut id = command("id");
    id.arg("-un");
    Ok(Outcome::of(&mut id)?.success()?.trim().to_owned())
}

/// An ssh-agent that ends with its owner.
#[derive(Debug)]
pub struct SshAgent {
    folder: TempDir,
    child: Child,
}

impl SshAgent {
    /// One without keys.
    ///
    /// # Errors
    /// `ssh-agent` is missing or does not start.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("agent");
        let child = command("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start ssh-agent")?;
        let agent = Self { folder, child };
        wait_until("the agent to listen", LIMIT, || {
            Ok(socket.exists().then_some(()))
        })?;
        Ok(agent)
    }

    /// SSH_AUTH_SOCK.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// Gives it a key without a passphrase.
    ///
    /// # Errors
    /// It is not taken.
    pub fn add(&self, key: &Path) -> Result<()> {
        let mut add = command("ssh-add");
        add.arg("-q").arg(key).env("SSH_AUTH_SOCK", self.socket());
        Outcome::of(&mut add)?.success().map(drop)
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_lets_its_keys_in_and_ends_with_what_runs_in_it() {
        let mut server = Sshd::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        server
            .authorize(&make_ssh_key(&key, "ed25519", "").unwrap())
            .unwrap();
        let port = server.address().port().to_string();
        let mut ssh = command("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        ssh.args(["-o", "LogLevel=ERROR", "-p", &port, "-i"])
            .arg(&key);
        ssh.arg(format!("{}@127.0.0.1", login_name().unwrap()));
        ssh.arg("echo started; exec sleep 600");
        let mut client = ssh.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 8];
        std::io::Read::read_exact(client.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert_eq!(&said, b"started\n");
        server.kill();
        assert!(!client.wait().unwrap().success());
    }
}
