//! `sns host setup superuser HOST`.

use std::path::PathBuf;

use clap::Args;
use hostfiles::{Format as _, HostEnv};
use names::HostName;

use super::{machine, show};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::project::Host;
use crate::remote::Remotes;
use crate::setup::{Account, KeyPair, Question, Root, plan_superuser, sudoers_file, user_name};

/// Make the user that may administrate a host, while root may still log in
///
/// Logs in as root, with a key file or an ssh-agent, and makes the user, lets its key in, and lets it become root without
/// a password. Makes that key (Ed25519, no passphrase) when it is missing in the project. Proves that the user can log
/// in and become root, then writes host-superuser.env. Keep private keys out of git, or open to people who may have them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host setup superuser worker1 --root-keyfile=~/.ssh/id_ed25519
  sns host setup superuser worker1 --dry-run")]
pub(crate) struct SuperuserArgs {
    /// The host
    host: HostName,

    /// Private key of root, relative to the current directory; default: the keys of an ssh-agent
    #[arg(short = 'k', long, value_name = "FILE")]
    root_keyfile: Option<PathBuf>,

    /// Name of the super user
    #[arg(short, long, value_name = "USER", default_value = "snssuper", value_parser = user_name)]
    super_user_name: String,

    /// Its private key, relative to the host's directory in the project
    #[arg(short = 'S', long, value_name = "FILE", default_value = "id_rsa_super")]
    super_user_keyfile: String,

    /// Make it although the host has a host-superuser.env already
    #[arg(short, long)]
    force: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Makes it, proves it, writes it down.
pub(crate) fn run(context: &Context<'_>, args: &SuperuserArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = machine(&cluster, &args.host)?;
    let file = host.dir.superuser_env();
    if file.exists() && !args.force {
        return Err(
            CommandError::refused(format!("host {} has a super user already", host.name)).hint(
                format!("see {}; --force makes it anew", cluster.shown(&file)),
            ),
        );
    }
    let remotes = Remotes::new(context.environment)?;
    let connected = remotes.connect_as_root(&host, &root_env(context, args, &host)?);
    context.tell_warnings(&remotes);
    let remote = connected?;
    let root = Root::of(&remote)?;
    let facts = root.probe(&Question {
        user: "",
        superuser: &args.super_user_name,
        files: vec![sudoers_file(&args.super_user_name)],
    })?;
    let plan = plan_superuser(&facts, &account(context, args, &host)?);
    show(context, &host, &plan);
    if args.dry_run {
        return Ok(());
    }
    let env = superuser_env(args, &host)?;
    root.carry_out(context.ui, &plan, &|| Ok(()))?;
    let entered = remotes.connect_as_super_user(&host, &env);
    context.tell_warnings(&remotes);
    Root::of(&entered?)?;
    let _lock = context.lock_if(true)?;
    hostfiles::write(&file, &env)?;
    cluster.log(&format!(
        "SETUP_SUPERUSER {} {}",
        host.name, args.super_user_name
    ))?;
    context.ui.done(&format!(
        "host {} has the super user {}, who can log in and become root",
        host.name, args.super_user_name
    ));
    context.ui.hint(&format!(
        "root need not log in any more: `sns host setup disableroot {}`",
        host.name
    ));
    Ok(())
}

/// The user, with a key that is made unless it is there or nothing should be changed.
fn account(
    context: &Context<'_>,
    args: &SuperuserArgs,
    host: &Host,
) -> Result<Account, CommandError> {
    let pair = KeyPair::at(host.dir.path().join(&args.super_user_keyfile));
    let comment = format!("{}@{}", args.super_user_name, host.name);
    let key = pair.ensure(context.ui, &comment, !args.dry_run)?;
    Ok(Account {
        name: args.super_user_name.clone(),
        purpose: "administrates this host",
        keys: vec![key],
        is_strict: false,
    })
}

/// How root is reached: as the user of the pods, but by another key.
fn root_env(
    context: &Context<'_>,
    args: &SuperuserArgs,
    host: &Host,
) -> Result<HostEnv, CommandError> {
    let mut env = host.env.clone();
    env.set("USER", "root");
    let key = match &args.root_keyfile {
        None => String::new(),
        Some(path) => {
            let path = context.environment.current_dir.join(path);
            if !path.is_file() {
                return Err(CommandError::mistake(format!(
                    "there is no key {}",
                    path.display()
                )));
            }
            path.display().to_string()
        }
    };
    env.set("KEYFILE", &key);
    Ok(env)
}

fn superuser_env(args: &SuperuserArgs, host: &Host) -> Result<HostEnv, CommandError> {
    let mut env = HostEnv::parse("").map_err(|error| CommandError::mistake(error.to_string()))?;
    for key in ["HOST", "PORT", "JUMPHOST", "FLAGS"] {
        env.set(key, host.env.get(key).unwrap_or_default());
    }
    env.set("USER", &args.super_user_name);
    env.set("KEYFILE", &args.super_user_keyfile);
    Ok(env)
}
