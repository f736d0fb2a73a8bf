//! `sns pod compile POD[@HOST]`, and `sns pod compile --standalone` without a cluster.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::compile::{Compiler, Outcome, Standalone, Wanted};
use crate::designation::{Designation, Version};

/// Compile a pod for the hosts that it is attached to
///
/// Assigns ports, replaces variables by cluster-vars.env, lets the plugin of the pod's kind resolve the
/// rest, and writes the release folder pods/POD/release/VERSION of each host. A version that exists is
/// left alone: raise podVersion. Commit and sync to bring it to the hosts.
///
/// With --standalone it needs no cluster: `pod` appears beside the pod.yaml and runs as it is. It is called
/// like its directory, takes variables from pod.env and configs from config/, and its state and logs lie
/// beside it. Compiled again it takes the place of the same version, also while that runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod compile web
  sns pod compile web@laptop
  sns pod compile web -v
  cd web && sns pod compile --standalone && ./pod run
  sns pod compile --standalone web --outfile /srv/web")]
pub(crate) struct CompileArgs {
    /// The pod, and the host if it is not all of them
    #[arg(value_name = "POD[@HOST]", required_unless_present = "standalone")]
    pod: Option<Designation>,

    /// Compile without a cluster; default: the pod.yaml of the current directory
    #[arg(long, value_name = "DIR|FILE", num_args = 0..=1, default_missing_value = ".")]
    standalone: Option<PathBuf>,

    /// Where the compiled pod goes, if not beside the pod.yaml
    #[arg(short, long, value_name = "DIR[/pod]", requires = "standalone")]
    outfile: Option<PathBuf>,

    /// Take variables that pod.env does not have from the environment
    #[arg(short = 'e', long, requires = "standalone")]
    source_env: bool,

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
        !self.version && self.standalone.is_none()
    }
}

/// Compiles it.
pub(crate) fn run(context: &Context<'_>, args: &CompileArgs) -> Result<(), CommandError> {
    if let Some(source) = &args.standalone {
        return run_standalone(context, args, source);
    }
    let pod = args.pod.as_ref().ok_or_else(|| {
        CommandError::new(Kind::CommandLine, "there is no pod: name it, as in `web`")
    })?;
    if pod.version != Version::Unsaid {
        return Err(version_is_said());
    }
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    let compiler = Compiler::new(&cluster, pod, context.ui)?;
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

/// Compiles it without a cluster.
fn run_standalone(
    context: &Context<'_>,
    args: &CompileArgs,
    source: &Path,
) -> Result<(), CommandError> {
    let named = args.pod.as_ref();
    if named.is_some_and(|pod| pod.version != Version::Unsaid) {
        return Err(version_is_said());
    }
    if let Some(host) = named.and_then(|pod| pod.host.as_ref()) {
        return Err(CommandError::new(
            Kind::CommandLine,
            format!(
                "a pod that is compiled with --standalone belongs to no host: leave out `@{host}`"
            ),
        ));
    }
    let wanted = Wanted {
        source: source.to_owned(),
        name: named.map(|pod| pod.pod.clone()),
        target: args.outfile.clone(),
        takes_environment: args.source_env,
    };
    let compiler = Standalone::new(context.environment, context.ui, &wanted)?;
    let release = compiler.release();
    if args.version {
        context.ui.result(&release.version.to_string());
        return Ok(());
    }
    let mut found = Vec::new();
    let result = compiler.run(&mut found);
    if args.json {
        context.ui.json(&json!({
            "release": release,
            "pod": result.is_ok().then(|| compiler.shown_pod()),
            "diagnostics": found,
        }));
    }
    result?;
    let pod = compiler.shown_pod();
    context.ui.done(&format!("{release} compiled: {pod}"));
    context.ui.hint(&format!("start it: {pod} run"));
    Ok(())
}

fn version_is_said() -> CommandError {
    CommandError::new(
        Kind::CommandLine,
        "the version stands in the pod.yaml: leave it out",
    )
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
