//! One call: a fresh store with its budgets, and what a failure of it means in words.

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Engine, Store, Trap};

use crate::declared::Declared;
use crate::engine::TICK;
use crate::grants::Checker;
use crate::limits::MemoryLimiter;
use crate::said::said;
use crate::{FaultClass, Grants, Limits, Step};

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

/// Bytes that a line of the log counts for before its text: empty lines take memory too.
const LINE_BYTES_MIN: usize = 32;

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
        // The table of the host counts first, and can say what happened.
        store.set_max_component_handles(limits.handles.saturating_add(16));
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

    /// What is said about a call that failed; one line each.
    pub(crate) fn log(&mut self, level: &str, message: &str) {
        let size = LINE_BYTES_MIN + level.len() + message.len();
        match self.log.bytes_left.checked_sub(size) {
            Some(left) => {
                self.log.bytes_left = left;
                self.log.lines.push(said(format!("{level}: {message}")));
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

    /// What to do about a call that ended in a trap, and a sentence about it.
    ///
    /// What a busy or exhausted host may have caused is worth another try; what only the guest can have
    /// caused is not.
    pub(crate) fn explain(&self, error: &wasmtime::Error) -> (FaultClass, String) {
        if let Some(reason) = &self.broken {
            return (FaultClass::GiveUp, reason.clone());
        }
        if self.memory.refused {
            let mib = self.limits.memory_bytes / (1024 * 1024);
            return (
                FaultClass::GiveUp,
                format!("needed more than {mib} MiB of memory"),
            );
        }
        let sentence = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => {
                let milliseconds = self.limits.deadline.as_millis();
                return (
                    FaultClass::Retry,
                    format!("did not answer within {milliseconds} ms"),
                );
            }
            None => return (FaultClass::Retry, format!("{:#}", error.root_cause())),
            Some(Trap::StackOverflow) => "its stack overflowed".to_owned(),
            Some(Trap::MemoryOutOfBounds) => {
                "its stack overflowed, or it reached outside of its memory".to_owned()
            }
            Some(Trap::UnreachableCodeReached) => "panicked".to_owned(),
            Some(trap) => format!("trapped: {trap}"),
        };
        (FaultClass::GiveUp, sentence)
    }

    /// Adds a resource that the guest gets a handle to.
    pub(crate) fn hand_out<T: Send + 'static>(
        &mut self,
        resource: T,
    ) -> wasmtime::Result<Resource<T>> {
        let pushed = self.table.push(resource);
        pushed.map_err(|_| {
            self.over_budget(format!(
                "held more than {} handles at once",
                self.limits.handles
            ))
        })
    }
}
