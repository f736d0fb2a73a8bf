//! What is so on a host, as its probe said it. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use simplenetes_sync::Digest;

/// The state of a host, as far as a plan depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its distribution, for people.
    pub(crate) system: String,
    /// Its processor, as `uname -m` says it.
    pub(crate) machine: String,
    /// Who asks, and at which port of the host.
    pub(crate) ssh: Option<SshConnection>,
    /// Programs and packages that are there, of those that matter.
    pub(crate) tools: BTreeSet<String>,
    /// The users that are there, of those that matter.
    pub(crate) users: BTreeSet<String>,
    /// Lines of authorized_keys of these users.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
    /// Lines of /etc/subuid.
    pub(crate) subuid: Vec<String>,
    /// Lines of /etc/subgid.
    pub(crate) subgid: Vec<String>,
    /// The lowest port that anybody may listen on.
    pub(crate) low_port: Option<u16>,
    /// Files that matter and are there.
    pub(crate) files: BTreeMap<String, FileFact>,
    /// Units of systemd that start by themselves.
    pub(crate) enabled: BTreeSet<String>,
    /// Units of systemd that run.
    pub(crate) active: BTreeSet<String>,
    /// Which firewall rules there.
    pub(crate) firewall: Firewall,
    /// The rules that ufw was told, as it shows them.
    pub(crate) ufw: Vec<String>,
    /// The lines of sshd_config.
    pub(crate) sshd_config: Vec<String>,
    /// Whether root may log in, as the server's configuration comes out.
    pub(crate) root_login: Option<String>,
    /// Things that are so or not.
    pub(crate) is: BTreeSet<String>,
}

/// A file as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileFact {
    /// Of its content.
    pub(crate) digest: Digest,
    /// Its permissions.
    pub(crate) mode: u32,
}

/// The two ends of the connection over which the probe ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SshConnection {
    /// Where it comes from, for the host: perhaps the jump host.
    pub(crate) client: IpAddr,
    /// The port of the SSH server.
    pub(crate) port: u16,
}

/// What decides who may come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Firewall {
    /// firewalld runs.
    Firewalld,
    /// ufw is active.
    Ufw,
    /// Nobody, or rules that somebody has made by hand.
    #[default]
    None,
}

/// A probe that did not come to its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("its answer was cut short")]
pub(crate) struct Incomplete;

impl Facts {
    /// Reads what a probe said. Lines that are not understood are skipped: they are another version's.
    pub(crate) fn parse(text: &str) -> Result<Self, Incomplete> {
        let mut facts = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
            facts.take(key, value);
        }
        match facts.is("complete") {
            true => Ok(facts),
            false => Err(Incomplete),
        }
    }

    fn take(&mut self, key: &str, value: &str) {
        let owned = value.to_owned();
        match key {
            "system" => self.system = owned,
            "machine" => self.machine = owned,
            "ssh" => self.ssh = ssh_connection(value),
            "tool" => drop(self.tools.insert(owned)),
            "user" => drop(self.users.insert(owned)),
            "subuid" => self.subuid.push(owned),
            "subgid" => self.subgid.push(owned),
            "low-port" => self.low_port = value.trim().parse().ok(),
            "enabled" => drop(self.enabled.insert(owned)),
            "active" => drop(self.active.insert(owned)),
            "firewall" => {
                self.firewall = match value {
                    "firewalld" => Firewall::Firewalld,
                    "ufw" => Firewall::Ufw,
                    _ => Firewall::None,
                }
            }
            "ufw" => self.ufw.push(owned),
            "sshd-config" => self.sshd_config.push(owned),
            "root-login" => self.root_login = Some(owned),
            "is" => drop(self.is.insert(owned)),
            "file" => {
                if let Some((path, file)) = file(value) {
                    self.files.insert(path, file);
                }
            }
            key => {
                if let Some(user) = key.strip_prefix("keys:") {
                    self.keys.entry(user.to_owned()).or_default().push(owned);
                }
            }
        }
    }

    /// True when the probe said so.
    pub(crate) fn is(&self, what: &str) -> bool {
        self.is.contains(what)
    }

    /// True when systemd starts things there.
    pub(crate) fn has_systemd(&self) -> bool {
        self.is("systemd")
    }

    /// True when a program or package is there.
    pub(crate) fn has(&self, tool: &str) -> bool {
        self.tools.contains(tool)
    }

    /// True when a file is there and exactly so.
    pub(crate) fn has_file(&self, path: &str, digest: Digest, mode: u32) -> bool {
        self.files.get(path) == Some(&FileFact { digest, mode })
    }
}

fn file(value: &str) -> Option<(String, FileFact)> {
    let mut words = value.splitn(3, ' ');
    let digest = words.next()?.parse().ok()?;
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    Some((words.next()?.to_owned(), FileFact { digest, mode }))
}

/// `SSH_CONNECTION`: the client's address and port, then the server's.
fn ssh_connection(value: &str) -> Option<SshConnection> {
    let words: Vec<&str> = value.split(' ').collect();
    let &[client, _, _, port] = words.as_slice() else {
        return None;
    };
    // An address of one link has its interface behind it.
    let client = client.split('%').next().unwrap_or(client);
    Some(SshConnection {
        client: client.parse().ok()?,
        port: port.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_says() {
        let digest = Digest::of(b"x");
        let text = format!(
            "ssh\t10.0.0.9 50000 10.0.0.5 2222\nsystem\tDebian\nis\tsystemd\ntool\tpodman\nuser\tsns\n\
             keys:sns\tssh-ed25519 AAAA a\tb\nfile\t{digest} 755 /usr/local/bin/a b\nlow-port\t1024\nfirewall\tufw\nnew\tx\n\
             is\tcomplete\n"
        );
        let facts = Facts::parse(&text).unwrap();
        let client = "10.0.0.9".parse().unwrap();
        assert_eq!(facts.ssh, Some(SshConnection { client, port: 2222 }));
        assert!(facts.has_systemd() && facts.has("podman") && !facts.has("nft"));
        assert_eq!(facts.keys["sns"], ["ssh-ed25519 AAAA a\tb"]);
        assert!(facts.has_file("/usr/local/bin/a b", digest, 0o755));
        assert!(!facts.has_file("/usr/local/bin/a b", digest, 0o644));
        assert_eq!(
            (facts.low_port, facts.firewall),
            (Some(1024), Firewall::Ufw)
        );
        assert_eq!(Facts::parse("ssh\t\nsystem\tDebian\n"), Err(Incomplete));
        let link = ssh_connection("fe80::1%eth0 1 fe80::2%eth0 22").unwrap();
        assert_eq!(link.client, "fe80::1".parse::<IpAddr>().unwrap());
        assert_eq!(ssh_connection(""), None);
    }
}
