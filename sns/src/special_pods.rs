//! The special pods (the proxy, for example), which `sns` carries itself: they need no git link, and are
//! used only when PODPATH has no directory of that name.

/// Path below `pods/` of the repository, and content.
type EmbeddedFile = (&'static str, &'static [u8]);

static FILES: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/special_pods.rs"));

/// One special pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpecialPod {
    name: &'static str,
}

/// The special pod of that name.
pub(crate) fn find(name: &str) -> Option<SpecialPod> {
    names()
        .into_iter()
        .find(|known| *known == name)
        .map(|name| SpecialPod { name })
}

/// The names of all special pods, sorted.
pub(crate) fn names() -> Vec<&'static str> {
    let with_pod = FILES
        .iter()
        .filter_map(|(path, _)| path.strip_suffix("/pod.yaml"));
    with_pod.filter(|name| !name.contains('/')).collect()
}

impl SpecialPod {
    /// Its files: path relative to the pod, and content.
    pub(crate) fn files(self) -> impl Iterator<Item = EmbeddedFile> {
        FILES.iter().filter_map(move |(path, content)| {
            Some((path.strip_prefix(self.name)?.strip_prefix('/')?, *content))
        })
    }

    /// The content of one of its files.
    pub(crate) fn file(self, path: &str) -> Option<&'static [u8]> {
        self.files()
            .find(|(name, _)| *name == path)
            .map(|(_, content)| content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_pod_has_a_readable_description() {
        for name in names() {
            let pod = find(name).unwrap();
            let text = std::str::from_utf8(pod.file("pod.yaml").unwrap()).unwrap();
            assert!(podspec::header(text).is_ok(), "pods/{name}/pod.yaml");
        }
        assert_eq!(find("no_such_pod"), None);
    }
}
