//! What should be so on a host, as its settings, its keys and the programs beside this one say.

use std::fs;
use std::net::IpAddr;

use hostfiles::{HostAddress, HostEnv};

use super::account::{Account, user_name};
use super::firewall::Doors;
use super::install::Wanted;
use super::kernel::LowPort;
use super::keys::{KeyPair, extra_keys};
use super::network::{Network, is_private};
use super::programs::{DAEMON, PLUGINS, PROXY, Program};
use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::plugins::FirstParty;
use crate::project::{Cluster, Host};

/// Ports below are root's as a rule.
const LOW_PORTS: u16 = 1024;

/// What the operator wants of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// Containers.
    pub(crate) podman: bool,
    /// Our programs.
    pub(crate) daemon: bool,
    /// A firewall.
    pub(crate) firewall: bool,
    /// No other keys of the user.
    pub(crate) strict_user_keys: bool,
    /// No other keys of the super user.
    pub(crate) strict_super_user_keys: bool,
    /// Whether a key that is missing is made.
    pub(crate) makes_key: bool,
}

/// Reads it. Makes the key of the user where it is missing.
pub(crate) fn wanted(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    host: &Host,
    superuser: &HostEnv,
    choice: &Choice,
) -> Result<Wanted, CommandError> {
    let doors = doors(cluster, host)?;
    check_address(host, &doors)?;
    for network in doors
        .internal
        .iter()
        .filter(|network| !network.is_private())
    {
        context.ui.warning(&format!(
            "INTERNAL of host {} trusts {network}, where strangers may be",
            host.name
        ));
    }
    Ok(Wanted {
        user: user(context, host, choice)?,
        superuser: super_account(host, superuser, choice)?,
        podman: choice.podman,
        daemon: choice.daemon,
        low_port: low_port(cluster, host, &doors)?,
        doors: choice.firewall.then_some(doors),
        programs: match choice.daemon {
            true => programs(context)?,
            false => Vec::new(),
        },
        machine: std::env::consts::ARCH,
    })
}

fn named(host: &Host, env: &HostEnv, file: &str) -> Result<String, CommandError> {
    let name = env.user().unwrap_or_default();
    user_name(name).map_err(|why| {
        CommandError::new(
            Kind::Diagnostics,
            format!("USER in {}/{file}: {why}", host.name),
        )
    })
}

fn user(context: &Context<'_>, host: &Host, choice: &Choice) -> Result<Account, CommandError> {
    let name = named(host, &host.env, "host.env")?;
    if name == "root" {
        return Err(CommandError::refused(format!(
            "the pods of host {} would belong to root",
            host.name
        ))
        .hint("name an ordinary user in USER of its host.env, as in USER=sns"));
    }
    let mut keys = extra_keys(&host.dir.path().join("pubkeys"))?;
    if let Some(file) = host.env.key_file() {
        let pair = KeyPair::at(host.dir.path().join(file));
        let key = pair.ensure(
            context.ui,
            &format!("{name}@{}", host.name),
            choice.makes_key,
        )?;
        keys.insert(0, key);
    }
    if keys.is_empty() {
        return Err(CommandError::mistake(format!(
            "no key would let user {name} of host {} in",
            host.name
        ))
        .hint(format!(
            "name one with KEYFILE in its host.env, or put public keys into {}/pubkeys",
            host.name
        )));
    }
    Ok(Account {
        name,
        purpose: "runs the pods",
        keys,
        is_strict: choice.strict_user_keys,
    })
}

fn super_account(host: &Host, env: &HostEnv, choice: &Choice) -> Result<Account, CommandError> {
    let name = named(host, env, "host-superuser.env")?;
    let mut keys = extra_keys(&host.dir.path().join("pubkeys.superuser"))?;
    if let Some(file) = env.key_file()
        && let Some(key) = KeyPair::at(host.dir.path().join(file)).public()?
    {
        keys.insert(0, key);
    }
    if choice.strict_super_user_keys && keys.is_empty() {
        return Err(CommandError::refused(format!(
            "no key would let the super user of host {} in",
            host.name
        ))
        .hint(format!(
            "put public keys into {}/pubkeys.superuser",
            host.name
        )));
    }
    Ok(Account {
        name,
        purpose: "administrates this host",
        keys,
        is_strict: choice.strict_super_user_keys,
    })
}

