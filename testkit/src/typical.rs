//! The typical cluster of the documents: two load balancers, two workers, and a backdoor that alone is reached from outside.
//! It needs root.
//!
//! ```text
//!                 outside                    inside
//! operator ────────┬──────── backdoor ────────┬──────── lb1, lb2
//!  10.78.0.6       │  10.78.0.5  10.77.0.5    │         10.77.0.1, .2
//!                                             └──────── worker1, worker2
//!                                                       10.77.0.3, .4
//! ```
//!
//! Each host has an SSH server with a home and a key of its own, a daemon, and a proxy.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::{Cluster, Daemon, Network, Outcome, Sshd, login_name, make_ssh_key};

/// The hosts, in the order of their addresses.
const HOSTS: [&str; 5] = ["lb1", "lb2", "worker1", "worker2", "backdoor"];
/// The one that is reached from outside.
const BACKDOOR: &str = "backdoor";

/// Where all of them listen.
const SSH_PORT: u16 = 22;
const PROXY_PORT: u16 = 32767;
/// The first one that is given.
const CLUSTER_PORT: u16 = 61000;

/// The web server of the examples.
const WEBSITE: [(&str, &str); 4] = [
    ("pod.yaml", include_str!("../../examples/website/pod.yaml")),
    (
        "config/conf/httpd.conf",
        include_str!("../../examples/website/config/conf/httpd.conf"),
    ),
    (
        "config/www/index.html",
        include_str!("../../examples/website/config/www/index.html"),
    ),
    (
        "config/www/news.html",
        include_str!("../../examples/website/config/www/news.html"),
    ),
];

/// Five hosts and their operator. What is started ends with it, in this order.
#[derive(Debug)]
pub struct TypicalCluster {
    daemons: Vec<Daemon>,
    servers: Vec<Sshd>,
    /// The project, which lies with the operator.
    pub cluster: Cluster,
    network: Network,
    operator: usize,
}

impl TypicalCluster {
    /// Hosts with their SSH servers, and a project without hosts.
    ///
    /// # Errors
    /// This is not root, or something is not installed or not built.
    pub fn new() -> Result<Self> {
        let mut network = Network::new(u8::try_from(HOSTS.len())?)?;
        network.plug_in_outside(number(BACKDOOR)?)?;
        let operator = network.add_outsider()?;
        let cluster = Cluster::create()?;
        let public = make_ssh_key(&cluster.folder().join("id"), "ed25519", "")?;
        let mut servers = Vec::new();
        for host in HOSTS {
            let number = number(host)?;
            let listen = || Sshd::at(ssh_address(host, number), Some(SSH_PORT), "ed25519", "");
            let server = network.at(number, listen)??;
            server.authorize(&public)?;
            servers.push(server);
        }
        Ok(Self {
            daemons: Vec::new(),
            servers,
            cluster,
            network,
            operator,
        })
    }

    /// The names of the hosts.
    #[must_use]
    pub fn hosts(&self) -> [&'static str; 5] {
        HOSTS
    }

