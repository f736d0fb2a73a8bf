//! Which steps an operation may consist of. A grant says what a plugin can do at all; this says when: a unit
//! that is started outside of `start` would run without anybody watching it, one that is ended outside of
//! `stop` would have failed, and a probe runs beside whatever else is done.

use simplenetes_plugin::{Operation, Step, StepOptions};

/// What a step does, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Runs a program to its end.
    Run,
    /// Makes or replaces something in a granted directory.
    Change,
    /// Removes something there.
    Remove,
    /// Starts the unit that the operation is about.
    Start,
    /// Sends a signal to the unit that the operation is about.
    Signal,
    /// Becomes a program in a person's terminal.
    Attach,
}

/// What each operation is there for. Looks are part of every plan.
fn deeds_of(operation: &str) -> &'static [Deed] {
    use Deed::{Attach, Change, Remove, Run, Signal, Start};
    match operation {
        "start" => &[Run, Change, Remove, Start],
        "download" | "create" | "tick" | "collect" => &[Run, Change, Remove],
        "reload" => &[Run, Change],
        "remove" | "purge" => &[Run, Remove],
        "stop" | "kill" | "signal" => &[Run, Signal],
        "execute" => &[Run],
        "shell" => &[Attach],
        _ => &[],
    }
}

/// Is every step one that the operation is there for?
///
/// # Errors
/// One is not: a sentence that names it and the operation.
pub(super) fn check(operation: &Operation, steps: &[Step]) -> Result<(), String> {
    steps
        .iter()
        .try_for_each(|step| check_step(operation, step))
}

fn check_step(operation: &Operation, step: &Step) -> Result<(), String> {
    let name = &operation.name;
    let allowed = deeds_of(name);
    let refused = |what: &str| {
        Err(format!(
            "planned `{what}` in `{name}`, where it has no place"
        ))
    };
    let (what, deed, unit) = describe(step);
    if deed.is_some_and(|deed| !allowed.contains(&deed)) {
        return refused(what);
    }
    if keeps(step) && !allowed.contains(&Deed::Change) {
        return refused(&format!("{what} with keep"));
    }
    match unit {
        Some(unit) if operation.unit.as_deref() != Some(unit) => {
            refused(&format!("{what} of unit {unit}"))
        }
        _ => Ok(()),
    }
}

/// The step in the words of the contract, what it does unless it only looks, and the unit that it is about.
fn describe(step: &Step) -> (&'static str, Option<Deed>, Option<&str>) {
    match step {
        Step::Command { .. } => ("command", Some(Deed::Run), None),
        Step::Look { .. } => ("look", None, None),
        Step::Process { unit, .. } => ("process", Some(Deed::Start), Some(unit)),
        Step::Detached { unit, .. } => ("detached", Some(Deed::Start), Some(unit)),
        Step::Signal { unit, .. } => ("signal", Some(Deed::Signal), Some(unit)),
        Step::Write { .. } => ("write", Some(Deed::Change), None),
        Step::Compose { .. } => ("compose", Some(Deed::Change), None),
        Step::Link { .. } => ("link", Some(Deed::Change), None),
        Step::MakeDirectory { .. } => ("make-directory", Some(Deed::Change), None),
        Step::Remove { .. } => ("remove", Some(Deed::Remove), None),
        Step::Attach { .. } => ("attach", Some(Deed::Attach), None),
    }
}

/// True when the output of the step becomes a file.
fn keeps(step: &Step) -> bool {
    let options: Option<&StepOptions> = match step {
        Step::Command { options, .. } | Step::Look { options, .. } => Some(options),
        _ => None,
    };
    options.is_some_and(|options| options.keep.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: [&str; 13] = [
        "download", "create", "start", "stop", "kill", "execute", "shell", "signal", "reload",
        "tick", "collect", "remove", "purge",
    ];

    fn steps(unit: &str) -> Vec<Step> {
        let (program, args) = ("p".to_owned(), Vec::new);
        let (unit, id, path) = (unit.to_owned(), "i".to_owned(), "root/x".to_owned());
        let options = StepOptions::default;
        vec![
            Step::Command {
                id: id.clone(),
                program: program.clone(),
                args: args(),
                options: options(),
            },
            Step::Look {
                id,
                program: program.clone(),
                args: args(),
                options: StepOptions {
                    keep: Some(path.clone()),
                    ..options()
                },
            },
            Step::Process {
                unit: unit.clone(),
                program: program.clone(),
                args: args(),
                options: options(),
            },
            Step::Detached {
                unit: unit.clone(),
                program: program.clone(),
                args: args(),
                options: options(),
            },
            Step::Signal {
                unit,
                signal: "KILL".to_owned(),
            },
            Step::Write {
                path: path.clone(),
                content: Vec::new(),
                mode: 0o600,
            },
            Step::Link {
                path: path.clone(),
                target: "config/c".to_owned(),
            },
            Step::MakeDirectory { path: path.clone() },
            Step::Remove { path },
            Step::Attach {
                program,
                args: args(),
                options: options(),
            },
        ]
    }

    /// The operations in which each of these steps about this unit is planned by right.
    fn places(unit: &str) -> Vec<(&'static str, Vec<&'static str>)> {
        let request = |name: &str| Operation {
            name: name.to_owned(),
            unit: Some("main".to_owned()),
            ..Operation::default()
        };
        let places = |step: &Step| {
            let fits = |name: &&str| check_step(&request(name), step).is_ok();
            OPERATIONS.into_iter().filter(fits).collect()
        };
        let steps = steps(unit);
        steps
            .iter()
            .map(|step| (describe(step).0, places(step)))
            .collect()
    }

    #[test]
    fn each_step_has_its_places() {
        let making = vec!["download", "create", "start", "reload", "tick", "collect"];
        let mut running: Vec<&str> = OPERATIONS.into();
        running.retain(|name| *name != "shell");
        let starting = vec!["start"];
        let ending = vec!["stop", "kill", "signal"];
        let removing = vec![
            "download", "create", "start", "tick", "collect", "remove", "purge",
        ];
        let expected = [
            ("command", running),
            // This one keeps its output.
            ("look", making.clone()),
            ("process", starting.clone()),
            ("detached", starting),
            ("signal", ending),
            ("write", making.clone()),
            ("link", making.clone()),
            ("make-directory", making),
            ("remove", removing),
            ("attach", vec!["shell"]),
        ];
        assert_eq!(places("main"), expected);
    }

    #[test]
    fn another_unit_is_neither_started_nor_ended() {
        for (step, places) in places("other") {
            if ["process", "detached", "signal"].contains(&step) {
                assert!(places.is_empty(), "{step} {places:?}");
            }
        }
        let start = Operation {
            name: "start".to_owned(),
            unit: Some("main".to_owned()),
            ..Operation::default()
        };
        assert_eq!(
            check(&start, &steps("other")[2..]).unwrap_err(),
            "planned `process of unit other` in `start`, where it has no place"
        );
    }

    #[test]
    fn an_operation_that_nobody_knows_only_looks() {
        let request = Operation {
            name: "dance".to_owned(),
            ..Operation::default()
        };
        for step in steps("main") {
            assert!(check_step(&request, &step).is_err(), "{step:?}");
        }
    }
}
