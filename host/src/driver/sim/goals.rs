//! What is reached when no faults happen any more, whatever happened before.

use hostfiles::PodPhase;
use names::PodState;

use super::history::History;
use super::machine::Cause;

/// No goal takes longer: two deadlines of steps and the longest back-off.
const LIMIT_SECONDS: u64 = 900;

impl History {
    pub(super) async fn reach_goals(&mut self) -> Result<(), String> {
        self.set_state(PodState::Running);
        self.release_hold();
        self.reach_what_the_faults_left().await?;
        for goal in [
            PodState::Stopped,
            PodState::Running,
            PodState::Stopped,
            PodState::Removed,
        ] {
            self.set_state(goal);
            self.reach(goal).await?;
        }
        self.check_requests()?;
        self.desired.send_replace(None);
        self.pass(1_000).await?;
        match self.driver {
            Some(_) => Err("the driver of a release that is gone goes on".to_owned()),
            None => Ok(()),
        }
    }

    /// What was under way when the faults ended is finished: nothing is stopped and started anew for it.
    async fn reach_what_the_faults_left(&mut self) -> Result<(), String> {
        for _ in 0..LIMIT_SECONDS {
            self.pass(1_000).await?;
            let once = "once".parse().unwrap();
            self.machine.state().exit(&once, Some(0));
            if self.what_should_run().is_none() && self.request_under_way().is_none() {
                return Ok(());
            }
        }
        let what = self.what_should_run().or_else(|| self.request_under_way());
        Err(format!(
            "after the faults ended: {}",
            what.unwrap_or_default()
        ))
    }

    /// A unit that does not run although it should, judged by how its last process ended and by nothing
    /// that a driver believes.
    fn what_should_run(&self) -> Option<String> {
        let state = self.machine.state();
        let running = state.running();
        ["once", "second", "third"].iter().find_map(|name| {
            let name = name.parse().unwrap();
            // A unit of this pod that has done its work rests, but for the one that always runs.
            let ended_well = matches!(
                state.last_end(&name),
                Some((Cause::Own | Cause::AskedUnrecorded, Some(0)))
            );
            let rests = ended_well && name.as_str() != "second";
            let is_missing = !running.contains(&name) && !rests;
            is_missing.then(|| format!("{name} does not run: {:?}", state.last_end(&name)))
        })
    }

    fn request_under_way(&self) -> Option<String> {
        let state = self.machine.state();
        let Some(told) = &state.told else {
            return Some("nothing was told".to_owned());
        };
        if let Some(asked) = &state.action {
            return Some(format!(
                "nobody has taken the request {}",
                asked.action.verb
            ));
        }
        (!told.hand.is_idle()).then(|| format!("a request has no end: {:?}", told.hand))
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

    /// Whoever has asked for something has been told what has become of it.
    fn check_requests(&self) -> Result<(), String> {
        let state = self.machine.state();
        let hand = state.told.as_ref().map(|told| &told.hand);
        match hand.filter(|hand| !hand.is_idle()) {
            Some(hand) => Err(format!("a request never ends: {hand:?}")),
            None => Ok(()),
        }
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
