//! Runs looks on a real host: below a step runner like any other step, in a directory that belongs to no
//! release, and with less time. Nothing is left of a look.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hostfiles::{HostHome, ReleaseDir};
use names::ReleaseId;
use simplenetes_plugin::{Answer, Step};

use super::round::Eyes;
use crate::driver::Work;
use crate::log::one_line;
use crate::open_files::OpenFiles;
use crate::secrets::Secrets;
use crate::step;
use crate::steps::{Processes, Programs, StepRunner};

/// No look may take longer: others wait for it.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Runs the looks of one kind.
struct Runner(Result<StepRunner, String>);

/// What runs the looks of each kind of pods of this host.
pub(crate) fn eyes(
    home: &HostHome,
    programs: &Programs,
    owner_is_root: bool,
    open_files: &OpenFiles,
) -> impl Fn(&str) -> Arc<dyn Eyes> + Send + Sync + use<> {
    let (home, programs) = (home.clone(), programs.clone());
    let open_files = open_files.clone();
    move |kind| {
        // There is no release: whoever looks at the list of processes reads the kind.
        let id = format!("{kind}:0.0.0").parse::<ReleaseId>();
        let runner = id.map_err(|error| format!("kind `{kind}`: {error}"));
        let runner = runner.and_then(|id| {
            let directory = ReleaseDir::new(home.path().join(".looks").join(kind));
            prepare(&directory.run_dir())
                .map_err(|error| format!("cannot make {}: {error}", directory.path().display()))?;
            let (programs, open_files) = (programs.clone(), open_files.clone());
            let runner = StepRunner::new(id, directory, programs, owner_is_root, open_files);
            Ok(runner.with_secrets(Secrets::of(&home)))
        });
        Arc::new(Runner(runner))
    }
}

/// A look of the daemon before this one may still run: it is of no use to anyone.
fn prepare(run_dir: &Path) -> io::Result<()> {
    fs::create_dir_all(run_dir)?;
    step::end_strays(run_dir);
    Ok(())
}

impl Eyes for Runner {
    fn look(&self, step: Step) -> Work<Result<Answer, String>> {
        let runner = self.0.clone();
        Box::pin(async move {
            let processes = Processes {
                probe_limit: Some(LOOK_MAX),
                ..Processes::default()
            };
            let answer = runner?.run(step, &processes).await;
            let answer = answer.map_err(|error| one_line(&error))?;
            answer.ok_or_else(|| "a step that is no look".to_owned())
        })
    }
}
