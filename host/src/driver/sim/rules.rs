//! What is always so, whatever happens.

use hostfiles::PodPhase;
use names::PodState;

use super::super::Paper;
use crate::life::Operation;

/// What is told must make sense.
pub(super) fn check_paper(paper: &Paper) -> Result<(), String> {
    let status = &paper.status;
    if !paper.routes.is_empty() && (!status.readiness || status.status != PodPhase::Running) {
        return Err(format!("a pod that is not ready is routed: {status:?}"));
    }
    if status.status == PodPhase::Starting && status.message.is_empty() && !status.units.is_empty()
    {
        return Err(format!(
            "ps does not explain why it is not settled: {status:?}"
        ));
    }
    let wanted = paper.memory.as_ref().and_then(|memory| memory.wanted);
    if !paper.routes.is_empty() && wanted != Some(PodState::Running) {
        return Err(format!("a pod that should be {wanted:?} is routed"));
    }
    Ok(())
}

/// An operation that is about to begin, beside what was told before it.
pub(super) fn check_operation(
    operation: &Operation,
    under_way: Option<&str>,
    told: Option<&Paper>,
) -> Result<(), String> {
    if let Some(other) = under_way {
        return Err(format!("{operation:?} begins while {other} is under way"));
    }
    let Some(told) = told else {
        return Err(format!("{operation:?} begins before anything was told"));
    };
    let ends = matches!(operation, Operation::Stop(..) | Operation::Kill(_));
    if ends && !told.routes.is_empty() {
        return Err(format!("{operation:?} begins while the pod is routed"));
    }
    let wanted = told.memory.as_ref().and_then(|memory| memory.wanted);
    if matches!(operation, Operation::Start(_)) && wanted != Some(PodState::Running) {
        return Err(format!(
            "{operation:?} begins in a pod that should be {wanted:?}"
        ));
    }
    Ok(())
}
