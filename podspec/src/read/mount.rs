//! Mounts: which volume a unit finds at which path.

use crate::reader::{Fields, Problems, Value};
use crate::spelling::{did_you_mean, shorten};
use crate::{Diagnostic, Mount, Shape, Volume};

const DEST_RULE: &str = "an absolute path without `.` and `..`, as in /mnt/conf";

/// Reads the mounts of a unit. Each has a path of its own, and where the kind links its mounts, none
/// lies in another one.
pub(super) fn mounts(
    unit: &Fields<'_>,
    shape: &Shape,
    volumes: &[Volume],
    problems: &mut Problems,
) -> Vec<Mount> {
    let items = unit
        .get("mounts")
        .map(|list| list.list("{volume, dest}", problems))
        .unwrap_or_default();
    let mut dests: Vec<Dest<'_>> = Vec::new();
    let mut mounts = Vec::new();
    for item in &items {
        let Some(fields) = item.fields(&["volume", "dest"], problems) else {
            continue;
        };
        let dest = read_dest(&fields, problems);
        let volume = read_volume(&fields, volumes, problems);
        let Some(dest) = dest else { continue };
        problems.extend(dests.iter().find_map(|first| dest.clash(first, shape)));
        if let Some(volume) = volume {
            mounts.push(Mount {
                volume: volume.name.clone(),
                dest: dest.path.to_owned(),
            });
        }
        dests.push(dest);
    }
    mounts
}

/// The path of a mount, and where it stands.
struct Dest<'t> {
    at: Value<'t>,
    path: &'t str,
}

impl Dest<'_> {
    fn parts(&self) -> Vec<&str> {
        parts(self.path).collect()
    }

    /// What is wrong when the unit has both mounts.
    fn clash(&self, first: &Self, shape: &Shape) -> Option<Diagnostic> {
        let (new, old) = (self.parts(), first.parts());
        let (path, other) = (shorten(self.path), shorten(first.path));
        let place = first.at.node.place.line;
        if new == old {
            let message = format!("path `{path}` is used twice");
            return Some(
                self.at
                    .error(message)
                    .expecting("a path of its own")
                    .hinting(Some(format!("it stands first at line {place}"))),
            );
        }
        if !shape.links_mounts {
            return None;
        }
        let message = if new.starts_with(&old) {
            format!("mount `{path}` lies in mount `{other}` of line {place}")
        } else if old.starts_with(&new) {
            format!("mount `{other}` of line {place} lies in mount `{path}`")
        } else {
            return None;
        };
        Some(
            self.at
                .error(message)
                .expecting(format!("paths side by side for `runtime: {}`", shape.kind)),
        )
    }
}

fn read_dest<'t>(fields: &Fields<'t>, problems: &mut Problems) -> Option<Dest<'t>> {
    let at = fields.require("dest", DEST_RULE, problems)?;
    let path = at.text_that(DEST_RULE, is_inner_path, problems)?;
    Some(Dest {
        path: path.trim_end_matches('/'),
        at,
    })
}

fn read_volume<'v>(
    fields: &Fields<'_>,
    volumes: &'v [Volume],
    problems: &mut Problems,
) -> Option<&'v Volume> {
    const RULE: &str = "the name of a volume of this pod";
    let value = fields.require("volume", RULE, problems)?;
    let name = value.text(RULE, problems)?;
    let found = volumes.iter().find(|volume| volume.name.as_str() == name);
    if found.is_none() {
        let names = volumes.iter().map(|volume| volume.name.as_str());
        let hint = did_you_mean(name, names).or(Some("declare it under `volumes`".to_owned()));
        let message = format!("the pod has no volume `{}`", shorten(name));
        problems.push(value.error(message).hinting(hint));
    }
    found
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// True for an absolute path below `/` that cannot lead anywhere else.
fn is_inner_path(path: &str) -> bool {
    path.starts_with('/')
        && parts(path).next().is_some()
        && parts(path).all(|part| part != "." && part != "..")
        && !path.chars().any(char::is_control)
}
