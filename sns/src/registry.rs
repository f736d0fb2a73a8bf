//! The logins of image registries, as docker and podman write them: one file for the cluster, or one for a host.
//!
//! They are secrets in all but name, so git ignores the files; `sns host init` carries them to the hosts.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::command_error::{CommandError, Kind};
use crate::project::{Cluster, Host};

/// The name of the file, in the project and in the folder of a host.
pub(crate) const FILE: &str = "registry-config.json";

/// Most bytes that such a file may have.
const BYTES_MAX: usize = 256 * 1024;

/// The file of a host, or of the cluster.
pub(crate) fn path(cluster: &Cluster<'_>, host: Option<&Host>) -> PathBuf {
    match host {
        Some(host) => cluster.path().join(host.name.as_str()).join(FILE),
        None => cluster.path().join(FILE),
    }
}

/// What a host is given: its own logins, or those of the cluster.
pub(crate) fn logins_for(
    cluster: &Cluster<'_>,
    host: &Host,
) -> Result<Option<String>, CommandError> {
    for path in [path(cluster, Some(host)), path(cluster, None)] {
        if path.is_symlink() {
            // A project of somebody else could give the operator's own logins to a host.
            return Err(CommandError::mistake(format!(
                "{} is a symbolic link",
                cluster.shown(&path)
            ))
            .hint("copy the logins that the host should have: `sns cluster registry`"));
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                parse(&text).map_err(|error| error.on(&cluster.shown(&path)))?;
                return Ok(Some(text));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(CommandError::files(
                    format!("could not read {}", path.display()),
                    error,
                ));
            }
        }
    }
    Ok(None)
}

/// Adds logins, one `REGISTRY:USER:PASSWORD` a line, to what a file has.
pub(crate) fn with_logins(present: Option<&str>, lines: &str) -> Result<String, CommandError> {
    let mut config = match present {
        Some(text) => parse(text)?,
        None => json!({ "auths": {} }),
    };
    for (number, line) in (1..).zip(lines.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (registry, login) = login(line).ok_or_else(|| {
            // The line itself may be a password.
            CommandError::new(
                Kind::Diagnostics,
                format!("line {number} of the input is no login"),
            )
            .hint("write REGISTRY:USER:PASSWORD, as in ghcr.io:anna:s3cret or localhost:5000:anna:s3cret")
        })?;
        if let Some(auths) = auths(&mut config) {
            auths.insert(registry, json!({ "auth": STANDARD.encode(login) }));
        }
    }
    Ok(format!("{config:#}\n"))
}

/// The registry, and user and password. A port belongs to the registry.
fn login(line: &str) -> Option<(String, String)> {
    let (mut registry, mut rest) = line.split_once(':')?;
    let (first, after) = rest.split_once(':')?;
    let is_port = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    if is_port && after.contains(':') {
        registry = line.get(..registry.len() + 1 + first.len())?;
        rest = after;
    }
    let (user, password) = rest.split_once(':')?;
    let is_whole = ![registry, user, password].contains(&"");
    is_whole.then(|| (registry.to_owned(), format!("{user}:{password}")))
}

fn parse(text: &str) -> Result<Value, CommandError> {
    let foreign = || {
        CommandError::new(
            Kind::Diagnostics,
            "no file of logins: expected {\"auths\": {\"REGISTRY\": {\"auth\": …}}}",
        )
    };
    if text.len() > BYTES_MAX {
        return Err(foreign());
    }
    let mut config: Value =
        serde_json::from_str(text).map_err(|error| foreign().caused_by(error))?;
    auths(&mut config).ok_or_else(foreign)?;
    Ok(config)
}

fn auths(config: &mut Value) -> Option<&mut Map<String, Value>> {
    config.as_object_mut()?.get_mut("auths")?.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_added_to_those_that_are_there() {
        let first = with_logins(None, "ghcr.io:anna:a:b\n# comment\n\n").unwrap();
        let both = with_logins(Some(&first), "localhost:5000:bob:pw\n").unwrap();
        let config: Value = serde_json::from_str(&both).unwrap();
        let auth = |registry: &str| {
            config["auths"][registry]["auth"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(STANDARD.decode(auth("ghcr.io")).unwrap(), b"anna:a:b");
        assert_eq!(STANDARD.decode(auth("localhost:5000")).unwrap(), b"bob:pw");
    }

    #[test]
    fn a_line_that_is_no_login_is_named_by_its_number_only() {
        for line in [
            "s3cret",
            "ghcr.io:anna",
            "ghcr.io::pw",
            ":anna:pw",
            "ghcr.io:anna:",
        ] {
            let error = with_logins(None, &format!("\n{line}\n"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("line 2") && !error.contains(line), "{error}");
        }
        with_logins(Some("[]"), "ghcr.io:anna:pw").unwrap_err();
    }
}
