//! The contract as Rust, generated from `wit/`.
#![expect(
    unsafe_code,
    unused_qualifications,
    reason = "generated code crosses the sandbox boundary"
)]
#![allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    pub_export_macro: true,
});
