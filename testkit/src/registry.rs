//! A registry of images on loopback: Debian's `docker-registry`, with and without a login.

use std::fs;
use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::cluster::{command, write};
use crate::{Podman, wait_until};

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(30);

const USER: &str = "tester";
const PASSWORD: &str = "opensesame";

/// [`PASSWORD`] as the registry wants it: bcrypt, with the least work that there is.
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuFuhxWRTXIsURoluSTZ1N4tYaWGn9oOi";

/// A registry that ends with its owner.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    wants_login: bool,
}

impl Registry {
    /// A registry for everybody.
    ///
    /// # Errors
    /// `docker-registry` is not installed or does not start.
    pub fn new() -> Result<Self> {
        Self::start(false)
    }

    /// A registry that shows its images to one user only.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn with_login() -> Result<Self> {
        Self::start(true)
    }

    fn start(wants_login: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{formatter: json, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {path}/images}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n"
        );
        if wants_login {
            config += &format!("auth: {{htpasswd: {{realm: test, path: {path}/users}}}}\n");
        }
        write(&folder.path().join("config.yml"), &config)?;
        write(&folder.path().join("users"), &format!("{USER}:{HASH}\n"))?;
        let log = folder.path().join("log");
        let child = command("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .env_clear()
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("cannot start docker-registry")?;
        let mut registry = Self {
            child,
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            wants_login,
        };
        // It says which port the kernel gave it.
        let said = || fs::read_to_string(&log).unwrap_or_default();
        registry.address =
            wait_until("the registry to listen", LIMIT, || Ok(port(&said()))).with_context(said)?;
        Ok(registry)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts an image of a podman into it, and gives the name under which it can be pulled.
    ///
    /// # Errors
    /// It is not accepted.
    pub fn push(&self, podman: &Podman, image: &str, name: &str) -> Result<String> {
        let target = format!("{}/{name}", self.address);
        let mut push = vec!["push", "--quiet", "--tls-verify=false"];
        let credentials = format!("--creds={USER}:{PASSWORD}");
        if self.wants_login {
            push.push(&credentials);
        }
        podman.run(&[&push[..], &[image, &target]].concat())?;
        Ok(target)
    }

    /// Writes the login into the podman's file of logins.
    ///
    /// # Errors
    /// The registry refuses it.
    pub fn log_in(&self, podman: &Podman) -> Result<()> {
        let address = self.address.to_string();
        let login = [
            "login",
            "--tls-verify=false",
            "-u",
            USER,
            "-p",
            PASSWORD,
            &address,
        ];
        podman.run(&login).map(drop)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The folder goes with the last field.
        let _ = self.folder.path();
    }
}

fn port(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    let (address, _) = rest.split_once('"')?;
    address.parse().ok()
}
