//! A proxy in whose place another program has come that cannot go on with its connections: it has no ports any more,
//! serves out what it has, and ends by itself.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Keeper, Wake};
use crate::event::Event;
use crate::proxy::Order;

/// For so long it asks other proxies for clients that still wait, and keeps what stands ready for them: by then they
/// talk with the new program.
const LEAVES_AFTER: Duration = Duration::from_secs(10);

impl Keeper {
    /// Runs until no connection is left, the time is up, or it is told to stop.
    pub(crate) async fn serve_out(mut self, mut orders: mpsc::Receiver<Order>) {
        // Whoever wants to talk shall talk with the new program.
        self.reception.close();
        let limit = self.config.upgrade_drain;
        let (leaves, over) = (Instant::now() + LEAVES_AFTER, Instant::now() + limit);
        (self.report)(&Event::ServesOut(self.thawed.len(), limit));
        self.look().await;
        self.carry_thawed();
        loop {
            let wake = tokio::select! {
                () = self.workers.drained(self.has_left) => break,
                () = sleep_until(over) => {
                    self.config.drain = Duration::ZERO;
                    Wake::Stop
                }
                () = sleep_until(leaves), if !self.has_left => {
                    self.has_left = true;
                    Wake::Look
                }
                wake = self.next(&mut orders) => wake,
            };
            match wake {
                Wake::Look => {}
                Wake::Reload => self.reload(),
                // It has no ports that another one could take over.
                Wake::Freeze(to) => drop(to),
                Wake::Stop => return self.end().await,
            }
            self.look().await;
        }
        let is_lost = self.workers.is_incomplete();
        (self.report)(if is_lost {
            &Event::WorkerLost
        } else {
            &Event::ServedOut
        });
        self.teller.finish(std::time::Instant::now());
    }
}
