//! `pod.state`: what should become of a release, in one word.

use names::PodState;

use crate::{Format, FormatError};

impl Format for PodState {
    const NAME: &'static str = "pod.state";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let word = text.trim();
        word.parse()
            .map_err(|_| FormatError::whole::<Self>(word, "one of running, stopped, removed"))
    }

    fn to_text(&self) -> String {
        format!("{self}\n")
    }
}
