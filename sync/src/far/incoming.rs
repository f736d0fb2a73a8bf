//! The contents of a stage on their way: those that the host has already are taken from there, the others come from
//! the near end, large ones as the pieces that no large file of the host has.
//!
//! Nothing is believed: each content and each piece is what its digest says, or the stage ends. A large content that
//! came in part serves the next sync for its pieces.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::contents::{Content, Contents};
use super::effects::{Effect, EffectError, Effects};
use super::{FarError, is_absent};
use crate::Digest;
use crate::chunks::{self, PIECE_BYTES_MAX, Recipe, WHOLE_BYTES_MAX};
use crate::wire::{Need, WireError};

/// Contents that are kept in memory, in bytes; more of them go to disk.
const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most large files of a host that are searched for pieces.
const SOURCES_MAX: usize = 64;

/// Why contents could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum IncomingError {
    /// The other end sent something else.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The host cannot keep it.
    #[error(transparent)]
    Effect(#[from] EffectError),
}

/// Contents on their way.
#[derive(Debug)]
pub(super) struct Incoming {
    directory: PathBuf,
    small: BTreeMap<Digest, Vec<u8>>,
    small_bytes: usize,
    /// Whole contents that have not come yet, in their order.
    expected: VecDeque<Digest>,
    /// Large contents that are not whole yet, in their order.
    assemblies: VecDeque<Assembly>,
}

/// A piece that some file of this host has.
#[derive(Debug, Clone)]
struct Known {
    path: PathBuf,
    offset: u64,
}

/// A large content that is being put together.
#[derive(Debug)]
struct Assembly {
    digest: Digest,
    recipe: Recipe,
    /// How many of its pieces are written.
    written: usize,
    path: PathBuf,
    file: File,
    known: BTreeMap<Digest, Known>,
}

impl Incoming {
    /// Takes what the host has, and says what it needs.
    pub(super) fn begin(
        directory: PathBuf,
        needed: &BTreeSet<Digest>,
        recipes: &BTreeMap<Digest, Recipe>,
        places: &BTreeMap<Digest, PathBuf>,
        effects: &mut Effects,
    ) -> Result<(Self, Need), EffectError> {
        effects.make_directory(&directory)?;
        let mut incoming = Self {
            directory,
            small: BTreeMap::new(),
            small_bytes: 0,
            expected: VecDeque::new(),
            assemblies: VecDeque::new(),
        };
        let mut need = Need::default();
        let mut large = Vec::new();
        for digest in needed {
            if incoming.take_present(digest, places.get(digest), effects)? {
                continue;
            }
            match recipes.get(digest) {
                Some(recipe) => large.push((*digest, recipe.clone())),
                None => need.contents.push(*digest),
            }
        }
        incoming.expected = need.contents.iter().copied().collect();
        if !large.is_empty() {
            let known = incoming.search(places);
            for (digest, recipe) in large {
                let assembly = incoming.assemble(digest, recipe, &known, effects)?;
                need.pieces.insert(digest, assembly.lacks());
                incoming.assemblies.push_back(assembly);
            }
        }
        incoming.advance(effects)?;
        Ok((incoming, need))
    }

