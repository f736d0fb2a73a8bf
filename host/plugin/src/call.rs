//! One call: a fresh store with its budgets, and what a failure of it means in words.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, Trap};

use crate::declared::Declared;
use crate::engine::TICK;
use crate::grants::Checker;
use crate::limits::MemoryLimiter;
use crate::{Grants, Limits, Step};

/// What lives as long as one call.
pub(crate) struct CallState {
    pub(crate) table: ResourceTable,
    memory: MemoryLimiter,
    limits: Limits,
    output_left: usize,
    log: Log,
    grants: Arc<Grants>,
    declared: Declared,
    /// Why the host ended the call, when it did.
    broken: Option<String>,
}

/// The lines that were logged, up to a budget.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    bytes_left: usize,
    dropped: usize,
}

/// Lines of the log that are shown with an error.
const SHOWN_LINES: usize = 5;

impl CallState {
    pub(crate) fn store(
        engine: &Engine,
        limits: Limits,
        grants: Arc<Grants>,
        declared: Declared,
    ) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let state = Self {
            table,
            memory: MemoryLimiter::new(limits.memory_bytes),
            limits,
            output_left: limits.output_bytes,
            log: Log {
                bytes_left: limits.log_bytes,
                ..Log::default()
            },
            grants,
            declared,
            broken: None,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.host_call_bytes);
        store.set_max_component_handles(limits.handles);
        let ticks = limits.deadline.as_millis() / TICK.as_millis();
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1));
        store
    }

    /// Takes bytes of the output budget.
    pub(crate) fn spend(&mut self, bytes: usize) -> wasmtime::Result<()> {
        match self.output_left.checked_sub(bytes) {
            Some(left) => {
                self.output_left = left;
                Ok(())
            }
            None => Err(self.over_budget(format!(
                "wrote more than {} bytes of steps and reports",
                self.limits.output_bytes
            ))),
        }
    }

    /// Ends the call for a reason that the host gives.
    pub(crate) fn over_budget(&mut self, reason: String) -> wasmtime::Error {
        let error = wasmtime::Error::msg(reason.clone());
        self.broken = Some(reason);
        error
    }

    pub(crate) fn check(&self, step: &Step) -> Result<(), String> {
        Checker {
            grants: &self.grants,
            declared: &self.declared,
        }
        .check(step)
    }

    pub(crate) fn log(&mut self, level: &str, message: &str) {
        match self.log.bytes_left.checked_sub(message.len() + level.len()) {
            Some(left) => {
                self.log.bytes_left = left;
                self.log.lines.push(format!("{level}: {message}"));
            }
            None => self.log.dropped += 1,
        }
    }

    /// The last lines that were logged, with a word on those that were dropped.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let first = self.log.lines.len().saturating_sub(SHOWN_LINES);
        let mut lines: Vec<String> = self.log.lines.iter().skip(first).cloned().collect();
        if self.log.dropped > 0 {
            lines.push(format!("({} more lines were dropped)", self.log.dropped));
        }
        lines
    }

    /// A sentence for a call that ended in a trap.
    pub(crate) fn explain(&self, error: &wasmtime::Error) -> String {
        if let Some(reason) = &self.broken {
            return reason.clone();
        }
        if self.memory.refused {
            return format!(
                "needed more than {} MiB of memory",
                self.limits.memory_bytes / (1024 * 1024)
            );
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => format!(
                "did not answer within {} ms",
                self.limits.deadline.as_millis()
            ),
            Some(Trap::StackOverflow) => "its stack overflowed".to_owned(),
            Some(Trap::MemoryOutOfBounds) => {
                "its stack overflowed, or it reached outside of its memory".to_owned()
            }
            Some(Trap::UnreachableCodeReached) => "panicked".to_owned(),
            Some(trap) => format!("trapped: {trap}"),
            None => format!("{:#}", error.root_cause()),
        }
    }
}
