//! Lists the special pods (`pods/` of the repository), so that `sns` carries them and can attach them
//! without a git link.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let pods = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../pods");
    println!("cargo::rerun-if-changed={}", pods.display());
    let mut files = Vec::new();
    if pods.is_dir() {
        collect(&pods, &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        if let (Ok(path), Ok(real)) = (file.strip_prefix(&pods), file.canonicalize()) {
            let _ = writeln!(
                list,
                "    ({:?}, include_bytes!({:?})),",
                path.display().to_string(),
                real.display().to_string()
            );
        }
    }
    list.push(']');
    let target = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("special_pods.rs");
    #[expect(
        clippy::disallowed_methods,
        reason = "a build script writes its output directory, which nobody reads meanwhile"
    )]
    fs::write(target, list)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
