//! The manifest that a component carries in a custom section: read by parsing, never by running.
//!
//! It lies inside the component so that the component's digest covers what the plugin asks for.

use std::fmt;
use std::str::FromStr;

use podspec::Shape;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use wasmparser::{Encoding, Parser, Payload};

use crate::Grants;

/// The name of the custom section.
pub(crate) const SECTION: &str = "simplenetes:manifest";

/// Longest manifest that is read, in bytes.
const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Its name: lower-case letters, digits and `-`.
    pub id: String,
    /// Its version, `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// The version of the contract (`wit/`) that it was built for.
    pub contract: String,
    /// One line for lists.
    #[serde(default)]
    pub description: String,
    /// An SPDX expression.
    #[serde(default)]
    pub licence: String,
    /// Who wrote it.
    #[serde(default)]
    pub authors: Vec<String>,
    /// The kinds of pod that it supplies, with the shape of each.
    pub shapes: Vec<Shape>,
    /// What it asks to be granted, each with a reason.
    #[serde(default)]
    pub wishes: Grants,
}

/// Why a file has no manifest that this host can use.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are no WebAssembly at all, or damaged.
    #[error("the file is not a WebAssembly component, or it is damaged")]
    Damaged(#[source] wasmparser::BinaryReaderError),
    /// It is WebAssembly of the other kind.
    #[error(
        "the file is a WebAssembly module, not a component: encode it with `wasm-tools component new`"
    )]
    NotAComponent,
    /// The section is missing.
    #[error("the component carries no manifest (custom section `{SECTION}`)")]
    Missing,
    /// Two sections: which one would the operator have seen?
    #[error("the component carries more than one manifest")]
    Several,
    /// Too long to be a manifest.
    #[error("the manifest is longer than {MANIFEST_BYTES_MAX} bytes")]
    TooLong,
    /// It is no UTF-8.
    #[error("the manifest is not UTF-8 text")]
    NotText,
    /// It is not the expected YAML.
    #[error("the manifest cannot be read")]
    Yaml(#[source] serde_yaml::Error),
    /// A field has an impossible value.
    #[error("the manifest's `{field}` is `{found}`: expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Manifest {
    /// Reads the manifest of a component.
    ///
    /// # Errors
    /// The bytes are no component, or its manifest is missing or wrong.
    pub fn read(component: &[u8]) -> Result<Self, ManifestError> {
        let section = find_section(component)?;
        if section.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong);
        }
        let text = std::str::from_utf8(section).map_err(|_| ManifestError::NotText)?;
        let manifest: Self = serde_yaml::from_str(text).map_err(ManifestError::Yaml)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The shape of one of its kinds.
    #[must_use]
    pub fn shape(&self, kind: &str) -> Option<&Shape> {
        self.shapes.iter().find(|shape| shape.kind == kind)
    }

    /// The names of the kinds that it supplies.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.shapes.iter().map(|shape| shape.kind.clone()).collect()
    }

    fn check(&self) -> Result<(), ManifestError> {
        let id_fits = (1..=63).contains(&self.id.len())
            && self.id.starts_with(|c: char| c.is_ascii_lowercase())
            && self
                .id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        check_field(
            id_fits,
            "id",
            &self.id,
            "lower-case letters, digits and `-`, 63 at most",
        )?;
        for (field, text) in [("version", &self.version), ("contract", &self.contract)] {
            check_field(is_version(text), field, text, "MAJOR.MINOR.PATCH")?;
        }
        check_field(
            !self.shapes.is_empty(),
            "shapes",
            "[]",
            "at least one kind of pod",
        )
    }
}

fn check_field(
    fits: bool,
    field: &'static str,
    found: &str,
    expected: &'static str,
) -> Result<(), ManifestError> {
    if fits {
        Ok(())
    } else {
        Err(ManifestError::Field {
            field,
            found: found.to_owned(),
            expected,
        })
    }
}

fn is_version(text: &str) -> bool {
    let mut parts = text.split('.');
    let three = parts
        .by_ref()
        .take(3)
        .filter(|part| part.parse::<u32>().is_ok())
        .count()
        == 3;
    three && parts.next().is_none()
}

/// Parses the whole file before anything of it is believed.
fn find_section(component: &[u8]) -> Result<&[u8], ManifestError> {
    let mut found = None;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(ManifestError::Damaged)? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => return Err(ManifestError::NotAComponent),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section)
                if depth == 0
                    && section.name() == SECTION
                    && found.replace(section.data()).is_some() =>
            {
                return Err(ManifestError::Several);
            }
            _ => {}
        }
    }
    found.ok_or(ManifestError::Missing)
}

/// The SHA-256 of a component: the one name under which it is installed, granted and cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text is not the hexadecimal form of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256: expected 64 lower-case hexadecimal digits")]
pub struct DigestError(String);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let refused = || DigestError(text.to_owned());
        if text.len() != 64
            || !text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(index * 2..index * 2 + 2).ok_or_else(refused)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with nothing in it but these custom sections.
    fn component(sections: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for (name, content) in sections {
            let name_length = u8::try_from(name.len()).unwrap();
            let size = u8::try_from(1 + name.len() + content.len()).expect("short content");
            assert!(size < 128, "one byte of LEB128");
            bytes.extend([0, size, name_length]);
            bytes.extend(name.bytes().chain(content.bytes()));
        }
        bytes
    }

    const MINIMAL: &str = "{id: a, version: 1.0.0, contract: 0.1.0, shapes: [{kind: a, units: b, keys: [], volumeTypes: []}]}";

    #[test]
    fn a_manifest_is_read_without_running_anything() {
        let manifest = Manifest::read(&component(&[(SECTION, MINIMAL)])).unwrap();
        assert_eq!(
            (manifest.id.as_str(), manifest.version.as_str()),
            ("a", "1.0.0")
        );
        assert!(manifest.shape("a").is_some() && manifest.shape("b").is_none());
        assert_eq!(manifest.wishes, Grants::default());
    }

    #[test]
    fn each_way_to_be_wrong_has_its_sentence() {
        let check = |bytes: &[u8], part: &str| {
            let error = Manifest::read(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check(b"hello", "damaged");
        check(b"\0asm\x01\0\0\0", "not a component");
        check(&component(&[]), "no manifest");
        check(
            &component(&[(SECTION, "{}"), (SECTION, "{}")]),
            "more than one",
        );
        check(
            &component(&[(SECTION, "{nonsense: true}")]),
            "cannot be read",
        );
        check(
            &component(&[(SECTION, &MINIMAL.replace("id: a", "id: A"))]),
            "`id` is `A`",
        );
        check(
            &component(&[(SECTION, &MINIMAL.replace("1.0.0", "1.0"))]),
            "`version` is `1.0`",
        );
    }

    #[test]
    fn a_truncated_component_is_refused() {
        let whole = component(&[(SECTION, MINIMAL)]);
        for length in 0..whole.len() {
            assert!(
                Manifest::read(&whole[..length]).is_err(),
                "{length} bytes were accepted"
            );
        }
    }

    #[test]
    fn digests_go_both_ways() {
        let digest = Digest::of(b"abc");
        assert_eq!(
            digest.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("ba78".parse::<Digest>().is_err());
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
    }
}
