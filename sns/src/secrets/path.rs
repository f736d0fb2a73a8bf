//! How a secret is named on the command line: `POD/CONFIG/FILE`, as it lies below `_config`.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use names::{PodName, VolumeName};

/// One file of one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretPath {
    /// The pod.
    pub(crate) pod: PodName,
    /// The config.
    pub(crate) config: VolumeName,
    /// The file in it.
    pub(crate) file: PathBuf,
}

impl FromStr for SecretPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const RULE: &str = "expected POD/CONFIG/FILE, as in web/keys/db.password";
        let text = text.strip_prefix("_config/").unwrap_or(text);
        let mut parts = text.splitn(3, '/');
        let (Some(pod), Some(config), Some(file)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(RULE.to_owned());
        };
        let file = Path::new(file);
        let is_plain = |part: Component<'_>| match part {
            Component::Normal(name) => !name.as_encoded_bytes().starts_with(b".."),
            _ => false,
        };
        let is_file = file.components().next().is_some() && file.components().all(is_plain);
        if !is_file || text.ends_with('/') || text.chars().any(char::is_control) {
            return Err(RULE.to_owned());
        }
        Ok(Self {
            pod: pod.parse().map_err(|error| format!("{error}"))?,
            config: config.parse().map_err(|error| format!("{error}"))?,
            file: file.components().collect(),
        })
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.pod, self.config, self.file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_file_of_a_config_and_nothing_else() {
        let check = |text: &str, expected: Option<&str>| {
            let path = text.parse::<SecretPath>().ok();
            assert_eq!(
                path.map(|path| path.to_string()).as_deref(),
                expected,
                "{text}"
            );
        };
        check("web/keys/db.password", Some("web/keys/db.password"));
        check("_config/web/keys/a/.b", Some("web/keys/a/.b"));
        check("web/keys", None);
        check("web/keys/", None);
        check("web/keys/a/", None);
        check("web/keys//etc/passwd", None);
        check("web/keys/../../x", None);
        check("web/keys/..data", None);
        check("../keys/x", None);
        check("web/.git/x", None);
    }
}
