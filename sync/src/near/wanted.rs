//! What one host should have, and where the contents of its files are in the project.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use hostfiles::{ClusterPorts, Format, Peers, present, read_with_text};

use super::{NearError, inside, io_at};
use crate::{Config, Digest, Tree, TreeError};

/// What one host should have, and where the contents are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// What the host should have.
    pub tree: Tree,
    contents: BTreeMap<Digest, Content>,
}

/// Where a content is: small ones are kept, so that they are read once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// Largest content that is kept in memory, in bytes.
const KEPT_BYTES_MAX: u64 = 64 * 1024;

impl Wanted {
    /// The same with the cluster ports that exist in the cluster, which no single host's folder knows.
    #[must_use]
    pub fn with_cluster_ports(mut self, ports: &ClusterPorts) -> Self {
        self.tree.cluster_ports_conf = Some(self.keep(ports.to_text().into_bytes()));
        self
    }

    /// The same with the keys by which the proxies of the cluster know each other; none where there are no keys.
    #[must_use]
    pub fn with_peers(mut self, peers: &Peers) -> Self {
        let text = peers.to_text();
        self.tree.peers_conf = (!text.is_empty()).then(|| self.keep(text.into_bytes()));
        self
    }

    /// A content of the tree.
    ///
    /// # Errors
    /// It cannot be read any more, or the project was changed meanwhile.
    pub fn content(&self, digest: &Digest) -> Result<Vec<u8>, NearError> {
        match self.contents.get(digest) {
            Some(Content::Bytes(bytes)) => Ok(bytes.clone()),
            Some(Content::File(path)) => {
                let bytes = fs::read(path).map_err(io_at(path))?;
                if Digest::of(&bytes) == *digest {
                    Ok(bytes)
                } else {
                    Err(NearError::Changed { path: path.clone() })
                }
            }
            None => {
                let source = io::Error::new(
                    io::ErrorKind::NotFound,
                    "the content is not part of what is wanted",
                );
                Err(NearError::Io {
                    path: PathBuf::from(digest.to_string()),
                    source,
                })
            }
        }
    }

    /// The file of a content that is not kept, and its length in bytes.
    pub(crate) fn file_of(&self, digest: &Digest) -> Result<Option<(&Path, u64)>, NearError> {
        match self.contents.get(digest) {
            Some(Content::File(path)) => {
                let length = fs::metadata(path).map_err(io_at(path))?.len();
                Ok(Some((path, length)))
            }
            Some(Content::Bytes(_)) | None => Ok(None),
        }
    }

    /// The length of a content in bytes, as far as it is known.
    pub(crate) fn length(&self, digest: &Digest) -> u64 {
        match self.contents.get(digest) {
            Some(Content::Bytes(bytes)) => bytes.len() as u64,
            Some(Content::File(path)) => fs::metadata(path).map_or(0, |found| found.len()),
            None => 0,
        }
    }

    /// Opens the file of a content that is not kept.
    pub(crate) fn open(&self, digest: &Digest) -> Result<File, NearError> {
        let path = self.path_of(digest);
        File::open(&path).map_err(io_at(&path))
    }

    /// That the file of a content cannot be read any more.
    pub(crate) fn unreadable(&self, digest: &Digest, source: io::Error) -> NearError {
        let path = self.path_of(digest);
        NearError::Io { path, source }
    }

    fn path_of(&self, digest: &Digest) -> PathBuf {
        match self.contents.get(digest) {
            Some(Content::File(path)) => path.clone(),
            Some(Content::Bytes(_)) | None => PathBuf::from(digest.to_string()),
        }
    }

    /// Remembers where a content lies.
    pub(super) fn lies_in(&mut self, digest: Digest, path: PathBuf) {
        self.contents.insert(digest, Content::File(path));
    }

    /// Keeps a content.
    pub(super) fn keep(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.contents.insert(digest, Content::Bytes(bytes));
        digest
    }

    /// Reads a file that may be absent.
    pub(super) fn file(&mut self, root: &Path, path: &Path) -> Result<Option<Digest>, NearError> {
        match inside::file(root, path)? {
            Some(_) => self.read(path).map(Some).map_err(io_at(path)),
            None => Ok(None),
        }
    }

    /// Reads a file that may be absent, if the host would understand it. What was understood is what is kept.
    pub(super) fn checked<F: Format>(
        &mut self,
        root: &Path,
        path: &Path,
    ) -> Result<Option<Digest>, NearError> {
        inside::file(root, path)?;
        let read = present(read_with_text::<F>(path))?;
        Ok(read.map(|(_, text)| self.keep(text.into_bytes())))
    }

    pub(super) fn config(&mut self, directory: &Path) -> Result<Config, TreeError> {
        Config::read_through(directory, &mut |path| {
            if fs::symlink_metadata(path)?.len() > inside::FILE_BYTES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.read(path)
        })
    }

    /// Keeps a small file, and takes the digest of a large one without having all of it in memory.
    fn read(&mut self, path: &Path) -> io::Result<Digest> {
        if fs::symlink_metadata(path)?.len() <= KEPT_BYTES_MAX {
            let mut bytes = Vec::new();
            let file = File::open(path)?;
            file.take(KEPT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 <= KEPT_BYTES_MAX {
                return Ok(self.keep(bytes));
            }
        }
        let digest = Digest::of_file(path)?;
        self.contents.insert(digest, Content::File(path.to_owned()));
        Ok(digest)
    }
}