fn doors(cluster: &Cluster<'_>, host: &Host) -> Result<Doors, CommandError> {
    let words = |key: &str| -> Vec<String> {
        let text = host.env.get(key).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let wrong = |key: &str, why: String| {
        let file = cluster.shown(&host.dir.host_env());
        CommandError::new(Kind::Diagnostics, format!("{key} in {file}: {why}"))
    };
    let mut expose = Vec::new();
    for word in words("EXPOSE") {
        match word.parse::<u16>() {
            Ok(port @ 1..) => expose.push(port),
            _ => return Err(wrong("EXPOSE", format!("`{word}` is no port"))),
        }
    }
    let networks = words("INTERNAL")
        .into_iter()
        .map(|word| word.parse::<Network>());
    let internal: Result<Vec<Network>, String> = networks.collect();
    let mut internal = internal.map_err(|why| wrong("INTERNAL", why))?;
    expose.sort_unstable();
    expose.dedup();
    internal.sort_unstable();
    internal.dedup();
    Ok(Doors { expose, internal })
}

/// Refuses a host whose own network would not be trusted: the others could not reach it.
fn check_address(host: &Host, doors: &Doors) -> Result<(), CommandError> {
    let Some(HostAddress::Remote(address)) = host.env.address() else {
        return Ok(());
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return Ok(());
    };
    let is_trusted = doors
        .internal
        .iter()
        .any(|network| network.contains(address));
    match is_private(address) && !is_trusted {
        false => Ok(()),
        true => Err(CommandError::refused(format!(
            "host {} has the private address {address}, which lies in no network of its INTERNAL",
            host.name
        ))
        .hint(
            "add its network to INTERNAL in its host.env, so that the hosts there reach each other",
        )),
    }
}

/// The lowest port below 1024 that a pod should have, but for that of SSH.
fn low_port(
    cluster: &Cluster<'_>,
    host: &Host,
    doors: &Doors,
) -> Result<Option<LowPort>, CommandError> {
    let exposed = doors.expose.iter().filter(|port| **port != host.env.port());
    let exposed = exposed.map(|port| (*port, "EXPOSE of its host.env".to_owned()));
    let mut all: Vec<(u16, String)> = exposed.collect();
    for port_use in cluster.port_uses()? {
        if port_use.host == host.name
            && let Some(port) = port_use.host_port
        {
            all.push((port.get(), format!("pod {}", port_use.release)));
        }
    }
    all.retain(|(port, _)| *port < LOW_PORTS);
    all.sort();
    let lowest = all.into_iter().next();
    Ok(lowest.map(|(port, wanted_by)| LowPort { port, wanted_by }))
}

/// Our own programs, from beside this one, and the plugins that come with it.
fn programs(context: &Context<'_>) -> Result<Vec<Program>, CommandError> {
    let mut programs = Vec::new();
    for path in [DAEMON, PROXY] {
        let name = path.rsplit('/').next().unwrap_or(path);
        let directory = context.environment.program_dir.as_ref().ok_or_else(|| {
            CommandError::mistake(
                "cannot tell where this program lies, and so not where the others do",
            )
        })?;
        let file = directory.join(name);
        let content = fs::read(&file).map_err(|error| {
            CommandError::files(
                format!("could not read {}, which the host needs", file.display()),
                error,
            )
            .hint("it comes with sns; --skip-systemd leaves our programs out")
        })?;
        programs.push(Program {
            path: path.to_owned(),
            is_executable: true,
            content,
        });
    }
    for component in FirstParty::find(context.environment).components {
        let name = component
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        programs.push(Program {
            path: format!("{PLUGINS}/{name}"),
            is_executable: false,
            content: component.bytes,
        });
    }
    Ok(programs)
}
