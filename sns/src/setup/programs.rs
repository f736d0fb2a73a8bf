//! Our own programs on a host, and the unit by which systemd starts the daemon.

use super::facts::Facts;
use super::step::{Action, Plan, Put, run};

/// Where the daemon lies on a host.
pub(crate) const DAEMON: &str = "/usr/local/bin/simplenetesd";
/// Where the proxy lies: pods find it beside the daemon.
pub(crate) const PROXY: &str = "/usr/local/bin/sns-proxy";
/// Where first-party plugins lie.
pub(crate) const PLUGINS: &str = "/usr/lib/simplenetes/plugins";
/// The unit of the daemon.
pub(crate) const UNIT: &str = "simplenetesd.service";
/// Its file.
pub(crate) const UNIT_FILE: &str = "/etc/systemd/system/simplenetesd.service";

const UNIT_TEXT: &str = include_str!("../../../host/systemd/simplenetesd.service");

/// A file that goes to hosts as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Where it lies on a host.
    pub(crate) path: String,
    /// Whether it is started, or only read.
    pub(crate) is_executable: bool,
    /// Its content.
    pub(crate) content: Vec<u8>,
}

impl Program {
    fn put(&self) -> Put {
        Put {
            mode: if self.is_executable { 0o755 } else { 0o644 },
            is_shown: false,
            ..Put::text(&self.path, self.content.clone())
        }
    }
}

/// The unit file, as `simplenetesd systemd-unit` prints it on a host.
pub(crate) fn unit_text() -> String {
    UNIT_TEXT.replace("@PROGRAM@", &format!("\"{DAEMON}\""))
}

/// Has programs sent that are missing or others, and the daemon started.
pub(crate) fn plan(plan: &mut Plan, facts: &Facts, programs: &[Program]) {
    let mut is_new = false;
    for program in programs {
        let put = program.put();
        let digest = put.digest();
        if facts.has_file(&program.path, digest, put.mode) {
            continue;
        }
        let why = match facts.files.contains_key(&program.path) {
            true => "the one that is there is another",
            false => "it is not there yet",
        };
        is_new |= program.path == DAEMON;
        plan.add(
            format!(
                "send {} ({} KiB, sha256 {digest})",
                program.path,
                put.content.len().div_ceil(1024)
            ),
            format!("{why}; it counts once its digest was checked there"),
            Action::Put(put),
        );
    }
    unit(plan, facts, is_new);
}

fn unit(plan: &mut Plan, facts: &Facts, is_new: bool) {
    let put = Put {
        is_shown: false,
        ..Put::text(UNIT_FILE, unit_text())
    };
    let is_other = !facts.has_file(UNIT_FILE, put.digest(), put.mode);
    if is_other {
        plan.add(
            format!("write {UNIT_FILE}"),
            "systemd starts the daemon by it, and leaves pods alone when it ends it (KillMode=process)",
            Action::Put(put),
        );
    }
    if !facts.has_systemd() {
        plan.note("systemd does not run there: its units are written, and nothing is started; start simplenetesd as root by other means");
        return;
    }
    if is_other {
        plan.add(
            "have systemd read its units",
            "one of them is new",
            run(&["systemctl", "daemon-reload"]),
        );
    }
    if !facts.enabled.contains(UNIT) {
        plan.add_proven(
            format!("enable {UNIT}"),
            "the daemon should run after the next start too",
            run(&["systemctl", "enable", UNIT]),
            &["systemctl", "is-enabled", "-q", UNIT],
        );
    }
    let is_down = !facts.active.contains(UNIT);
    if is_other || is_new || is_down {
        let why = match is_down {
            true => "it does not run",
            false => "it is another than the one that runs; pods are left running",
        };
        plan.add_proven(
            "start the daemon anew",
            why,
            run(&["systemctl", "restart", UNIT]),
            &["systemctl", "is-active", "-q", UNIT],
        );
    }
}

/// Has the user's processes live without a login.
pub(crate) fn plan_linger(plan: &mut Plan, facts: &Facts, user: &str) {
    if facts.has_systemd() && !facts.is("lingering") {
        plan.add_proven(
            format!("let {user} linger"),
            "systemd ends the containers of a user who has logged out, unless that is said",
            run(&["loginctl", "enable-linger", user]),
            &["test", "-e", &format!("/var/lib/systemd/linger/{user}")],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::FileFact;
    use super::*;

    fn daemon(content: &str) -> Program {
        Program {
            path: DAEMON.to_owned(),
            is_executable: true,
            content: content.into(),
        }
    }

    fn steps(facts: &Facts) -> Vec<String> {
        let mut made = Plan::default();
        plan(&mut made, facts, &[daemon("new")]);
        made.steps
            .iter()
            .map(|step| step.what.split(" (").next().unwrap().to_owned())
            .collect()
    }

    /// A host where all is as it should be.
    fn ready() -> Facts {
        let mut facts = Facts::default();
        facts.is.insert("systemd".to_owned());
        facts.enabled.insert(UNIT.to_owned());
        facts.active.insert(UNIT.to_owned());
        let file = |put: Put| {
            (
                put.path.clone(),
                FileFact {
                    digest: put.digest(),
                    mode: put.mode,
                },
            )
        };
        facts.files.extend([
            file(daemon("new").put()),
            file(Put::text(UNIT_FILE, unit_text())),
        ]);
        facts
    }

    #[test]
    fn the_daemon_starts_anew_only_when_something_changed() {
        let (send, write) = (format!("send {DAEMON}"), format!("write {UNIT_FILE}"));
        let (read, enable) = ("have systemd read its units", format!("enable {UNIT}"));
        let start = "start the daemon anew";
        assert_eq!(steps(&ready()), [""; 0]);
        let mut bare = Facts::default();
        bare.is.insert("systemd".to_owned());
        assert_eq!(steps(&bare), [send.as_str(), &write, read, &enable, start]);
        assert_eq!(steps(&Facts::default()), [send.as_str(), &write]);
        let mut other = ready();
        other.files.remove(DAEMON);
        assert_eq!(steps(&other), [send.as_str(), start]);
        let mut down = ready();
        down.active.clear();
        assert_eq!(steps(&down), [start]);
        let mut off = ready();
        off.enabled.clear();
        assert_eq!(steps(&off), [enable.as_str()]);
        let mut open = ready();
        open.files.get_mut(DAEMON).unwrap().mode = 0o777;
        assert_eq!(steps(&open), [send.as_str(), start]);
    }

    #[test]
    fn lingering_is_said_once_and_only_to_systemd() {
        let lines = |facts: &Facts| {
            let mut made = Plan::default();
            plan_linger(&mut made, facts, "sns");
            made.steps.len()
        };
        let mut facts = Facts::default();
        assert_eq!(lines(&facts), 0);
        facts.is.insert("systemd".to_owned());
        assert_eq!(lines(&facts), 1);
        facts.is.insert("lingering".to_owned());
        assert_eq!(lines(&facts), 0);
    }
}
