//! `sns` from outside: what a person types, and what stdout, stderr and the exit status say. One module per
//! command; the environment is cleared and folders, times and digests are redacted.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets the unexpected should stop at once"
)]

mod bench;
mod by_hand;
mod cluster_create;
mod cluster_sync;
mod cluster_sync_checks;
mod completions;
mod containers;
mod executable;
mod help;
mod host;
mod host_remove;
mod host_setup;
mod host_state;
mod plugin;
mod pod;
mod pod_compile;
mod pod_compile_again;
mod pod_mistakes;
mod program;
mod proxy_keys;
mod secret;
mod ssh;
mod ssh_sync;
mod ssh_verbs;
mod standalone;
mod status;
mod sync_faults;
mod sync_hostile;
mod typical_cluster;
