//! Who should be able to read the encrypted configs of a pod: the hosts that it is attached to, and all operators.

use names::PodName;
use seal::{Audience, Reader, Recipient, Role};

use super::Operators;
use crate::command_error::{CommandError, Kind};
use crate::project::{Cluster, Host};

/// All of them. A host that is disabled may have no key yet; every other one needs it.
pub(crate) fn audience(cluster: &Cluster<'_>, pod: &PodName) -> Result<Audience, CommandError> {
    let mut audience: Audience = Operators::read(cluster)?
        .readers()
        .iter()
        .cloned()
        .collect();
    for host in cluster.hosts()? {
        if !host.has(pod) {
            continue;
        }
        match recipient(cluster, &host)? {
            Some(recipient) => audience.extend(reader(&host, recipient)?),
            None if host.is_disabled() => {}
            None => return Err(no_key(&host)),
        }
    }
    Ok(audience)
}

/// The public key of a host as the project has it.
pub(crate) fn recipient(
    cluster: &Cluster<'_>,
    host: &Host,
) -> Result<Option<Recipient>, CommandError> {
    let path = host.dir.age_recipient();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(CommandError::files(
                format!("could not read {}", path.display()),
                error,
            ));
        }
    };
    let lines = text.lines().map(str::trim);
    let mut keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(CommandError::new(
            Kind::Diagnostics,
            format!("{} is not one public key", cluster.shown(&path)),
        )
        .hint(format!("bring it back with `sns host init {}`", host.name)));
    };
    key.parse().map(Some).map_err(|error| {
        let place = cluster.shown(&path);
        CommandError::new(Kind::Diagnostics, format!("could not understand {place}"))
            .caused_by(error)
    })
}

fn reader(host: &Host, recipient: Recipient) -> Result<Option<Reader>, CommandError> {
    let reader = Reader::new(Role::Host, host.name.as_str(), recipient);
    reader
        .map(Some)
        .map_err(|error| CommandError::mistake(error.to_string()))
}

pub(super) fn no_key(host: &Host) -> CommandError {
    CommandError::mistake(format!(
        "host {} has no key yet, so nothing can be encrypted to it",
        host.name
    ))
    .hint(format!(
        "let it make one with `sns host init {}`",
        host.name
    ))
}
