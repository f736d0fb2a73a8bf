//! Fills in what only the daemon knows when a step runs: the secrets of the host. Nothing that is filled in is
//! recorded, logged or part of an error.

use names::SecretName;
use simplenetes_plugin::{Answer, Content, Part, StepOptions};

use super::{StepError, StepRunner};
use crate::secrets::{Redaction, Secret, SecretError, Secrets};

/// One step holds no more bytes when everything is filled in. A plan names a secret in a few bytes, and could
/// name it very often.
const STEP_BYTES_MAX: usize = 4 << 20;

/// Fills in one step.
struct Filling<'a> {
    secrets: &'a Secrets,
    bytes_left: usize,
}

impl Filling<'_> {
    /// As it is, for files and standard input.
    fn bytes(&mut self, content: &Content) -> Result<Vec<u8>, StepError> {
        let mut bytes = Vec::new();
        for part in &content.0 {
            match part {
                Part::Bytes(own) => self.append(&mut bytes, own)?,
                Part::Secret(name) => {
                    let secret = self.secret(name)?;
                    self.append(&mut bytes, secret.bytes())?;
                }
            }
        }
        Ok(bytes)
    }

    /// As text, for arguments and variables.
    fn text(&mut self, content: &Content) -> Result<String, StepError> {
        let mut bytes = Vec::new();
        for part in &content.0 {
            match part {
                Part::Bytes(own) => self.append(&mut bytes, own)?,
                Part::Secret(name) => {
                    let secret = self.secret(name)?;
                    let text = secret.text().map_err(|source| unusable(name, source))?;
                    self.append(&mut bytes, text.as_bytes())?;
                }
            }
        }
        // The bytes of the plugin were found to be text when the step was compared with the grant.
        String::from_utf8(bytes)
            .map_err(|_| StepError::Refused("an argument or a variable is no text".into()))
    }

    fn secret(&self, name: &SecretName) -> Result<Secret, StepError> {
        let secret = self.secrets.read(name);
        secret.map_err(|source| unusable(name, source))
    }

    fn append(&mut self, to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), StepError> {
        let left = self.bytes_left.checked_sub(bytes.len());
        self.bytes_left = left.ok_or_else(|| {
            let what = "the step would hold more than 4 MiB with all secrets filled in";
            StepError::Refused(what.into())
        })?;
        to.extend_from_slice(bytes);
        Ok(())
    }
}

impl StepRunner {
    fn filling(&self) -> Filling<'_> {
        Filling {
            secrets: &self.secrets,
            bytes_left: STEP_BYTES_MAX,
        }
    }

    /// The content of a file.
    pub(super) fn filled(&self, content: &Content) -> Result<Vec<u8>, StepError> {
        self.filling().bytes(content)
    }

    /// All arguments, all variables and the input of a program.
    pub(super) fn fill(
        &self,
        mut args: Vec<String>,
        mut env: Vec<(String, String)>,
        options: StepOptions,
    ) -> Result<Filled, StepError> {
        let mut filling = self.filling();
        for content in &options.arguments {
            args.push(filling.text(content)?);
        }
        for (name, content) in options.variables {
            env.push((name, filling.text(&content)?));
        }
        let stdin = match &options.input {
            Some(content) => filling.bytes(content)?,
            None => options.stdin,
        };
        Ok(Filled { args, env, stdin })
    }
}

/// What a program gets, with everything filled in.
pub(super) struct Filled {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) stdin: Vec<u8>,
}

/// What a program wrote, for those who may not see secrets.
pub(super) fn redacted(answer: Answer, redaction: &Redaction) -> Answer {
    Answer {
        stdout: redaction.bytes(answer.stdout),
        stderr: redaction.bytes(answer.stderr),
        ..answer
    }
}

fn unusable(name: &SecretName, source: SecretError) -> StepError {
    StepError::Secret {
        name: name.clone(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use hostfiles::HostHome;

    use super::*;
    use crate::gate::Launch;

    fn check(parts: &[Part], as_bytes: Result<&[u8], &str>, as_text: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let home = HostHome::new(folder.path());
        fs::create_dir(home.secrets_dir()).unwrap();
        for (name, content) in [
            ("db", &b"correct horse\r\n"[..]),
            ("binary", b"correct \xff horse"),
            ("large", &[b'x'; 65_536]),
        ] {
            hostfiles::replace(&home.secrets_dir().join(name), content, 0o600).unwrap();
        }
        let secrets = Secrets::of(&home);
        let filling = || Filling {
            secrets: &secrets,
            bytes_left: STEP_BYTES_MAX,
        };
        let content = Content(parts.to_vec());
        let bytes = filling().bytes(&content).map_err(|error| said(&error));
        assert_eq!(bytes, as_bytes.map(<[u8]>::to_vec).map_err(str::to_owned));
        let text = filling().text(&content).map_err(|error| said(&error));
        assert_eq!(text, as_text.map(str::to_owned).map_err(str::to_owned));
    }

    fn said(error: &StepError) -> String {
        let text = format!("{error} {error:?}");
        assert!(!text.contains("horse"), "{text}");
        error.to_string()
    }

    fn secret(name: &str) -> Part {
        Part::Secret(name.parse().unwrap())
    }

    #[test]
    fn files_get_every_byte_and_words_get_text_without_the_last_line_break() {
        let own = Part::Bytes(b"a ".to_vec());
        check(
            &[own.clone(), secret("db"), own.clone()],
            Ok(b"a correct horse\r\na "),
            Ok("a correct horsea "),
        );
        check(&[], Ok(b""), Ok(""));
        let refused = "cannot use the secret `binary` of the host";
        check(&[secret("binary")], Ok(b"correct \xff horse"), Err(refused));
        let missing = "cannot use the secret `none` of the host";
        check(&[secret("none")], Err(missing), Err(missing));
    }

    #[test]
    fn a_secret_that_is_named_very_often_fills_no_memory() {
        let often = vec![secret("large"); 64];
        let all = vec![b'x'; STEP_BYTES_MAX];
        check(
            &often,
            Ok(&all),
            Ok(&String::from_utf8(all.clone()).unwrap()),
        );
        let more = vec![secret("large"); 65];
        let refused = "the step would hold more than 4 MiB with all secrets filled in";
        check(&more, Err(refused), Err(refused));
    }

    #[test]
    fn what_is_launched_is_not_shown_by_its_debug_form() {
        let launch = Launch {
            program: PathBuf::from("/bin/login"),
            args: vec!["correct horse".into()],
            env: vec![("PASSWORD".into(), "correct horse".into())],
            working_directory: PathBuf::from("/"),
            root: None,
            user: None,
            stdin: b"correct horse".to_vec(),
            group: Vec::new(),
        };
        let shown = format!("{launch:?}");
        assert!(
            shown.contains("/bin/login") && !shown.contains("horse") && !shown.contains("99"),
            "{shown}"
        );
    }
}
