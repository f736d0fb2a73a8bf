//! Which file is a foreign pod, and what a person does with one: executes it. It is the program that obeys
//! the Pod API, so nothing stands between it and the words of the person.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use podspec::{FIRST_LINE, begins_as_program};

/// True for an executable program that is no compiled pod. A file that is damaged or not executable is
/// neither.
#[must_use]
pub fn is_foreign(path: &Path) -> bool {
    let is_executable =
        |meta: fs::Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
    fs::metadata(path).is_ok_and(is_executable)
        && head(path).is_ok_and(|head| begins_as_program(&head))
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let length = FIRST_LINE.len() as u64;
    File::open(path)?.take(length).read_to_end(&mut head)?;
    Ok(head)
}

/// Becomes the program, with these words, in the directory of its release. Returns only when it cannot.
pub fn become_program(path: &Path, words: &[std::ffi::OsString]) -> io::Error {
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
