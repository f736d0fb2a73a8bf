//! The way to a host: the settings of the host itself and of its jump hosts, the nearest first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hostfiles::{HostAddress, HostEnv};

use super::error::RouteError;

/// As many jump hosts may stand one behind the other.
const JUMPS_MAX: usize = 10;

/// How long a connection may take to be made, unless FLAGS says otherwise.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// One SSH server on the way, and how to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    /// The host's name, for messages.
    pub(super) name: String,
    /// Its settings; which host it is.
    pub(super) file: PathBuf,
    /// Its folder, where its keys lie.
    pub(super) folder: PathBuf,
    /// IP address or name.
    pub(super) address: String,
    /// The port of SSH.
    pub(super) port: u16,
    /// Who logs in.
    pub(super) user: String,
    /// The private key; none when KEYFILE is blank.
    pub(super) key_file: Option<PathBuf>,
    /// How long each step of a connection may take.
    pub(super) limit: Duration,
    /// Words of FLAGS that mean nothing here.
    pub(super) unknown_flags: Vec<String>,
}

impl Hop {
    fn of(file: &Path, env: &HostEnv) -> Result<Option<Self>, RouteError> {
        let shown = || file.display().to_string();
        let address = match env.address() {
            Some(HostAddress::Local) => return Ok(None),
            Some(HostAddress::Remote(address)) => address.to_owned(),
            None => return Err(RouteError::NoAddress { file: shown() }),
        };
        let user = env
            .user()
            .ok_or_else(|| RouteError::NoUser { file: shown() })?;
        let folder = file.parent().unwrap_or(file).to_owned();
        let (limit, unknown_flags) = flags(env.flags());
        Ok(Some(Self {
            name: name(file),
            address,
            port: env.port(),
            user: user.to_owned(),
            key_file: env.key_file().map(|key| real(&folder.join(key))),
            limit: limit.unwrap_or(CONNECT_LIMIT),
            unknown_flags,
            file: file.to_owned(),
            folder,
        }))
    }

    /// Address and port as people write them.
    pub(super) fn place(&self) -> String {
        match self.address.contains(':') {
            true => format!("[{}]:{}", self.address, self.port),
            false => format!("{}:{}", self.address, self.port),
        }
    }
}

/// All hops to the host that these are the settings of, itself as the last one; none for this machine.
pub(super) fn route(file: &Path, env: &HostEnv) -> Result<Vec<Hop>, RouteError> {
    let mut file = real(file);
    let mut env = env.clone();
    let mut hops: Vec<Hop> = Vec::new();
    loop {
        let Some(hop) = Hop::of(&file, &env)? else {
            return match hops.is_empty() {
                true => Ok(hops),
                false => Err(RouteError::LocalJumpHost { name: name(&file) }),
            };
        };
        let seen = hops.iter().any(|known| known.file == hop.file);
        hops.push(hop);
        if seen {
            let names = hops.into_iter().map(|hop| hop.name).collect();
            return Err(RouteError::Circle { names });
        }
        if hops.len() > JUMPS_MAX + 1 {
            return Err(RouteError::TooLong { max: JUMPS_MAX });
        }
        let Some(jump_host) = env.jump_host() else {
            hops.reverse();
            return Ok(hops);
        };
        file = jump_file(&file, jump_host)?;
        env = hostfiles::read(&file)?;
    }
}

/// The path by which a file is one and the same from everywhere; one that is not there stays as it is called.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Where the settings of a jump host lie: JUMPHOST is a folder or a file, relative to the folder of the host.
fn jump_file(file: &Path, jump_host: &str) -> Result<PathBuf, RouteError> {
    let path = file.parent().unwrap_or(file).join(jump_host);
    let path = match path.is_dir() {
        true => path.join("host.env"),
        false => path,
    };
    std::fs::canonicalize(&path).map_err(|_| RouteError::NoJumpHost {
        file: file.display().to_string(),
        jump_host: jump_host.to_owned(),
        path,
    })
}

/// A host is called as its folder; other settings in there are named too.
fn name(file: &Path) -> String {
    let last = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let folder = last(file.parent().unwrap_or(file));
    match last(file).as_str() {
        "host.env" => folder,
        other => format!("{folder}/{other}"),
    }
}

