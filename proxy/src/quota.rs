//! Keeps the log readable while every connection fails: of each kind of warning that a connection can
//! cause, only some are told in a row, and then how many were left out.
//!
//! `Quota` only counts, and is told the time; `Teller` stands before the reporter of the proxy's owner.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Event, Reporter, Warning};

/// How many warnings of one kind are told within one span of time.
const TOLD_MAX: u64 = 10;

/// Counts warnings.
#[derive(Debug)]
struct Quota {
    span: Duration,
    spans: BTreeMap<Warning, Span>,
}

/// The current span of one kind of warning; it begins with the first one.
#[derive(Debug)]
struct Span {
    began: Instant,
    count: u64,
}

impl Quota {
    /// Whether one more warning may be told. Spans that are over have to be closed first.
    fn admit(&mut self, kind: Warning, now: Instant) -> bool {
        let span = self.spans.entry(kind).or_insert(Span {
            began: now,
            count: 0,
        });
        span.count += 1;
        span.count <= TOLD_MAX
    }

    /// Closes the spans that are over: what was left out in them, if anything.
    fn close(&mut self, now: Instant) -> Vec<Event> {
        let over = |span: &Span| now.saturating_duration_since(span.began) >= self.span;
        let closed = self.spans.extract_if(.., |_, span| over(span));
        closed
            .filter(|(_, span)| span.count > TOLD_MAX)
            .map(|(kind, span)| Event::LeftOut(kind, span.count - TOLD_MAX))
            .collect()
    }
}

/// Tells the owner of the proxy what happens, and not too much of it.
pub(crate) struct Teller {
    report: Reporter,
    quota: Mutex<Quota>,
}

impl Teller {
    /// Tells so many warnings of a kind within each `span`.
    pub(crate) fn new(report: Reporter, span: Duration) -> Self {
        let spans = BTreeMap::new();
        Self {
            report,
            quota: Mutex::new(Quota { span, spans }),
        }
    }

    /// Tells an event, or only counts it.
    pub(crate) fn tell(&self, event: &Event, now: Instant) {
        let Some(kind) = event.warning() else {
            return (self.report)(event);
        };
        self.catch_up(now);
        if self.quota(|quota| quota.admit(kind, now)) {
            (self.report)(event);
        }
    }

    /// Tells what was left out, of spans that are over.
    pub(crate) fn catch_up(&self, now: Instant) {
        // The reporter is called without the lock, because it may take its time.
        for event in self.quota(|quota| quota.close(now)) {
            (self.report)(&event);
        }
    }

    /// Tells everything that was left out; nothing follows.
    pub(crate) fn finish(&self, now: Instant) {
        self.quota(|quota| quota.span = Duration::ZERO);
        self.catch_up(now);
    }

    fn quota<T>(&self, change: impl FnOnce(&mut Quota) -> T) -> T {
        change(&mut self.quota.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SPAN: Duration = Duration::from_secs(1);

    /// Tells so many bad requests at each of these milliseconds; what was told then.
    fn check(steps: &[(u64, usize, &[&str])]) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let report: Reporter = Arc::new(move |event| log.lock().unwrap().push(event.to_string()));
        let (teller, start) = (Teller::new(report, SPAN), Instant::now());
        for (at, count, expected) in steps {
            let now = start + Duration::from_millis(*at);
            teller.catch_up(now);
            for _ in 0..*count {
                teller.tell(&Event::BadRequest("127.0.0.1:1".parse().unwrap()), now);
            }
            let mut lines = std::mem::take(&mut *told.lock().unwrap());
            let repeated = lines
                .extract_if(.., |line| line.contains("did not ask"))
                .count();
            lines.push(repeated.to_string());
            assert_eq!(lines, *expected, "at {at} ms");
        }
    }

    #[test]
    fn ten_of_a_kind_within_a_second() {
        check(&[(0, 10, &["10"]), (999, 0, &["0"]), (1000, 10, &["10"])]);
        check(&[(0, 7, &["7"]), (500, 7, &["3"])]);
    }

    #[test]
    fn what_was_left_out_is_told_once() {
        let left_out = "left out 5 more warnings of requests for no cluster port";
        check(&[
            (0, 15, &["10"]),
            (999, 0, &["0"]),
            (1000, 3, &[left_out, "3"]),
            (2500, 0, &["0"]),
        ]);
        check(&[(0, 15, &["10"]), (9000, 0, &[left_out, "0"])]);
    }

    #[test]
    fn other_kinds_and_other_events_have_their_own_say() {
        let told = Arc::new(Mutex::new(0));
        let count = Arc::clone(&told);
        let report: Reporter = Arc::new(move |_| *count.lock().unwrap() += 1);
        let (teller, now) = (Teller::new(report, SPAN), Instant::now());
        let at = "127.0.0.1:1".parse().unwrap();
        for _ in 0..15 {
            teller.tell(&Event::BadRequest(at), now);
            teller.tell(&Event::Opened(61000, at), now);
            let (port, client, busy) = (61000, at, true);
            teller.tell(&Event::NotServed { port, client, busy }, now);
        }
        assert_eq!(*told.lock().unwrap(), 10 + 15 + 10);
        teller.finish(now);
        assert_eq!(*told.lock().unwrap(), 10 + 15 + 10 + 2);
    }
}
