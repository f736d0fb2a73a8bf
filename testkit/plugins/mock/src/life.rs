//! What a pod of this kind does in a real daemon: its unit names the behaviour of its start, and the other
//! operations of a lifecycle are planned as an honest plugin would.

use crate::bindings::exports::simplenetes::pod::runtime::{Fault, Report, Steps, View};
use crate::bindings::simplenetes::pod::steps::Options;

/// The behaviour that the pod wants at its start; none for other operations, and for a pod that says nothing.
pub(crate) fn behaviour(view: &View) -> Option<String> {
    if view.operation() != "start" {
        return None;
    }
    behaviour_of(view, view.pods().first()?)
}

/// The behaviour that the pod names.
pub(crate) fn behaviour_of(view: &View, pod: &str) -> Option<String> {
    said(view, pod, "behaviour")
}

/// What the unit of the pod says under this key.
fn said(view: &View, pod: &str, key: &str) -> Option<String> {
    let pod = view.pod(pod)?;
    let (_, rest) = pod.split_once(&format!("\"{key}\":\""))?;
    rest.split('"').next().map(str::to_owned)
}

/// Plans a step where it has no place, when the pod names operation and step.
pub(crate) fn misplace(view: &View, steps: &Steps) -> Result<(), Fault> {
    let pods = view.pods();
    let place = pods.first().and_then(|pod| said(view, pod, "misplaced"));
    match place.unwrap_or_default().strip_prefix(&view.operation()) {
        Some(" process") => {
            let sleep = ["600".to_owned()];
            steps.process("main", "sleep", &sleep, &Options::new())
        }
        Some(" signal") => steps.signal("main", "KILL"),
        Some(" remove") => steps.remove("root/main"),
        Some(" write") => steps.write("root/main", b"misplaced", 0o644),
        _ => Ok(()),
    }
}

/// True when one of the pods names this behaviour.
pub(crate) fn is_any(view: &View, behaviour: &str) -> bool {
    let mut pods = view.pods().into_iter();
    pods.any(|pod| behaviour_of(view, &pod).is_some_and(|known| known == behaviour))
}

/// How a unit is, and its process: as its shim says, if it has one.
pub(crate) fn state(view: &View, pod: &str) -> (&'static str, Option<u32>) {
    match view.unit_truth(pod, "main") {
        None => ("running", Some(7)),
        Some(truth) if truth.contains("\"running\":true") => ("running", None),
        Some(_) => ("exited", None),
    }
}

/// True for a pod that wants to be woken: one that says so, and one that says nothing.
pub(crate) fn is_restless(view: &View, pod: &str) -> bool {
    behaviour_of(view, pod).is_none_or(|known| known == "restless" || known == "trap at tick")
}

/// Runs the command of a probe.
pub(crate) fn execute(view: &View, steps: &Steps) -> Result<(), Fault> {
    let mut argv = view.argv().into_iter();
    let program = argv.next().unwrap_or_default();
    let args: Vec<String> = argv.collect();
    steps.command("probe", &program, &args, &Options::new())
}

/// Leaves a trace of the tick.
pub(crate) fn tick(steps: &Steps) -> Result<(), Fault> {
    steps.make_directory("root")?;
    steps.write("root/ticked", b"", 0o644)
}

/// Starts the unit, which sleeps; only where the grant and the pod say so.
pub(crate) fn serve(view: &View, steps: &Steps) -> Result<(), Fault> {
    let unit = view.unit().unwrap_or_default();
    steps.process(&unit, "sleep", &["600".to_owned()], &Options::new())
}

/// Starts the unit the first time; true when it was started before.
pub(crate) fn serve_once(view: &View, steps: &Steps, report: &Report) -> Result<bool, Fault> {
    let pods = view.pods();
    let Some(pod) = pods.first() else {
        return Ok(false);
    };
    if !view.kept(pod).is_empty() {
        return Ok(true);
    }
    report.keep(pod, b"started");
    serve(view, steps).map(|()| false)
}

/// Ends the unit by this signal.
pub(crate) fn end(view: &View, steps: &Steps, signal: &str) -> Result<(), Fault> {
    view.unit()
        .map_or(Ok(()), |unit| steps.signal(&unit, signal))
}
