//! The process that becomes the unit (`simplenetesd shim-gate`, started by the shim only).
//!
//! It waits until its pid is recorded, becomes the unit's user, goes to its directory and executes the
//! program in its own place. When it cannot, it says why, on the channel and for the log, and ends with
//! 127 (no such program) or 126 (anything else), as a shell would.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::spec::ShimSpec;
use super::user;

const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Becomes the unit, as the child of this shim. Only returns when that failed, with the exit status to end with.
#[must_use]
pub fn run(shim: u32) -> u8 {
    let shim = i32::try_from(shim).ok().and_then(Pid::from_raw);
    let Ok(mut channel) = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from)
    else {
        return NOT_EXECUTABLE;
    };
    let mut request = Vec::new();
    // A shim that died before it let us go sent nothing, and then there is nobody to tell.
    let Ok(spec) = channel
        .read_to_end(&mut request)
        .map_err(drop)
        .and_then(|_| serde_json::from_slice::<ShimSpec>(&request).map_err(drop))
    else {
        return NOT_EXECUTABLE;
    };
    let refusal = become_unit(&spec, shim);
    let _ = channel.write_all(refusal.message.as_bytes());
    refusal.code
}

struct Refusal {
    code: u8,
    message: String,
}

fn become_unit(spec: &ShimSpec, shim: Option<Pid>) -> Refusal {
    let refuse = |message: String| Refusal {
        code: NOT_EXECUTABLE,
        message,
    };
    if let Some(name) = &spec.user
        && let Err(error) = change_user(spec, name)
    {
        return refuse(format!("cannot run as user `{name}`: {error}"));
    }
    // Nobody would read the output of a unit whose shim was killed, and nobody would know of it.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return refuse(format!("cannot bind the unit to its shim: {error}"));
    }
    // The signal comes only when the parent ends from now on; this one may have ended already.
    if getppid() != shim {
        return refuse("the shim of the unit has ended".into());
    }
    if let Err(error) = std::env::set_current_dir(&spec.working_directory) {
        return refuse(format!(
            "cannot start in {}: {error}",
            spec.working_directory.display()
        ));
    }
    let stdin = match stdin(&spec.stdin) {
        Ok(stdin) => stdin,
        Err(error) => return refuse(format!("cannot prepare standard input: {error}")),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the gate is where a unit's program is executed"
    )]
    let error = std::process::Command::new(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(stdin)
        .exec();
    let code = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    };
    Refusal {
        code,
        message: format!("cannot execute {}: {error}", spec.program.display()),
    }
}

fn change_user(spec: &ShimSpec, name: &str) -> io::Result<()> {
    let user = user::look_up(Path::new("/etc"), name)?;
    user::give_root(&spec.release, &spec.unit, &user)?;
    user::become_user(&user)
}

fn stdin(content: &[u8]) -> io::Result<Stdio> {
    if content.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}
