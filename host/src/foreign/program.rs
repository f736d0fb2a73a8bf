//! Which file is a foreign pod, and what a person does with one: executes it. It is the program that obeys
//! the Pod API, so nothing stands between it and the words of the person.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use hostfiles::ReleaseDir;
use podspec::{FIRST_LINE, begins_as_program};

use super::memory::Memory;

/// The program that is the pod of this release, if it is no compiled pod; or why it cannot be called. One that
/// was driven stays a foreign pod when its program is damaged or taken away: its status is still its own.
pub(crate) fn program_of(release: &ReleaseDir) -> Option<Result<(), String>> {
    let path = release.pod();
    if is_program(&path) {
        return Some(executable(&path));
    }
    Memory::is_in(&release.run_dir()).then(|| {
        Err(format!(
            "the program of this pod is gone or damaged, so no verb can be called: put {} back, or bring it with `sns cluster sync`",
            path.display()
        ))
    })
}

/// True for a file that is a program and no compiled pod.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    // Anything else than a file could hold up its reader.
    fs::metadata(path).is_ok_and(|meta| meta.is_file())
        && head(path).is_ok_and(|head| begins_as_program(&head))
}

fn executable(path: &Path) -> Result<(), String> {
    let mode = fs::metadata(path).map(|meta| meta.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o111 != 0 => Ok(()),
        Ok(_) => Err(format!(
            "the program of this pod is not executable: chmod +x {}",
            path.display()
        )),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let length = FIRST_LINE.len() as u64;
    File::open(path)?.take(length).read_to_end(&mut head)?;
    Ok(head)
}

/// Becomes the program, with these words, in the directory of its release. Returns only when it cannot.
pub fn become_program(path: &Path, words: &[std::ffi::OsString]) -> io::Error {
    if let Err(problem) = executable(path) {
        return io::Error::other(problem);
    }
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let directory = path
        .parent()
        .map_or_else(|| PathBuf::from("/"), Path::to_owned);
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where a person's process becomes the program that is the pod"
    )]
    let mut command = std::process::Command::new(&path);
    command.args(words).current_dir(directory).exec()
}
