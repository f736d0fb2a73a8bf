//! The daemon from outside: real processes, the real plugin for native pods, real files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, and prepares its own files and programs"
)]

mod adoption;
mod by_hand;
mod by_hand_alone;
mod chaos;
mod detached;
mod foreign;
mod groups;
mod host;
mod hostile;
mod kept;
mod lifecycle;
mod limits;
mod looks;
mod machine;
mod mock;
mod overreach;
mod plugin_faults;
mod plugins;
mod probes;
mod reach;
mod refusals;
mod secrets;
mod steps;
mod survivors;
mod translation;
mod verbs;
