//! What a pod of this kind does in a real daemon: its unit names the behaviour of its start, and the other
//! operations of a lifecycle are planned as an honest plugin would.

use crate::bindings::exports::simplenetes::pod::runtime::{Fault, Report, Steps, View};
use crate::bindings::simplenetes::pod::steps::Options;

/// The behaviour that the pod wants at its start; none for other operations, and for a pod that says nothing.
pub(crate) fn behaviour(view: &View) -> Option<String> {
    if view.operation() != "start" {
        return None;
    }
    let pod = view.pod(view.pods().first()?)?;
    let (_, rest) = pod.split_once("\"behaviour\":\"")?;
    rest.split('"').next().map(str::to_owned)
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
