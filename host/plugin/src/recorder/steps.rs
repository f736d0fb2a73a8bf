//! `steps`: what a plugin wants done. Each step is checked before it is recorded.

use wasmtime::Result;
use wasmtime::component::Resource;

use super::{ContentResource, OptionsResource, StepsResource};
use crate::bindings::simplenetes::pod::steps::{Fault, Host, HostOptions, HostSteps};
use crate::call::CallState;
use crate::{Content, FaultClass, Step, StepOptions};

type OptionsHandle = Resource<OptionsResource>;
type ContentHandle = Resource<ContentResource>;
type StepsHandle = Resource<StepsResource>;
type Recorded = Result<std::result::Result<(), Fault>>;

/// Bytes that a step may feed to its program.
const STDIN_BYTES_MAX: usize = 1024 * 1024;
/// What an item of a list counts for besides its text: empty ones take memory too.
const ITEM_BYTES: usize = 48;

impl Host for CallState {}

impl HostOptions for CallState {
    fn new(&mut self) -> Result<OptionsHandle> {
        self.hand_out(OptionsResource::default())
    }

    fn env(&mut self, options: OptionsHandle, name: String, value: String) -> Result<()> {
        self.spend(ITEM_BYTES + name.len() + value.len())?;
        self.table.get_mut(&options)?.0.env.push((name, value));
        Ok(())
    }

    fn inherit(&mut self, options: OptionsHandle, name: String) -> Result<()> {
        self.spend(ITEM_BYTES + name.len())?;
        self.table.get_mut(&options)?.0.inherit.push(name);
        Ok(())
    }

    fn working_directory(&mut self, options: OptionsHandle, path: String) -> Result<()> {
        self.spend(path.len())?;
        self.table.get_mut(&options)?.0.working_directory = Some(path);
        Ok(())
    }

    fn timeout(&mut self, options: OptionsHandle, milliseconds: u64) -> Result<()> {
        self.table.get_mut(&options)?.0.timeout_ms = Some(milliseconds);
        Ok(())
    }

    fn silence(&mut self, options: OptionsHandle, milliseconds: u64) -> Result<()> {
        self.table.get_mut(&options)?.0.silence_ms = Some(milliseconds);
        Ok(())
    }

    fn user(&mut self, options: OptionsHandle, name: String) -> Result<()> {
        self.spend(name.len())?;
        self.table.get_mut(&options)?.0.user = Some(name);
        Ok(())
    }

    fn monitor_file(&mut self, options: OptionsHandle, path: String) -> Result<()> {
        self.spend(path.len())?;
        self.table.get_mut(&options)?.0.monitor_file = Some(path);
        Ok(())
    }

    fn pid_file(&mut self, options: OptionsHandle, path: String) -> Result<()> {
        self.spend(path.len())?;
        self.table.get_mut(&options)?.0.pid_file = Some(path);
        Ok(())
    }

    fn keep(&mut self, options: OptionsHandle, path: String) -> Result<()> {
        self.spend(path.len())?;
        self.table.get_mut(&options)?.0.keep = Some(path);
        Ok(())
    }

    fn stdin(&mut self, options: OptionsHandle, content: Vec<u8>) -> Result<()> {
        if content.len() > STDIN_BYTES_MAX {
            return Err(self.over_budget(format!(
                "wanted to feed {} bytes to a program, at most {STDIN_BYTES_MAX} are",
                content.len()
            )));
        }
        self.spend(content.len())?;
        self.table.get_mut(&options)?.0.stdin = content;
        Ok(())
    }

    fn argument(&mut self, options: OptionsHandle, content: ContentHandle) -> Result<()> {
        let content = self.content(&content)?;
        self.table.get_mut(&options)?.0.arguments.push(content);
        Ok(())
    }

    fn variable(
        &mut self,
        options: OptionsHandle,
        name: String,
        content: ContentHandle,
    ) -> Result<()> {
        self.spend(ITEM_BYTES + name.len())?;
        let content = self.content(&content)?;
        let variables = &mut self.table.get_mut(&options)?.0.variables;
        variables.push((name, content));
        Ok(())
    }

    fn input(&mut self, options: OptionsHandle, content: ContentHandle) -> Result<()> {
        let content = self.content(&content)?;
        self.table.get_mut(&options)?.0.input = Some(content);
        Ok(())
    }

    fn drop(&mut self, options: OptionsHandle) -> Result<()> {
        self.table.delete(options)?;
        Ok(())
    }
}

impl HostSteps for CallState {
    fn command(
        &mut self,
        steps: StepsHandle,
        id: String,
        program: String,
        args: Vec<String>,
        options: OptionsHandle,
    ) -> Recorded {
        let options = self.options(&options)?;
        self.record(
            &steps,
            Step::Command {
                id,
                program,
                args,
                options,
            },
        )
    }

    fn look(
        &mut self,
        steps: StepsHandle,
        id: String,
        program: String,
        args: Vec<String>,
        options: OptionsHandle,
    ) -> Recorded {
        let options = self.options(&options)?;
        self.record(
            &steps,
            Step::Look {
                id,
                program,
                args,
                options,
            },
        )
    }

