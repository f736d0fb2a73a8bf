//! Where the built programs of this workspace lie.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The path of one of our programs, built with the profile of the calling test.
///
/// # Errors
/// It has not been built: the tests of a crate do not build another crate's programs.
pub fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("cannot tell where this test lies")?;
    let path = beside(&test).join(name);
    if !path.is_file() {
        bail!(
            "{} is missing; build it with `cargo build --workspace`",
            path.display()
        );
    }
    Ok(path)
}

/// Test binaries lie in `deps/`, one below the programs.
fn beside(executable: &Path) -> &Path {
    let folder = executable.parent().unwrap_or(executable);
    match folder.parent() {
        Some(above) if folder.ends_with("deps") => above,
        _ => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_lie_one_above_the_tests() {
        for test in ["/t/debug/deps/main-0a1b", "/t/debug/xtask"] {
            assert_eq!(beside(Path::new(test)), Path::new("/t/debug"));
        }
    }

    #[test]
    fn a_missing_program_is_an_error_with_the_way_out() {
        let error = program("no-such-program").unwrap_err().to_string();
        assert!(
            error.ends_with("build it with `cargo build --workspace`"),
            "{error}"
        );
    }
}
