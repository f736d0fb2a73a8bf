//! proxy.conf: the settings of one proxy, lines of `KEY value`.
//!
//! Pure: text in, settings or *all* the problems of the text out. It must not read files, and it
//! resolves no path: [`beside`] joins a path of the file to the folder that the file was named in,
//! and leaves `..` to the kernel, because that folder may be a symbolic link.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ranges::Ranges;
use crate::table::Queue;

/// The port on which the proxies of a cluster talk to each other, unless something else is said.
pub const RELAY_PORT: u16 = 32767;

/// How long a proxy that was told to end waits for its connections, unless something else is said.
const DRAIN: Duration = Duration::from_secs(10);

/// The longest `DRAIN`, in seconds: a service manager has long lost its patience by then.
const DRAIN_SECONDS_MAX: u64 = 3600;

/// How long a program whose place another one has taken may serve out its connections, unless something else is said.
const UPGRADE_DRAIN: Duration = Duration::from_secs(3600);

/// The longest `UPGRADEDRAIN`, in seconds: a week.
const UPGRADE_DRAIN_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// Who may wait for a place, unless something else is said.
const QUEUE: Queue = Queue {
    clients: 100,
    wait: Duration::from_secs(1),
};

/// The longest `QUEUE`: who waits holds a descriptor.
const QUEUE_MAX: usize = 10_000;

/// Every key, as it is documented.
const KEYS: [&str; 17] = [
    "HOSTSCONF",
    "PORTSCONF",
    "CLUSTERPORTSCONF",
    "ENDPOINTSCONF",
    "PEERSCONF",
    "PEERKEY",
    "HOST",
    "PORT",
    "PODHOST",
    "CLUSTERPORTS",
    "QUEUE",
    "QUEUEWAIT",
    "DRAIN",
    "UPGRADEDRAIN",
    "ENCRYPT",
    "LEGACY",
    "METRICSSOCKET",
];

/// The settings of one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `HOSTSCONF`: where hosts.conf is, as written.
    pub hosts_conf: PathBuf,
    /// `PORTSCONF`: where portmappings.conf is, as written.
    pub ports_conf: PathBuf,
    /// `CLUSTERPORTSCONF`: where clusterports.conf is, as written; `None` when the key is absent.
    pub cluster_ports_conf: Option<PathBuf>,
    /// `ENDPOINTSCONF`: where endpoints.conf is, as written; `None` when the key is absent.
    pub endpoints_conf: Option<PathBuf>,
    /// `PEERSCONF`: where peers.conf is, as written; `None` when the key is absent.
    pub peers_conf: Option<PathBuf>,
    /// `PEERKEY`: where the private keys of this proxy are, as written; `None` when the key is absent.
    pub peer_key: Option<PathBuf>,
    /// `HOST`: the address to listen on; `None` means the address in the first line of hosts.conf.
    pub host: Option<IpAddr>,
    /// `PORT`: the port for other proxies; `None` means the port in the first line of hosts.conf,
    /// and [`RELAY_PORT`] when there is no such line.
    pub port: Option<u16>,
    /// `PODHOST`: the address at which the pods' host ports are; `None` means the same as `HOST`.
    pub pod_host: Option<IpAddr>,
    /// `CLUSTERPORTS`: the ports that may be listened on at all.
    pub cluster_ports: Ranges,
    /// `QUEUE` and `QUEUEWAIT`: how many clients of a cluster port may wait for a place at a full backend, and how
    /// long.
    pub queue: Queue,
    /// `DRAIN`: how long to wait for open connections when told to end.
    pub drain: Duration,
    /// `UPGRADEDRAIN`: how long the connections may go on in the old program when a new one cannot take them over.
    pub upgrade_drain: Duration,
    /// `ENCRYPT`: whether clients that are served by other hosts go there over TLS.
    pub encrypt: bool,
    /// `LEGACY`: whether proxies that are not known by a key are asked, and served, in the original's lines.
    pub legacy: bool,
    /// `METRICSSOCKET`: the unix socket that shows what the proxy does, as written; `None` when the key is absent.
    pub metrics_socket: Option<PathBuf>,
}

/// One thing that is wrong with a proxy.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; `None` when it is about the file as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What should stand there, or what to do.
    pub hint: String,
}

impl Problem {
    /// The problem with its place in the file at `path`: `proxy.conf:4: error: …`.
    #[must_use]
    pub fn at(&self, path: &Path) -> String {
        let gap = if self.line.is_some() { "" } else { " " };
        format!("{}:{gap}{self}", path.display())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        write!(f, "error: {}\n  hint: {}", self.message, self.hint)
    }
}

