//! Where the compiler of the plugins comes from.
//!
//! rustup's target where it is installed or can be fetched; otherwise Debian's `rustc-web` together
//! with `rust-web-src`, a compiler with its exact standard-library source, so that Cargo builds `std`
//! itself. Both make the same kind of module.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::packages;
use crate::program::{Program, is_installed};
use crate::ui;

/// The guest's target: without WASI, so a plugin provably holds no ambient authority.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// How long rustup may try to fetch the target; without a network it may hang for ever.
const FETCH_SECONDS: &str = "90";

/// Debian's compiler, which never lies first on a rustup user's search path.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// What `--toolchain` can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Source {
    /// The target of the toolchain that runs cargo, fetched by rustup when missing.
    Rustup,
    /// Debian's `rustc-web` and `rust-web-src`.
    Debian,
}

/// A compiler that is ready to build plugins.
#[derive(Debug)]
pub(crate) enum Toolchain {
    /// The compiler of the native programs knows the target.
    Installed,
    /// Debian's compiler, with the linker that lies in the native toolchain.
    Debian {
        /// Path of `rust-lld`.
        linker: std::path::PathBuf,
    },
}

impl Toolchain {
    /// Finds or installs a compiler; what has been tried stands in the error.
    pub(crate) fn choose(asked: Option<Source>) -> Result<Self> {
        match asked {
            Some(Source::Rustup) => rustup(),
            Some(Source::Debian) => debian(),
            None => rustup().or_else(|reason| {
                ui::say(&format!("plugins: {reason:#}; trying Debian's compiler"));
                debian()
            }),
        }
    }

    /// A few words for the person who waits.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Installed => "the installed wasm32-unknown-unknown target",
            Self::Debian { .. } => "Debian's rustc-web and rust-web-src (building std)",
        }
    }

    /// Adds what this compiler needs to a `cargo build`.
    pub(crate) fn prepare(&self, cargo: Program) -> Program {
        let cargo = cargo
            .without("RUSTC_WRAPPER")
            .without("RUSTC_WORKSPACE_WRAPPER")
            .without("RUSTFLAGS")
            .without("CARGO_ENCODED_RUSTFLAGS");
        match self {
            Self::Installed => cargo,
            Self::Debian { linker } => cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker),
        }
    }
}

fn rustup() -> Result<Toolchain> {
    if has_target() {
        return Ok(Toolchain::Installed);
    }
    if !is_installed("rustup") {
        bail!("the compiler has no {TARGET} target and rustup is not installed");
    }
    ui::say(&format!(
        "plugins: fetching the {TARGET} target with rustup"
    ));
    let fetch = Program::new("timeout").args([FETCH_SECONDS, "rustup", "target", "add", TARGET]);
    fetch.run().context("rustup cannot fetch the target")?;
    if !has_target() {
        bail!("rustup has fetched {TARGET}, but not for the compiler in use");
    }
    Ok(Toolchain::Installed)
}

/// True if the native compiler has a standard library for the target.
fn has_target() -> bool {
    let libraries = native_rustc()
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    libraries.is_ok_and(|path| Path::new(path.trim()).is_dir())
}

fn debian() -> Result<Toolchain> {
    packages::install(&packages::GUEST_COMPILER)?;
    let sysroot = native_rustc().args(["--print", "sysroot"]).output()?;
    let host = native_rustc().args(["--print", "host-tuple"]).output()?;
    let linker = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host.trim())
        .join("bin/rust-lld");
    if !linker.is_file() {
        bail!(
            "the Rust toolchain has no linker for WebAssembly: {} is missing",
            linker.display()
        );
    }
    Ok(Toolchain::Debian { linker })
}

fn native_rustc() -> Program {
    Program::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}
