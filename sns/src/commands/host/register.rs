//! `sns host register HOST`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use hostfiles::{Format as _, HostEnv, HostState};
use names::HostName;

use super::trust;
use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::directories::Staged;
use crate::project::{Cluster, home_place};

/// Add a host to the project, and ask it for the key by which it will be known
///
/// Writes HOST/host.env and sets the host active. A remote host is asked for the key of its SSH server, through its jump
/// hosts; nobody logs in there. A host that cannot be reached is registered all the same, see `sns host trust`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host register laptop --address=local --dir-home=simplenetes/host-laptop
  sns host register laptop --address=local --router-address=192.168.1.5:32767
  sns host register worker1 --address=10.0.0.5 --jump-host=../backdoor --router-address=10.0.0.5")]
pub(crate) struct RegisterArgs {
    /// Name of the host
    host: HostName,

    /// IP address or name, perhaps with the port of SSH; `local` is this machine
    #[arg(short, long, value_name = "ADDRESS[:PORT]")]
    address: String,

    /// Directory of another host, relative to this one's, that SSH goes through
    #[arg(short, long, value_name = "DIR")]
    jump_host: Option<String>,

    /// Public TCP ports, separated by spaces; without a jump host the port of SSH is added
    #[arg(short, long, value_name = "PORTS", value_parser = ports)]
    expose: Option<String>,

    /// Directory on the host, absolute or below the user's home directory; default: the host's name
    #[arg(short, long, value_name = "DIR")]
    dir_home: Option<String>,

    /// Unprivileged user that runs the pods
    #[arg(short, long, value_name = "USER", default_value = "sns")]
    user_name: String,

    /// Private key of that user, relative to the host's directory
    #[arg(short, long, value_name = "FILE", default_value = "id_rsa")]
    keyfile: String,

    /// User that may administrate the host; not for local hosts
    #[arg(short, long, value_name = "USER")]
    super_user_name: Option<String>,

    /// Private key of the super user, relative to the host's directory
    #[arg(short = 'S', long, value_name = "FILE", requires = "super_user_name")]
    super_user_keyfile: Option<String>,

    /// Networks that the firewall trusts entirely, separated by spaces
    #[arg(
        short,
        long,
        value_name = "NETWORKS",
        default_value = "192.168.0.0/16 10.0.0.0/8 172.16.0.0/12"
    )]
    internal_networks: String,

    /// Where the host's proxy listens, which is also the address of its pods; the port is 32767
    /// unless given
    #[arg(short, long, value_name = "IP[:PORT]", value_parser = router_address)]
    router_address: Option<SocketAddr>,

    /// Trust this key of its SSH server only; as OpenSSH prints it
    #[arg(long, value_name = "SHA256:…", value_parser = trust::fingerprint_word)]
    fingerprint: Option<String>,

    /// Do not contact the host
    #[arg(long, conflicts_with = "fingerprint")]
    no_scan: bool,
}

/// The port of the proxies.
const PROXY_PORT: u16 = 32767;
const SSH_PORT: u16 = 22;
const SSH_FLAGS: &str = "-oConnectTimeout=30";
const SUPER_USER_KEY: &str = "id_rsa_super";

/// Writes the files of the host.
pub(crate) fn run(context: &Context<'_>, args: &RegisterArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let directory = cluster.files.host(&args.host);
    if directory.path().exists() {
        let hint = match directory.host_env().exists() {
            true => "choose another name; to change a host, edit its host.env",
            false => {
                "it is no host, since it has no host.env: move it away, or choose another name"
            }
        };
        let shown = directory.path().display();
        return Err(CommandError::mistake(format!("{shown} exists already")).hint(hint));
    }
    let (env, superuser) = if args.address == "local" {
        (local(args)?, None)
    } else {
        remote(args)?
    };
    check_home_is_free(&cluster, &env)?;
    let staged = Staged::begin(directory.path().to_owned())?;
    let beside = |file: PathBuf| staged.path().join(file.file_name().unwrap_or_default());
    hostfiles::write(&beside(directory.host_state()), &HostState::Active)?;
    if let Some(superuser) = superuser {
        hostfiles::write(&beside(directory.superuser_env()), &superuser)?;
    }
    hostfiles::write(&beside(directory.host_env()), &env)?;
    // The line comes first: whoever is killed between the two leaves a line too much, never half a host.
    cluster.log(&format!("CREATE_HOST {}", args.host))?;
    staged.publish()?;
    context.ui.done(&format!(
        "host {} registered at {}",
        args.host,
        directory.path().display()
    ));
    if args.address == "local" {
        context.ui.hint(&format!(
            "prepare its home with `sns host init {}`",
            args.host
        ));
        return Ok(());
    }
    if args.no_scan {
        return Ok(());
    }
    meet(context, &cluster, args)
}

/// Asks the new host for its key. One that is not there yet is no failure; one that is another is.
fn meet(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    args: &RegisterArgs,
) -> Result<(), CommandError> {
    let host = cluster.host(&args.host)?;
    let expected = args.fingerprint.as_deref();
    match trust::scan(context, &host) {
        Ok(key) => trust::pin(context, cluster, &host, &key, expected, false),
        Err(error) => {
            context
                .ui
                .warning(&format!("its key is not known yet: {error}"));
            context.ui.hint(&format!(
                "once it can be reached: `sns host trust {}`",
                host.name
            ));
            Ok(())
        }
    }
}

