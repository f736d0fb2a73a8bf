//! `hosts.conf`: the addresses of the proxies of all active hosts, the own host's first.
//!
//! One `IP:PORT` per line. The original joined the third and later ones by `;` in one line (a bug of
//! its sync); such files are still on hosts, so both separators are read. Only lines are written.

use std::net::SocketAddr;

use crate::{Format, FormatError};

/// The proxies of the cluster, as one host sees them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routers(pub Vec<SocketAddr>);

impl Routers {
    /// The proxy of this host: the first line. Its IP is what the host's pods bind to and are told to
    /// reach the cluster by.
    #[must_use]
    pub fn own(&self) -> Option<SocketAddr> {
        self.0.first().copied()
    }

    /// The proxies of the other hosts.
    #[must_use]
    pub fn others(&self) -> &[SocketAddr] {
        self.0.get(1..).unwrap_or_default()
    }
}

impl Format for Routers {
    const NAME: &'static str = "hosts.conf";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut routers = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            for word in line
                .split([';', ' ', '\t', '\r'])
                .filter(|word| !word.is_empty())
            {
                routers.push(word.parse().map_err(|_| {
                    FormatError::at::<Self>(
                        number,
                        word,
                        "the IP address and port of a proxy, as in 192.168.1.2:32767",
                    )
                })?);
            }
        }
        Ok(Self(routers))
    }

    fn to_text(&self) -> String {
        self.0.iter().map(|router| format!("{router}\n")).collect()
    }
}
