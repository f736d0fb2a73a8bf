//! Writing down what is so: status, memory and routes of a release.

use hostfiles::{replace, write};

use super::Hands;
use crate::driver::Paper;
use crate::log::one_line;

impl Hands {
    pub(super) async fn tell_all(self, mut paper: Paper) {
        let running = self.running();
        for unit in &mut paper.status.units {
            let process = running.iter().find(|(name, _)| name.as_str() == unit.name);
            unit.pid = process.map(|(_, process)| process.pid);
        }
        self.routes
            .set(self.id().clone(), std::mem::take(&mut paper.routes))
            .await;
        // A disk that blocks must not hold up other releases.
        let _ = tokio::task::spawn_blocking(move || self.write(&paper)).await;
    }

    fn write(&self, paper: &Paper) {
        if !self.release().path().is_dir() {
            return;
        }
        if let Err(error) = write(&self.release().status(), &paper.status) {
            self.around
                .log
                .warn(format_args!("{}: {}", self.id(), one_line(&error)));
        }
        // What is removed must not come back as a directory with nothing but a memory.
        let run = self.release().run_dir();
        let Some(memory) = paper.memory.as_ref().filter(|_| run.is_dir()) else {
            return;
        };
        let text = serde_json::to_vec_pretty(memory).unwrap_or_default();
        if let Err(error) = replace(&run.join("driver.json"), &text, 0o600) {
            self.around
                .log
                .warn(format_args!("{}: {}", self.id(), one_line(&error)));
        }
    }
}
