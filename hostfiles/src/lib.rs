//! Every file that two programs share: where it lies, how it is written and read, how it is replaced.
//!
//! Files are the wire between all parts of a cluster, so each format has one home here, one writer and
//! one reader. A reader takes a whole, plausible file or refuses it with a message that names the file
//! and the line; a writer goes through [`replace()`], so nobody ever sees half a file. This crate knows
//! neither what a pod is made of nor what any program does with a file. `docs/HOST_FILES.md` lists all.

mod cluster_id;
mod cluster_ports;
mod cluster_vars;
mod collection;
mod commit_chain;
mod config_checksum;
mod endpoints;
mod format;
mod host_env;
mod host_home;
mod host_id;
mod host_state;
mod ingress;
mod key_lines;
mod peers;
mod plugins_yaml;
mod pod_action;
mod pod_problem;
mod pod_state;
mod pod_status;
mod port_mappings;
mod programs;
mod project;
mod release_dir;
mod replace;
mod routers;
mod ssh_host_keys;

pub use cluster_id::ClusterId;
pub use cluster_ports::ClusterPorts;
pub use cluster_vars::ClusterVars;
pub use collection::Collection;
pub use commit_chain::{COMMITS_MAX, CommitChain};
pub use config_checksum::ConfigChecksum;
pub use endpoints::{Endpoint, Endpoints, Inside};
pub use format::{
    FILE_BYTES_MAX, Format, FormatError, ReadError, present, read, read_if_present, read_with_text,
    write,
};
pub use host_env::{HostAddress, HostEnv};
pub use host_home::HostHome;
pub use host_id::{HostId, HostIdError};
pub use host_state::HostState;
pub use ingress::{IngressAction, IngressBlock, IngressConf, IngressProtocol};
pub use peers::{NotAPeerKey, PEER_KEYS_MAX, Peer, PeerKey, Peers, PublicKeys};
pub use plugins_yaml::{PluginEntry, PluginsYaml};
pub use pod_action::{Placed, PodAction, PodVerb};
pub use pod_problem::PodProblem;
pub use pod_status::{ActionStatus, PodPhase, PodStatus, UnitStatus};
pub use port_mappings::{PortMapping, PortMappings};
pub use programs::Programs;
pub use project::{HostDir, NotInProject, Project};
pub use release_dir::ReleaseDir;
pub use replace::{ReplaceError, ReplaceStep, remove_leftovers, replace};
pub use routers::Routers;
pub use ssh_host_keys::{NotAnSshHostKey, SSH_HOST_KEYS_MAX, SshHostKey, SshHostKeys};