    /// Takes a content from this host. Gives false when it is not there after all.
    fn take_present(
        &mut self,
        digest: &Digest,
        place: Option<&PathBuf>,
        effects: &mut Effects,
    ) -> Result<bool, EffectError> {
        let came_before = self.whole(digest);
        if !is_absent(&came_before) {
            if Digest::of_file(&came_before).is_ok_and(|found| found == *digest) {
                return Ok(true);
            }
            effects.remove(&came_before)?;
        }
        let Some(place) = place else {
            return Ok(false);
        };
        let is_large = fs::metadata(place).is_ok_and(|found| found.len() > WHOLE_BYTES_MAX);
        if is_large {
            effects.copy(place, &came_before, 0o600)?;
            let is_it = Digest::of_file(&came_before).is_ok_and(|found| found == *digest);
            if !is_it {
                effects.remove(&came_before)?;
            }
            return Ok(is_it);
        }
        match fs::read(place) {
            Ok(bytes) if Digest::of(&bytes) == *digest => {
                self.keep(*digest, bytes, effects)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Takes contents that were sent.
    pub(super) fn take_contents(
        &mut self,
        contents: Vec<Vec<u8>>,
        effects: &mut Effects,
    ) -> Result<(), IncomingError> {
        for bytes in contents {
            let expected = self.expected.pop_front();
            let expected = expected.ok_or_else(|| broken("contents that nobody asked for"))?;
            if Digest::of(&bytes) != expected {
                return Err(broken("a content that is not the one that its digest says").into());
            }
            self.keep(expected, bytes, effects)?;
        }
        Ok(())
    }

    /// Takes a piece that was sent.
    pub(super) fn take_piece(
        &mut self,
        bytes: &[u8],
        effects: &mut Effects,
    ) -> Result<(), IncomingError> {
        let Some(assembly) = self.assemblies.front_mut() else {
            return Err(broken("a piece that nobody asked for").into());
        };
        if !assembly.take(bytes)? {
            return Err(broken("a piece that is not the one that its digest says").into());
        }
        Ok(self.advance(effects)?)
    }

    /// Refuses to go on while something has not come.
    pub(super) fn finish(&self) -> Result<(), IncomingError> {
        if self.expected.is_empty() && self.assemblies.is_empty() {
            return Ok(());
        }
        Err(broken("less than was asked for").into())
    }

    fn keep(
        &mut self,
        digest: Digest,
        bytes: Vec<u8>,
        effects: &mut Effects,
    ) -> Result<(), EffectError> {
        if self.small_bytes + bytes.len() > MEMORY_BYTES_MAX {
            let path = self.whole(&digest);
            effects.remove(&path)?;
            return effects.write(&path, &bytes, 0o600);
        }
        self.small_bytes += bytes.len();
        self.small.insert(digest, bytes);
        Ok(())
    }

    /// Where a content lies when it is whole.
    fn whole(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    /// Every piece of the large files of this host, by digest.
    fn search(&self, places: &BTreeMap<Digest, PathBuf>) -> BTreeMap<Digest, Known> {
        let came_before = fs::read_dir(&self.directory).into_iter().flatten();
        let came_before = came_before.filter_map(|entry| Some(entry.ok()?.path()));
        let is_large =
            |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.len() > WHOLE_BYTES_MAX);
        let sources = came_before
            .chain(places.values().filter(|path| is_large(path)).cloned())
            .take(SOURCES_MAX);
        let mut known = BTreeMap::new();
        for path in sources {
            let Ok(file) = File::open(&path) else {
                continue;
            };
            // What cannot be read is sent instead.
            let _ = chunks::cut(file, |offset, bytes| {
                let path = path.clone();
                known
                    .entry(Digest::of(bytes))
                    .or_insert(Known { path, offset });
            });
        }
        known
    }

    fn assemble(
        &self,
        digest: Digest,
        recipe: Recipe,
        known: &BTreeMap<Digest, Known>,
        effects: &mut Effects,
    ) -> Result<Assembly, EffectError> {
        let path = self.directory.join(format!("{digest}.part"));
        let mut known = known.clone();
        if !is_absent(&path) {
            // What came of it before stays a source under another name.
            let before = path.with_extension("before");
            effects.rename(&path, &before)?;
            for place in known.values_mut().filter(|place| place.path == path) {
                place.path.clone_from(&before);
            }
        }
        effects.write(&path, b"", 0o600)?;
        let file = fs::OpenOptions::new().read(true).append(true).open(&path);
        let file = file.map_err(|source| failed(&path, source))?;
        Ok(Assembly {
            digest,
            recipe,
            written: 0,
            path,
            file,
            known,
        })
    }

    /// Writes what this host has of the large contents, as far as it goes, and finishes those that are whole.
    fn advance(&mut self, effects: &mut Effects) -> Result<(), EffectError> {
        while let Some(assembly) = self.assemblies.front_mut() {
            assembly.write_known()?;
            if assembly.written < assembly.recipe.0.len() {
                return Ok(());
            }
            let (path, digest) = (assembly.path.clone(), assembly.digest);
            let is_it = Digest::of_file(&path).is_ok_and(|found| found == digest);
            if !is_it {
                return Err(failed(
                    &path,
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        "its pieces are not the content that was announced",
                    ),
                ));
            }
            effects.rename(&path, &self.whole(&digest))?;
            self.assemblies.pop_front();
        }
        Ok(())
    }
}

impl Assembly {
    /// The numbers of the pieces that no file of this host has, each once.
    fn lacks(&self) -> Vec<u32> {
        let mut asked = BTreeSet::new();
        let numbered = (0_u32..).zip(&self.recipe.0);
        numbered
            .filter(|(_, piece)| !self.known.contains_key(&piece.digest))
            .filter(|(_, piece)| asked.insert(piece.digest))
            .map(|(number, _)| number)
            .collect()
    }

    /// Writes the next piece, which was sent. Gives false when it is another one.
    fn take(&mut self, bytes: &[u8]) -> Result<bool, EffectError> {
        let expected = self.recipe.0.get(self.written);
        if expected.is_none_or(|piece| piece.digest != Digest::of(bytes)) {
            return Ok(false);
        }
        self.write(bytes)?;
        Ok(true)
    }

    fn write_known(&mut self) -> Result<(), EffectError> {
        while let Some(piece) = self.recipe.0.get(self.written).copied() {
            let Some(known) = self.known.get(&piece.digest) else {
                return Ok(());
            };
            let bytes = known.read(piece.length as usize);
            let bytes = bytes.map_err(|source| failed(&known.path, source))?;
            if Digest::of(&bytes) != piece.digest {
                let source = io::Error::other("it changed while it was read: sync again");
                return Err(failed(&known.path, source));
            }
            self.write(&bytes)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), EffectError> {
        let offset = self.file.metadata().map(|found| found.len());
        let offset = offset.map_err(|source| failed(&self.path, source))?;
        let written = self.file.write_all(bytes);
        written.map_err(|source| failed(&self.path, source))?;
        // The same piece may come again in the same content.
        let path = self.path.clone();
        self.known
            .entry(Digest::of(bytes))
            .or_insert(Known { path, offset });
        self.written += 1;
        Ok(())
    }
}

impl Known {
    fn read(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length.min(PIECE_BYTES_MAX)];
        File::open(&self.path)?.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }
}

impl Contents for Incoming {
    fn content(&self, digest: &Digest) -> Result<Content, FarError> {
        if let Some(bytes) = self.small.get(digest) {
            return Ok(Content::Bytes(bytes.clone()));
        }
        let path = self.whole(digest);
        if is_absent(&path) {
            return Err(FarError::Content(
                format!("the content {digest} was not sent").into(),
            ));
        }
        Ok(Content::File(path))
    }
}

fn broken(what: &str) -> WireError {
    WireError::Broken(what.to_owned())
}

fn failed(path: &Path, source: io::Error) -> EffectError {
    EffectError {
        effect: Effect::Write,
        path: path.to_owned(),
        source,
    }
}
