//! What a step says in words: its arguments and variables, with the secrets in them by name, as a usage line
//! is compared with them.

use names::SecretName;

use super::Checker;
use crate::content::is_plain;
use crate::{Content, StepOptions};

impl Checker<'_> {
    /// All arguments of a program as words.
    pub(super) fn arguments(
        program: &str,
        args: &[String],
        options: &StepOptions,
    ) -> Result<Vec<String>, String> {
        let no_text = || format!("an argument for `{program}` is no text, or holds a NUL");
        let plain = args
            .iter()
            .map(|arg| is_plain(arg).then(|| arg.clone()).ok_or_else(no_text));
        let added = options
            .arguments
            .iter()
            .map(|content| content.word().ok_or_else(no_text));
        plain.chain(added).collect()
    }

    /// All variables of a program with their values as words.
    pub(super) fn variables(
        program: &str,
        options: &StepOptions,
    ) -> Result<Vec<(String, String)>, String> {
        let no_text = |name: &str| {
            format!("the variable `{name}` for `{program}` is no text, or holds a NUL")
        };
        let plain = options.env.iter().map(|(name, value)| {
            let is_text = is_plain(name) && is_plain(value);
            let pair = is_text.then(|| (name.clone(), value.clone()));
            pair.ok_or_else(|| no_text(name))
        });
        let added = options.variables.iter().map(|(name, content)| {
            let word = content.word().filter(|_| is_plain(name));
            let pair = word.map(|word| (name.clone(), word));
            pair.ok_or_else(|| no_text(name))
        });
        plain.chain(added).collect()
    }

    /// Every secret is granted by its name.
    pub(super) fn secrets<'a>(
        &self,
        contents: impl IntoIterator<Item = &'a Content>,
    ) -> Result<(), String> {
        let granted =
            |name: &SecretName| self.grants.secrets.iter().any(|grant| grant.name == *name);
        let mut names = contents.into_iter().flat_map(Content::secrets);
        match names.find(|name| !granted(name)) {
            None => Ok(()),
            Some(name) => Err(format!("the secret `{name}` is not granted")),
        }
    }
}
