//! Writing down what is so: status, memory and routes of a release.

use std::collections::BTreeMap;

use hostfiles::{Endpoint, replace, write};
use names::UnitName;

use super::Hands;
use crate::driver::{Paper, Target};
use crate::log::one_line;
use crate::process::ProcessId;
use crate::publish::Ways;

impl Hands {
    pub(super) async fn tell_all(self, mut paper: Paper) -> bool {
        let running = self.running();
        for unit in &mut paper.status.units {
            let process = running.iter().find(|(name, _)| name.as_str() == unit.name);
            unit.pid = process.map(|(_, process)| process.pid);
        }
        if self.truth.lingers() {
            // What routes lead to has ended, although nobody can say yet how.
            paper.routes.clear();
        }
        let ways = Ways {
            mappings: std::mem::take(&mut paper.routes),
            endpoints: endpoints(&paper.targets, &running),
        };
        self.routes.set(self.id().clone(), ways).await;
        // A disk that blocks must not hold up other releases.
        let written = tokio::task::spawn_blocking(move || self.write(&paper)).await;
        written.unwrap_or(true)
    }

    /// False when something could not be written.
    fn write(&self, paper: &Paper) -> bool {
        // A directory that is being taken away should not get a new file.
        let release = self.release();
        if !release.pod().exists() && !release.state().exists() {
            return true;
        }
        let hand = self.write_hand(&paper.hand);
        if hand.is_ok() {
            self.forget_request(&paper.hand);
        }
        let status = write(&self.release().status(), &paper.status);
        // What is removed must not come back as a directory with nothing but a memory.
        let run = self.release().run_dir();
        let memory = match paper.memory.as_ref().filter(|_| run.is_dir()) {
            Some(memory) => {
                let text = serde_json::to_vec_pretty(memory).unwrap_or_default();
                replace(&run.join("driver.json"), &text, 0o600)
            }
            None => Ok(false),
        };
        for error in [&hand, &status, &memory]
            .into_iter()
            .filter_map(|written| written.as_ref().err())
        {
            self.around
                .log
                .warn(format_args!("{}: {}", self.id(), one_line(error)));
        }
        hand.is_ok() && status.is_ok() && memory.is_ok()
    }
}

/// Where the ports are inside, of those units whose process is known.
fn endpoints(targets: &[Target], running: &BTreeMap<UnitName, ProcessId>) -> Vec<Endpoint> {
    let endpoint = |target: &Target| {
        let process = running.get(&target.unit)?;
        Some(Endpoint {
            cluster_port: target.cluster_port,
            host_port: target.host_port,
            target_port: target.target_port,
            pid: process.pid,
            start_time: process.start_time,
        })
    };
    targets.iter().filter_map(endpoint).collect()
}
