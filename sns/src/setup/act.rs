//! The edge: asks a host what is so, and does the steps of a plan there, as root.

use std::io::{BufRead as _, BufReader, Write as _};

use super::facts::Facts;
use super::step::{Action, Guarded, Plan, Put, Step};
use crate::command_error::{CommandError, Kind};
use crate::remote::{Command, Output, Remote};
use crate::ui::Ui;

const AS_ROOT: &str = include_str!("scripts/as_root.sh");
const PROBE: &str = include_str!("scripts/probe.sh");
const PUT: &str = include_str!("scripts/put.sh");
const GUARD: &str = include_str!("scripts/guard.sh");
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is asked for beside what every plan needs.
#[derive(Debug, Default)]
pub(crate) struct Question<'a> {
    /// The user that runs the pods; blank when nobody asks.
    pub(crate) user: &'a str,
    /// The super user; blank when nobody asks.
    pub(crate) superuser: &'a str,
    /// Files whose digests are wanted.
    pub(crate) files: Vec<String>,
}

/// A host, commanded by root or by somebody who becomes root with sudo.
pub(crate) struct Root<'a> {
    remote: &'a Remote,
}

/// Makes a fresh connection, and tells whether the operator is still let in.
pub(crate) type ComeIn<'a> = dyn Fn() -> Result<(), CommandError> + 'a;

impl<'a> Root<'a> {
    /// The host at the other end, once whoever has logged in there turned out to be root or to become it.
    pub(crate) fn of(remote: &'a Remote) -> Result<Self, CommandError> {
        let root = Self { remote };
        let output = remote.output(&script("exec id -u", &[]), b"")?;
        match output.exit.is_success() && output.stdout.trim_ascii() == b"0" {
            true => Ok(root),
            false => Err(CommandError::refused(format!(
                "the super user of host {} cannot become root",
                remote.host()
            ))
            .listing(output.stderr.lines().map(str::to_owned))
            .hint(format!(
                "it needs sudo without a password; `sns host setup superuser {}` gives it that",
                remote.host()
            ))),
        }
    }

    /// Asks what is so. Changes nothing.
    pub(crate) fn probe(&self, question: &Question<'_>) -> Result<Facts, CommandError> {
        let mut arguments = vec![question.user, question.superuser];
        arguments.extend(question.files.iter().map(String::as_str));
        let output = self.remote.output(&script(PROBE, &arguments), b"")?;
        Facts::parse(&String::from_utf8_lossy(&output.stdout)).map_err(|error| {
            let host = self.remote.host();
            let failure = CommandError::new(
                Kind::Files,
                format!("could not tell how host {host} is set up"),
            );
            failure
                .caused_by(error)
                .listing(output.stderr.lines().map(str::to_owned))
        })
    }

    /// Does all of a plan, or stops at the first step that fails.
    pub(crate) fn carry_out(
        &self,
        ui: &Ui,
        plan: &Plan,
        come_in: &ComeIn<'_>,
    ) -> Result<(), CommandError> {
        let all = plan.steps.len();
        for (number, step) in (1..).zip(&plan.steps) {
            // Before it begins: some take long.
            ui.note(&format!("{number} of {all}: {}", step.what));
            self.step(step, come_in).map_err(|error| {
                let host = self.remote.host();
                error.on(&format!(
                    "host {host}, step {number} of {all}, {}",
                    step.what
                ))
            })?;
        }
        Ok(())
    }

    fn step(&self, step: &Step, come_in: &ComeIn<'_>) -> Result<(), CommandError> {
        match &step.action {
            Action::Put(put) => done(&self.put(put)?)?,
            Action::Run { words, input } => {
                done(&self.remote.output(&program(words), input.as_bytes())?)?;
            }
            Action::Guarded(guarded) => self.guarded(guarded, come_in)?,
        }
        match &step.proof {
            None => Ok(()),
            Some(proof) => {
                let output = self.remote.output(&program(proof), b"")?;
                done(&output).map_err(|error| error.on("done, and yet it is not so"))
            }
        }
    }

    fn put(&self, put: &Put) -> Result<Output, CommandError> {
        let (mode, digest) = (format!("{:o}", put.mode), put.digest().to_string());
        let mut arguments = vec![put.path.as_str(), &mode, &digest];
        arguments.extend(put.check.iter().map(String::as_str));
        let command = match &put.owner {
            None => script(PUT, &arguments),
            // Root writes nothing below the directory of somebody else, who may have laid a link there.
            Some(owner) => {
                let words = [
                    "sudo", "-n", "-H", "-u", owner, "--", "sh", "-c", PUT, "sns", "",
                ];
                program(&[&words[..], &arguments].concat())
            }
        };
        Ok(self.remote.output(&command, &put.content)?)
    }

    fn guarded(&self, guarded: &Guarded, come_in: &ComeIn<'_>) -> Result<(), CommandError> {
        let Guarded {
            apply,
            undo,
            keep,
            arguments,
        } = guarded;
        let mut all = vec![apply.as_str(), undo, keep];
        all.extend(arguments.iter().map(String::as_str));
        let mut running = self.remote.run(&script(GUARD, &all))?;
        let mut said = String::new();
        if let Some(stdout) = running.stdout.as_mut() {
            // An end before that word is told by how it ended.
            let _ = BufReader::new(stdout).read_line(&mut said);
        }
        let entered = match said.trim() {
            "applied" => come_in(),
            _ => Ok(()),
        };
        if entered.is_ok()
            && let Some(stdin) = running.stdin.as_mut()
        {
            let _ = stdin.write_all(b"stays\n");
        }
        // Without that word the end of its input takes everything back.
        let exit = running.wait();
        if let Err(error) = entered {
            let gone_back = exit.is_ok();
            return Err(error.hint(match gone_back {
                true => "nobody could come in any more, so it was taken back",
                false => "the host takes it back within a minute",
            }));
        }
        let (exit, stderr) = (exit?, running.errors());
        done(&Output {
            stdout: Vec::new(),
            stderr,
            exit,
        })
    }
}

/// A script with its arguments, run by root.
fn script(script: &str, arguments: &[&str]) -> Command {
    let command = Command::new("sh").args(["-c", AS_ROOT, "sns", script]);
    command.args(arguments.iter().copied())
}

/// A program with its arguments, run by root, found where root finds its programs.
fn program(words: &[impl AsRef<str>]) -> Command {
    let mut all = vec!["env", SEARCH_PATH];
    all.extend(words.iter().map(AsRef::as_ref));
    script("shift; exec \"$@\"", &all)
}

fn done(output: &Output) -> Result<(), CommandError> {
    match output.exit.is_success() {
        true => Ok(()),
        false => Err(
            CommandError::new(Kind::Incomplete, format!("it failed ({})", output.exit))
                .listing(output.stderr.lines().map(str::to_owned)),
        ),
    }
}
