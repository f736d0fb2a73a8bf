//! `sns host setup install HOST`.

use clap::Args;
use hostfiles::HostEnv;
use names::HostName;

use super::{come_in, machine, show};
use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::commands::host::shell::super_user;
use crate::project::Host;
use crate::remote::Remotes;
use crate::setup::{
    Impossible, Plan, Question, Root, Wanted, files_of_install, plan_install, wanted,
};

/// Make a machine ready for pods, as its super user
///
/// Looks at the machine, prints what is missing, with the reason for each step, and does it after a question: the user
/// that runs the pods with its keys, podman, ranges of user numbers, low ports, lingering, our programs (sent from beside
/// this sns; each counts once its digest was checked there), the unit of the daemon, and a firewall that lets in the
/// ports of EXPOSE and the networks of INTERNAL, by firewalld or ufw where one is active, by nftables elsewhere. Can be
/// repeated: what is so already is left alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host setup install worker1 --dry-run
  sns host setup install worker1 --yes
  sns host setup install backdoor --skip-podman --skip-systemd")]
pub(crate) struct InstallArgs {
    /// The host
    host: HostName,

    /// Leave its firewall alone
    #[arg(long)]
    pub(crate) skip_firewall: bool,

    /// No daemon: send no programs and write no unit
    #[arg(long)]
    pub(crate) skip_systemd: bool,

    /// No containers: neither podman nor what it needs
    #[arg(long)]
    pub(crate) skip_podman: bool,

    /// Only the keys of the project let the user in; others are taken out
    #[arg(long)]
    pub(crate) strict_user_keys: bool,

    /// Only the keys of the project let the super user in; others are taken out
    #[arg(long)]
    pub(crate) strict_super_user_keys: bool,

    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do it without asking
    #[arg(short, long)]
    yes: bool,
}

/// Looks, shows, asks, does, and looks again.
pub(crate) fn run(context: &Context<'_>, args: &InstallArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = machine(&cluster, &args.host)?;
    let superuser = super_user(&host)?;
    let wanted = wanted(context, &cluster, &host, &superuser, &choice(args))?;
    let remotes = Remotes::new(context.environment)?;
    let connected = remotes.connect_as_super_user(&host, &superuser);
    context.tell_warnings(&remotes);
    let remote = connected?;
    let root = Root::of(&remote)?;
    let plan = plan(&host, &root, &wanted)?;
    if !show(context, &host, &plan) || args.dry_run {
        return Ok(());
    }
    if !args.yes
        && !context
            .ui
            .confirm(&format!("Do this on host {}?", host.name))?
    {
        return Err(CommandError::no());
    }
    root.carry_out(context.ui, &plan, &|| come_in(&remotes, &host, &superuser))?;
    prove(&remotes, &host, &superuser, &wanted)?;
    let _lock = context.lock_if(true)?;
    cluster.log(&format!("SETUP_INSTALL {}", host.name))?;
    context.ui.done(&format!("host {} is set up", host.name));
    context.ui.hint(&format!(
        "prepare its home with `sns host init {}`",
        host.name
    ));
    Ok(())
}

fn choice(args: &InstallArgs) -> wanted::Choice {
    wanted::Choice {
        podman: !args.skip_podman,
        daemon: !args.skip_systemd,
        firewall: !args.skip_firewall,
        strict_user_keys: args.strict_user_keys,
        strict_super_user_keys: args.strict_super_user_keys,
        makes_key: !args.dry_run,
    }
}

fn plan(host: &Host, root: &Root<'_>, wanted: &Wanted) -> Result<Plan, CommandError> {
    let facts = root.probe(&Question {
        user: &wanted.user.name,
        superuser: &wanted.superuser.name,
        files: files_of_install(&wanted.programs),
    })?;
    plan_install(&facts, wanted).map_err(|error| {
        let failure = CommandError::refused(format!("host {} was left as it is", host.name));
        let hint = match error {
            Impossible::LockOut(_) => {
                "add the port of SSH to EXPOSE or the network to INTERNAL in its host.env, or --skip-firewall"
            }
            Impossible::Machine { .. } => "use an sns that was made for it, with its programs beside it",
        };
        failure.caused_by(error).hint(hint)
    })
}

/// A plan after the plan has to be empty, and both users have to come in.
fn prove(
    remotes: &Remotes,
    host: &Host,
    superuser: &HostEnv,
    wanted: &Wanted,
) -> Result<(), CommandError> {
    come_in(remotes, host, superuser)?;
    let remote = remotes.connect_as_super_user(host, superuser)?;
    let left = plan(host, &Root::of(&remote)?, wanted)?;
    if !left.steps.is_empty() {
        return Err(CommandError::new(
            Kind::Incomplete,
            format!("host {} is not as it should be after all steps", host.name),
        )
        .listing(left.steps.into_iter().map(|step| step.what)));
    }
    remotes.connect(host)?;
    Ok(())
}
