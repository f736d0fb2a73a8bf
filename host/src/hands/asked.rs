//! What a person asks for by hand: the request in `pod.action`, and `.pod.hand`, in which is kept what
//! holds until `pod.state` changes. It lies beside `run/`, which a removal takes away.

use std::fs;
use std::io;

use hostfiles::{
    PodAction, ReadError, ReleaseDir, ReplaceError, ReplaceStep, read_if_present, replace,
};

use super::Hands;
use crate::hand::Hand;
use crate::log::one_line;

/// What is kept there. One that is damaged holds nothing: `pod.state` says what is wanted.
pub(crate) fn read_hand(release: &ReleaseDir) -> Hand {
    let text = fs::read(release.hand());
    text.ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

impl Hands {
    /// The request that lies there. It is taken away first: one that was read is never read again.
    pub(crate) fn take_request(&self) -> Option<PodAction> {
        let path = self.release().action();
        let action = read_if_present::<PodAction>(&path);
        if matches!(action, Ok(None)) {
            return None;
        }
        let taken = match &action {
            // It may be a good one: it stays for a better time.
            Err(error @ ReadError::Io { .. }) => Err(one_line(error)),
            Ok(_) | Err(_) => fs::remove_file(&path).map_err(|error| error.to_string()),
        };
        if let Err(why) = taken {
            self.around.log.warn(format_args!(
                "{}: cannot take the request {}: {why}",
                self.id(),
                path.display()
            ));
            return None;
        }
        match action {
            Ok(action) => {
                if let Some(action) = &action {
                    let words = action.words.join(" ");
                    self.note(&format!("asked by hand: {} {words}", action.verb));
                }
                action
            }
            Err(error) => {
                self.note(&format!("a request was thrown away: {}", one_line(&error)));
                None
            }
        }
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
