//! The file that is a foreign pod (`executable.file`), as the pod's author has it: whether it can be one.
//! It is read and copied, and never executed here.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use podspec::{Diagnostic, Draft, FIRST_LINE, Severity};

use super::has_mistakes;
use super::release_files::Resolved;
use super::told::Told;
use crate::command_error::CommandError;

/// Where the file is named in the pod.yaml.
const PLACE: &str = "executable.file";

/// A program that can be a pod.
pub(super) struct Program {
    /// What is in the file.
    pub(super) content: Vec<u8>,
    warning: Option<Problem>,
}

/// What is wrong with it.
pub(super) struct Problem {
    severity: Severity,
    message: String,
    hint: String,
}

impl Problem {
    fn error(message: String, hint: &str) -> Self {
        Self {
            severity: Severity::Error,
            message,
            hint: hint.to_owned(),
        }
    }

    /// At its place in the pod.yaml.
    fn diagnostic(&self, draft: &Draft) -> Diagnostic {
        draft.diagnostic(
            self.severity,
            PLACE,
            &*self.message,
            Some(self.hint.clone()),
        )
    }
}

/// A program makes its ramdisks itself, or goes without: nobody asks it which it has.
fn ramdisks(draft: &Draft) -> Option<Diagnostic> {
    let names: Vec<&str> = draft.ramdisks().collect();
    (!names.is_empty()).then(|| {
        draft.diagnostic(
            Severity::Warning,
            "volumes",
            format!(
                "nobody makes the ramdisks of a program: {}",
                names.join(", ")
            ),
            Some("let the program make what it needs".to_owned()),
        )
    })
}

/// Nobody opens a config for a program that drives itself.
fn encrypted(draft: &Draft) -> Option<Diagnostic> {
    let name = draft.encrypted_configs().next()?;
    Some(draft.diagnostic(
        Severity::Error,
        &draft.volume_path(name),
        format!("the config `{name}` cannot be encrypted: nothing opens it for a program that is a pod by itself"),
        Some("leave out `encrypted`, and let the program open its files itself".to_owned()),
    ))
}

/// The program as it is, when neither it nor its pod.yaml, which has so many `errors`, is wrong.
pub(super) fn resolve(
    found: Option<Result<Program, Problem>>,
    draft: &Draft,
    errors: usize,
    told: &mut Told<'_>,
) -> Result<Resolved, CommandError> {
    let problem = match &found {
        Some(Ok(program)) => program.warning(),
        Some(Err(problem)) => Some(problem),
        None => None,
    };
    let shown = problem.map(|problem| problem.diagnostic(draft));
    let shown: Vec<Diagnostic> = shown
        .into_iter()
        .chain(ramdisks(draft))
        .chain(encrypted(draft))
        .collect();
    let errors = errors + told.show(&shown);
    match found {
        Some(Ok(program)) if errors == 0 => {
            let exposes = draft.exposes().to_vec();
            Ok(Resolved::Program(program.content, exposes))
        }
        _ => Err(has_mistakes(draft.pod_name(), errors)),
    }
}

impl Program {
    /// Reads the file of this name from the pod's directory.
    pub(super) fn read(directory: &Path, name: &str) -> Result<Self, Problem> {
        let unreadable = |error: io::Error| {
            Problem::error(
                format!("cannot read the program `{name}`: {error}"),
                "name a file seen from the directory of the pod.yaml; what a build makes has to be built first",
            )
        };
        let path = directory.join(name).canonicalize().map_err(unreadable)?;
        if !path.starts_with(directory.canonicalize().map_err(unreadable)?) {
            return Err(Problem::error(
                format!("the program `{name}` lies outside of the pod's directory"),
                "copy it there: a pod is compiled from its own repository alone",
            ));
        }
        let meta = fs::metadata(&path).map_err(unreadable)?;
        if !meta.is_file() {
            return Err(Problem::error(
                format!("the program `{name}` is no file"),
                "name the file that is to be executed",
            ));
        }
        let mut program = Self::checked(fs::read(&path).map_err(unreadable)?, name)?;
        if meta.permissions().mode() & 0o111 == 0 {
            program.warning = Some(Problem {
                severity: Severity::Warning,
                message: format!("the program `{name}` is not executable; on the host it will be"),
                hint: format!("chmod +x {name}, and commit that"),
            });
        }
        Ok(program)
    }

    /// The file of a pod that `sns` carries; none when there is none.
    pub(super) fn carried(content: Option<Vec<u8>>, name: &str) -> Result<Self, Problem> {
        let missing = || {
            Problem::error(
                format!("this special pod has no file `{name}`"),
                "please report it",
            )
        };
        Self::checked(content.ok_or_else(missing)?, name)
    }

    fn checked(content: Vec<u8>, name: &str) -> Result<Self, Problem> {
        if podspec::begins_as_program(&content) {
            return Ok(Self {
                content,
                warning: None,
            });
        }
        if content.starts_with(FIRST_LINE.as_bytes()) {
            return Err(Problem::error(
                format!("`{name}` is a pod that was compiled already"),
                "compile its own pod.yaml, with the runtime that is named there",
            ));
        }
        Err(Problem::error(
            format!("`{name}` is no program: it begins neither with `#!` nor as an ELF file"),
            "the first line of a script names its interpreter, as in `#!/bin/sh`",
        ))
    }

    /// What is not as it should be, and prevents nothing.
    fn warning(&self) -> Option<&Problem> {
        self.warning.as_ref()
    }
}
