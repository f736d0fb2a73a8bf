//! What the units of a release may use at most: told to whatever starts them, and never passed over.

use std::collections::BTreeMap;

use names::UnitName;
use podspec::{CompiledPod, Limits};
use simplenetes_plugin::Step;

use crate::life::Trouble;

pub(super) fn limits_of(spec: &CompiledPod) -> BTreeMap<UnitName, Limits> {
    let units = spec.units.iter();
    units
        .filter_map(|unit| Some((unit.name.clone(), unit.limits?)))
        .collect()
}

/// A host may have another plugin for the kind than the pod was compiled with, and what leaves its program
/// is only limited by a kind that passes the limits on.
pub(super) fn refuse_unlimited(
    spec: &CompiledPod,
    steps: &[Step],
    takes_limits: bool,
) -> Result<(), Trouble> {
    let limits = limits_of(spec);
    let is_limited = |unit: &str| limits.keys().any(|limited| limited.as_str() == unit);
    let unkept = steps.iter().find_map(|step| match step {
        Step::Detached { unit, .. } if !takes_limits && is_limited(unit) => Some(unit),
        _ => None,
    });
    unkept.map_or(Ok(()), |unit| {
        let message = format!(
            "the limits of unit {unit} cannot be kept: the plugin for `runtime: {}` on this host does not take any",
            spec.runtime
        );
        Err(Trouble {
            message,
            held: true,
        })
    })
}

#[cfg(test)]
mod tests {
    use simplenetes_plugin::StepOptions;

    use super::*;

    fn pod() -> CompiledPod {
        let text = format!(
            "{}\nformat: 1\npod: web\npodVersion: 1.0.0\nruntime: box\nunits:\n- name: main\n  limits: {{pids: 5}}\n- name: free\n",
            podspec::FIRST_LINE
        );
        CompiledPod::from_text(&text).unwrap()
    }

    fn detached(unit: &str) -> Step {
        Step::Detached {
            unit: unit.into(),
            program: "box".into(),
            args: Vec::new(),
            options: StepOptions::default(),
        }
    }

    fn process(unit: &str) -> Step {
        Step::Process {
            unit: unit.into(),
            program: "box".into(),
            args: Vec::new(),
            options: StepOptions::default(),
        }
    }

    #[test]
    fn only_what_leaves_its_program_needs_a_kind_that_takes_limits() {
        let pod = pod();
        let check = |step: Step, takes, is_refused| {
            let told = refuse_unlimited(&pod, std::slice::from_ref(&step), takes);
            assert_eq!(told.is_err(), is_refused, "{step:?}, {takes}");
        };
        check(detached("main"), false, true);
        check(detached("main"), true, false);
        check(detached("free"), false, false);
        check(process("main"), false, false);
    }
}
