//! The public keys of a host: made there, written down in its folder of the project.
//!
//! By one it opens its encrypted configs, by the other its proxy proves that it belongs to the cluster. The private
//! halves never leave the host.

use hostfiles::{Format as _, PeerKey, PublicKeys};
use seal::Recipient;
use simplenetes_sync::wire::HostKeys;

use crate::command_error::{CommandError, Kind};
use crate::project::{Cluster, Host};
use crate::secrets::recipient;

/// Writes down what the host told. Gives true when the project knew another key for encrypted configs.
pub(crate) fn publish(
    cluster: &Cluster<'_>,
    host: &Host,
    keys: &HostKeys,
) -> Result<bool, CommandError> {
    let age: Recipient = keys
        .age_recipient
        .parse()
        .map_err(|error| told_nonsense(host).caused_by(error))?;
    let proxy: Result<Vec<PeerKey>, _> = keys.proxy.iter().map(|key| key.parse()).collect();
    let proxy = PublicKeys(proxy.map_err(|error| told_nonsense(host).caused_by(error))?);
    let text = format!("# proxy of host {}\n{}", host.name, proxy.to_text());
    hostfiles::replace(&host.dir.proxy_keys(), text.as_bytes(), 0o644)?;
    let known = recipient(cluster, host).unwrap_or_default();
    if known.as_ref() == Some(&age) {
        return Ok(false);
    }
    let text = format!("# host {}\n{age}\n", host.name);
    hostfiles::replace(&host.dir.age_recipient(), text.as_bytes(), 0o644)?;
    Ok(known.is_some())
}

fn told_nonsense(host: &Host) -> CommandError {
    CommandError::new(
        Kind::Internal,
        format!("host {} told keys that are none", host.name),
    )
}