    /// Runs a command of the operator, in the project.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Result<Outcome> {
        let mut command = self.cluster.command(name);
        command.args(arguments);
        self.network
            .at(self.operator, || Outcome::of(&mut command))?
    }

    /// Runs `sns` as the operator and insists on success. Gives its standard output.
    ///
    /// # Errors
    /// It failed.
    pub fn sns(&self, arguments: &[&str]) -> Result<String> {
        self.run("sns", arguments)?.success()
    }

    /// What registers a host, as a person types it.
    ///
    /// # Errors
    /// There is no such host.
    pub fn registration(&self, host: &str) -> Result<Vec<String>> {
        let number = number(host)?;
        let mut words = vec![
            "host".to_owned(),
            "register".to_owned(),
            host.to_owned(),
            format!("--address={}", ssh_address(host, number)),
            format!("--user-name={}", login_name()?),
            "--keyfile=../../id".to_owned(),
            "--dir-home=cluster".to_owned(),
            format!("--router-address={}", proxy_address(number)),
        ];
        if host != BACKDOOR {
            words.push(format!("--jump-host=../{BACKDOOR}"));
        }
        Ok(words)
    }

    /// The hosts in the order in which they can be registered: each after its jump host.
    #[must_use]
    pub fn registrations(&self) -> [&'static str; 5] {
        [BACKDOOR, "lb1", "lb2", "worker1", "worker2"]
    }

    /// Makes the pod `website` of the examples, ready to be attached.
    ///
    /// # Errors
    /// git failed.
    pub fn add_website(&self) -> Result<()> {
        self.cluster.add_pod("website", &WEBSITE)
    }

    /// Registers and initialises all hosts, attaches the proxy to each and `website` to worker1, compiles, commits.
    ///
    /// # Errors
    /// One of the commands failed.
    pub fn prepare(&self) -> Result<()> {
        for host in self.registrations() {
            let words = self.registration(host)?;
            self.sns(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
            self.sns(&["host", "init", host])?;
            self.sns(&["host", "attach", &format!("proxy@{host}")])?;
        }
        self.add_website()?;
        self.sns(&["host", "attach", "website@worker1"])?;
        self.cluster.commit("Attach")?;
        for pod in ["proxy", "website"] {
            self.sns(&["pod", "compile", pod])?;
        }
        self.cluster.commit("Compile")
    }

    /// Starts the daemon of every host.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_daemons(&mut self) -> Result<()> {
        for host in HOSTS {
            let home = self.home(host)?;
            let log = File::create(self.log(host)?)?;
            let mut command = self.cluster.command("simplenetesd");
            command
                .arg(&home)
                .env("HOME", self.server(host)?.home())
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log);
            let daemon = self
                .network
                .at(number(host)?, || Daemon::start(&mut command, &home))??;
            self.daemons.push(daemon);
        }
        Ok(())
    }

    /// What the daemon of a host says.
    ///
    /// # Errors
    /// There is no such host.
    pub fn log(&self, host: &str) -> Result<PathBuf> {
        Ok(self.server(host)?.home().join("simplenetesd.log"))
    }

    /// The home of a host.
    ///
    /// # Errors
    /// There is no such host.
    pub fn home(&self, host: &str) -> Result<PathBuf> {
        Ok(self.server(host)?.home().join("cluster"))
    }

    /// Where a client at this host finds the first cluster port, which is that of `website`.
    ///
    /// # Errors
    /// There is no such host.
    pub fn page(&self, host: &str) -> Result<SocketAddr> {
        Ok(SocketAddr::new(
            Network::address(number(host)?),
            CLUSTER_PORT,
        ))
    }

    /// Does something at a host, see [`Network::at`].
    ///
    /// # Errors
    /// There is no such host.
    pub fn at<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.network.at(number(host)?, work)
    }

    /// Does something where the operator is.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn at_operator<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.network.at(self.operator, work)
    }

    /// A command that is where the operator is, for whoever is elsewhere.
    ///
    /// # Errors
    /// There is no operator.
    pub fn as_operator(&self, name: &str) -> Result<Command> {
        let file = self.network.file(self.operator);
        let file = file.context("the operator is nowhere")?;
        let mut command = self.cluster.command("nsenter");
        command.arg(format!("--net={}", file.display())).arg(name);
        Ok(command)
    }

    /// Pulls the plug of a host, inside.
    ///
    /// # Errors
    /// There is no such host.
    pub fn cut(&self, host: &str) -> Result<()> {
        self.network.cut(number(host)?)
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// There is no such host.
    pub fn mend(&self, host: &str) -> Result<()> {
        self.network.mend(number(host)?)
    }

    fn server(&self, host: &str) -> Result<&Sshd> {
        let server = self.servers.get(number(host)?);
        server.context("the host has no server")
    }
}

fn number(host: &str) -> Result<usize> {
    let number = HOSTS.iter().position(|known| *known == host);
    number.with_context(|| format!("the typical cluster has no host {host}"))
}

fn ssh_address(host: &str, number: usize) -> std::net::IpAddr {
    match host == BACKDOOR {
        true => Network::outside_address(number),
        false => Network::address(number),
    }
}

fn proxy_address(number: usize) -> SocketAddr {
    SocketAddr::new(Network::address(number), PROXY_PORT)
}
