//! Waiting for the process of a unit or step, and ending whatever it leaves behind.

use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group,
    set_child_subreaper, wait,
};

use crate::process::{ProcessId, below, children_of};

/// How often the processes that are left are killed before they are given up: a process that is stuck
/// in the kernel cannot be ended by anyone.
const SWEEPS_MAX: u32 = 200;
const SWEEP_PAUSE: Duration = Duration::from_millis(10);

/// Makes this process the parent of every descendant whose own parent ends.
pub(crate) fn adopt_orphans() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Waits for the end of this child, collecting orphans meanwhile. The status is 128 + signal number
/// when a signal ended it.
pub(crate) fn wait_for(child: u32) -> i32 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if u32::try_from(pid.as_raw_nonzero().get()) == Ok(child) => {
                return code_of(status);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return 1,
        }
    }
}

fn code_of(status: WaitStatus) -> i32 {
    let by_signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(by_signal).unwrap_or(1)
}

/// Collects every child that has ended, with its status.
pub(crate) fn collect() -> Vec<(Pid, i32)> {
    let mut collected = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => collected.push((pid, code_of(status))),
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return collected,
        }
    }
}

/// The children of this process, whether they run or were not collected, but for those that are spared.
pub(crate) fn children_but(spared: &[ProcessId]) -> Vec<u32> {
    let mut children = children_of(std::process::id());
    children.retain(|pid| ProcessId::of(*pid).is_ok_and(|child| !spared.contains(&child)));
    children
}

/// Kills the process group and then every process that has become ours, until none is left.
pub(crate) fn end_the_rest(process: ProcessId) {
    end_group(process);
    end_every_child(&[]);
}

/// Kills every process that is or becomes ours, until none but those that are spared is left.
pub(crate) fn end_every_child(spared: &[ProcessId]) {
    for _ in 0..SWEEPS_MAX {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                // No child is left.
                Err(_) => return,
            }
        }
        let left = children_but(spared);
        if left.is_empty() {
            return;
        }
        kill_all(left);
        thread::sleep(SWEEP_PAUSE);
    }
}

/// Kills what is in the process group of this process, which must not have been collected yet.
pub(crate) fn end_group(process: ProcessId) {
    if let Some(group) = process.as_pid() {
        // It fails when nobody is left there.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Kills the children of this process, among them every descendant whose own parent has ended.
pub(crate) fn end_children() {
    kill_all(children_of(std::process::id()));
}

/// Kills what those have started that a program has left to this process, and spares those themselves: the
/// monitor of a command in a container then tells its program how that ended, and both end in order. True
/// when there was anything.
pub(crate) fn end_below_orphans(program: ProcessId) -> bool {
    let mut orphans = children_of(std::process::id());
    orphans.retain(|pid| *pid != program.pid);
    let below = below(orphans);
    let processes: Vec<_> = below.into_iter().flat_map(ProcessId::of).collect();
    processes.iter().for_each(|process| process.kill());
    !processes.is_empty()
}

fn kill_all(children: Vec<u32>) {
    for child in children
        .into_iter()
        .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
    {
        let _ = kill_process(child, Signal::KILL);
    }
}
