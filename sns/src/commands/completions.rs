//! `sns completions SHELL`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Context;
use crate::cli::Cli;
use crate::command_error::CommandError;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns completions bash > ~/.local/share/bash-completion/completions/sns
  sns completions zsh > ~/.zfunc/_sns
  sns completions fish > ~/.config/fish/completions/sns.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(context: &Context<'_>, args: &CompletionsArgs) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sns", &mut script);
    context.ui.raw(&script);
    Ok(())
}
