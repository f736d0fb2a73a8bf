//! `pod.yaml` in, compiled pod or a list of problems with places out.
//!
//! The way of a text: [`header()`] names the kind → the caller finds the kind's [`Shape`] →
//! [`preprocess()`] replaces variables → [`parse`] reads everything that all kinds share and gives a
//! [`Draft`] → the kind's plugin resolves its [`Draft::section`] → [`Draft::resolve`] gives the
//! [`CompiledPod`]. This crate opens no file, knows no kind and prints nothing.

mod compiled;
mod diagnostic;
mod draft;
mod encrypted;
mod header;
mod preprocess;
mod program;
mod read;
mod reader;
mod shape;
mod spelling;
mod tree;

pub use compiled::{
    Check, CompiledError, CompiledPod, Expose, FIRST_LINE, FORMAT, HttpCheck, IngressAction,
    IngressRule, Limits, Mount, PluginRef, Probe, Protocol, ProtocolError, ReloadSignal, Restart,
    RestartError, STOP_GRACE_SECONDS, Shared, StartupCheck, StartupProbe, TcpCheck, Unit, Volume,
    VolumeKind,
};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use draft::{Draft, parse};
pub use encrypted::encrypted_configs;
pub use header::{Header, header, similar_kind};
pub use preprocess::{Preprocessed, preprocess, variables};
pub use program::begins_as_program;
pub use shape::Shape;

/// A pod.yaml that shows every key, each with its meaning: the manual's chapter about the format.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The same for a pod of containers, with what is particular to those.
pub const EXAMPLE_CONTAINERS: &str = include_str!("example_containers.yaml");
