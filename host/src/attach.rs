//! `shell` and `exec`: a person's command in a unit. The launcher asks the plugin what to run, and becomes
//! it, so that terminal, signals and exit status are the command's own. Nobody else takes part.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::{Result, bail};
use names::UnitName;

use crate::daemon::Settings;
use crate::gate::{Launch, become_here};
use crate::keep::{self, Place};
use crate::log::Log;
use crate::pod::PodFile;

/// Becomes this command in a unit: the named one, or the last of the pod. Only returns when that failed.
///
/// # Errors
/// There is no such unit, it does not run, or the command cannot be executed.
pub fn run(
    file: &Path,
    unit: Option<&str>,
    argv: Vec<String>,
    settings: &Settings,
    log: Log,
) -> Result<u8> {
    let pod = PodFile::open(file.to_owned())?;
    let unit = pod.unit(unit)?.clone();
    let place = Place::of(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let launch = runtime.block_on(launch(&pod, &place, &unit, argv, settings, log))?;
    // Nothing of this process should be left in the command's.
    drop(runtime);
    let refusal = become_here(&launch);
    log.error(&refusal.message);
    Ok(refusal.code)
}

async fn launch(
    pod: &PodFile,
    place: &Place,
    unit: &UnitName,
    argv: Vec<String>,
    settings: &Settings,
    log: Log,
) -> Result<Launch> {
    let hands = keep::hands(place, None, settings, log).await?;
    let command = argv.join(" ");
    let launch = hands
        .attach(pod.pod(), unit, argv, std::io::stdin().is_terminal())
        .await;
    let mut launch = match launch {
        Ok(launch) => launch,
        Err(trouble) => bail!("cannot run `{command}` in {unit}: {}", trouble.message),
    };
    // The terminal is the person's.
    let term = std::env::var("TERM").ok();
    if let Some(term) = term.filter(|_| !launch.env.iter().any(|(name, _)| name == "TERM")) {
        launch.env.push(("TERM".into(), term));
    }
    Ok(launch)
}
