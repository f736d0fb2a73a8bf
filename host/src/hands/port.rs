//! A host port that somebody else holds, after something has failed: told in front of what the failed
//! program said, because it is the reason.

use std::net::SocketAddr;

use names::UnitName;
use podspec::{CompiledPod, Unit};
use tokio::task::spawn_blocking;

use super::Hands;
use crate::life::Trouble;
use crate::port::taken;
use crate::scan::read_pod;

/// What programs say, in capitals and not, of a port that is not free (`EADDRINUSE`).
const IN_USE: &str = "address already in use";

impl Hands {
    /// The port of a unit that has ended which somebody holds: nothing of the unit is left that could.
    pub(super) async fn port_taken_from(&self, unit: &UnitName) -> Option<String> {
        let spec = read_pod(self.id(), &self.release().run_dir().join("pod")).ok()?;
        self.taken(self.ports(spec.unit(unit)?)).await
    }

    /// Some kinds publish the ports of a pod themselves, all before its first unit starts. Only when the
    /// port is what they complain of: those of a pod that is half there are held by the pod itself.
    pub(super) async fn name_holder(&self, spec: &CompiledPod, trouble: &mut Trouble) {
        if !trouble.message.to_lowercase().contains(IN_USE) {
            return;
        }
        let wanted = spec
            .units
            .iter()
            .flat_map(|unit| self.ports(unit))
            .collect();
        if let Some(line) = self.taken(wanted).await {
            trouble.message = format!("{line}: {}", trouble.message);
        }
    }

    fn ports(&self, unit: &Unit) -> Vec<SocketAddr> {
        let own = self.address_of(&unit.name);
        let ports = unit.expose.iter().filter_map(|expose| {
            let ip = expose.host_interface.unwrap_or(own);
            Some(SocketAddr::new(ip, expose.host_port?.get()))
        });
        ports.collect()
    }

    /// It reads all of /proc.
    async fn taken(&self, wanted: Vec<SocketAddr>) -> Option<String> {
        let (id, release) = (self.id().clone(), self.release().clone());
        let looked = spawn_blocking(move || taken(&wanted, &id, &release)).await;
        looked.unwrap_or_default()
    }
}
