//! The private key of the operator, on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use seal::{Keys, Recipient};
use zeroize::Zeroizing;

use crate::command_error::{CommandError, Kind};
use crate::environment::Environment;

/// The operator's key: a file that is read when something has to be opened, and not before.
#[derive(Debug, Clone)]
pub(crate) struct OperatorKey(PathBuf);

impl OperatorKey {
    /// The file that is named, or the usual one.
    pub(crate) fn at(
        environment: &Environment,
        named: Option<&Path>,
    ) -> Result<Self, CommandError> {
        let named = named.or(environment.age_key_file.as_deref());
        if let Some(path) = named {
            return Ok(Self(environment.current_dir.join(path)));
        }
        let files = environment.user_files().ok_or_else(|| {
            CommandError::mistake("there is no place for your key: HOME is not set")
                .hint("name its file with --identity or SNS_AGE_KEY_FILE")
        })?;
        Ok(Self(files.join("age-key.txt")))
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads it; none when there is none.
    pub(crate) fn read_if_present(&self) -> Result<Option<Keys>, CommandError> {
        read(&self.0)
    }

    /// Reads it.
    pub(crate) fn read(&self) -> Result<Keys, CommandError> {
        self.read_if_present()?.ok_or_else(|| {
            CommandError::mistake(format!("you have no key at {}", self.0.display()))
                .hint("name another file with --identity or SNS_AGE_KEY_FILE")
                .hint("a new one is made by `sns secret keygen`; an operator then lets you in: sns secret operator add NAME KEY, sns secret encrypt")
        })
    }

    /// Makes a new one. One that is there is never lost.
    pub(crate) fn generate(&self) -> Result<Recipient, CommandError> {
        if fs::symlink_metadata(&self.0).is_ok() {
            return Err(CommandError::mistake(format!(
                "there is a key at {} already",
                self.0.display()
            ))
            .hint("its public half is printed by `sns secret keygen --show`")
            .hint("make another one beside it with --identity=FILE"));
        }
        if let Some(above) = self.0.parent() {
            make_directory(above)?;
        }
        let keys = Keys::generate();
        write(
            &self.0,
            &keys,
            "Key of a Simplenetes operator. Keep it to yourself, and keep a copy.",
        )?;
        Ok(keys.recipient())
    }
}

/// Reads a file of keys, if nobody else can.
fn read(path: &Path) -> Result<Option<Keys>, CommandError> {
    let Some(text) = read_private(path)? else {
        return Ok(None);
    };
    Keys::parse(&text).map(Some).map_err(|error| {
        CommandError::new(
            Kind::Diagnostics,
            format!("{} is no file of age keys", path.display()),
        )
        .caused_by(error)
    })
}

/// Reads a private file, if nobody else can; none when there is none.
pub(crate) fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, CommandError> {
    let unreadable =
        |error| CommandError::files(format!("could not read the key {}", path.display()), error);
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(CommandError::refused(format!(
            "the key {} can be read by others",
            path.display()
        ))
        .hint(format!("chmod 600 {}", path.display())));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Ok(Some(Zeroizing::new(text)))
}

fn write(path: &Path, keys: &Keys, about: &str) -> Result<(), CommandError> {
    hostfiles::replace(path, keys.to_text(about).as_bytes(), 0o600)?;
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(path).map_err(|error| {
        CommandError::files(
            format!("could not make the directory {}", path.display()),
            error,
        )
    })
}