/// The settings of a host on this machine: no SSH, no super user.
fn local(args: &RegisterArgs) -> Result<HostEnv, CommandError> {
    let for_remote_only = [
        ("--jump-host", args.jump_host.is_some()),
        ("--super-user-name", args.super_user_name.is_some()),
        ("--fingerprint", args.fingerprint.is_some()),
    ];
    if let Some((option, _)) = for_remote_only.iter().find(|(_, given)| *given) {
        return Err(CommandError::new(
            Kind::CommandLine,
            format!("{option} makes no sense for a host on this machine"),
        ));
    }
    let mut env = settings(&[("HOST", "local")])?;
    env.set("EXPOSE", args.expose.as_deref().unwrap_or_default());
    common(&mut env, args);
    Ok(env)
}

/// The settings of a host that is reached by SSH, and of its super user.
fn remote(args: &RegisterArgs) -> Result<(HostEnv, Option<HostEnv>), CommandError> {
    let (address, port) = split_address(&args.address)?;
    let jump_host = args.jump_host.as_deref().unwrap_or_default();
    let reached = [
        ("HOST", address.as_str()),
        ("PORT", &port.to_string()),
        ("JUMPHOST", jump_host),
    ];
    let mut env = settings(&reached)?;
    for (key, value) in [
        ("USER", args.user_name.as_str()),
        ("FLAGS", SSH_FLAGS),
        ("KEYFILE", &args.keyfile),
    ] {
        env.set(key, value);
    }
    let mut exposed: Vec<String> = args
        .expose
        .iter()
        .flat_map(|ports| ports.split_whitespace())
        .map(str::to_owned)
        .collect();
    let ssh = port.to_string();
    if args.jump_host.is_none() && !exposed.contains(&ssh) {
        exposed.insert(0, ssh);
    }
    env.set("EXPOSE", &exposed.join(" "));
    common(&mut env, args);
    let superuser = match &args.super_user_name {
        Some(name) => {
            let mut superuser = settings(&reached)?;
            superuser.set("USER", name);
            superuser.set(
                "KEYFILE",
                args.super_user_keyfile.as_deref().unwrap_or(SUPER_USER_KEY),
            );
            Some(superuser)
        }
        None => None,
    };
    Ok((env, superuser))
}

fn common(env: &mut HostEnv, args: &RegisterArgs) {
    env.set("INTERNAL", &args.internal_networks);
    env.set(
        "HOSTHOME",
        args.dir_home.as_deref().unwrap_or(args.host.as_str()),
    );
    env.set(
        "ROUTERADDRESS",
        &args
            .router_address
            .map(|address| address.to_string())
            .unwrap_or_default(),
    );
}

fn settings(pairs: &[(&str, &str)]) -> Result<HostEnv, CommandError> {
    let text: String = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect();
    HostEnv::parse(&text).map_err(|error| CommandError::new(Kind::CommandLine, error.to_string()))
}

/// Two hosts in one directory would undo each other's syncs.
fn check_home_is_free(cluster: &Cluster<'_>, env: &HostEnv) -> Result<(), CommandError> {
    let place = home_place(env, cluster.environment)?;
    for other in cluster.hosts()? {
        if home_place(&other.env, cluster.environment)? == place {
            return Err(CommandError::mistake(format!(
                "host {} has that home already: {}",
                other.name,
                env.host_home()
            ))
            .hint("give another --dir-home"));
        }
    }
    Ok(())
}

/// `ADDRESS`, `ADDRESS:PORT`, `[IPV6]:PORT` or a bare IPv6 address.
fn split_address(text: &str) -> Result<(String, u16), CommandError> {
    let refused = || {
        CommandError::new(
            Kind::CommandLine,
            format!(
                "`{text}` is not an address: expected `local`, a name or an IP, perhaps with :PORT"
            ),
        )
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((ip.to_string(), SSH_PORT));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    let (address, port) = match text.split_once(':') {
        Some((address, port)) => (address, port.parse().map_err(|_| refused())?),
        None => (text, SSH_PORT),
    };
    let fits = !address.is_empty() && !address.starts_with('-') && address.chars().all(plain);
    if fits {
        Ok((address.to_owned(), port))
    } else {
        Err(refused())
    }
}

fn router_address(text: &str) -> Result<SocketAddr, String> {
    let address = match text.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, PROXY_PORT),
        Err(_) => text
            .parse()
            .map_err(|_| "expected IP or IP:PORT, as in 192.168.1.5:32767".to_owned())?,
    };
    if address.ip().is_unspecified() {
        return Err("other hosts must be able to reach it, so it cannot be 0.0.0.0".to_owned());
    }
    Ok(address)
}

fn ports(text: &str) -> Result<String, String> {
    match text
        .split_whitespace()
        .find(|word| !matches!(word.parse::<u16>(), Ok(1..)))
    {
        Some(word) => Err(format!(
            "`{word}` is not a port: expected numbers from 1 to 65535, separated by spaces"
        )),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Option<(&str, u16)>| {
            let found = split_address(text).ok();
            assert_eq!(
                found
                    .as_ref()
                    .map(|(address, port)| (address.as_str(), *port)),
                expected,
                "{text}"
            );
        };
        check("10.0.0.5", Some(("10.0.0.5", 22)));
        check("10.0.0.5:2222", Some(("10.0.0.5", 2222)));
        check("host.example.com:2222", Some(("host.example.com", 2222)));
        check("fd00::1", Some(("fd00::1", 22)));
        check("[fd00::1]:2222", Some(("fd00::1", 2222)));
        for text in ["", "-oProxyCommand=x", "a b", "host:port", "host:99999"] {
            check(text, None);
        }
    }
}
