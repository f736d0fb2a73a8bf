//! `sns plugin install PLUGIN[@HOST]`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::plugins::{self, Asked, Component, FirstParty, Installed};
use crate::project::{Cluster, Host};

/// Install or upgrade a plugin on hosts and grant what it asks for
///
/// Shows what the plugin asks for and writes it into the host's plugins.yaml: that is the grant. An
/// upgrade that asks for more than its predecessor was granted stops and shows the difference, until
/// it is accepted. Commit and sync to bring it to the hosts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns plugin install native-runtime@laptop
  sns plugin install native-runtime --accept
  sns plugin install timer@laptop --file=timer.wasm")]
pub(crate) struct InstallArgs {
    /// The plugin, and the host if it is not all that take part
    #[arg(value_name = "PLUGIN[@HOST]")]
    plugin: PluginAtHost,

    /// The component; default: the first-party plugin of that name
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Grant more than the present version was granted
    #[arg(long)]
    accept: bool,
}

/// A plugin, perhaps on one host.
#[derive(Debug, Clone)]
struct PluginAtHost {
    plugin: String,
    host: Option<HostName>,
}

impl FromStr for PluginAtHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (plugin, host) = match text.split_once('@') {
            Some((plugin, host)) => (
                plugin,
                Some(
                    host.parse()
                        .map_err(|error: names::NameError| error.to_string())?,
                ),
            ),
            None => (text, None),
        };
        let fits = plugin.starts_with(|c: char| c.is_ascii_lowercase())
            && plugin
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self {
                plugin: plugin.to_owned(),
                host,
            })
        } else {
            Err("a plugin's name consists of lower-case letters, digits and `-`".to_owned())
        }
    }
}

/// Installs it and shows what was granted.
pub(crate) fn run(context: &Context<'_>, args: &InstallArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let hosts = hosts(&cluster, args)?;
    let component = component(context, args)?;
    let asked = if args.accept {
        Asked::Accepted
    } else {
        Asked::NoMore
    };
    let results = plugins::install(&cluster, &hosts, &component, asked)?;
    for (host, result) in hosts.iter().zip(results) {
        tell(context, host, &component, &result);
    }
    context
        .ui
        .hint("bring it to the hosts: git add . && git commit; then sns cluster sync");
    Ok(())
}

fn hosts(cluster: &Cluster<'_>, args: &InstallArgs) -> Result<Vec<Host>, CommandError> {
    if let Some(name) = &args.plugin.host {
        return Ok(vec![cluster.host(name)?]);
    }
    let mut hosts = cluster.hosts()?;
    hosts.retain(|host| !host.is_disabled());
    if hosts.is_empty() {
        return Err(CommandError::mistake("no host of the project takes part")
            .hint("add one with `sns host register`"));
    }
    Ok(hosts)
}

fn component(context: &Context<'_>, args: &InstallArgs) -> Result<Component, CommandError> {
    let component = match &args.file {
        Some(file) => Component::read(&context.environment.current_dir.join(file))?,
        None => FirstParty::find(context.environment)
            .get(&args.plugin.plugin)?
            .clone(),
    };
    if component.manifest.id == args.plugin.plugin {
        return Ok(component);
    }
    Err(CommandError::mistake(format!(
        "{} is the plugin `{}`, not `{}`",
        component.path.display(),
        component.manifest.id,
        args.plugin.plugin
    )))
}

/// One message for a host, with the grants below it.
pub(crate) fn tell(context: &Context<'_>, host: &Host, component: &Component, result: &Installed) {
    let name = component.name();
    let (message, grants) = match result {
        Installed::New(grants) => (
            format!("plugin {name} installed on host {}; it may", host.name),
            grants.as_slice(),
        ),
        Installed::Upgraded(more) if more.is_empty() => (
            format!(
                "plugin {name} installed on host {}; its grants are as before",
                host.name
            ),
            more.as_slice(),
        ),
        Installed::Upgraded(more) => (
            format!(
                "plugin {name} installed on host {}; now it also may",
                host.name
            ),
            more.as_slice(),
        ),
        Installed::Present => (
            format!("host {} has plugin {name} already", host.name),
            [].as_slice(),
        ),
    };
    context.ui.done(&message);
    grants
        .iter()
        .for_each(|line| context.ui.note(&format!("  {line}")));
}
