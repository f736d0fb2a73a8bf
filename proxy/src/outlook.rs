//! What a proxy would do with a proxy.conf and the files that it names, without doing it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::connection::Entrance;
use crate::doors::Layout;
use crate::event::{Event, FileNews, Reporter};
use crate::inputs::{Inputs, Paths};
use crate::proxy::{ConfigError, read_config};

/// What would follow from a proxy.conf and the files that it names, as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Where other proxies would be listened to; `None` while no file says an address.
    pub relay: Option<SocketAddr>,
    /// The cluster ports that would be listened on.
    pub cluster_ports: BTreeSet<SocketAddr>,
    /// Cluster ports that exist, and that `CLUSTERPORTS` bars.
    pub barred: BTreeSet<u16>,
    /// The proxies of other hosts.
    pub peers: Vec<SocketAddr>,
    /// Where metrics would be shown.
    pub metrics_socket: Option<PathBuf>,
    /// Files that are not there, which is fine: they are waited for.
    pub missing: Vec<PathBuf>,
    /// Files that cannot be read or understood, each as a sentence: what they said before would stay in force.
    pub refused: Vec<String>,
}

impl Outlook {
    /// Looks at everything once.
    ///
    /// # Errors
    /// The proxy.conf cannot be read, or is wrong somewhere. Other files that are wrong are in
    /// [`refused`](Self::refused), all of them.
    pub fn of(conf: &Path) -> Result<Self, ConfigError> {
        let config = read_config(conf)?;
        let found = Arc::new(Mutex::new(Self::default()));
        let noted = Arc::clone(&found);
        let report: Reporter = Arc::new(move |event: &Event| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Event::File(path, FileNews::Missing) => noted.missing.push(path.clone()),
                Event::File(_, FileNews::Refused(why)) => noted.refused.push(why.clone()),
                _ => {}
            }
        });
        let mut inputs = Inputs::default();
        let paths = Paths::of(conf, &config);
        inputs.refresh(&paths, &report);
        let layout = Layout::new(&config, &inputs);
        let mut outlook = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (at, entrance) in layout.doors {
            match entrance {
                Entrance::Relay => outlook.relay = Some(at),
                Entrance::Cluster(_) => drop(outlook.cluster_ports.insert(at)),
            }
        }
        outlook.barred = layout.barred;
        outlook.peers = layout.peers;
        outlook.metrics_socket = paths.metrics;
        Ok(outlook)
    }
}
