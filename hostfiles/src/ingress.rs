//! `pod.ingress.conf`: the routes from the Internet to one release, as blocks of `key value` lines.
//!
//! Written by `sns pod compile`, read when the configuration of the ingress is generated. A block
//! begins where a key comes again that the block has already (in practice with `bind`). A key without a
//! value counts as absent. How rules of several pods are merged is not known here.

use names::ClusterPort;

use crate::{Format, FormatError};

/// All routes to one release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngressConf(pub Vec<IngressBlock>);

/// What is spoken on the public port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IngressProtocol {
    /// Plain HTTP.
    Http,
    /// HTTP in TLS, which ends at the ingress.
    Https,
    /// Bytes, told apart by TLS server name only.
    Tcp,
}

impl IngressProtocol {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
        }
    }
}

/// What happens to a request that fits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IngressAction {
    /// It goes to the pod at this cluster port.
    Server(ClusterPort),
    /// It is redirected to https.
    RedirectToHttps,
    /// It is redirected to this URL.
    RedirectLocation(String),
    /// It is redirected to this prefix followed by its own path.
    RedirectPrefix(String),
    /// It gets the file: `CODE PATH`.
    ErrorFile(String),
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressBlock {
    /// The public port.
    pub bind: u16,
    /// What is spoken there.
    pub protocol: IngressProtocol,
    /// Domains that fit, `*.x.com` for all below x.com; none means any.
    pub hosts: Vec<String>,
    /// Larger is tested earlier.
    pub weight: i32,
    /// Paths that fit exactly.
    pub path: Vec<String>,
    /// Beginnings of paths that fit.
    pub path_beg: Vec<String>,
    /// Ends of paths that fit; together with beginnings both must fit.
    pub path_end: Vec<String>,
    /// What happens to a request that fits.
    pub action: IngressAction,
}

/// Weight of a block that names none.
const WEIGHT_DEFAULT: i32 = 100;

const KEYS: [&str; 12] = [
    "bind",
    "protocol",
    "host",
    "weight",
    "path",
    "path_beg",
    "path_end",
    "redirect_to_https",
    "redirect_location",
    "redirect_prefix",
    "errorfile",
    "clusterport",
];

/// The lines of one block: number, key, value.
#[derive(Default)]
struct Lines<'a>(Vec<(usize, &'a str, &'a str)>);

impl<'a> Lines<'a> {
    fn find(&self, key: &str) -> Option<(usize, &'a str)> {
        self.0
            .iter()
            .find(|(_, found, _)| *found == key)
            .map(|&(number, _, value)| (number, value))
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.find(key).map(|(_, value)| value)
    }

    fn words(&self, key: &str) -> Vec<String> {
        self.value(key)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    }

    fn first_line(&self) -> usize {
        self.0.first().map_or(1, |(number, _, _)| *number)
    }

    /// The value of a key, read by `read`; an error at its line if that fails, none if it is absent.
    fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        read: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, FormatError> {
        self.find(key)
            .map(|(line, value)| {
                read(value).ok_or_else(|| FormatError::at::<IngressConf>(line, value, expected))
            })
            .transpose()
    }

    fn required<T>(
        &self,
        key: &str,
        expected: &str,
        read: fn(&str) -> Option<T>,
    ) -> Result<T, FormatError> {
        self.parsed(key, expected, read)?.ok_or_else(|| {
            let found = format!("a block without `{key}`");
            FormatError::at::<IngressConf>(self.first_line(), &found, expected)
        })
    }

    fn block(&self) -> Result<IngressBlock, FormatError> {
        Ok(IngressBlock {
            bind: self.required("bind", "`bind` and a port number", |text| {
                text.parse().ok().filter(|port| *port > 0)
            })?,
            protocol: self.required("protocol", "`protocol` http, https or tcp", protocol)?,
            hosts: self.words("host"),
            weight: self
                .parsed("weight", "`weight` and a whole number", |text| {
                    text.parse().ok()
                })?
                .unwrap_or(WEIGHT_DEFAULT),
            path: self.words("path"),
            path_beg: self.words("path_beg"),
            path_end: self.words("path_end"),
            action: self.action()?,
        })
    }

    /// Of several actions the first in this order counts, as in the original.
    fn action(&self) -> Result<IngressAction, FormatError> {
        let text = |key| self.value(key).map(str::to_owned);
        if self.value("redirect_to_https") == Some("true") {
            return Ok(IngressAction::RedirectToHttps);
        }
        let redirect = text("redirect_location")
            .map(IngressAction::RedirectLocation)
            .or_else(|| text("redirect_prefix").map(IngressAction::RedirectPrefix))
            .or_else(|| text("errorfile").map(IngressAction::ErrorFile));
        match redirect {
            Some(action) => Ok(action),
            None => self
                .required(
                    "clusterport",
                    "an action, or `clusterport` and a cluster port",
                    |text| text.parse().ok(),
                )
                .map(IngressAction::Server),
        }
    }
}

fn protocol(word: &str) -> Option<IngressProtocol> {
    [
        IngressProtocol::Http,
        IngressProtocol::Https,
        IngressProtocol::Tcp,
    ]
    .into_iter()
    .find(|known| known.as_str() == word)
}

impl Format for IngressConf {
    const NAME: &'static str = "pod.ingress.conf";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut blocks = Vec::new();
        let mut lines = Lines::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            if !KEYS.contains(&key) {
                return Err(FormatError::at::<Self>(
                    number,
                    key,
                    format!("one of {}", KEYS.join(", ")),
                ));
            }
            if lines.find(key).is_some() {
                blocks.push(std::mem::take(&mut lines).block()?);
            }
            if !value.trim().is_empty() {
                lines.0.push((number, key, value.trim()));
            }
        }
        if !lines.0.is_empty() {
            blocks.push(lines.block()?);
        }
        Ok(Self(blocks))
    }

    fn to_text(&self) -> String {
        self.0.iter().map(block_text).collect()
    }
}

fn block_text(block: &IngressBlock) -> String {
    let mut text = format!(
        "bind {}\nprotocol {}\n",
        block.bind,
        block.protocol.as_str()
    );
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{key} {value}\n"));
        }
    };
    line("host", &block.hosts.join(" "));
    line("weight", &block.weight.to_string());
    line("path", &block.path.join(" "));
    line("path_beg", &block.path_beg.join(" "));
    line("path_end", &block.path_end.join(" "));
    match &block.action {
        IngressAction::Server(port) => line("clusterport", &port.to_string()),
        IngressAction::RedirectToHttps => line("redirect_to_https", "true"),
        IngressAction::RedirectLocation(url) => line("redirect_location", url),
        IngressAction::RedirectPrefix(prefix) => line("redirect_prefix", prefix),
        IngressAction::ErrorFile(file) => line("errorfile", file),
    }
    text
}
