//! Large contents on their way to a host: which pieces they are made of, and how much of them travels.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use super::{Delivery, NearError, Wanted};
use crate::chunks::{PIECE_BYTES_MAX, Recipe, WHOLE_BYTES_MAX};
use crate::wire::Need;
use crate::{Digest, needs};

/// Reads a file piece by piece.
pub(super) struct Pieces<'a> {
    file: &'a mut File,
    pieces: std::iter::Enumerate<std::slice::Iter<'a, crate::chunks::Piece>>,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(file: &'a mut File, recipe: &'a Recipe) -> Self {
        Self {
            file,
            pieces: recipe.0.iter().enumerate(),
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = (u32, std::io::Result<Vec<u8>>);

    fn next(&mut self) -> Option<Self::Item> {
        let (number, piece) = self.pieces.next()?;
        let mut bytes = vec![0; (piece.length as usize).min(PIECE_BYTES_MAX)];
        let read = self.file.read_exact(&mut bytes).map(|()| bytes);
        Some((u32::try_from(number).unwrap_or(u32::MAX), read))
    }
}

/// How the large contents that the host lacks are made.
pub(super) fn recipes(delivery: &Delivery<'_>) -> Result<BTreeMap<Digest, Recipe>, NearError> {
    let has = needs::all(delivery.present);
    let needed = needs::contents(delivery.plan, &delivery.wanted.tree);
    let mut recipes = BTreeMap::new();
    for digest in needed.difference(&has) {
        if let Some((path, length)) = delivery.wanted.file_of(digest)?
            && length > WHOLE_BYTES_MAX
        {
            let recipe = Recipe::of(path).map_err(|source| NearError::Io {
                path: path.to_owned(),
                source,
            })?;
            recipes.insert(*digest, recipe);
        }
    }
    Ok(recipes)
}

/// How many bytes will be sent, before they are packed.
pub(super) fn total(need: &Need, wanted: &Wanted, recipes: &BTreeMap<Digest, Recipe>) -> u64 {
    let whole = need.contents.iter().map(|digest| wanted.length(digest));
    let pieces = need.pieces.iter().flat_map(|(digest, numbers)| {
        let recipe = recipes.get(digest);
        numbers.iter().filter_map(move |number| {
            let piece = recipe?.0.get(usize::try_from(*number).ok()?)?;
            Some(u64::from(piece.length))
        })
    });
    whole.chain(pieces).sum()
}
