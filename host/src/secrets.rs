//! The secrets of a host: files below `secrets/` of the host home, which only their owner may read.
//!
//! A secret is read when a step is run that names it, and given to the program or file that the step is about.
//! It is in no plan, no record, no log and no error; what programs write is searched for it (`redact.rs`).

mod redact;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hostfiles::HostHome;
use names::SecretName;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::process::geteuid;

pub use redact::Redaction;

/// Less could not be found in what programs write without hiding half of it. Blanks around it do not count: they
/// are not looked for.
const BYTES_MIN: u64 = redact::LENGTH_MIN as u64;
/// A chain of certificates with its key fits many times.
const BYTES_MAX: u64 = 65_536;
/// So many secrets are looked for in what programs write. Where there are more, none is handed out: it might not be
/// among them.
const SECRETS_MAX: usize = 256;

/// Why a secret is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The pod belongs to no host.
    #[error("a pod that lies on no host has no secrets: secrets are files of a host home")]
    NoHome,
    /// There is nothing.
    #[error("there is no {}: put the secret there, and let only its owner read it (chmod 600)", .0.display())]
    Missing(PathBuf),
    /// The file system refuses; also a link in the place of file or directory ends here.
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is not what a secret should be.
    #[error("{} {what}", .path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: &'static str,
    },
    /// Its length.
    #[error(
        "{} holds {bytes} bytes: a secret has {BYTES_MIN}, without the blanks and line breaks around it, to {BYTES_MAX}",
        .path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// How long it is; without what surrounds it when it is too short.
        bytes: u64,
    },
    /// What programs write cannot be searched for all of them.
    #[error(
        "{} holds more than {SECRETS_MAX} files, and what programs write is searched for no more: take out those that are not used",
        .0.display()
    )]
    TooMany(PathBuf),
    /// It is needed where only text can be.
    #[error("it is no text, or holds a NUL: it can be fed to a program or written to a file only")]
    NoText,
}

/// What a secret holds. Its debug form does not say it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// What the file holds, byte for byte.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As part of an argument or a variable: without the line break that an editor leaves at its end.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn text(&self) -> Result<&str, SecretError> {
        let text = std::str::from_utf8(&self.0).map_err(|_| SecretError::NoText)?;
        if text.contains('\0') {
            return Err(SecretError::NoText);
        }
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(text.strip_suffix('\r').unwrap_or(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the secrets of a host lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    directory: Option<PathBuf>,
}

impl Secrets {
    /// Those of this host.
    #[must_use]
    pub fn of(home: &HostHome) -> Self {
        Self {
            directory: Some(home.secrets_dir()),
        }
    }

    /// Reads one secret.
    ///
    /// # Errors
    /// It is not there, or others than its owner could read or replace it, or there are too many.
    pub fn read(&self, name: &SecretName) -> Result<Secret, SecretError> {
        let secret = self.read_one(name)?;
        match &self.directory {
            Some(directory) if self.names().nth(SECRETS_MAX).is_some() => {
                Err(SecretError::TooMany(directory.clone()))
            }
            _ => Ok(secret),
        }
    }

    fn read_one(&self, name: &SecretName) -> Result<Secret, SecretError> {
        let directory = self.directory.as_ref().ok_or(SecretError::NoHome)?;
        let path = directory.join(name.as_str());
        let above = open_directory(directory, &path)?;
        // A pipe that nobody feeds must not hold anything up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&above, name.as_str(), flags, Mode::empty());
        let file = file.map_err(|error| unreadable(&path, error))?;
        read_file(file.into(), path).map(Secret)
    }

    /// What programs write is searched for all secrets of the host: one that a step before has put into a
    /// file may be shown by the next. A secret that may not be used was never handed out.
    #[must_use]
    pub fn redaction(&self) -> Redaction {
        let secrets = self.names().filter_map(|name| self.read_one(&name).ok());
        let secrets: Vec<Secret> = secrets.take(SECRETS_MAX).collect();
        Redaction::of(secrets.iter().map(Secret::bytes))
    }

    /// All that have the name of a secret, usable or not.
    fn names(&self) -> impl Iterator<Item = SecretName> {
        let entries = self
            .directory
            .iter()
            .filter_map(|path| fs::read_dir(path).ok());
        entries
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }
}

fn unreadable(path: &Path, error: rustix::io::Errno) -> SecretError {
    if error == rustix::io::Errno::NOENT {
        return SecretError::Missing(path.to_owned());
    }
    if error == rustix::io::Errno::LOOP {
        return unsafe_one(path, "is a link: put the secret itself there");
    }
    SecretError::Unreadable(path.to_owned(), error.into())
}

fn unsafe_one(path: &Path, what: &'static str) -> SecretError {
    SecretError::Unsafe {
        path: path.to_owned(),
        what,
    }
}

/// The directory itself must be the owner's too: whoever may write there could put another secret in place.
fn open_directory(directory: &Path, secret: &Path) -> Result<File, SecretError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = open(directory, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::NOENT => SecretError::Missing(secret.to_owned()),
        rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => {
            unsafe_one(directory, "is no directory, or a link to one")
        }
        other => SecretError::Unreadable(directory.to_owned(), other.into()),
    })?;
    let opened = File::from(opened);
    let meta = opened
        .metadata()
        .map_err(|error| SecretError::Unreadable(directory.to_owned(), error))?;
    if meta.uid() != geteuid().as_raw() {
        return Err(unsafe_one(directory, "belongs to another user"));
    }
    if meta.mode() & 0o022 != 0 {
        let what = "can be written by others: `chmod 700` it";
        return Err(unsafe_one(directory, what));
    }
    Ok(opened)
}

