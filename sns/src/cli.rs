//! The command line: what stands before the verb. The verbs and their options stand in `commands/`,
//! where their doc comments are the help.

use std::path::PathBuf;

use clap::Parser;

use crate::commands::Command;

/// Operate a Simplenetes cluster from its Cluster Project
///
/// A Cluster Project is a git repository with one directory per host. `sns` changes the project;
/// `sns cluster sync` makes the hosts equal to it.
#[derive(Debug, Parser)]
#[command(
    name = "sns",
    version,
    propagate_version = false,
    max_term_width = 100,
    arg_required_else_help = true,
    after_long_help = "\
Examples:
  sns cluster create laptop-cluster
  cd laptop-cluster
  sns host register laptop --address=local --dir-home=simplenetes/host-laptop
  sns host init laptop
  sns host attach web@laptop --link=https://example.com/web.git
  sns pod compile web
  git add . && git commit -m 'First sync'
  sns cluster sync

Environment:
  CLUSTERPATH          the Cluster Project, when it is not the current directory or one above it
  PODPATH              where the pods' repositories lie; default: _pods in the project
  SNS_AGE_KEY_FILE     the operator's private key, for `sns secret`; default:
                       simplenetes/age-key.txt in XDG_CONFIG_HOME or ~/.config
  SIMPLENETES_PLUGINS  where first-party plugins lie; default: plugins/ beside this program, then
                       /usr/lib/simplenetes/plugins

Exit codes:
   0  done, and everything that was asked for is so
   1  the answer is no: `sns pod ps -r -q` found no ready replica
   2  the command line is wrong
   3  it cannot be done as the project stands: an unknown host or pod, a port clash
   4  a file that people write has mistakes
   5  a safety check said no before anything was changed
   6  a sync did not give every host what the project wants; each is as before or as wanted
   7  a file or directory could not be read or written
   8  a host could not be reached, or the connection to it was lost
   9  a host is neither as before nor as the project wants: sync again
  10  --exit-code: there was something to do
  70  a mistake in sns or in a plugin"
)]
pub(crate) struct Cli {
    /// The Cluster Project; default: CLUSTERPATH, or found upwards from the current directory
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}
