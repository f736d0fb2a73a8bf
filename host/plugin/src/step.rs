//! What a plugin wants done, step by step. Recorded here, run by the daemon alone.

use serde::{Deserialize, Serialize};

use crate::Content;

/// One step of a plan, already checked against the grants of the plugin.
///
/// Paths are relative to the release directory of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    tag = "step"
)]
pub enum Step {
    /// Run a program to its end. A status other than 0 ends the operation.
    Command {
        /// Name of the step, for logs.
        id: String,
        /// The program: a path, or a name that the daemon looks up.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// How it runs.
        options: StepOptions,
    },
    /// Run a program that only reads, and ask the plugin again with its answer.
    Look {
        /// The name under which the answer is found.
        id: String,
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// How it runs.
        options: StepOptions,
    },
    /// Start a unit: the program becomes a child of the unit's shim.
    Process {
        /// The unit.
        unit: String,
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// How it runs.
        options: StepOptions,
    },
    /// Start a unit by a program that leaves it to another parent and ends; `options.pid_file` names the
    /// file with its process.
    Detached {
        /// The unit.
        unit: String,
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// How it runs.
        options: StepOptions,
    },
    /// Send a signal to the process of a unit. `KILL` goes to the unit's whole process group.
    Signal {
        /// The unit.
        unit: String,
        /// The signal's name without `SIG`.
        signal: String,
    },
    /// Replace a file, atomically.
    Write {
        /// Where.
        path: String,
        /// The whole new content.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// Replace a file, atomically, by what is put together when the step runs.
    Compose {
        /// Where.
        path: String,
        /// What its content is put together from.
        content: Content,
        /// Permission bits.
        mode: u32,
    },
    /// Make or replace a symbolic link.
    Link {
        /// Where the link stands.
        path: String,
        /// What it leads to: relative to the release directory, or a path the pod itself declares.
        target: String,
    },
    /// Make a directory and those above it.
    MakeDirectory {
        /// Where.
        path: String,
    },
    /// Remove a file or a directory with everything in it; nothing there is fine.
    Remove {
        /// What.
        path: String,
    },
    /// Become this program in the caller's terminal (`shell`, `exec`).
    Attach {
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// How it runs.
        options: StepOptions,
    },
}

/// How a program of a step runs. Its environment holds what is named here and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepOptions {
    /// Variables with their values, in the order given; the last of a name counts.
    pub env: Vec<(String, String)>,
    /// Names of variables that are passed on from the daemon's own environment, if set there.
    pub inherit: Vec<String>,
    /// Where it starts: relative to the release directory, or an absolute path the pod declares.
    pub working_directory: Option<String>,
    /// After so many milliseconds it is ended, with everything that it has started.
    pub timeout_ms: Option<u64>,
    /// After so many milliseconds without a byte of output it is ended likewise: for downloads, which
    /// take their time. A change of what is wanted ends a step that has this at once.
    pub silence_ms: Option<u64>,
    /// The user to run as; only where the host home belongs to root.
    pub user: Option<String>,
    /// Where the process of a detached unit is written: relative to the release directory.
    pub pid_file: Option<String>,
    /// Where the process is written that watches over a detached unit and ends with its exit status.
    pub monitor_file: Option<String>,
    /// What it reads from standard input; nothing when empty.
    pub stdin: Vec<u8>,
    /// Arguments behind the others.
    pub arguments: Vec<Content>,
    /// Variables behind the others.
    pub variables: Vec<(String, Content)>,
    /// What it reads from standard input in place of `stdin`.
    pub input: Option<Content>,
    /// The file that its standard output becomes, relative to the release directory: commands and looks.
    pub keep: Option<String>,
}

impl StepOptions {
    /// Everything that is put together when the step runs.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        let variables = self.variables.iter().map(|(_, content)| content);
        self.arguments.iter().chain(variables).chain(&self.input)
    }
}
