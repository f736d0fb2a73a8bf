//! What follows from how a release is now: requests begin, are done or cannot be done any more, and what
//! was removed to be run again runs again.

use podspec::CompiledPod;

use super::goal::{Sight, is_gone};
use super::{Goal, Hand, Progress, Request};
use crate::life::{Errand, Event, Life, UnitLife};

/// What follows.
#[derive(Debug, Default, PartialEq)]
pub struct Settled {
    /// What the life of the release has to hear.
    pub events: Vec<Event>,
    /// True when a request has ended, or something else is wanted now.
    pub has_moved: bool,
}

impl Hand {
    /// Begins the requests that wait, or else ends those whose goal is reached or cannot be. It has to be
    /// asked again until nothing follows.
    pub fn settle(&mut self, spec: &CompiledPod, life: &Life, now: u64) -> Settled {
        let events = self.begin_waiting(life);
        if !events.is_empty() {
            return Settled {
                events,
                has_moved: false,
            };
        }
        let has_ended = self.end_reached(spec, life, now);
        let is_turned = self.turn(life);
        Settled {
            events,
            has_moved: has_ended || is_turned,
        }
    }

    fn begin_waiting(&mut self, life: &Life) -> Vec<Event> {
        let mut is_errand_free = life.errand.is_none();
        let waiting = self.requests.iter_mut().filter(|one| !one.is_begun);
        // One errand at a time, in the order in which they were asked for.
        waiting
            .filter_map(|request| request.begin(life, &mut is_errand_free))
            .collect()
    }

    fn end_reached(&mut self, spec: &CompiledPod, life: &Life, now: u64) -> bool {
        let sight = Sight {
            spec,
            life,
            now,
            hold: self.hold,
        };
        let mut has_ended = false;
        for request in self.requests.iter_mut().filter(|request| request.is_begun) {
            let Some(outcome) = request.goal().and_then(|goal| sight.reached(goal)) else {
                continue;
            };
            if request.goal() == Some(&Goal::Errand(Errand::Create))
                && let (Ok(()), Some(hold)) = (&outcome, &mut self.hold)
            {
                hold.is_created = true;
            }
            request.end(outcome);
            has_ended = true;
        }
        has_ended
    }

    /// Another pod is in service, whose life knows of nothing: what has to be told is told again.
    pub fn begin_anew(&mut self) {
        for request in &mut self.requests {
            request.is_begun = false;
        }
    }

    /// What was removed to be run again runs again, whether or not somebody waits for it.
    fn turn(&mut self, life: &Life) -> bool {
        let Some(hold) = self.hold.as_mut().filter(|hold| hold.then_runs) else {
            return false;
        };
        if !is_gone(life) {
            return false;
        }
        hold.run_again();
        for request in &mut self.requests {
            if request.goal() == Some(&Goal::Again) {
                request.progress = Progress::UnderWay(Goal::Up);
            }
        }
        true
    }
}

impl Request {
    /// What the life has to hear of it, now or again after a restart of the daemon.
    fn begin(&mut self, life: &Life, is_errand_free: &mut bool) -> Option<Event> {
        let goal = self.goal()?.clone();
        match goal {
            Goal::Errand(_) if !*is_errand_free => return None,
            Goal::Errand(Errand::Purge) if !may_purge(life) => {
                self.end(Err(STILL_THERE.to_owned()));
                return None;
            }
            _ => self.is_begun = true,
        }
        match goal {
            Goal::Errand(errand) => {
                *is_errand_free = false;
                Some(Event::Errand(errand))
            }
            Goal::Cycled(counts) => {
                let is_left = |unit: &&UnitLife| {
                    let count = counts.get(&unit.name);
                    count.is_some_and(|count| unit.start_count <= *count)
                };
                let left = life.units.iter().filter(is_left);
                Some(Event::Cycle(left.map(|unit| unit.name.clone()).collect()))
            }
            Goal::Up | Goal::Down | Goal::Gone | Goal::Again | Goal::Told(_) => None,
        }
    }
}

/// Why volumes are not removed.
pub(super) const STILL_THERE: &str = "the pod is still there: `rm` removes it first";

/// Only what nothing uses is removed.
pub(super) fn may_purge(life: &Life) -> bool {
    life.wanted != names::PodState::Running && life.is_down() && life.removed
}
