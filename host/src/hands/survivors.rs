//! Units that run although the daemon thought that they do not: they are taken over, and nothing is
//! started beside them or removed under them.

use std::collections::BTreeMap;

use names::UnitName;
use podspec::CompiledPod;

use super::Hands;
use super::find::Unit;
use super::request::request;
use crate::driver::{Deed, Survivor};
use crate::life::{Operation, Trouble};
use crate::shim::RunRecord;

impl Hands {
    /// Nothing is removed under a unit that runs after all: its stop has to come first.
    pub(super) async fn remove(&self, spec: &CompiledPod, state: Vec<u8>) -> Result<Deed, Trouble> {
        let deed = self.clear(spec, Operation::Remove, state).await?;
        if deed.survivors.is_empty() {
            self.forget().await.map_err(|error| Trouble {
                message: format!("cannot remove `run`: {error}"),
                held: false,
            })?;
        }
        Ok(deed)
    }

    /// Carries out what takes something away from all units; not when one of them runs after all.
    pub(super) async fn clear(
        &self,
        spec: &CompiledPod,
        operation: Operation,
        state: Vec<u8>,
    ) -> Result<Deed, Trouble> {
        let mut survivors = BTreeMap::new();
        for unit in &spec.units {
            match self.settled(&unit.name).await {
                Unit::Running(record) => {
                    survivors.insert(unit.name.clone(), self.take_over(&unit.name, &record, None));
                }
                Unit::Unsettled(_) => {
                    return Err(Trouble {
                        message: format!("nobody can say whether unit {} still runs", unit.name),
                        held: false,
                    });
                }
                Unit::Ended(..) | Unit::Orphaned(_) | Unit::Nothing => {}
            }
        }
        if !survivors.is_empty() {
            return Ok(Deed {
                survivors,
                ..Deed::default()
            });
        }
        let planned = self
            .carry_out(spec, request(spec, &operation), 0, state)
            .await?;
        Ok(self.deed(&planned))
    }

    /// The process that a unit has although its start failed.
    pub(super) async fn survivor(
        &self,
        unit: &UnitName,
        incomplete: Option<String>,
    ) -> Option<Survivor> {
        match self.settled(unit).await {
            Unit::Running(record) => Some(self.take_over(unit, &record, incomplete)),
            Unit::Ended(..) | Unit::Orphaned(_) | Unit::Nothing | Unit::Unsettled(_) => None,
        }
    }

    fn take_over(
        &self,
        unit: &UnitName,
        record: &RunRecord,
        incomplete: Option<String>,
    ) -> Survivor {
        self.around.log.warn(format_args!(
            "{}: {unit} runs although nobody knew it (pid {}), it is taken over",
            self.id(),
            record.process.pid
        ));
        self.set_running(unit, Some(record.process));
        Survivor {
            since_ms: record.started_ms,
            start_count: record.start_count,
            incomplete,
        }
    }
}
