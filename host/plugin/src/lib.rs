//! Runtime plugins: WebAssembly components that say what a kind of pod wants to look at, what that
//! means and what should be done.
//!
//! This crate holds the one wasmtime engine. It reads a plugin's manifest by parsing alone, loads the
//! component with the grants of its host, gives every call a fresh sandbox with limits, checks each step
//! against the grants while the plugin records it, and hands the recorded steps back. It runs no step:
//! it knows no socket and no pod directory. Its only effects are the cache of translated code and the
//! process that translates.

mod bindings;
mod cache;
mod call;
mod compile;
mod content;
mod declared;
mod engine;
mod fault;
mod grants;
mod helper;
mod limits;
mod manifest;
mod plugin;
mod recorder;
mod report;
mod said;
mod step;
mod view;

pub use cache::CacheError;
pub use compile::{CompileInput, CompileOutput, PluginDiagnostic};
pub use content::{Content, Part};
pub use engine::{Engine, EngineError, LoadError};
pub use fault::{CallError, FaultClass};
pub use grants::{DirectoryGrant, Grants, ProgramGrant, SecretGrant, Usage, UsageError};
pub use helper::{Helper, HelperError, HelperLimits, translate};
pub use limits::Limits;
pub use manifest::{Digest, DigestError, Manifest, ManifestError};
pub use plugin::{Planned, Plugin};
pub use report::{Report, UnitReport};
pub use step::{Step, StepOptions};
pub use view::{Answer, Kept, Operation, PodView, UnitTruth, View};

/// The version of the contract (`wit/`) that this host speaks.
pub const CONTRACT: &str = "0.1.0";
