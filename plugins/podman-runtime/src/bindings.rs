//! The contract as Rust, generated from `wit/`.
#![allow(
    missing_docs,
    dead_code,
    unused_macros,
    unused_imports,
    unsafe_code,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated code, which crosses the boundary of the sandbox"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
});

// The names of the exports mean something to the encoder of components only; a native linker refuses
// them.
#[cfg(target_family = "wasm")]
use crate::PodmanRuntime;
#[cfg(target_family = "wasm")]
export!(PodmanRuntime with_types_in self);