    fn process(
        &mut self,
        steps: StepsHandle,
        unit: String,
        program: String,
        args: Vec<String>,
        options: OptionsHandle,
    ) -> Recorded {
        let options = self.options(&options)?;
        self.record(
            &steps,
            Step::Process {
                unit,
                program,
                args,
                options,
            },
        )
    }

    fn detached(
        &mut self,
        steps: StepsHandle,
        unit: String,
        program: String,
        args: Vec<String>,
        options: OptionsHandle,
    ) -> Recorded {
        let options = self.options(&options)?;
        self.record(
            &steps,
            Step::Detached {
                unit,
                program,
                args,
                options,
            },
        )
    }

    fn signal(&mut self, steps: StepsHandle, unit: String, signal: String) -> Recorded {
        self.record(&steps, Step::Signal { unit, signal })
    }

    fn write(&mut self, steps: StepsHandle, path: String, content: Vec<u8>, mode: u32) -> Recorded {
        self.record(
            &steps,
            Step::Write {
                path,
                content,
                mode,
            },
        )
    }

    fn compose(
        &mut self,
        steps: StepsHandle,
        path: String,
        content: ContentHandle,
        mode: u32,
    ) -> Recorded {
        let content = self.content(&content)?;
        self.record(
            &steps,
            Step::Compose {
                path,
                content,
                mode,
            },
        )
    }

    fn link(&mut self, steps: StepsHandle, path: String, target: String) -> Recorded {
        self.record(&steps, Step::Link { path, target })
    }

    fn make_directory(&mut self, steps: StepsHandle, path: String) -> Recorded {
        self.record(&steps, Step::MakeDirectory { path })
    }

    fn remove(&mut self, steps: StepsHandle, path: String) -> Recorded {
        self.record(&steps, Step::Remove { path })
    }

    fn attach(
        &mut self,
        steps: StepsHandle,
        program: String,
        args: Vec<String>,
        options: OptionsHandle,
    ) -> Recorded {
        let options = self.options(&options)?;
        self.record(
            &steps,
            Step::Attach {
                program,
                args,
                options,
            },
        )
    }

    fn drop(&mut self, steps: StepsHandle) -> Result<()> {
        self.table.delete(steps)?;
        Ok(())
    }
}

impl CallState {
    fn options(&self, options: &OptionsHandle) -> Result<StepOptions> {
        Ok(self.table.get(options)?.0.clone())
    }

    /// A copy, which counts.
    fn content(&mut self, content: &ContentHandle) -> Result<Content> {
        let content = self.table.get(content)?.0.clone();
        self.spend(content.size())?;
        Ok(content)
    }

    fn record(&mut self, steps: &StepsHandle, step: Step) -> Recorded {
        self.spend(size(&step))?;
        let looks_only = self.table.get(steps)?.looks_only;
        let refusal = if looks_only && !matches!(step, Step::Look { .. }) {
            Err("`observe` may record looks only".to_owned())
        } else {
            self.check(&step)
        };
        if let Err(message) = refusal {
            return Ok(Err(Fault {
                code: FaultClass::NotGranted.code().to_owned(),
                message,
            }));
        }
        self.table.get_mut(steps)?.steps.push(step);
        Ok(Ok(()))
    }
}

/// Bytes that a step counts for in the output budget: all that recording it copies.
fn size(step: &Step) -> usize {
    64 + match step {
        Step::Command {
            id: name,
            program,
            args,
            options,
        }
        | Step::Look {
            id: name,
            program,
            args,
            options,
        }
        | Step::Process {
            unit: name,
            program,
            args,
            options,
        }
        | Step::Detached {
            unit: name,
            program,
            args,
            options,
        } => name.len() + program.len() + size_of_args(args) + size_of_options(options),
        Step::Attach {
            program,
            args,
            options,
        } => program.len() + size_of_args(args) + size_of_options(options),
        Step::Signal { unit, signal } => unit.len() + signal.len(),
        Step::Write { path, content, .. } => path.len() + content.len(),
        Step::Compose { path, content, .. } => path.len() + content.size(),
        Step::Link { path, target } => path.len() + target.len(),
        Step::MakeDirectory { path } | Step::Remove { path } => path.len(),
    }
}

fn size_of_args(args: &[String]) -> usize {
    args.iter().map(|arg| arg.len() + ITEM_BYTES).sum()
}

fn size_of_options(options: &StepOptions) -> usize {
    let env = options
        .env
        .iter()
        .map(|(name, value)| name.len() + value.len() + ITEM_BYTES);
    let variables = options.variables.iter();
    let names = variables.map(|(name, _)| name.len() + ITEM_BYTES);
    let optional = options.working_directory.iter().chain(&options.user);
    let optional = optional.chain(&options.pid_file).chain(&options.keep);
    env.sum::<usize>()
        + size_of_args(&options.inherit)
        + optional.map(String::len).sum::<usize>()
        + options.stdin.len()
        + names.sum::<usize>()
        + options.contents().map(Content::size).sum::<usize>()
}
