//! `sns pod updateconfig PODS…`.

use clap::Args;
use podspec::VolumeKind;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::config_dirs;
use crate::designation::Designation;
use crate::directories::Staged;
use crate::git::Repository;
use crate::project::{Cluster, Selected, VersionDefault};
use crate::secrets;

/// Bring the project's configs of a pod into its releases; commit and sync to bring them to the hosts
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  $EDITOR _config/web/conf/settings.conf
  sns pod updateconfig web
  git commit -am 'web: new settings' && sns cluster sync")]
pub(crate) struct UpdateConfigArgs {
    /// The releases; the version is the latest unless named, the hosts are all unless named
    #[arg(value_name = "POD[:VERSION][@HOST]", required = true)]
    pods: Vec<Designation>,
}

/// Finds and checks all releases first, then replaces the configs of each.
pub(crate) fn run(context: &Context<'_>, args: &UpdateConfigArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let mut releases = Vec::new();
    for named in &args.pods {
        releases.extend(cluster.releases(named, VersionDefault::Latest)?);
    }
    releases
        .iter()
        .try_for_each(|release| check_configs_exist(&cluster, release))?;
    for release in &releases {
        update(&cluster, release)?;
        context.ui.done(&format!(
            "configs of {release} are those of {}",
            cluster.shown(&cluster.files.config_dir(&release.id.pod))
        ));
    }
    Ok(())
}

/// Replaces the whole `config` directory of a release.
fn update(cluster: &Cluster<'_>, release: &Selected) -> Result<(), CommandError> {
    let source = cluster.files.config_dir(&release.id.pod);
    let staged = Staged::begin(release.dir.configs_dir())?;
    config_dirs::copy_into_release(&source, staged.path())?;
    if let Some(pod) = release.compiled()? {
        secrets::check_for_host(cluster, &release.host, &pod, staged.path())?;
    }
    staged.replace()?;
    let revision = Repository::open(cluster.path())?.revision(&source)?;
    cluster.log_pod(
        &release.host,
        &release.id.pod,
        &format!("UPDATE_CONFIG {} config={revision}", release.id),
    )
}

/// A config that the compiled pod mounts must not vanish.
fn check_configs_exist(cluster: &Cluster<'_>, release: &Selected) -> Result<(), CommandError> {
    let Some(pod) = release.compiled()? else {
        return Ok(());
    };
    let present = config_dirs::names(&cluster.files.config_dir(&release.id.pod))?;
    let mounted = pod
        .volumes
        .iter()
        .filter(|volume| matches!(volume.kind, VolumeKind::Config { .. }));
    match mounted
        .map(|volume| &volume.name)
        .find(|name| !present.contains(name))
    {
        Some(name) => Err(CommandError::mistake(format!(
            "{release} mounts the config `{name}`, and there is no {}",
            cluster.shown(
                &cluster
                    .files
                    .config_dir(&release.id.pod)
                    .join(name.as_str())
            )
        ))
        .hint(format!(
            "bring it back from git, or import it: sns cluster importconfig {}",
            release.id.pod
        ))),
        None => Ok(()),
    }
}
