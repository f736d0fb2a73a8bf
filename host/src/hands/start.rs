//! The start of a unit: what it needs is made, the plugin's steps are run, and what became of them is read
//! from the records of its shim.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hostfiles::replace;
use names::UnitName;
use podspec::CompiledPod;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Hands;
use super::find::Unit;
use super::request::request;
use super::watch::wait_for_end;
use crate::driver::{Deed, End};
use crate::life::{Operation, Trouble};
use crate::log::one_line;
use crate::shim::RunFiles;

/// The shim of a program that could not be executed ends at once.
const REFUSED_ENDS_MAX: Duration = Duration::from_secs(5);

impl Hands {
    /// A start may fail and leave a process all the same: then it is the process that counts.
    pub(super) async fn start(
        &self,
        spec: &CompiledPod,
        unit: &UnitName,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Deed, Trouble> {
        self.prepare(spec).await.map_err(|message| Trouble {
            message,
            held: false,
        })?;
        let mut request = request(spec, &Operation::Start(unit.clone()));
        if self.truth.has_failed(unit) {
            // What the plugin remembers may be what made it fail.
            request.arguments.insert("again".into(), "true".into());
        }
        let planned = self.carry_out(spec, request, start_count, state).await;
        self.truth.set_failed(unit, planned.is_err());
        let (mut deed, incomplete, trouble) = match planned {
            Ok(planned) => {
                let deed = self.deed(&planned);
                match self.note_start(unit, start_count).await {
                    Ok(ended) => return Ok(Deed { ended, ..deed }),
                    Err(trouble) => (deed, None, trouble),
                }
            }
            Err(trouble) => (Deed::default(), Some(trouble.message.clone()), trouble),
        };
        let survivor = self.survivor(unit, incomplete).await.ok_or(trouble)?;
        deed.survivors.insert(unit.clone(), survivor);
        Ok(deed)
    }

    /// What every kind needs before a unit starts: the pod in service on record, its ramdisks, and
    /// its encrypted configs in memory.
    pub(super) async fn prepare(&self, spec: &CompiledPod) -> Result<(), String> {
        let run = self.release().run_dir();
        let text = spec
            .to_text()
            .map_err(|error| format!("cannot write the pod in service: {error}"))?;
        // It waits for the disk.
        let recorded = spawn_blocking(move || record(&run, &text)).await;
        recorded.map_err(|error| format!("the pod in service was not written: {error}"))??;
        self.make_ramdisks(spec).await?;
        self.decryption.reveal(spec).await.map(drop)
    }

    /// Takes note of the process that was started; gives its end when its program could not be executed.
    async fn note_start(&self, unit: &UnitName, start_count: u32) -> Result<Option<End>, Trouble> {
        let record = RunFiles::of(self.release(), unit)
            .read_run()
            .filter(|record| record.start_count == start_count);
        let Some(record) = record else {
            return Err(Trouble {
                message: format!("the plugin started no process for unit {unit}"),
                held: true,
            });
        };
        self.set_running(unit, Some(record.process));
        if !record.refused {
            return Ok(None);
        }
        // The shim may still be about to write the end down. One that does not is watched as any other.
        let _ = timeout(REFUSED_ENDS_MAX, wait_for_end(record.shim)).await;
        Ok(match self.settled(unit).await {
            Unit::Ended(_, _, end) => Some(end),
            Unit::Running(_) | Unit::Orphaned(_) | Unit::Nothing | Unit::Unsettled(_) => None,
        })
    }
}

/// Puts the pod in service on record.
fn record(run: &Path, text: &str) -> Result<(), String> {
    fs::create_dir_all(run).map_err(|error| format!("cannot make {}: {error}", run.display()))?;
    let replaced = replace(&run.join("pod"), text.as_bytes(), 0o600);
    replaced.map(drop).map_err(|error| one_line(&error))
}
