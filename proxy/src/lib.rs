//! The cluster proxy: a pod reaches any other pod of its cluster at `proxy:clusterPort`.
//!
//! One proxy runs on every host. A client's connection goes to a backend on the same host or, if there
//! is none, through the proxy of another host to a backend there. Start with [`Proxy`]; the parts that
//! only think are public as well. The library never prints and keeps no state of the process.

mod asked;
pub mod config;
mod connection;
mod conntrack;
mod dial;
mod doors;
pub mod event;
mod flow;
mod frozen;
pub mod header;
mod health;
mod inputs;
mod inside;
mod keeper;
mod lines;
mod listen;
mod metrics;
mod mouth;
pub mod opening;
mod outlook;
mod pair;
mod patience;
pub mod peers;
mod pipes;
mod proxy;
mod quota;
pub mod ranges;
mod records;
pub mod request;
pub mod route;
mod socket;
mod streams;
pub mod table;
mod tools;
mod watch;
mod worker;
mod workers;

pub use config::Config;
pub use event::{Event, FileNews, Level, MetricsNews, PeerNews, PortNews, Reporter, Warning};
pub use frozen::{DOORS_FORMAT, FORMAT, Frozen};
pub use metrics::{SocketPath, Upgrade};
pub use outlook::Outlook;
pub use patience::Patience;
pub use proxy::{ConfigError, Proxy, StartError, Status, read_config};
