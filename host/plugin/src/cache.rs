//! Translated plugins, by digest. Native code is only ever read from here, and only this user may write
//! here: what lies in this directory is run without further checks.

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::Digest as _;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Digest;

/// The directory cannot be used, or a file in it.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Somebody else could put native code into it.
    #[error("the directory of translated plugins {} is not private to this user: make it so with `chmod 700`, or remove it", .0.display())]
    NotPrivate(PathBuf),
    /// An operation of the file system failed.
    #[error("cannot {what} {} for translated plugins", .path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// Stands for wasmtime's version, its settings and the CPU: code made by another is not even tried.
    compatibility: String,
}

impl Cache {
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, CacheError> {
        let io = |what| {
            move |source| CacheError::Io {
                what,
                path: directory.to_owned(),
                source,
            }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io("make the directory"))?;
        let metadata = fs::metadata(directory).map_err(io("look at the directory"))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            return Err(CacheError::NotPrivate(directory.to_owned()));
        }
        tempfile::tempfile_in(directory).map_err(io("write in the directory"))?;
        Ok(Self {
            directory: directory.to_owned(),
            compatibility: compatibility(engine),
        })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory
            .join(format!("{digest}-{}.cwasm", self.compatibility))
    }

    /// The translated component, if it was kept and can still be loaded by this engine.
    pub(crate) fn find(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let code = fs::read(self.path(digest)).ok()?;
        unseal(&code).and_then(|code| load(engine, code).ok())
    }

    /// Keeps translated code.
    pub(crate) fn keep(&self, digest: Digest, code: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&seal(code))?;
        file.as_file().sync_all()?;
        file.persist(self.path(digest))
            .map_err(|error| error.error)?;
        Ok(())
    }
}

/// A file that a crash or a bad disk has damaged must not be run: wasmtime checks its head only.
fn seal(code: &[u8]) -> Vec<u8> {
    let mut sealed = sha2::Sha256::digest(code).to_vec();
    sealed.extend_from_slice(code);
    sealed
}

fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    let (seal, code) = sealed.split_at_checked(32)?;
    (sha2::Sha256::digest(code).as_slice() == seal).then_some(code)
}

/// Loads code that this engine has translated, or that was kept with its seal.
pub(crate) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    #[expect(
        unsafe_code,
        reason = "the bytes were made by this program: the directory is private, the seal whole"
    )]
    // SAFETY: `code` is the unmodified output of `precompile_component`: just made, or read from a directory
    // that only this user can write and compared with the digest that was written with it.
    unsafe {
        Component::deserialize(engine, code)
    }
}

fn compatibility(engine: &Engine) -> String {
    // A hasher with fixed keys, so that the name is the same in every process.
    let mut hasher =
        std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().build_hasher();
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    format!("{:016x}", hasher.finish())
}
