//! `.pod.problem`: what is wrong with a foreign pod, said by the daemon that drives it, because `.pod.status`
//! belongs to the program. One line; there is no file when nothing is wrong.

use crate::{Format, FormatError};

/// What a person should know, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodProblem(pub String);

impl Format for PodProblem {
    const NAME: &'static str = ".pod.problem";

    /// Whatever stands in the first line.
    fn parse(text: &str) -> Result<Self, FormatError> {
        let line = text.lines().next().unwrap_or_default().trim();
        Ok(Self(line.replace(char::is_control, " ")))
    }

    fn to_text(&self) -> String {
        format!("{}\n", self.0.replace(char::is_control, " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_whatever_is_in_it() {
        let problem = PodProblem("`run` failed:\na\u{1b}[2J".to_owned());
        let text = problem.to_text();
        assert_eq!(text, "`run` failed: a [2J\n");
        assert_eq!(PodProblem::parse(&text).unwrap().0, "`run` failed: a [2J");
    }
}
