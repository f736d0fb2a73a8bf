//! The address of this host: what `hosts.conf` says, or what it said before it was damaged or taken away.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use hostfiles::{HostHome, replace};

use crate::hands::OwnAddress;
use crate::log::one_line;
use crate::scan::Scanner;

/// Where the last good address is kept for the next daemon.
fn kept(home: &HostHome) -> PathBuf {
    home.path().join(".daemon.address")
}

/// Reads the address. `before` is the one that is in force.
pub(super) fn read(home: &HostHome, scanner: &Scanner, before: &OwnAddress) -> OwnAddress {
    let why = match scanner.own_address() {
        Ok(Some(ip)) => {
            // Only a convenience: without it the next daemon needs a whole hosts.conf.
            let _ = replace(&kept(home), format!("{ip}\n").as_bytes(), 0o644);
            return OwnAddress { ip, problem: None };
        }
        // A host that has no proxy has an empty one, and a new host none before its first sync.
        Ok(None) if !kept(home).exists() => {
            let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
            return OwnAddress { ip, problem: None };
        }
        Ok(None) => format!("{} is missing or empty", home.hosts_conf().display()),
        Err(error) => one_line(&error),
    };
    let ip = before.ip;
    OwnAddress {
        ip,
        problem: Some(format!(
            "{why}; {ip} stays in force until the next sync puts it right"
        )),
    }
}

/// What is in force before `hosts.conf` was read.
pub(super) fn first(home: &HostHome) -> OwnAddress {
    let text = fs::read_to_string(kept(home)).unwrap_or_default();
    OwnAddress {
        ip: text
            .trim()
            .parse()
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        problem: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_address_stays_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let home = HostHome::new(folder.path());
        let scanner = Scanner::new(home.clone());
        let put = |text: &[u8]| replace(&home.hosts_conf(), text, 0o644).unwrap();
        let mut address = first(&home);
        assert_eq!(address.ip, IpAddr::V4(Ipv4Addr::LOCALHOST));
        // New, and without a proxy.
        assert_eq!(read(&home, &scanner, &address), address);
        put(b"");
        assert_eq!(read(&home, &scanner, &address), address);
        put(b"10.0.0.1:32767\n");
        address = read(&home, &scanner, &address);
        assert_eq!(
            (address.ip.to_string(), &address.problem),
            ("10.0.0.1".to_owned(), &None)
        );
        put(b"what?\n");
        for before in [&address, &first(&home)] {
            let damaged = read(&home, &scanner, before);
            assert_eq!(damaged.ip, address.ip);
            assert!(damaged.problem.unwrap().contains("hosts.conf"));
        }
        fs::remove_file(home.hosts_conf()).unwrap();
        let missing = read(&home, &scanner, &address);
        assert!(missing.ip == address.ip && missing.problem.unwrap().contains("hosts.conf"));
    }
}
