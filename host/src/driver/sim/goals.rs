//! What is reached when no faults happen any more, whatever happened before.

use hostfiles::PodPhase;
use names::PodState;

use super::history::History;

/// No goal takes longer: two deadlines of steps and the longest back-off.
const LIMIT_SECONDS: u64 = 900;

impl History {
    pub(super) async fn reach_goals(&mut self) -> Result<(), String> {
        // A request may wait until the step of a daemon before is over; what it asks for holds until the
        // file says something else.
        self.set_state(PodState::Running);
        for _ in 0..600 {
            self.pass(1_000).await?;
        }
        for goal in [
            PodState::Stopped,
            PodState::Running,
            PodState::Stopped,
            PodState::Removed,
        ] {
            self.set_state(goal);
            self.reach(goal).await?;
        }
        self.desired.send_replace(None);
        self.pass(1_000).await?;
        match self.driver {
            Some(_) => Err("the driver of a release that is gone goes on".to_owned()),
            None => Ok(()),
        }
    }

    async fn reach(&mut self, goal: PodState) -> Result<(), String> {
        for _ in 0..LIMIT_SECONDS {
            self.pass(1_000).await?;
            if self.is_reached(goal) {
                return Ok(());
            }
            let once = "once".parse().unwrap();
            self.machine.state().exit(&once, Some(0));
        }
        let running = self.machine.state().running();
        Err(format!(
            "{goal} was not reached after the faults ended, {running:?} run"
        ))
    }

    fn is_reached(&self, goal: PodState) -> bool {
        let state = self.machine.state();
        let running = state.running();
        let Some(told) = &state.told else {
            return false;
        };
        let phase = told.status.status;
        match goal {
            PodState::Running => {
                phase == PodPhase::Running && told.routes.len() == 1 && running.len() == 2
            }
            PodState::Stopped => {
                phase == PodPhase::Exited && told.routes.is_empty() && running.is_empty()
            }
            PodState::Removed => {
                let is_gone = running.is_empty() && !state.disk.remains;
                phase == PodPhase::Removed && told.routes.is_empty() && is_gone
            }
        }
    }
}
