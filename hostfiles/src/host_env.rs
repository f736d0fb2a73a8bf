//! `host.env`: how a host is reached and where things lie on it. Edited by people.
//!
//! The first line of a key counts. Lines that we do not know survive a rewrite, so newer keys and
//! people's comments are never lost.

use std::net::SocketAddr;

use crate::key_lines::KeyLines;
use crate::{Format, FormatError};

/// Directory on the host that is used when HOSTHOME is blank.
const HOST_HOME_DEFAULT: &str = "cluster-host";
/// Port of SSH when PORT is blank.
const SSH_PORT_DEFAULT: u16 = 22;

/// How a host is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAddress<'a> {
    /// It is this machine: no SSH, files on local disk.
    Local,
    /// By SSH, at an IP address or name.
    Remote(&'a str),
}

/// The settings of one host. All accessors give the trimmed value of the first line of their key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostEnv(KeyLines);

impl HostEnv {
    /// The value of any key; blank counts as absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).filter(|value| !value.is_empty())
    }

    /// Changes or adds a key; all other lines stay as they are.
    pub fn set(&mut self, key: &str, value: &str) {
        self.0.set(key, value);
    }

    /// HOST: how the host is reached; none when blank.
    #[must_use]
    pub fn address(&self) -> Option<HostAddress<'_>> {
        self.get("HOST").map(|host| {
            if host == "local" {
                HostAddress::Local
            } else {
                HostAddress::Remote(host)
            }
        })
    }

    /// PORT: the port of SSH.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.get("PORT")
            .and_then(|port| port.parse().ok())
            .unwrap_or(SSH_PORT_DEFAULT)
    }

    /// USER: the unprivileged user that runs the pods.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.get("USER")
    }

    /// FLAGS: options for the `ssh` program of the original, separated by spaces.
    #[must_use]
    pub fn flags(&self) -> &str {
        self.get("FLAGS").unwrap_or_default()
    }

    /// KEYFILE: the private key, relative to the host's directory in the project.
    #[must_use]
    pub fn key_file(&self) -> Option<&str> {
        self.get("KEYFILE")
    }

    /// JUMPHOST: the directory or env file of another host, relative to this host's directory.
    #[must_use]
    pub fn jump_host(&self) -> Option<&str> {
        self.get("JUMPHOST")
    }

    /// HOSTHOME: the directory on the host; a relative one lies below the user's home.
    #[must_use]
    pub fn host_home(&self) -> &str {
        self.get("HOSTHOME").unwrap_or(HOST_HOME_DEFAULT)
    }

    /// ROUTERADDRESS: where this host's proxy listens; none when the host has no proxy. Its IP is also
    /// the default address that the host's pods bind to.
    #[must_use]
    pub fn router_address(&self) -> Option<SocketAddr> {
        self.get("ROUTERADDRESS")
            .and_then(|address| address.parse().ok())
    }
}

impl Format for HostEnv {
    const NAME: &'static str = "host.env";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let lines = KeyLines::parse(text);
        check::<u16>(&lines, "PORT", "a port number, as in PORT=22")?;
        check::<SocketAddr>(
            &lines,
            "ROUTERADDRESS",
            "an IP address and a port, as in ROUTERADDRESS=192.168.1.2:32767",
        )?;
        Ok(Self(lines))
    }

    fn to_text(&self) -> String {
        self.0.to_text()
    }
}

/// Refuses a value that the accessor of the key could not read; blank is fine.
fn check<T: std::str::FromStr>(
    lines: &KeyLines,
    key: &str,
    expected: &str,
) -> Result<(), FormatError> {
    match lines.entries().find(|(_, found, _)| *found == key) {
        Some((number, _, value)) if !value.is_empty() && value.parse::<T>().is_err() => {
            Err(FormatError::at::<HostEnv>(number, value, expected))
        }
        _ => Ok(()),
    }
}
