//! One volume.

use std::collections::BTreeSet;

use names::VolumeName;

use crate::reader::{Fields, Problems, Value, alternatives, refuse_repeated};
use crate::spelling::{did_you_mean, shorten};
use crate::{Shape, Shared, Volume, VolumeKind};

/// Keys that belong to one type of volume only, with that type.
const OWN_KEYS: [(&str, &str); 4] = [
    ("size", "ramdisk"),
    ("encrypted", "config"),
    ("shared", "volume"),
    ("bind", "host"),
];
const TYPES: [&str; 4] = ["ramdisk", "config", "volume", "host"];
const SIZE_RULE: &str = "a size in MiB, as in 10M";

/// Reads one volume. Its name is remembered as soon as it could be read, so that a mistake in the rest
/// does not make every mount of it one too.
pub(super) fn volume(
    item: &Value<'_>,
    shape: &Shape,
    seen: &mut BTreeSet<VolumeName>,
    problems: &mut Problems,
) -> Option<Volume> {
    let fields = item.fields(
        &["name", "type", "size", "shared", "bind", "encrypted"],
        problems,
    )?;
    let name = fields.require("name", VolumeName::RULE, problems);
    let name = name.and_then(|at| Some((at.parsed::<VolumeName>(VolumeName::RULE, problems)?, at)));
    if let Some((name, at)) = &name {
        refuse_repeated(seen, name.clone(), at, "volume", problems);
    }
    let kind = kind(&fields, shape, problems);
    let (name, _) = name?;
    if name.as_str().starts_with('_') && !matches!(kind, Some(VolumeKind::Config { .. }) | None) {
        problems.push(fields.key_error("name", "only the name of a config may begin with `_`"));
    }
    // A volume that could not be read stands in as a config; the pod has an error by now.
    Some(Volume {
        name,
        kind: kind.unwrap_or(VolumeKind::Config { encrypted: false }),
    })
}

fn kind(fields: &Fields<'_>, shape: &Shape, problems: &mut Problems) -> Option<VolumeKind> {
    let possible: Vec<&str> = TYPES
        .into_iter()
        .filter(|word| shape.volume_types.iter().any(|t| t == word))
        .collect();
    let expected = alternatives(&possible);
    let value = fields.require("type", &expected, problems)?;
    let word = value.text(&expected, problems)?;
    if !possible.contains(&word) {
        let message = if TYPES.contains(&word) {
            format!(
                "a pod with `runtime: {}` cannot have a volume of type `{word}`",
                shape.kind
            )
        } else {
            format!("`{}` is no type of volume", shorten(word))
        };
        problems.push(
            value
                .error(message)
                .expecting(expected)
                .hinting(did_you_mean(word, possible)),
        );
        return None;
    }
    for (key, owner) in OWN_KEYS.iter().filter(|(_, owner)| *owner != word) {
        if fields.get(key).is_some() {
            problems.push(fields.key_error(
                key,
                format!("`{key}` is for volumes of type `{owner}`, this is a `{word}`"),
            ));
        }
    }
    match word {
        "ramdisk" => Some(VolumeKind::Ramdisk {
            size_mib: size(fields, problems)?,
        }),
        "config" => Some(VolumeKind::Config {
            encrypted: encrypted(fields, problems),
        }),
        "volume" => Some(VolumeKind::Volume {
            shared: shared(fields, problems)?,
        }),
        _ => Some(VolumeKind::Host {
            bind: bind(fields, problems)?,
        }),
    }
}

fn size(fields: &Fields<'_>, problems: &mut Problems) -> Option<u32> {
    let Some(value) = fields.get("size") else {
        return Some(1);
    };
    let text = value.text(SIZE_RULE, problems)?;
    let digits = text
        .strip_suffix('M')
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let size = digits
        .and_then(|digits| digits.parse().ok())
        .filter(|size| *size > 0);
    if size.is_none() {
        problems.push(value.refused(text, SIZE_RULE));
    }
    size
}

fn encrypted(fields: &Fields<'_>, problems: &mut Problems) -> bool {
    let value = fields.get("encrypted");
    value
        .and_then(|value| value.boolean(problems))
        .unwrap_or_default()
}

fn shared(fields: &Fields<'_>, problems: &mut Problems) -> Option<Shared> {
    let words = [
        ("no", Shared::No),
        ("pod", Shared::Pod),
        ("host", Shared::Host),
    ];
    fields
        .get("shared")
        .map_or(Some(Shared::No), |value| value.word(&words, problems))
}

fn bind(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    const RULE: &str = "a path of the host, absolute or seen from the directory of the pod.yaml";
    let value = fields.require("bind", RULE, problems)?;
    let is_path = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    value.text_that(RULE, is_path, problems).map(str::to_owned)
}
