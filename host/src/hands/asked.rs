//! What a person asks for by hand: the request in `pod.action`, and `.pod.hand`, in which is kept what
//! holds until `pod.state` changes. It lies beside `run/`, which a removal takes away.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hostfiles::{
    PodAction, ReadError, ReleaseDir, ReplaceError, ReplaceStep, read_if_present, replace,
};

use super::Hands;
use crate::driver::Asked;
use crate::hand::Hand;
use crate::log::one_line;

/// What is kept there. One that is damaged holds nothing: `pod.state` says what is wanted.
pub(crate) fn read_hand(release: &ReleaseDir) -> Hand {
    let text = fs::read(release.hand());
    text.ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// Which file it is that holds the request is read first: another one that takes its place meanwhile is read
/// once more, not overlooked. The number of a file that was deleted may be given to the next one within the same
/// tick of the clock, so the name of the request belongs to it.
fn read_asked(path: &Path) -> Result<Option<Asked>, ReadError> {
    let Ok(file) = fs::metadata(path) else {
        return Ok(None);
    };
    let action = read_if_present::<PodAction>(path)?;
    Ok(action.map(|action| {
        let (number, id) = (file.ino(), action.id.as_deref().unwrap_or_default());
        let file = format!("{number}-{}-{}-{id}", file.mtime(), file.mtime_nsec());
        Asked { action, file }
    }))
}

impl Hands {
    /// The request that lies there. It is taken away by [`Self::forget_request`], when it stands in the hand: a
    /// daemon that is killed before that leaves it to the next one.
    pub(super) fn read_request(&self) -> Option<Asked> {
        let path = self.release().action();
        match read_asked(&path) {
            Ok(asked) => asked,
            // It may be a good one: it stays for a better time.
            Err(error @ ReadError::Io { .. }) => {
                self.cannot_take(&path, &one_line(&error));
                None
            }
            Err(error) => {
                self.note(&format!("a request was thrown away: {}", one_line(&error)));
                if let Err(error) = fs::remove_file(&path) {
                    self.cannot_take(&path, &error.to_string());
                }
                None
            }
        }
    }

    /// The same, taken away at once.
    pub(crate) fn take_request(&self) -> Option<PodAction> {
        let Asked { action, .. } = self.read_request()?;
        self.remove_request(&action).then_some(action)
    }

    /// Takes the request away that lies there, if the hand that was written down knows it.
    pub(super) fn forget_request(&self, hand: &Hand) {
        if let Ok(Some(asked)) = read_asked(&self.release().action())
            && hand.has_taken(&asked.file)
        {
            self.remove_request(&asked.action);
        }
    }

    /// False when it could not be taken away.
    fn remove_request(&self, action: &PodAction) -> bool {
        let path = self.release().action();
        if let Err(error) = fs::remove_file(&path) {
            self.cannot_take(&path, &error.to_string());
            return false;
        }
        let words = action.words.join(" ");
        self.note(&format!("asked by hand: {} {words}", action.verb));
        true
    }

    fn cannot_take(&self, path: &Path, why: &str) {
        self.around.log.warn(format_args!(
            "{}: cannot take the request {}: {why}",
            self.id(),
            path.display()
        ));
    }

    pub(super) fn write_hand(&self, hand: &Hand) -> Result<bool, ReplaceError> {
        let path = self.release().hand();
        if !hand.is_empty() {
            let mut text = serde_json::to_vec(hand).unwrap_or_default();
            text.push(b'\n');
            return replace(&path, &text, 0o600);
        }
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ReplaceError {
                path,
                step: ReplaceStep::Rename,
                source,
            }),
            removed => Ok(removed.is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn requests_in_a_file_of_the_same_number_and_time_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pod.action");
        let asked = |text: &str| {
            let mut options = fs::File::options();
            let mut file = options
                .create(true)
                .write(true)
                .truncate(true)
                .open(&path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            read_asked(&path).unwrap().unwrap().file
        };
        let first = asked("stop\nid one\n");
        assert_eq!(asked("stop\nid one\n"), first);
        assert_ne!(asked("stop\nid two\n"), first);
        fs::remove_file(&path).unwrap();
        assert_eq!(read_asked(&path).unwrap(), None);
    }
}
