//! Control groups: what a unit with `limits` may use at most is kept by the kernel, for the unit and all that
//! it starts.
//!
//! Works with version 2, with version 1, and where both are mounted; each controller belongs to one of them.
//! Where a limit cannot be kept, the reason is an error and the unit is not started. This module knows no
//! policy and no plugin; processes are put into a group by themselves, in the gate.
//!
//! ```text
//! /proc/self/… ─layout─▶ our place ─room─▶ …/simplenetes ─group─▶ …/simplenetes/web-1.0.0-main-1a2b3c4d
//! limits ──────setting─▶ memory.max, cpu.max, pids.max ──────────▶ (made by the shim, entered by the gate)
//! ```

mod delegate;
mod group;
mod layout;
mod room;
mod setting;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use podspec::Limits;
use serde::{Deserialize, Serialize};

pub(crate) use delegate::{delegate, enter};
pub use group::{Group, Part};
pub(crate) use group::{name, sweep};
use layout::Layout;
pub use setting::Setting;

/// What the kernel limits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The two kinds of hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Version {
    /// One for each controller, or for a few together.
    V1,
    /// One for all.
    V2,
}

/// Why a limit cannot be kept here. Long paths stand last: `ps` has one line for it.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The kernel has no such controller, or the machine does not show it.
    #[error("control groups for {0} are not mounted here")]
    NotMounted(String),
    /// This process stands where no groups can be made.
    #[error("this process is in no control group below {0}")]
    Outside(PathBuf),
    /// The controller was not handed down.
    #[error(
        "there is no {controller} controller here: the unit of systemd above needs `Delegate=yes` ({place})",
        place = place.display()
    )]
    NotGiven {
        /// The controller.
        controller: String,
        /// The group that has it not.
        place: PathBuf,
    },
    /// The place belongs to somebody else.
    #[error(
        "this user may make no control groups: start the daemon as `simplenetesd systemd-unit` says ({0})"
    )]
    NotAllowed(PathBuf),
    /// The kernel refuses.
    #[error("cannot {what} {path}", path = path.display())]
    Refused {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

impl GroupError {
    fn refused(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Refused {
            what,
            path: path.to_owned(),
            source,
        }
    }

    /// What this user may not do in a place, with what can be done about it.
    fn in_place_of(self, own: &Path) -> Self {
        match self {
            Self::Refused { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Self::NotAllowed(own.to_owned())
            }
            other => other,
        }
    }

    /// True when it stays so until somebody changes the machine.
    #[must_use]
    pub fn is_final(&self) -> bool {
        use io::ErrorKind::{NotFound, ReadOnlyFilesystem};
        match self {
            Self::NotMounted(_)
            | Self::Outside(_)
            | Self::NotGiven { .. }
            | Self::NotAllowed(_) => true,
            Self::Refused { source, .. } => {
                matches!(source.kind(), NotFound | ReadOnlyFilesystem)
            }
        }
    }
}

/// The group that one unit will have, below the place of this process. Everything above it is made, the group
/// itself is not yet.
///
/// # Errors
/// One of the limits cannot be kept here.
pub fn prepare(name: &str, limits: Limits) -> Result<Group, GroupError> {
    let layout = Layout::of_this_process()?;
    let needed = setting::needed(limits);
    let parts = layout
        .split(&needed)?
        .into_iter()
        .map(|(place, controllers)| {
            let room = room::open(&place, &controllers)?;
            Ok(Part {
                directory: room.join(name),
                settings: setting::settings(place.version, &controllers, limits),
            })
        });
    Ok(Group {
        parts: parts.collect::<Result<_, GroupError>>()?,
        memory_bytes: limits.memory_bytes,
    })
}