/// A path of the file, seen from the folder in which `conf` was named.
#[must_use]
pub fn beside(conf: &Path, path: &Path) -> PathBuf {
    conf.parent()
        .map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

/// The value of one key and the line that it came from.
type Setting<'a> = Option<(usize, &'a str)>;

/// What the lines say, before anything is understood.
#[derive(Default)]
struct Lines<'a> {
    settings: [Setting<'a>; KEYS.len()],
    problems: Vec<Problem>,
}

impl Config {
    /// Reads the text of a proxy.conf.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in the order of its lines.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut lines = Lines::of(text);
        let hosts_conf = lines.required("HOSTSCONF");
        let ports_conf = lines.required("PORTSCONF");
        let path = |key| lines.get(key).map(|(_, path)| PathBuf::from(path));
        let cluster_ports_conf = path("CLUSTERPORTSCONF");
        let endpoints_conf = path("ENDPOINTSCONF");
        let peers_conf = path("PEERSCONF");
        let peer_key = path("PEERKEY");
        let metrics_socket = path("METRICSSOCKET");
        let host = lines.understood("HOST", address);
        let port = lines.understood("PORT", port);
        let pod_host = lines.understood("PODHOST", address);
        let cluster_ports = lines.understood("CLUSTERPORTS", str::parse::<Ranges>);
        let clients = lines.understood("QUEUE", number);
        let wait = lines.understood("QUEUEWAIT", |text| seconds(text, DRAIN_SECONDS_MAX));
        let drain = lines.understood("DRAIN", |text| seconds(text, DRAIN_SECONDS_MAX));
        let upgrade_drain = lines.understood("UPGRADEDRAIN", |text| {
            seconds(text, UPGRADE_DRAIN_SECONDS_MAX)
        });
        let encrypt = lines.understood("ENCRYPT", yes_or_no).unwrap_or(false);
        let legacy = lines.understood("LEGACY", yes_or_no).unwrap_or(false);
        lines.belong_together("PEERSCONF", "PEERKEY");
        lines.belong_together("PEERKEY", "PEERSCONF");
        match (hosts_conf, ports_conf) {
            (Some(hosts_conf), Some(ports_conf)) if lines.problems.is_empty() => Ok(Self {
                hosts_conf,
                ports_conf,
                cluster_ports_conf,
                endpoints_conf,
                peers_conf,
                peer_key,
                host,
                port,
                pod_host,
                cluster_ports: cluster_ports.unwrap_or_default(),
                queue: Queue {
                    clients: clients.unwrap_or(QUEUE.clients),
                    wait: wait.unwrap_or(QUEUE.wait),
                },
                drain: drain.unwrap_or(DRAIN),
                upgrade_drain: upgrade_drain.unwrap_or(UPGRADE_DRAIN),
                encrypt,
                legacy,
                metrics_socket,
            }),
            _ => {
                // What is missing comes last, everything else as the reader meets it.
                lines
                    .problems
                    .sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
                Err(lines.problems)
            }
        }
    }
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let mut lines = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.take(index + 1, line);
            }
        }
        lines
    }

    fn take(&mut self, number: usize, line: &'a str) {
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let Some((known, slot)) = KEYS
            .into_iter()
            .zip(&mut self.settings)
            .find(|(known, _)| known.eq_ignore_ascii_case(key))
        else {
            return self.complain(number, format!("unknown key `{key}`"), did_you_mean(key));
        };
        let value = value.trim();
        if let Some((first, _)) = slot {
            let hint = format!("line {first} sets it already: keep one of the two");
            self.complain(number, format!("{known} is set twice"), hint);
        } else if value.is_empty() {
            self.complain(
                number,
                format!("{known} has no value"),
                format!("write `{known} value`"),
            );
        } else {
            *slot = Some((number, value));
        }
    }

    fn complain(&mut self, line: usize, message: String, hint: String) {
        self.problems.push(Problem {
            line: Some(line),
            message,
            hint,
        });
    }

    fn get(&self, key: &str) -> Setting<'a> {
        KEYS.into_iter()
            .zip(self.settings)
            .find(|(known, _)| *known == key)
            .and_then(|(_, found)| found)
    }

    fn required(&mut self, key: &str) -> Option<PathBuf> {
        let found = self.get(key).map(|(_, path)| PathBuf::from(path));
        let complained = self
            .problems
            .iter()
            .any(|problem| problem.message.starts_with(key));
        if found.is_none() && !complained {
            self.problems.push(Problem {
                line: None,
                message: format!("{key} is missing"),
                hint: format!(
                    "write `{key} path`; a relative path begins at the folder of this file"
                ),
            });
        }
        found
    }

    /// The one is of no use without the other.
    fn belong_together(&mut self, key: &str, other: &str) {
        if let (Some((line, _)), None) = (self.get(key), self.get(other)) {
            let hint = format!("write `{other} path` as well");
            self.complain(line, format!("{key} is of no use without {other}"), hint);
        }
    }

    fn understood<T, E: ToString>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let (line, text) = self.get(key)?;
        read(text)
            .map_err(|hint| {
                self.complain(line, format!("{key} cannot be `{text}`"), hint.to_string());
            })
            .ok()
    }
}

