//! An operation in the words of the contract with plugins, and in words for people.

use std::collections::BTreeMap;

use podspec::{CompiledPod, ReloadSignal};
use simplenetes_plugin::Operation as Request;

use crate::life::{Errand, Nudge, Operation, StopReason};

/// The operation in the words of the contract.
pub(super) fn request(spec: &CompiledPod, operation: &Operation) -> Request {
    let unit = operation.unit().map(ToString::to_string);
    let about = |name: &str, cause: &str| Request {
        name: name.into(),
        cause: cause.into(),
        unit: unit.clone(),
        ..Request::default()
    };
    match operation {
        Operation::Start(_) => about("start", "wanted state is running"),
        Operation::Stop(_, reason) => about("stop", because(*reason)),
        Operation::Kill(_) => about("kill", "it did not end when it was asked to"),
        Operation::Collect => about("collect", "no unit runs, and none should"),
        Operation::Remove => about("remove", "wanted state is removed"),
        Operation::Tick => about("tick", "the plugin wanted to be asked at this time"),
        Operation::Errand(errand) => {
            let (name, argument) = in_the_contract(*errand);
            Request {
                arguments: argument
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into_iter()
                    .collect(),
                ..about(name, "a person asks for it")
            }
        }
        Operation::Signal(name, nudge) => {
            let cause = match nudge {
                Nudge::Config => "a config has changed",
                Nudge::Signal => "another unit has started",
            };
            match spec.unit(name).and_then(|unit| unit.signal.clone()) {
                Some(ReloadSignal::Command(argv)) => Request {
                    argv,
                    ..about("execute", cause)
                },
                Some(ReloadSignal::Signal(signal)) => Request {
                    arguments: BTreeMap::from([("signal".to_owned(), signal)]),
                    ..about("signal", cause)
                },
                None => about("signal", cause),
            }
        }
    }
}

/// The operation and its argument.
fn in_the_contract(errand: Errand) -> (&'static str, Option<(&'static str, &'static str)>) {
    match errand {
        Errand::Download { is_forced: false } => ("download", None),
        Errand::Download { is_forced: true } => ("download", Some(("force", "true"))),
        Errand::Create => ("create", None),
        Errand::CreateVolumes => ("create", Some(("part", "volumes"))),
        Errand::CreateRamdisks => ("create", Some(("part", "ramdisks"))),
        Errand::Purge => ("purge", None),
    }
}

fn because(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Pod => "its pod should not run",
        StopReason::Restart => {
            "it is started again: a config has changed for which it names no signal, or by hand"
        }
        StopReason::Unhealthy => "it did not pass its probe",
    }
}

/// For the log.
pub(super) fn describe(operation: &Operation) -> String {
    match operation {
        Operation::Start(unit) => format!("start {unit}"),
        Operation::Stop(unit, reason) => format!("stop {unit}: {}", because(*reason)),
        Operation::Kill(unit) => format!("kill {unit}: it did not end in time"),
        Operation::Signal(unit, Nudge::Config) => format!("signal {unit}: a config has changed"),
        Operation::Signal(unit, Nudge::Signal) => {
            format!("signal {unit}: another unit has started")
        }
        Operation::Collect => "collect".to_owned(),
        Operation::Remove => "remove".to_owned(),
        Operation::Tick => "tick".to_owned(),
        Operation::Errand(errand) => match in_the_contract(*errand) {
            (name, None) => name.to_owned(),
            (name, Some((argument, value))) => format!("{name} ({argument} {value})"),
        },
    }
}
