//! What systemd is told, and the unit files that start the daemon.
//!
//! Messages go to the socket that `NOTIFY_SOCKET` names, as sd_notify(3) describes; without it nobody
//! listens and nothing is sent.

use std::fmt::Write as _;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

const SYSTEM: &str = include_str!("../systemd/simplenetesd.service");
const USER: &str = include_str!("../systemd/simplenetesd-user.service");

/// The way to the service manager.
#[derive(Debug)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// The one in the environment of this process, if any.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").and_then(|name| connect(name.as_bytes())))
    }

    /// All is up; `state` is shown by `systemctl status`.
    pub fn ready(&self, state: &str) {
        self.send(&format!("READY=1\nSTATUS={state}\n"));
    }

    /// Everything is read again; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000) + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// It is ending.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=ending; pods are left running\n");
    }

    fn send(&self, message: &str) {
        // A service manager that does not listen is no reason to stop.
        if let Some(socket) = &self.0 {
            let _ = socket.send(message.as_bytes());
        }
    }
}

/// `@NAME` is an abstract name, anything else a path.
fn connect(name: &[u8]) -> Option<UnixDatagram> {
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name).ok()?,
        None => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(name))).ok()?,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect_addr(&address).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

/// The unit file of the daemon of the machine, or of one host home of a user.
#[must_use]
pub fn unit_file(program: &Path, home: Option<&Path>) -> String {
    let program = quoted(program);
    match home {
        None => SYSTEM.replace("@PROGRAM@", &program),
        Some(home) => USER
            .replace("@PROGRAM@", &program)
            .replace("@HOSTHOME@", &quoted(home)),
    }
}

/// A path as one word of a command in a unit file: systemd.service(5).
fn quoted(path: &Path) -> String {
    let mut word = String::from("\"");
    for character in path.to_string_lossy().chars() {
        match character {
            '"' | '\\' => word.extend(['\\', character]),
            '%' => word.push_str("%%"),
            '$' => word.push_str("$$"),
            control if control.is_control() => {
                // Writing to a text cannot fail.
                let _ = write!(word, "\\x{:02x}", u32::from(control));
            }
            other => word.push(other),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_both_kinds_of_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("simplenetesd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.display().to_string(),
            ),
            (
                UnixDatagram::bind_addr(&address).unwrap(),
                format!("@{abstract_name}"),
            ),
        ];
        for (socket, name) in sockets {
            let notifier = Notifier(connect(name.as_bytes()));
            notifier.ready("serving 2 host homes");
            notifier.reloading();
            notifier.stopping();
            let next = || {
                let mut text = [0; 200];
                let length = socket.recv(&mut text).unwrap();
                String::from_utf8(text[..length].to_vec()).unwrap()
            };
            assert_eq!(next(), "READY=1\nSTATUS=serving 2 host homes\n");
            assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
            assert!(next().starts_with("STOPPING=1\n"));
        }
        Notifier(connect(b"/nowhere/at/all")).ready("");
    }

    #[test]
    fn unit_files_leave_pods_alone() {
        let program = Path::new("/opt/a b/100%/simplenetesd");
        let system = unit_file(program, None);
        let user = unit_file(program, Some(Path::new("/home/me/my $cluster")));
        for text in [&system, &user] {
            assert!(text.contains("\nKillMode=process\n"), "{text}");
            assert!(text.contains("\nType=notify\n"), "{text}");
            // The limits of units need all controllers.
            assert!(text.contains("\nDelegate=yes\n"), "{text}");
            let is_filled = ["@PROGRAM@", "@HOSTHOME@"].map(|place| !text.contains(place));
            assert_eq!(is_filled, [true; 2], "{text}");
            let keys = text
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty());
            for line in keys {
                assert!(line.starts_with('[') || line.contains('='), "{line}");
            }
        }
        assert!(
            system.contains("\nExecStart=\"/opt/a b/100%%/simplenetesd\"\n"),
            "{system}"
        );
        assert!(
            user.contains("\"/opt/a b/100%%/simplenetesd\" \"/home/me/my $$cluster\"\n"),
            "{user}"
        );
        // Each of these would give the daemon mounts of its own: ramdisks and pods need the machine's.
        for key in [
            "PrivateTmp",
            "ProtectSystem",
            "ProtectHome",
            "PrivateMounts",
            "ReadOnlyPaths",
            "NoNewPrivileges",
        ] {
            assert!(!system.contains(&format!("\n{key}=")), "{key}");
        }
    }
}