fn did_you_mean(key: &str) -> String {
    let key = key.to_ascii_uppercase();
    let best = KEYS
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3));
    match best {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => format!("the keys are {}", KEYS.join(", ")),
    }
}

fn address(text: &str) -> Result<IpAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address, such as 10.0.0.5")
}

fn port(text: &str) -> Result<u16, &'static str> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("write a number from 1 to 65535"),
    }
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("write yes or no"),
    }
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= QUEUE_MAX => Ok(number),
        _ => Err(format!("write a number from 0 to {QUEUE_MAX}")),
    }
}

fn seconds(text: &str, most: u64) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds <= most => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("write a number of seconds from 0 to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "HOSTSCONF hosts.conf\nPORTSCONF ports.conf\n";

    fn check(text: &str, expected: &[&str]) {
        let problems = Config::parse(text).expect_err(text);
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn defaults() {
        let config = Config::parse(MINIMAL).unwrap();
        assert_eq!(config.hosts_conf, Path::new("hosts.conf"));
        assert_eq!(
            (config.host, config.port, config.pod_host),
            (None, None, None)
        );
        assert_eq!(config.cluster_ports_conf, None);
        assert_eq!(config.drain, Duration::from_secs(10));
        assert_eq!(config.metrics_socket, None);
        assert!(config.cluster_ports.contains(61000) && !config.cluster_ports.contains(30000));
    }

    #[test]
    fn every_key_in_any_case() {
        let config = Config::parse(
            "# the proxy\r\n hostsconf  a b.conf \r\nPortsConf /p\r\nCLUSTERPORTSCONF c\r\nHOST 10.0.0.1\r\n\
             PORT 40000\r\nPODHOST ::1\r\nCLUSTERPORTS 61000-62000\r\nQUEUE 7\r\nQUEUEWAIT 3\r\nDRAIN 0\r\nUpgradeDrain 86400\r\nMetricsSocket m\r\n",
        )
        .unwrap();
        assert_eq!(config.hosts_conf, Path::new("a b.conf"));
        assert_eq!(config.ports_conf, Path::new("/p"));
        assert_eq!(config.cluster_ports_conf.as_deref(), Some(Path::new("c")));
        assert_eq!(config.host, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(config.port, Some(40000));
        assert_eq!(config.pod_host, Some("::1".parse().unwrap()));
        assert!(!config.cluster_ports.contains(60999));
        assert_eq!(config.drain, Duration::ZERO);
        assert_eq!(config.upgrade_drain, Duration::from_secs(86_400));
        assert_eq!(config.metrics_socket.as_deref(), Some(Path::new("m")));
        let wait = Duration::from_secs(3);
        assert_eq!(config.queue, Queue { clients: 7, wait });
    }

    #[test]
    fn files_of_the_original() {
        // As its proxy pod had them, and with every key that it knew, in any case; it took blanks after commas.
        let shipped = "# Relative path to host home dir.\n\
                       PORTSCONF ../../../../../../portmappings.conf\n\
                       HOSTSCONF ../../../../../../hosts.conf\nCLUSTERPORTS 61000-63999\n";
        let config = Config::parse(shipped).unwrap();
        assert!(config.cluster_ports.contains(63999) && !config.cluster_ports.contains(64000));
        let hosts_conf = Path::new("../../../../../../hosts.conf");
        assert_eq!(
            (config.hosts_conf.as_path(), config.host),
            (hosts_conf, None)
        );
        let all = "portsConf ./portmappings.conf\n   # one more\n\nhostsConf    ./hosts.conf\nhost 0.0.0.0\n\
                   port 32767\nPodHost 127.0.0.1\nclusterPorts 1024-2248, 8080,  61000-61001 \n";
        let config = Config::parse(all).unwrap();
        assert_eq!(config.ports_conf, Path::new("./portmappings.conf"));
        assert_eq!(config.host, Some("0.0.0.0".parse().unwrap()));
        assert_eq!(
            (config.port, config.pod_host),
            (Some(32767), Some("127.0.0.1".parse().unwrap()))
        );
        for (port, inside) in [
            (1024, true),
            (2249, false),
            (8080, true),
            (61001, true),
            (61002, false),
        ] {
            assert_eq!(config.cluster_ports.contains(port), inside, "{port}");
        }
    }

    #[test]
    fn a_metrics_socket_has_a_path_and_is_named_once() {
        let check_more =
            |more: &str, expected: &str| check(&format!("{MINIMAL}{more}"), &[expected]);
        check_more(
            "METRICSSOCKET",
            "3: error: METRICSSOCKET has no value\n  hint: write `METRICSSOCKET value`",
        );
        check_more(
            "METRICSOCKET m",
            "3: error: unknown key `METRICSOCKET`\n  hint: did you mean `METRICSSOCKET`?",
        );
        check_more(
            "METRICSSOCKET a\nMETRICSSOCKET b",
            "4: error: METRICSSOCKET is set twice\n  hint: line 3 sets it already: keep one of the two",
        );
    }

    #[test]
    fn all_problems_at_once() {
        check(
            "HOSTCONF h\nHOST localhost\nPORT 0\nCLUSTERPORTS 9-1\nDRAIN soon\nHOST 1.2.3.4\nXYZ 1\nPORTSCONF\n",
            &[
                "1: error: unknown key `HOSTCONF`\n  hint: did you mean `HOSTSCONF`?",
                "2: error: HOST cannot be `localhost`\n  hint: write an IP address, such as 10.0.0.5",
                "3: error: PORT cannot be `0`\n  hint: write a number from 1 to 65535",
                "4: error: CLUSTERPORTS cannot be `9-1`\n  hint: `9-1` is not a range: write ports from 1 to \
                 65535 and ranges, such as 1024-29999,61000",
                "5: error: DRAIN cannot be `soon`\n  hint: write a number of seconds from 0 to 3600",
                "6: error: HOST is set twice\n  hint: line 2 sets it already: keep one of the two",
                "7: error: unknown key `XYZ`\n  hint: the keys are HOSTSCONF, PORTSCONF, CLUSTERPORTSCONF, ENDPOINTSCONF, \
                 PEERSCONF, PEERKEY, HOST, PORT, PODHOST, CLUSTERPORTS, QUEUE, QUEUEWAIT, DRAIN, UPGRADEDRAIN, \
                 ENCRYPT, LEGACY, METRICSSOCKET",
                "8: error: PORTSCONF has no value\n  hint: write `PORTSCONF value`",
                "error: HOSTSCONF is missing\n  hint: write `HOSTSCONF path`; a relative path begins at the \
                 folder of this file",
            ],
        );
    }

    #[test]
    fn who_this_proxy_is_and_whom_it_knows_belong_together() {
        let config = Config::parse(&format!(
            "{MINIMAL}PEERSCONF p\nPEERKEY k\nENCRYPT YES\nLEGACY no\n"
        ))
        .unwrap();
        assert_eq!(config.peers_conf.as_deref(), Some(Path::new("p")));
        assert_eq!(config.peer_key.as_deref(), Some(Path::new("k")));
        assert!(config.encrypt && !config.legacy);
        check(
            &format!("{MINIMAL}PEERKEY k\nLEGACY perhaps\n"),
            &[
                "3: error: PEERKEY is of no use without PEERSCONF\n  hint: write `PEERSCONF path` as well",
                "4: error: LEGACY cannot be `perhaps`\n  hint: write yes or no",
            ],
        );
    }

    #[test]
    fn paths_begin_at_the_folder_of_the_file() {
        let check = |conf: &str, path: &str, expected: &str| {
            assert_eq!(
                beside(Path::new(conf), Path::new(path)),
                Path::new(expected)
            );
        };
        check(
            "mnt/conf/proxy.conf",
            "../../hosts.conf",
            "mnt/conf/../../hosts.conf",
        );
        check("proxy.conf", "hosts.conf", "hosts.conf");
        check("/a/proxy.conf", "/etc/hosts.conf", "/etc/hosts.conf");
    }
}
