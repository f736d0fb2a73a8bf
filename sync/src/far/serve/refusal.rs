//! Why a host says no, for the near end.

use super::super::{FarError, InitError, LockError};
use crate::wire::{Refusal, RefusalKind};

pub(super) fn refused(kind: RefusalKind, message: String) -> Refusal {
    Refusal {
        kind,
        message,
        causes: Vec::new(),
    }
}

pub(super) fn out_of_turn(why: &str) -> Refusal {
    refused(
        RefusalKind::Protocol,
        format!("the question is unknown or out of turn: {why}"),
    )
}

/// The words of an error and of what it comes from.
pub(super) fn words(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect()
}

pub(super) fn of(error: &FarError) -> Refusal {
    let kind = match error {
        FarError::NoHostHome(_) => RefusalKind::NoHostHome,
        FarError::Lock(LockError::Held { .. }) => RefusalKind::Locked,
        FarError::Lock(LockError::Reach(_)) | FarError::Reach(_) => RefusalKind::Unreachable,
        FarError::OtherCluster { .. } => RefusalKind::OtherCluster,
        FarError::Owner(_) => RefusalKind::Owner,
        FarError::Unchanged(_) => RefusalKind::Unchanged,
        FarError::Unfinished(_) => RefusalKind::Unfinished,
        _ => RefusalKind::Failed,
    };
    with_causes(kind, error)
}

pub(super) fn of_init(error: &InitError) -> Refusal {
    let kind = match error {
        InitError::OtherCluster { .. } => RefusalKind::OtherCluster,
        InitError::Owner(_) => RefusalKind::Owner,
        InitError::Lock(LockError::Held { .. }) => RefusalKind::Locked,
        InitError::Reach(_) | InitError::Lock(LockError::Reach(_)) => RefusalKind::Unreachable,
        _ => RefusalKind::Failed,
    };
    with_causes(kind, error)
}

pub(super) fn with_causes(kind: RefusalKind, error: &dyn std::error::Error) -> Refusal {
    let mut words = words(error);
    words.dedup();
    let causes = words.split_off(1);
    Refusal {
        kind,
        message: words.concat(),
        causes,
    }
}