fn read_file(file: File, path: PathBuf) -> Result<Vec<u8>, SecretError> {
    let failed = |error| SecretError::Unreadable(path.clone(), error);
    let meta = file.metadata().map_err(failed)?;
    let wrong = if !meta.is_file() {
        Some("is no regular file")
    } else if meta.nlink() != 1 {
        Some("has another name as well (a hard link): make it a file of its own")
    } else if meta.uid() != geteuid().as_raw() {
        Some("belongs to another user than the daemon's")
    } else if meta.mode() & 0o177 != 0 {
        Some("can be read by others, or executed: `chmod 600` it")
    } else {
        None
    };
    if let Some(what) = wrong {
        return Err(unsafe_one(&path, what));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let length = (bytes.len() as u64).max(meta.len());
    let content = bytes.trim_ascii().len() as u64;
    let wrong = (length > BYTES_MAX).then_some(length);
    match wrong.or((content < BYTES_MIN).then_some(content)) {
        Some(bytes) => Err(SecretError::Length { path, bytes }),
        None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const TEXT: &str = "correct horse\n";

    fn home() -> (tempfile::TempDir, Secrets) {
        let folder = tempfile::tempdir().unwrap();
        let home = HostHome::new(folder.path());
        fs::create_dir(home.secrets_dir()).unwrap();
        (folder, Secrets::of(&home))
    }

    fn put(folder: &Path, name: &str, content: &[u8], mode: u32) {
        hostfiles::replace(&folder.join("secrets").join(name), content, mode).unwrap();
    }

    fn read(secrets: &Secrets, name: &str) -> Result<Secret, SecretError> {
        secrets.read(&name.parse().unwrap())
    }

    #[test]
    fn a_secret_is_read_and_its_debug_form_is_silent() {
        let (folder, secrets) = home();
        put(folder.path(), "db", TEXT.as_bytes(), 0o600);
        put(folder.path(), "strict", b"\xff\0 binary", 0o400);
        let secret = read(&secrets, "db").unwrap();
        assert_eq!(secret.bytes(), TEXT.as_bytes());
        assert_eq!(secret.text().unwrap(), "correct horse");
        assert!(!format!("{secret:?}").contains("horse"));
        let binary = read(&secrets, "strict").unwrap();
        assert!(matches!(binary.text(), Err(SecretError::NoText)));
        let redaction = secrets.redaction();
        assert_eq!(redaction.line("a correct horse!"), "a [secret]!");
        assert!(!format!("{redaction:?}").contains("horse"));
    }

    fn check(secrets: &Secrets, name: &str, part: &str) {
        let error = read(secrets, name).unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {error}");
        assert!(!error.contains("horse"), "{error}");
    }

    #[test]
    fn what_others_could_read_or_replace_is_not_used() {
        let (folder, secrets) = home();
        let directory = folder.path().join("secrets");
        let text = TEXT.as_bytes();
        check(&secrets, "db", "chmod 600");
        for (name, mode) in [("group", 0o640), ("world", 0o604), ("all", 0o777)] {
            put(folder.path(), name, text, mode);
            check(&secrets, name, "can be read by others");
        }
        put(folder.path(), "twice", text, 0o600);
        fs::hard_link(directory.join("twice"), folder.path().join("other")).unwrap();
        check(&secrets, "twice", "hard link");
        put(folder.path(), "target", text, 0o600);
        symlink("target", directory.join("link")).unwrap();
        check(&secrets, "link", "is a link");
        fs::create_dir(directory.join("folder")).unwrap();
        check(&secrets, "folder", "no regular file");
        let pipe = directory.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR).unwrap();
        check(&secrets, "pipe", "no regular file");
        put(folder.path(), "short", b"horse7!", 0o600);
        check(&secrets, "short", "holds 7 bytes");
        put(folder.path(), "line", b"horse7!\n", 0o600);
        check(&secrets, "line", "holds 7 bytes");
        put(folder.path(), "blanks", &[b' '; 100], 0o600);
        check(&secrets, "blanks", "holds 0 bytes");
        put(folder.path(), "long", &[b'x'; 65_537], 0o600);
        check(&secrets, "long", "holds 65537 bytes");
    }

    #[test]
    fn no_secret_is_handed_out_that_is_not_looked_for() {
        let (folder, secrets) = home();
        put(folder.path(), "s0", b"secret-number-0", 0o600);
        let unusable = 1..SECRETS_MAX;
        for index in unusable {
            put(folder.path(), &format!("s{index}"), b"short", 0o600);
        }
        read(&secrets, "s0").unwrap();
        put(folder.path(), "more", b"secret-number-256", 0o600);
        check(&secrets, "s0", "more than 256 files");
        // What was handed out before is still looked for, also behind many that cannot be used.
        let line = secrets
            .redaction()
            .line("secret-number-0 secret-number-256");
        assert_eq!(line, "[secret] [secret]");
    }

    #[test]
    fn the_directory_is_the_owners_too() {
        let (folder, secrets) = home();
        put(folder.path(), "db", TEXT.as_bytes(), 0o600);
        let directory = folder.path().join("secrets");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        check(&secrets, "db", "can be written by others");
        assert_eq!(secrets.redaction(), Redaction::default());
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        read(&secrets, "db").unwrap();
        let elsewhere = folder.path().join("elsewhere");
        #[expect(clippy::disallowed_methods, reason = "a test prepares its own files")]
        fs::rename(&directory, &elsewhere).unwrap();
        check(&secrets, "db", "there is no");
        symlink(&elsewhere, &directory).unwrap();
        check(&secrets, "db", "a link to one");
        assert!(matches!(
            read(&Secrets::default(), "db"),
            Err(SecretError::NoHome)
        ));
    }
}
