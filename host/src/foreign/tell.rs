//! What the driver of a foreign pod tells: routes to the daemon, problems to people, and what the next driver
//! should know.

use hostfiles::PodProblem;

use super::explain::explain;
use super::memory::Memory;
use super::plan::is_routed;
use super::{Foreign, blocking};
use crate::log::one_line;

impl Foreign {
    /// Tells what has changed since it was told last.
    pub(super) async fn tell(&mut self, now: u64) {
        self.tell_routes(now).await;
        let problem = explain(&self.life, now, self.verb_max);
        if self.problem.as_ref() != Some(&problem) {
            self.tell_problem(problem).await;
        }
        let memory = Memory {
            boot: self.boot.clone(),
            last: self.life.last,
            configs: self.configs.clone(),
        };
        if self.kept.as_ref() != Some(&memory) {
            self.keep(memory).await;
        }
    }

    /// Leads the cluster ports to the pod, or away from it.
    async fn tell_routes(&mut self, now: u64) {
        let desired = self.orders.desired.borrow().clone();
        let mappings = desired
            .filter(|_| is_routed(&self.life, now))
            .map(|desired| desired.mappings)
            .unwrap_or_default();
        if self.routed.as_ref() != Some(&mappings) {
            let id = self.hands.id().clone();
            self.hands.routes().set(id, mappings.clone()).await;
            self.routed = Some(mappings);
        }
    }

    /// Says what is wrong where `ps` finds it. A disk that is full costs the line; it is tried again.
    async fn tell_problem(&mut self, problem: Option<String>) {
        let release = self.hands.release().clone();
        let line = problem.clone().map(PodProblem);
        let written = blocking(move || {
            // A directory that is being taken away should not get a new file.
            if !release.pod().exists() && !release.state().exists() {
                return Ok(());
            }
            match line {
                Some(line) => hostfiles::write(&release.problem(), &line).map(drop),
                None => {
                    // There is none most of the time.
                    let _ = std::fs::remove_file(release.problem());
                    Ok(())
                }
            }
        });
        match written.await {
            Some(Err(error)) => self.say(Some(one_line(&error))).await,
            Some(Ok(())) | None => self.problem = Some(problem),
        }
    }

    /// A memory that cannot be kept costs a verb after a restart of the daemon, which finds things as they
    /// should be.
    async fn keep(&mut self, memory: Memory) {
        let run_dir = self.hands.release().run_dir();
        let is_removed = self.life.is_removed();
        let kept = memory.clone();
        let written = blocking(move || {
            if is_removed {
                Memory::remove(&run_dir);
                return Ok(());
            }
            kept.write(&run_dir)
        });
        match written.await {
            Some(Err(error)) => self.say(Some(one_line(&error))).await,
            Some(Ok(())) | None => self.kept = Some(memory),
        }
    }

    /// Says what is wrong in the log, once.
    pub(super) async fn say(&mut self, problem: Option<String>) {
        if let Some(problem) = problem.filter(|problem| self.told.as_ref() != Some(problem)) {
            self.note(problem.clone()).await;
            self.told = Some(problem);
        }
    }

    /// Writes a line into the log, beside the threads that must not wait for a disk.
    pub(super) async fn note(&self, line: impl Into<String>) {
        self.hands.note_beside(line.into()).await;
    }
}
