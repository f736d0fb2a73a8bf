//! A look at all connections of a worker, a few in each turn: nobody waits because somebody looks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::sync::oneshot;

use super::Worker;
use crate::metrics::connections::{LISTED_MAX, Part};

/// How many places are looked at in one turn.
const TURN_PLACES: usize = 1024;

/// A look that is under way.
pub(super) struct Survey {
    port: Option<u16>,
    answer: oneshot::Sender<Part>,
    /// The place that comes next.
    next: usize,
    found: usize,
    /// Those that have moved most so far, by place, the least of them first.
    most: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Survey {
    pub(super) fn new(port: Option<u16>, answer: oneshot::Sender<Part>) -> Self {
        Self {
            port,
            answer,
            next: 0,
            found: 0,
            most: BinaryHeap::new(),
        }
    }

    /// There is one at this place that has moved so many bytes.
    fn note(&mut self, bytes: u64, index: usize) {
        self.found += 1;
        self.most.push(Reverse((bytes, index)));
        if self.most.len() > LISTED_MAX {
            self.most.pop();
        }
    }
}

impl Worker {
    /// Goes on with the look that was asked for first, if any.
    pub(super) fn look_around(&mut self) {
        let Some(survey) = self.surveys.front_mut() else {
            return;
        };
        let end = self.places.capacity().min(survey.next + TURN_PLACES);
        for index in survey.next..end {
            let Some(place) = self.places.get(index) else {
                continue;
            };
            let connection = &place.connection;
            if survey.port.is_none_or(|port| port == connection.port()) {
                let [up, down] = connection.moved();
                survey.note(up.bytes + down.bytes, index);
            }
        }
        survey.next = end;
        if end == self.places.capacity()
            && let Some(survey) = self.surveys.pop_front()
        {
            self.finish(survey);
        }
    }

    fn finish(&self, survey: Survey) {
        let (now, routes) = (self.tools.now, &self.tools.routes);
        let rows = survey
            .most
            .into_iter()
            // It may have ended meanwhile, or another one be in its place.
            .filter_map(|Reverse((_, index))| self.places.get(index))
            .map(|place| place.connection.row(now, routes))
            .filter(|row| survey.port.is_none_or(|port| port == row.cluster_port))
            .collect();
        let found = survey.found;
        // Whoever asked may have lost interest.
        let _ = survey.answer.send(Part { rows, found });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_are_kept_that_have_moved_most() {
        let mut survey = Survey::new(None, oneshot::channel().0);
        for (bytes, index) in (0..).zip(0..LISTED_MAX + 7) {
            survey.note(bytes, index);
        }
        assert_eq!(
            (survey.found, survey.most.len()),
            (LISTED_MAX + 7, LISTED_MAX)
        );
        assert_eq!(survey.most.pop(), Some(Reverse((7, 7))));
    }
}
