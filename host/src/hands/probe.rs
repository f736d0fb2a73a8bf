//! One probe of a unit: a command in it, or a connection to it from where it listens.

use std::sync::Arc;
use std::time::Duration;

use names::UnitName;
use podspec::{Check, CompiledPod, Unit};
use simplenetes_reach::ReachError;
use tokio::task::spawn_blocking;

use super::Hands;
use crate::life::{ProbeError, ProbeKind};
use crate::log::one_line;
use crate::probe::{self, Target};

impl Hands {
    /// Probes a unit, and has the pod's log tell what fails: once, until something else does.
    pub(super) async fn run_probe(
        self,
        spec: Arc<CompiledPod>,
        name: UnitName,
        kind: ProbeKind,
    ) -> Result<(), ProbeError> {
        let outcome = self.probe(&spec, &name, kind).await;
        let failure = match &outcome {
            Err(ProbeError::Failed(failure)) => Some(failure.as_str()),
            Ok(()) | Err(ProbeError::NotAsked(_)) => None,
        };
        if self.truth.is_news(&name, kind.as_str(), failure)
            && let Some(failure) = failure
        {
            let line = format!("{name}: {} probe: {failure}", kind.as_str());
            self.note_beside(line).await;
        }
        outcome
    }

    async fn probe(
        &self,
        spec: &CompiledPod,
        name: &UnitName,
        kind: ProbeKind,
    ) -> Result<(), ProbeError> {
        let Some(unit) = spec.unit(name) else {
            return Ok(());
        };
        let probe = match kind {
            ProbeKind::Startup => unit
                .startup_probe
                .as_ref()
                .map(|probe| (probe.check.check(), probe.timeout_seconds)),
            ProbeKind::Readiness => unit
                .readiness_probe
                .as_ref()
                .map(|probe| (Some(probe.check.clone()), probe.timeout_seconds)),
            ProbeKind::Liveness => unit
                .liveness_probe
                .as_ref()
                .map(|probe| (Some(probe.check.clone()), probe.timeout_seconds)),
        };
        let Some((Some(check), timeout_seconds)) = probe else {
            return Ok(());
        };
        let limit = Duration::from_secs(timeout_seconds.into());
        let outcome = match check {
            Check::Tcp(check) => {
                let target = self.target(spec, unit, check.port).await?;
                probe::tcp(target, limit).await
            }
            Check::Http(check) => {
                let target = self.target(spec, unit, check.port).await?;
                probe::http(target, &check, limit).await
            }
            Check::Command(argv) => {
                let cause = format!("{} probe", kind.as_str());
                return self.execute(spec, name, argv, cause, limit).await;
            }
        };
        outcome.map_err(ProbeError::Failed)
    }

    /// What happens on the way to the unit says nothing about it, unless it is there no more.
    async fn target(
        &self,
        spec: &CompiledPod,
        unit: &Unit,
        port: u16,
    ) -> Result<Target, ProbeError> {
        let outside = Target::outside(unit, port, self.address_of(&unit.name));
        let Some(process) = self.running().remove(&unit.name) else {
            return Ok(outside);
        };
        let (pod, program) = (spec.pod.to_string(), self.runner.programs.daemon.clone());
        let found = spawn_blocking(move || outside.or_inside(process, port, pod, &program)).await;
        found
            .map_err(|error| ProbeError::NotAsked(error.to_string()))?
            .map_err(|error| match error {
                ReachError::Ended { .. } => ProbeError::Failed(one_line(&error)),
                _ => ProbeError::NotAsked(one_line(&error)),
            })
    }
}
