//! Who holds a port that a pod wants, in words for people. It is looked up only after something has failed,
//! and what is not known is said so: nothing is decided by it.

mod holder;
mod table;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use hostfiles::{HostHome, ReleaseDir};
use names::ReleaseId;
use podspec::CompiledPod;

use crate::scan::read_pod;
use holder::Holder;

/// Programs that listen for containers: which pod they serve is not in their name.
const LISTENERS: [&str; 4] = ["conmon", "rootlessport", "slirp4netns", "pasta"];

/// The first of these ports that somebody holds, as in `port 127.0.0.1:8080 is taken by haproxy (process
/// 4711)`; none when all are free now. `own` is the release that wants them.
pub(crate) fn taken(
    wanted: &[SocketAddr],
    own: &ReleaseId,
    release: &ReleaseDir,
) -> Option<String> {
    let address = wanted.iter().find(|address| is_in_use(**address))?;
    let holder = Holder::of(Path::new("/proc"), *address);
    let by = match &holder {
        Holder::Process { name, .. } if is_listener(name) => {
            let served = pod_with(address.port(), own, release).map(|id| format!("pod {id}"));
            served.map_or_else(|| holder.to_string(), |pod| format!("{pod}, {holder}"))
        }
        Holder::Unit { id, unit, .. } if id == own => format!("unit {unit} of the same pod"),
        _ => holder.to_string(),
    };
    Some(format!("port {address} is taken by {by}"))
}

/// The kernel knows best, wildcard addresses included.
fn is_in_use(address: SocketAddr) -> bool {
    let tried = TcpListener::bind(address);
    tried.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

fn is_listener(name: &str) -> bool {
    LISTENERS.iter().any(|known| name.starts_with(known))
}

/// The other pod of this host home that declares the port and is in service; none without a host home.
fn pod_with(port: u16, own: &ReleaseId, release: &ReleaseDir) -> Option<ReleaseId> {
    let home = HostHome::new(release.path().ancestors().nth(4)?);
    if home.release(own).path() != release.path() {
        return None;
    }
    let ids = home.releases().ok()?.into_iter();
    ids.filter(|id| id != own).find(|id| {
        let in_service = home.release(id).run_dir().join("pod");
        read_pod(id, &in_service).is_ok_and(|pod| declares(&pod, port))
    })
}

fn declares(pod: &CompiledPod, port: u16) -> bool {
    let exposes = pod.units.iter().flat_map(|unit| &unit.expose);
    exposes
        .filter_map(|expose| expose.host_port)
        .any(|declared| declared.get() == port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_held_names_this_process_and_a_free_one_nobody() {
        let own = "web:1.0.0".parse().unwrap();
        let release = ReleaseDir::new("/nowhere/pods/web/release/1.0.0");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let said = taken(&[address], &own, &release).unwrap();
        let begin = format!("port {address} is taken by ");
        let end = format!(" (process {})", std::process::id());
        assert!(said.starts_with(&begin) && said.ends_with(&end), "{said}");
        drop(listener);
        assert_eq!(taken(&[address], &own, &release), None);
        assert_eq!(taken(&[], &own, &release), None);
    }
}
