//! The work beside the driver: operations, probes, waiting for ends. Each result comes back as a wake.

use std::collections::BTreeMap;
use std::sync::Arc;

use names::UnitName;
use tokio::task::JoinSet;

use super::adopt::removed_nothing;
use super::{Deed, Driver, End, Survivor, Wake, World};
use crate::life::{Event, Operation, ProbeError, Trouble};
use crate::plan::plan;

/// What is said of work that ended without a result.
const LOST: &str = "it was aborted by a mistake in the daemon, please report it";

impl<W: World> Driver<W> {
    /// Begins what is due and says when to look again.
    pub(super) fn act(&mut self) -> (Option<Operation>, Option<u64>) {
        let Some(spec) = self.spec.clone() else {
            return (None, None);
        };
        let plan = plan(&spec, &self.life, self.clock.now_ms());
        if let Some(operation) = &plan.operation {
            self.apply(Event::Begun(operation.clone()));
        }
        for (unit, kind) in plan.probes {
            self.apply(Event::ProbeBegun(unit.clone(), kind));
            let start_count = self.life.unit(&unit).map_or(0, |life| life.start_count);
            let probe = self.world.probe(Arc::clone(&spec), unit.clone(), kind);
            let done = move |outcome| Wake::ProbeDone {
                unit,
                kind,
                start_count,
                outcome,
            };
            let lost = done.clone()(Err(ProbeError::NotAsked(LOST.into())));
            self.spawn(lost, async move { done(probe.await) });
        }
        (plan.operation, plan.wake_at)
    }

    pub(super) fn carry_out(&mut self, operation: Operation) {
        let Some(spec) = self.spec.clone() else {
            return;
        };
        let start_count = operation
            .unit()
            .and_then(|unit| self.life.unit(unit))
            .map_or(0, |unit| unit.start_count);
        let state = self.memory.plugin_state.clone();
        let deed = self.world.operate(spec, operation, start_count, state);
        self.spawn(Wake::OperationLost, async move {
            Wake::OperationDone(deed.await)
        });
    }

    /// A start that ended without a result may have left a process: it is looked for as by a driver that
    /// begins, and what is found is started again.
    pub(super) fn operation_lost(&mut self) {
        let lost = || {
            Wake::OperationDone(Err(Trouble {
                message: LOST.into(),
                held: false,
            }))
        };
        let Some(Operation::Start(unit)) = self.life.operation.clone() else {
            return self.spawn(lost(), async move { lost() });
        };
        let find = self.world.find();
        self.spawn(lost(), async move {
            let found = find.await;
            let Some((since_ms, start_count)) = found.running.get(&unit).copied() else {
                return lost();
            };
            let survivor = Survivor {
                since_ms,
                start_count,
                incomplete: Some(LOST.into()),
            };
            Wake::OperationDone(Ok(Deed {
                survivors: BTreeMap::from([(unit, survivor)]),
                ..Deed::default()
            }))
        });
    }

    pub(super) fn watch_end(&mut self, unit: UnitName) {
        let start_count = self.life.unit(&unit).map_or(0, |life| life.start_count);
        let end = self.world.ended(unit.clone(), start_count);
        let ended = move |end| Wake::Ended {
            unit,
            start_count,
            end,
        };
        let lost = ended.clone()(End::default());
        self.spawn(lost, async move { ended(end.await) });
    }

    /// Runs work beside the driver; its result comes back as a wake. `lost` comes back from work that
    /// ends without a result, because of a mistake in this program: the driver would wait for ever.
    pub(super) fn spawn(&mut self, lost: Wake, work: impl Future<Output = Wake> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let mut task = JoinSet::new();
            task.spawn(work);
            let wake = match task.join_next().await {
                Some(Ok(wake)) => wake,
                Some(Err(_)) | None => lost,
            };
            // The driver that does not listen any more has ended, and does not want to know.
            let _ = sender.send(wake).await;
        });
    }

    pub(super) fn operation_done(&mut self, outcome: Result<Deed, Trouble>) {
        let operation = self.life.operation.clone();
        self.progress = None;
        let mut wake_at = None;
        let (outcome, survivors, ended) = match outcome {
            Ok(deed) => {
                if let Some(state) = deed.state {
                    self.memory.plugin_state = state;
                }
                wake_at = deed.wake_at_ms;
                (
                    removed_nothing(operation.as_ref(), &deed.survivors),
                    deed.survivors,
                    deed.ended,
                )
            }
            Err(trouble) => (Err(trouble), BTreeMap::new(), None),
        };
        let succeeded = outcome.is_ok();
        self.apply(Event::Done(outcome));
        if let Some(at) = wake_at {
            self.apply(Event::TickAt(at));
        }
        self.operated_ms = self.clock.now_ms();
        self.ask_for_look();
        self.take_over(&survivors);
        if let (true, Some(Operation::Start(unit))) = (succeeded, operation)
            && !survivors.contains_key(&unit)
        {
            self.watch_end(unit.clone());
            if let Some(end) = ended {
                let start_count = self.life.unit(&unit).map_or(0, |life| life.start_count);
                self.unit_ended(unit, start_count, end);
            }
        }
        self.learn_desired();
    }
}
