//! `cargo xtask plugins`: builds every crate under `plugins/` and lays the components where `sns` and
//! `simplenetesd` look for them: `plugins/NAME-VERSION.wasm` beside the programs. Those under
//! `testkit/plugins/` go to `test-plugins/`, where only tests look.
//!
//! A plugin is compiled for `wasm32-unknown-unknown`, so it imports nothing but the contract, is
//! wrapped as a component, and carries its `plugin.yaml` in a custom section.

mod component;
mod toolchain;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::plugins::toolchain::Toolchain;
use crate::program::Program;
use crate::ui;
use crate::workspace::{Package, Profile, Workspace};

/// Options of `cargo xtask plugins`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Where the guest compiler comes from; without it, whatever works on this machine.
    #[arg(long, value_enum)]
    pub(crate) toolchain: Option<toolchain::Source>,
    /// Beside which programs the plugins are laid; without it, beside all that have been built.
    #[arg(long, value_enum)]
    pub(crate) profile: Option<Profile>,
}

/// Builds all plugins and returns the files of the last profile written.
pub(crate) fn build(workspace: &Workspace, options: &Options) -> Result<()> {
    let packages = plugin_packages(workspace);
    if packages.is_empty() {
        bail!("no package lies in plugins/; is the workspace complete?");
    }
    let toolchain = Toolchain::choose(options.toolchain)?;
    ui::say(&format!("plugins: compiling with {}", toolchain.describe()));
    compile(workspace, &toolchain, &packages)?;
    for package in packages {
        let bytes = component(workspace, package)?;
        for profile in profiles(workspace, options.profile) {
            let folder = workspace.programs(profile).join(destination(package));
            place(
                &folder,
                &format!("{}-{}.wasm", package.name, package.version),
                &bytes,
            )?;
        }
    }
    Ok(())
}

fn plugin_packages(workspace: &Workspace) -> Vec<&Package> {
    workspace
        .packages
        .iter()
        .filter(|package| {
            package.folder.starts_with("plugins") || package.folder.starts_with("testkit/plugins")
        })
        // What plugins share is none itself.
        .filter(|package| {
            workspace
                .root
                .join(&package.folder)
                .join("plugin.yaml")
                .exists()
        })
        .collect()
}

/// The folder beside the programs in which a component lies.
fn destination(package: &Package) -> &'static str {
    if package.folder.starts_with("plugins") {
        "plugins"
    } else {
        "test-plugins"
    }
}

/// One cargo call for all plugins, in a target directory of their own: the flags differ from those of
/// the native programs and would make Cargo rebuild everything.
fn compile(workspace: &Workspace, toolchain: &Toolchain, packages: &[&Package]) -> Result<()> {
    let mut cargo = Program::cargo()
        .directory(&workspace.root)
        .args(["build", "--lib", "--release", "--target", toolchain::TARGET])
        .arg("--target-dir")
        .arg(target_folder(workspace));
    for package in packages {
        cargo = cargo.args(["--package", &package.name]);
    }
    for (name, value) in [
        ("OPT_LEVEL", "s"),
        ("LTO", "true"),
        ("STRIP", "true"),
        ("PANIC", "abort"),
        ("CODEGEN_UNITS", "1"),
        ("DEBUG", "false"),
    ] {
        cargo = cargo.env(&format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    toolchain.prepare(cargo).run()
}

fn target_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("wasm")
}

/// The finished component of one package.
fn component(workspace: &Workspace, package: &Package) -> Result<Vec<u8>> {
    let folder = workspace.root.join(&package.folder);
    let manifest = read(&folder.join("plugin.yaml"))?;
    let manifest = String::from_utf8(manifest).context("plugin.yaml is not UTF-8")?;
    component::check_manifest(&manifest, &package.name, &package.version)
        .with_context(|| format!("{}/plugin.yaml does not fit", package.folder.display()))?;
    let module = target_folder(workspace)
        .join(toolchain::TARGET)
        .join("release")
        .join(format!("{}.wasm", package.name.replace('-', "_")));
    component::encode(&read(&module)?, &manifest)
        .with_context(|| format!("cannot make a component of {}", module.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The profiles beside whose programs the plugins go. A directory that does not exist yet is not made
/// for a profile that nobody builds; the debug one always is.
fn profiles(workspace: &Workspace, asked: Option<Profile>) -> Vec<Profile> {
    if let Some(profile) = asked {
        return vec![profile];
    }
    let exists = workspace.programs(Profile::Release).is_dir();
    if exists {
        vec![Profile::Debug, Profile::Release]
    } else {
        vec![Profile::Debug]
    }
}

/// Writes beside, then renames, and only if different: a running test never sees half a component.
fn place(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    if std::fs::read(&path).is_ok_and(|present| present == bytes) {
        ui::say(&format!("plugins: {} is up to date", path.display()));
        return Ok(());
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the directory {}", folder.display()))?;
    let mut beside = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    beside
        .write_all(bytes)
        .and_then(|()| beside.as_file().sync_all())?;
    set_readable(beside.path())?;
    beside
        .persist(&path)
        .with_context(|| format!("cannot replace {}", path.display()))?;
    ui::say(&format!(
        "plugins: wrote {} ({} KB)",
        path.display(),
        bytes.len() / 1024
    ));
    Ok(())
}

/// Temporary files are private; a plugin is read by the daemon of any user.
fn set_readable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_component_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        place(folder.path(), "a.wasm", b"one").unwrap();
        let path = folder.path().join("a.wasm");
        let before = std::fs::metadata(&path).unwrap();
        place(folder.path(), "a.wasm", b"one").unwrap();
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!(inode(&before), inode(&after));
        place(folder.path(), "a.wasm", b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left beside"
        );
    }

    fn inode(metadata: &std::fs::Metadata) -> u64 {
        std::os::unix::fs::MetadataExt::ino(metadata)
    }
}