/// The one flag of the original's that has a meaning without its `ssh`, and those that have none.
fn flags(text: &str) -> (Option<Duration>, Vec<String>) {
    let mut limit = None;
    let mut unknown = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let (option, shown) = match word {
            "-o" => {
                let option = words.next().unwrap_or_default();
                (Some(option), format!("-o {option}"))
            }
            word => (word.strip_prefix("-o"), word.to_owned()),
        };
        let seconds = option.and_then(|option| {
            let (key, value) = option.split_once('=')?;
            let value: u64 = value.parse().ok().filter(|seconds| *seconds > 0)?;
            key.eq_ignore_ascii_case("ConnectTimeout").then_some(value)
        });
        match seconds {
            Some(seconds) => limit = Some(Duration::from_secs(seconds)),
            None => unknown.push(shown),
        }
    }
    (limit, unknown)
}

#[cfg(test)]
mod tests {
    use hostfiles::Format as _;

    use super::*;

    #[test]
    fn flags_of_the_original() {
        let check = |text: &str, seconds: Option<u64>, unknown: &[&str]| {
            let unknown = unknown.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(
                flags(text),
                (seconds.map(Duration::from_secs), unknown),
                "{text}"
            );
        };
        check("", None, &[]);
        check("-oConnectTimeout=30", Some(30), &[]);
        check("-o connecttimeout=5 -v", Some(5), &["-v"]);
        check(
            "-oStrictHostKeyChecking=no -oConnectTimeout=x",
            None,
            &["-oStrictHostKeyChecking=no", "-oConnectTimeout=x"],
        );
        check("-o", None, &["-o "]);
    }

    /// Hosts in a folder, each with its JUMPHOST.
    fn hosts(jumps: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (host, jump) in jumps {
            let text = format!("HOST=10.0.0.1\nUSER=sns\nKEYFILE=id\nJUMPHOST={jump}\n");
            std::fs::create_dir(folder.path().join(host)).unwrap();
            let env = HostEnv::parse(&text).unwrap();
            hostfiles::write(&folder.path().join(host).join("host.env"), &env).unwrap();
        }
        folder
    }

    fn route_to(folder: &Path, host: &str) -> Result<Vec<String>, String> {
        let file = folder.join(host).join("host.env");
        let hops = route(&file, &hostfiles::read(&file).unwrap());
        let names = |hops: Vec<Hop>| hops.into_iter().map(|hop| hop.name).collect();
        hops.map(names).map_err(|error| error.to_string())
    }

    #[test]
    fn the_nearest_comes_first() {
        let folder = hosts(&[("a", "../b"), ("b", "../c/host.env"), ("c", "")]);
        assert_eq!(route_to(folder.path(), "a").unwrap(), ["c", "b", "a"]);
    }

    #[test]
    fn circles_and_long_ways_are_refused() {
        let folder = hosts(&[
            ("a", "../b"),
            ("b", "../a"),
            ("self", "."),
            ("lost", "../none"),
        ]);
        let error = |host: &str| route_to(folder.path(), host).unwrap_err();
        assert_eq!(error("a"), "its jump hosts lead in a circle: a → b → a");
        assert_eq!(
            error("self"),
            "its jump hosts lead in a circle: self → self"
        );
        assert!(error("lost").contains("has JUMPHOST=../none"));
        let names: Vec<String> = (0..12).map(|number| format!("h{number}")).collect();
        let jumps: Vec<String> = (0..12)
            .map(|number| format!("../h{}", number + 1))
            .collect();
        let mut pairs: Vec<(&str, &str)> = names
            .iter()
            .map(String::as_str)
            .zip(jumps.iter().map(String::as_str))
            .collect();
        pairs[11].1 = "";
        let folder = hosts(&pairs);
        assert_eq!(route_to(folder.path(), "h1").unwrap().len(), 11);
        assert_eq!(
            route_to(folder.path(), "h0").unwrap_err(),
            "it has more than 10 jump hosts"
        );
    }
}
