//! Signals to the processes of units.

use names::{SignalName, UnitName};
use rustix::process::{Signal, kill_process_group, pidfd_send_signal};

use super::{Processes, StepError};

/// Sends a signal through a descriptor of the process, so that it cannot reach another one. A unit
/// that does not run is left alone. `KILL` goes to everything in the unit's process group.
pub(super) fn send_signal(unit: &str, name: &str, processes: &Processes) -> Result<(), StepError> {
    let failed = |source| StepError::Signal {
        unit: unit.to_owned(),
        signal: name.to_owned(),
        source,
    };
    let signal = name
        .parse::<SignalName>()
        .map(signal_of)
        .map_err(|_| StepError::Refused(format!("there is no signal `{name}`")))?;
    let process = unit
        .parse()
        .ok()
        .and_then(|unit: UnitName| processes.running.get(&unit).copied());
    let Some((process, descriptor)) =
        process.and_then(|process| Some((process, process.open().transpose()?)))
    else {
        return Ok(());
    };
    let descriptor = descriptor.map_err(failed)?;
    if signal == Signal::KILL
        && let Some(group) = process.as_pid()
    {
        // The process is alive, or not yet collected, as long as the descriptor says so: its group is its own.
        let _ = kill_process_group(group, signal);
    }
    match pidfd_send_signal(descriptor, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}

/// The signal of that name on this machine.
fn signal_of(name: SignalName) -> Signal {
    match name {
        SignalName::Hup => Signal::HUP,
        SignalName::Int => Signal::INT,
        SignalName::Quit => Signal::QUIT,
        SignalName::Ill => Signal::ILL,
        SignalName::Trap => Signal::TRAP,
        SignalName::Abrt => Signal::ABORT,
        SignalName::Bus => Signal::BUS,
        SignalName::Fpe => Signal::FPE,
        SignalName::Kill => Signal::KILL,
        SignalName::Usr1 => Signal::USR1,
        SignalName::Segv => Signal::SEGV,
        SignalName::Usr2 => Signal::USR2,
        SignalName::Pipe => Signal::PIPE,
        SignalName::Alrm => Signal::ALARM,
        SignalName::Term => Signal::TERM,
        SignalName::Chld => Signal::CHILD,
        SignalName::Cont => Signal::CONT,
        SignalName::Stop => Signal::STOP,
        SignalName::Tstp => Signal::TSTP,
        SignalName::Ttin => Signal::TTIN,
        SignalName::Ttou => Signal::TTOU,
        SignalName::Urg => Signal::URG,
        SignalName::Xcpu => Signal::XCPU,
        SignalName::Xfsz => Signal::XFSZ,
        SignalName::Vtalrm => Signal::VTALARM,
        SignalName::Prof => Signal::PROF,
        SignalName::Winch => Signal::WINCH,
        SignalName::Io => Signal::IO,
        SignalName::Pwr => Signal::POWER,
        SignalName::Sys => Signal::SYS,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_signal_that_a_pod_may_name_is_one_of_its_own() {
        let numbers = SignalName::ALL.iter().map(|&name| signal_of(name).as_raw());
        assert_eq!(
            numbers.collect::<BTreeSet<_>>().len(),
            SignalName::ALL.len()
        );
        let number = |name: &str| signal_of(name.parse().unwrap()).as_raw();
        assert_eq!(
            ["HUP", "INT", "KILL", "TERM"].map(number),
            [1, 2, 9, 15],
            "the numbers that POSIX fixes"
        );
    }
}
