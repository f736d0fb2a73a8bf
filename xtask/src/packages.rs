//! The Debian packages that a task needs, each with its reason, and how they get onto the machine.
//!
//! Nothing is called when everything is there; when a package cannot be installed, the error says what
//! to type.

use anyhow::{Context as _, Result, bail};

use crate::program::{Program, is_installed};
use crate::ui;

/// A Debian package and why it is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    name: &'static str,
    /// A file that is there when the package is, whoever installed it.
    witness: &'static str,
    reason: &'static str,
}

/// Debian's Rust compiler and its library source, for machines where rustup cannot fetch a target.
pub(crate) const GUEST_COMPILER: [Package; 2] = [
    Package {
        name: "rustc-web",
        witness: "/usr/bin/rustc",
        reason: "compiles the plugins where rustup cannot fetch the WebAssembly target",
    },
    Package {
        name: "rust-web-src",
        witness: "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
        reason: "the standard library for WebAssembly is built from it",
    },
];

/// What the demo and the tests run.
pub(crate) const RUN: [Package; 2] = [
    Package {
        name: "busybox-static",
        witness: "busybox",
        reason: "`busybox httpd` is the web server of the demo and of the tests",
    },
    Package {
        name: "git",
        witness: "git",
        reason: "a Cluster Project is a git repository",
    },
];

/// What the tests of container pods and of several hosts run, for root and for an ordinary user.
pub(crate) const CONTAINERS: [Package; 15] = [
    Package {
        name: "podman",
        witness: "podman",
        reason: "container pods are tested with the real one",
    },
    Package {
        name: "runc",
        witness: "/usr/sbin/runc",
        reason: "starts the containers of the tests, also where control groups are mixed",
    },
    Package {
        name: "netavark",
        witness: "/usr/lib/podman/netavark",
        reason: "gives the containers of root their network",
    },
    Package {
        name: "aardvark-dns",
        witness: "/usr/lib/podman/aardvark-dns",
        reason: "answers for the names in networks of containers",
    },
    Package {
        name: "iptables",
        witness: "/usr/sbin/iptables",
        reason: "publishes the ports of the containers of root",
    },
    Package {
        name: "catatonit",
        witness: "catatonit",
        reason: "holds the network of a podman pod",
    },
    Package {
        name: "uidmap",
        witness: "newuidmap",
        reason: "gives the containers of an ordinary user their users",
    },
    Package {
        name: "slirp4netns",
        witness: "slirp4netns",
        reason: "gives the containers of an ordinary user their network",
    },
    Package {
        name: "fuse-overlayfs",
        witness: "fuse-overlayfs",
        reason: "gives the containers of an ordinary user their file systems",
    },
    Package {
        name: "docker-registry",
        witness: "docker-registry",
        reason: "images are pulled from it on loopback",
    },
    Package {
        name: "iproute2",
        witness: "ip",
        reason: "makes the network namespaces that are the hosts of tests",
    },
    Package {
        name: "openssh-server",
        witness: "/usr/sbin/sshd",
        reason: "remote hosts are tested with the real server",
    },
    Package {
        name: "sudo",
        witness: "/usr/sbin/visudo",
        reason: "the super user of a machine that is set up becomes root by it",
    },
    Package {
        name: "nftables",
        witness: "/usr/sbin/nft",
        reason: "the firewall of a machine that is set up is made of it",
    },
    Package {
        name: "dbus-user-session",
        witness: "/usr/lib/systemd/user/dbus.socket",
        reason: "one of the packages that a machine has which is set up",
    },
];

/// What the cluster proxy is measured beside.
pub(crate) const PEERS: [Package; 3] = [
    Package {
        name: "haproxy",
        witness: "/usr/sbin/haproxy",
        reason: "the cluster proxy is measured beside it",
    },
    Package {
        name: "nginx",
        witness: "/usr/sbin/nginx",
        reason: "the cluster proxy is measured beside it",
    },
    Package {
        name: "libnginx-mod-stream",
        witness: "/usr/lib/nginx/modules/ngx_stream_module.so",
        reason: "lets nginx carry TCP",
    },
];

/// What a sync is measured beside.
pub(crate) const SYNC_PEERS: [Package; 3] = [
    Package {
        name: "openssh-client",
        witness: "ssh",
        reason: "the peers of a sync reach their hosts by it",
    },
    Package {
        name: "rsync",
        witness: "rsync",
        reason: "a sync is measured beside it",
    },
    Package {
        name: "ansible-core",
        witness: "ansible",
        reason: "a sync is measured beside it",
    },
];

/// Installs those that are missing.
pub(crate) fn install(wanted: &[Package]) -> Result<()> {
    let missing = wanted
        .iter()
        .filter(|package| !is_present(package))
        .collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        ui::say(&format!("installing {}: {}", package.name, package.reason));
    }
    let names = missing
        .iter()
        .map(|package| package.name)
        .collect::<Vec<_>>();
    apt(&names).with_context(|| {
        format!(
            "cannot install what is missing; do it yourself: apt-get install {}",
            names.join(" ")
        )
    })?;
    match missing.iter().find(|package| !is_present(package)) {
        None => Ok(()),
        Some(package) => bail!(
            "{} is installed, but {} is missing",
            package.name,
            package.witness
        ),
    }
}

fn is_present(package: &Package) -> bool {
    if package.witness.starts_with('/') {
        std::path::Path::new(package.witness).exists()
    } else {
        is_installed(package.witness)
    }
}

fn apt(names: &[&str]) -> Result<()> {
    if !is_installed("apt-get") {
        bail!("this is not a Debian system: apt-get is missing");
    }
    as_root(&["apt-get", "update", "-qq"])?.run()?;
    as_root(&["apt-get", "install", "-y", "-qq", "--no-install-recommends"])?
        .args(names)
        .run()
}

/// The program itself for root, through sudo for anybody else.
fn as_root(words: &[&str]) -> Result<Program> {
    let is_root = Program::new("id").arg("-u").output()?.trim() == "0";
    let mut line = words.to_vec();
    if !is_root {
        if !is_installed("sudo") {
            bail!("installing packages needs root, and sudo is missing");
        }
        line.insert(0, "sudo");
    }
    let (program, arguments) = line.split_first().context("an empty command")?;
    Ok(Program::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_again() {
        let shell = Package {
            name: "no-such-package",
            witness: "sh",
            reason: "a test",
        };
        install(&[shell]).unwrap();
    }

    #[test]
    fn a_missing_witness_is_noticed() {
        let nothing = Package {
            name: "x",
            witness: "/no/such/file",
            reason: "a test",
        };
        assert!(!is_present(&nothing));
    }
}
