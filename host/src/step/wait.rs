//! Waiting for the end of a program without collecting it, so that its number stays its own until what
//! it has left behind is ended.

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Waits for the end of this child. The status is 128 + signal number when a signal ended it.
pub(super) fn for_end(child: u32) -> i32 {
    let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) else {
        return 1;
    };
    loop {
        match waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            Ok(Some(status)) => {
                let by_signal = status.terminating_signal().map(|signal| 128 + signal);
                return status.exit_status().or(by_signal).unwrap_or(1);
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return 1,
        }
    }
}
