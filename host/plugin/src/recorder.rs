//! The host side of the contract: shows the view, records steps and reports, keeps the budgets.
//!
//! One file per interface below; each function is thin, because nothing is done here but recording.
#![expect(
    unreachable_pub,
    reason = "the generated bindings re-export the resources, which takes `pub`"
)]

mod content;
mod report;
mod steps;
mod view;

use std::sync::Arc;

use crate::call::CallState;
use crate::{
    Answer, CompileInput, CompileOutput, Content, Report, Step, StepOptions, View, bindings,
};

/// A borrowed view.
pub struct ViewResource {
    pub(crate) view: Arc<View>,
    /// What there is to compile; none outside of `compile`.
    pub(crate) compile: Option<Arc<CompileInput>>,
}

/// The answer to a look: the view that holds it, and its id. Answers are large, and a plugin may ask
/// for one many times.
pub struct AnswerResource(pub(crate) Arc<View>, pub(crate) String);

impl AnswerResource {
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.0.answers.get(&self.1)
    }
}

/// The steps recorded so far.
#[derive(Default)]
pub struct StepsResource {
    pub(crate) steps: Vec<Step>,
    /// Only looks may be recorded.
    pub(crate) looks_only: bool,
}

/// Options under construction.
#[derive(Default)]
pub struct OptionsResource(pub(crate) StepOptions);

/// Content under construction.
#[derive(Default)]
pub struct ContentResource(pub(crate) Content);

/// The report so far.
#[derive(Default)]
pub struct ReportResource {
    pub(crate) report: Report,
    pub(crate) compiled: CompileOutput,
}

impl bindings::simplenetes::pod::faults::Host for CallState {}

impl bindings::simplenetes::pod::log::Host for CallState {
    fn write(&mut self, level: String, message: String) -> wasmtime::Result<()> {
        self.log(&level, &message);
        Ok(())
    }
}
