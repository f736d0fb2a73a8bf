//! `peers.conf` of a host: who the proxies of the cluster are. Written by sync beside `hosts.conf`, read by the proxy.
//!
//! One line for each proxy of `hosts.conf` of which a key is known, this host's first: its address, and the public
//! keys by which it may prove who it is, the newest first. And `proxy-keys.txt` of a host's folder in the project,
//! where those keys come from.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Format, FormatError};

/// More keys of one proxy than this are a mistake: it has one, or two while it changes them.
pub const PEER_KEYS_MAX: usize = 4;

/// A public Ed25519 key (RFC 8032), written as WireGuard writes its keys: 44 characters of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey([u8; 32]);

impl PeerKey {
    /// One of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key of a proxy: 44 characters of base64, which stand for 32 bytes")]
pub struct NotAPeerKey;

impl FromStr for PeerKey {
    type Err = NotAPeerKey;

    fn from_str(text: &str) -> Result<Self, NotAPeerKey> {
        let bytes = STANDARD.decode(text).map_err(|_| NotAPeerKey)?;
        bytes.try_into().map(Self).map_err(|_| NotAPeerKey)
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// One proxy and its keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Where it talks to other proxies.
    pub address: SocketAddr,
    /// By which it proves who it is, the newest first; at least one.
    pub keys: Vec<PeerKey>,
}

/// The proxies of the cluster that have keys, as one host sees them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peers(pub Vec<Peer>);

impl Peers {
    /// The keys of the proxy there; none when it has no line.
    #[must_use]
    pub fn keys_of(&self, address: SocketAddr) -> &[PeerKey] {
        let found = self.0.iter().find(|peer| peer.address == address);
        found.map_or(&[], |peer| &peer.keys)
    }
}

impl Format for Peers {
    const NAME: &'static str = "peers.conf";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut peers: Vec<Peer> = Vec::new();
        for (number, line) in lines(text) {
            let refused =
                |word: &str, expected: &str| FormatError::at::<Self>(number, word, expected);
            let mut words = line.split_whitespace();
            let word = words.next().unwrap_or_default();
            let address = word.parse().map_err(|_| {
                refused(
                    word,
                    "the IP address and port of a proxy, as in 192.168.1.2:32767",
                )
            })?;
            if peers.iter().any(|peer| peer.address == address) {
                return Err(refused(word, "each proxy once"));
            }
            let keys = words
                .map(|word| {
                    word.parse()
                        .map_err(|error: NotAPeerKey| refused(word, &error.to_string()))
                })
                .collect::<Result<Vec<PeerKey>, _>>()?;
            if keys.is_empty() || keys.len() > PEER_KEYS_MAX {
                return Err(refused(line, "an address and one to four public keys"));
            }
            peers.push(Peer { address, keys });
        }
        Ok(Self(peers))
    }

    fn to_text(&self) -> String {
        let line = |peer: &Peer| {
            let keys: String = peer.keys.iter().map(|key| format!(" {key}")).collect();
            format!("{}{keys}\n", peer.address)
        };
        self.0.iter().map(line).collect()
    }
}

/// `proxy-keys.txt` in the project: the public keys of one host's proxy, one per line, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublicKeys(pub Vec<PeerKey>);

impl Format for PublicKeys {
    const NAME: &'static str = "proxy-keys.txt";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let key = |(number, line): (usize, &str)| {
            line.parse().map_err(|error: NotAPeerKey| {
                FormatError::at::<Self>(number, line, error.to_string())
            })
        };
        let keys = lines(text).map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.len() > PEER_KEYS_MAX {
            return Err(FormatError::whole::<Self>(
                "more",
                "four public keys at most",
            ));
        }
        Ok(Self(keys))
    }

    fn to_text(&self) -> String {
        self.0.iter().map(|key| format!("{key}\n")).collect()
    }
}

/// The lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PeerKey {
        PeerKey::new([byte; 32])
    }

    #[test]
    fn both_files_are_written_and_read() {
        let (one, two) = (key(1), key(2));
        let peer = |address: &str, keys: &[PeerKey]| Peer {
            address: address.parse().unwrap(),
            keys: keys.to_vec(),
        };
        let peers = Peers(vec![
            peer("10.0.0.1:32767", &[one, two]),
            peer("[fd00::2]:32767", &[two]),
        ]);
        assert_eq!(Peers::parse(&peers.to_text()).unwrap(), peers);
        assert_eq!(peers.keys_of("[fd00::2]:32767".parse().unwrap()), [two]);
        assert!(peers.keys_of("10.0.0.9:1".parse().unwrap()).is_empty());
        let keys = PublicKeys(vec![one, two]);
        let text = format!("# of a test\n\n{}", keys.to_text());
        assert_eq!(PublicKeys::parse(&text).unwrap(), keys);
    }

    #[test]
    fn what_is_no_key_has_its_place_in_the_error() {
        let good = key(7).to_string();
        let check = |text: &str, line: usize, found: &str| {
            let error = Peers::parse(text).unwrap_err();
            assert_eq!(
                (error.line, error.found.as_str()),
                (Some(line), found),
                "{text}"
            );
        };
        check(&format!("10.0.0.1:1 {good}\nhost {good}\n"), 2, "host");
        check("10.0.0.1:1 abc\n", 1, "abc");
        check("10.0.0.1:1\n", 1, "10.0.0.1:1");
        check(
            &format!("10.0.0.1:1 {good}\n10.0.0.1:1 {good}\n"),
            2,
            "10.0.0.1:1",
        );
        assert_eq!(PublicKeys::parse("# me\nx\n").unwrap_err().line, Some(2));
        assert!(PublicKeys::parse(&format!("{good}\n").repeat(5)).is_err());
    }
}
