//! `sns pod compile POD[@HOST]`.

use clap::Args;
use serde_json::json;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::compile::{Compiler, Outcome};
use crate::designation::{Designation, Version};

/// Compile a pod for the hosts that it is attached to
///
/// Assigns ports, replaces variables by cluster-vars.env, lets the plugin of the pod's kind resolve the
/// rest, and writes the release folder pods/POD/release/VERSION of each host. A version that exists is
/// left alone: raise podVersion. Commit and sync to bring it to the hosts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod compile web
  sns pod compile web@laptop
  sns pod compile web -v")]
pub(crate) struct CompileArgs {
    /// The pod, and the host if it is not all of them
    #[arg(value_name = "POD[@HOST]")]
    pod: Designation,

    /// Only print the version that would be compiled
    #[arg(short = 'v', long)]
    version: bool,

    /// As JSON: what was compiled, and what was found in the pod.yaml
    #[arg(long)]
    json: bool,
}

impl CompileArgs {
    /// True when something is compiled, false when only the version is printed.
    pub(crate) fn changes_project(&self) -> bool {
        !self.version
    }
}

/// Compiles it.
pub(crate) fn run(context: &Context<'_>, args: &CompileArgs) -> Result<(), CommandError> {
    if args.pod.version != Version::Unsaid {
        return Err(CommandError::new(
            Kind::CommandLine,
            "the version stands in the pod.yaml: leave it out",
        ));
    }
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    let compiler = Compiler::new(&cluster, &args.pod, context.ui)?;
    if args.version {
        context.ui.result(&compiler.release().version.to_string());
        return Ok(());
    }
    let mut outcome = Outcome::default();
    let result = compiler.run(&mut outcome);
    if args.json {
        context.ui.json(&as_json(&compiler, &outcome));
    }
    result.map(|()| tell(context, &compiler, &outcome))
}

fn tell(context: &Context<'_>, compiler: &Compiler<'_>, outcome: &Outcome) {
    let release = compiler.release();
    for host in &outcome.existing {
        context.ui.note(&format!(
            "{release}@{} exists already and was left as it is",
            host.name
        ));
    }
    for host in &outcome.compiled {
        context
            .ui
            .done(&format!("{release} compiled for host {}", host.name));
    }
    for host in &outcome.outdated {
        context.ui.warning(&format!(
            "{release}@{}: what is there was compiled from other inputs: the pod or cluster-vars.env has changed",
            host.name
        ));
    }
    if outcome.compiled.is_empty() && outcome.outdated.is_empty() {
        context.ui.note(&format!(
            "pod {} was not compiled: nothing is new",
            release.pod
        ));
        context
            .ui
            .hint("raise podVersion in its pod.yaml to compile what has changed");
        return;
    }
    if !outcome.outdated.is_empty() {
        context.ui.hint(&format!(
            "raise podVersion in its pod.yaml; to replace this version, delete HOST/pods/{}/release/{} from the project, compile, commit, and sync with --pod-to-overwrite={release}",
            release.pod, release.version
        ));
    }
    if !outcome.compiled.is_empty() {
        context
            .ui
            .hint("bring it to the hosts: git add . && git commit; then sns cluster sync");
    }
}

fn as_json(compiler: &Compiler<'_>, outcome: &Outcome) -> serde_json::Value {
    let names = |hosts: &[crate::project::Host]| {
        hosts
            .iter()
            .map(|host| host.name.clone())
            .collect::<Vec<_>>()
    };
    json!({
        "release": compiler.release(),
        "compiled": names(&outcome.compiled),
        "existing": names(&outcome.existing),
        "diagnostics": outcome.diagnostics,
    })
}
