//! `sns host attach POD@HOST`.

use std::fs;

use clap::Args;
use names::PodName;

use crate::command_error::CommandError;
use crate::commands::{Context, cluster};
use crate::designation::PodAtHost;
use crate::pod_sources::PodSource;
use crate::project::{Cluster, Host};
use crate::variables;

/// Put a pod on a host
///
/// The pod is a git repository on PODPATH, cloned when --link is given. The special pods that sns
/// carries (proxy) need no repository. Lists the variables that the pod wants in cluster-vars.env. The
/// first attachment in a project imports the pod's configs to _config/POD.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host attach web@laptop --link=https://example.com/web.git
  sns host attach proxy@laptop")]
pub(crate) struct AttachArgs {
    /// The pod and the host
    #[arg(value_name = "POD@HOST")]
    pod: PodAtHost,

    /// The git repository of the pod; git's own settings and credentials apply
    #[arg(short, long, value_name = "GITURL", value_parser = link)]
    link: Option<String>,
}

/// Finds the pod, then records the attachment.
pub(crate) fn run(context: &Context<'_>, args: &AttachArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let PodAtHost { pod, host } = &args.pod;
    let host = cluster.host(host)?;
    if host.has(pod) {
        return Err(CommandError::mistake(format!(
            "pod {pod} is attached to host {} already",
            host.name
        )));
    }
    let source = PodSource::find(&cluster, pod, args.link.as_deref(), context.ui)?;
    let text = source.pod_yaml()?;
    let is_first = !cluster.attached_pods()?.contains(pod);
    if is_first && source.has_configs() {
        import_configs(context, &cluster, pod, &source)?;
    }
    record(&cluster, &host, pod, &source)?;
    context
        .ui
        .done(&format!("pod {pod} is attached to host {}", host.name));
    list_variables(context, &cluster, pod, &text)?;
    context
        .ui
        .hint(&format!("compile it with `sns pod compile {pod}`"));
    Ok(())
}

/// The log comes last: its existence is the attachment.
fn record(
    cluster: &Cluster<'_>,
    host: &Host,
    pod: &PodName,
    source: &PodSource,
) -> Result<(), CommandError> {
    let directory = host.dir.pod_dir(pod);
    fs::create_dir_all(&directory).map_err(|error| {
        CommandError::files(
            format!("could not make the directory {}", directory.display()),
            error,
        )
    })?;
    if let Some(link) = source.link() {
        hostfiles::replace(
            &host.dir.git_url(pod),
            format!("{link}\n").as_bytes(),
            0o644,
        )?;
    }
    cluster.log_pod(host, pod, &format!("ATTACHED {pod}@{}", host.name))
}

/// Configs that are in the project already are the operator's and stay as they are.
fn import_configs(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    pod: &PodName,
    source: &PodSource,
) -> Result<(), CommandError> {
    let target = cluster.files.config_dir(pod);
    if target.exists() {
        context.ui.note(&format!(
            "{} exists already and was left as it is",
            cluster.shown(&target)
        ));
        return Ok(());
    }
    let place = cluster::importconfig::import(cluster, pod, source)?;
    context.ui.note(&format!(
        "the configs of the pod were imported to {place}; change them there"
    ));
    Ok(())
}

fn list_variables(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    pod: &PodName,
    text: &str,
) -> Result<(), CommandError> {
    let vars = cluster.vars()?;
    let undefined = variables::undefined(pod, &podspec::variables(text), |name| {
        vars.get(name).is_some()
    });
    if !undefined.is_empty() {
        context
            .ui
            .note("the pod uses variables that cluster-vars.env does not define yet:");
        undefined
            .iter()
            .for_each(|name| context.ui.note(&format!("  {name}=")));
    }
    Ok(())
}

/// A link must not be an option of git, nor a transport that runs commands.
fn link(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('-') || text.contains("::") {
        return Err(
            "expected a link to a git repository, as in https://example.com/web.git".to_owned(),
        );
    }
    Ok(text.to_owned())
}
