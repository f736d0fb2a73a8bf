//! The public keys of the proxies of the cluster: by these they know each other.

use std::collections::BTreeMap;

use hostfiles::{PeerKey, PublicKeys, read_if_present};
use names::HostName;

use crate::command_error::CommandError;
use crate::project::Host;

/// Those of every host that has some.
pub(super) fn keys(hosts: &[Host]) -> Result<BTreeMap<HostName, Vec<PeerKey>>, CommandError> {
    let mut keys = BTreeMap::new();
    for host in hosts {
        let read: Option<PublicKeys> = read_if_present(&host.dir.proxy_keys())?;
        keys.insert(host.name.clone(), read.unwrap_or_default().0);
    }
    Ok(keys)
}
