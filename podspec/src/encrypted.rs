//! Which configs of a text are encrypted: asked when secrets are put into them, which should not wait until the
//! rest of the text is right.

use std::collections::BTreeSet;

use names::VolumeName;

use crate::tree::{self, Content, Node};

/// The names of all volumes with `type: config` and `encrypted: true`, in a text without variables. What cannot
/// be read is left out; [`crate::parse`] tells what is wrong with it.
#[must_use]
pub fn encrypted_configs(text: &str) -> BTreeSet<VolumeName> {
    let root = tree::parse(text, &|place| place).ok();
    let volumes = root.as_ref().and_then(|root| root.get("volumes"));
    let Some(Content::List(volumes)) = volumes.map(|node| &node.content) else {
        return BTreeSet::new();
    };
    let encrypted = volumes.iter().filter(|volume| {
        scalar(volume, "type") == Some("config") && scalar(volume, "encrypted") == Some("true")
    });
    encrypted
        .filter_map(|volume| scalar(volume, "name")?.parse().ok())
        .collect()
}

pub(crate) fn scalar<'t>(node: &'t Node, key: &str) -> Option<&'t str> {
    match &node.get(key)?.content {
        Content::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_other_mistakes_tells_its_encrypted_configs() {
        let check = |text: &str, expected: &[&str]| {
            let found = encrypted_configs(text);
            assert!(
                found
                    .iter()
                    .map(VolumeName::as_str)
                    .eq(expected.iter().copied()),
                "{text}"
            );
        };
        check(
            "nonsense: 1\nvolumes:\n- {name: keys, type: config, encrypted: true}\n- {name: conf, type: config}\n",
            &["keys"],
        );
        check(
            "volumes:\n- {name: keys, type: config, encrypted: false}\n",
            &[],
        );
        check(
            "volumes:\n- {name: disk, type: ramdisk, encrypted: true}\n- 7\n",
            &[],
        );
        check("volumes: 7\n", &[]);
        check("volumes: [", &[]);
        check("", &[]);
    }
}
