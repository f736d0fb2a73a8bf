//! Who may come in: the ports of `EXPOSE` and whoever lies in a network of `INTERNAL`, by the firewall that rules on the
//! host. What else it lets in or keeps out is its own business; where none rules, everything else is kept out.

mod firewalld;
mod nft;
mod ufw;

use super::facts::{Facts, Firewall};
use super::network::Network;
use super::packages::{NFT, Need};
use super::step::Plan;

pub(crate) use firewalld::{SERVICE_FILE, ZONE_FILE};
pub(crate) use nft::{FILE as NFT_FILE, UNIT_FILE as NFT_UNIT_FILE};

/// Who should come in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Doors {
    /// TCP ports for everybody.
    pub(crate) expose: Vec<u16>,
    /// Networks that are trusted entirely.
    pub(crate) internal: Vec<Network>,
}

/// A plan that would lock the operator out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LockOut {
    /// The port of SSH is not among the doors, for where the operator comes from.
    #[error(
        "the firewall would lock out SSH: port {port} is not in EXPOSE, and {client}, from where you come, in no network of INTERNAL"
    )]
    Ssh {
        /// The port.
        port: u16,
        /// Where the connection comes from.
        client: std::net::IpAddr,
    },
    /// Nobody knows what the port of SSH is.
    #[error(
        "the firewall might lock out SSH: the host does not say at which port its server listens"
    )]
    Unknown,
}

/// What the firewall that rules there is made of, as far as it may be missing.
pub(crate) fn needs(facts: &Facts) -> &'static [Need] {
    match facts.firewall {
        Firewall::Firewalld | Firewall::Ufw => &[],
        Firewall::None => &[NFT],
    }
}

/// Has the doors made, and no way in for SSH lost.
pub(crate) fn plan(plan: &mut Plan, facts: &Facts, doors: &Doors) -> Result<(), LockOut> {
    match facts.firewall {
        Firewall::Firewalld => firewalld::plan(plan, facts, doors),
        Firewall::Ufw => ufw::plan(plan, facts, doors),
        Firewall::None => {
            check(facts, doors)?;
            nft::plan(plan, facts, doors);
        }
    }
    Ok(())
}

fn check(facts: &Facts, doors: &Doors) -> Result<(), LockOut> {
    let ssh = facts.ssh.ok_or(LockOut::Unknown)?;
    let comes_in = doors.expose.contains(&ssh.port)
        || doors
            .internal
            .iter()
            .any(|network| network.contains(ssh.client));
    match comes_in {
        true => Ok(()),
        false => Err(LockOut::Ssh {
            port: ssh.port,
            client: ssh.client,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::SshConnection;
    use super::*;

    fn at(client: &str, port: u16) -> Facts {
        Facts {
            ssh: Some(SshConnection {
                client: client.parse().unwrap(),
                port,
            }),
            ..Facts::default()
        }
    }

    #[test]
    fn nobody_is_locked_out() {
        let doors = Doors {
            expose: vec![80, 2222],
            internal: vec!["10.0.0.0/8".parse().unwrap()],
        };
        assert_eq!(check(&at("8.8.8.8", 2222), &doors), Ok(()));
        assert_eq!(check(&at("10.9.9.9", 22), &doors), Ok(()));
        let (client, port) = ("8.8.8.8".parse().unwrap(), 22);
        assert_eq!(
            check(&at("8.8.8.8", 22), &doors),
            Err(LockOut::Ssh { port, client })
        );
        assert_eq!(check(&Facts::default(), &doors), Err(LockOut::Unknown));
        // The other two keep their own way in for SSH.
        let facts = Facts {
            firewall: Firewall::Ufw,
            ..at("8.8.8.8", 22)
        };
        assert_eq!(plan(&mut Plan::default(), &facts, &doors), Ok(()));
    }
}
