//! A plugin that wants to know a secret of the host: it gives it to every program that it may, looks at all that
//! they write, and says what it found wherever it can say something.

use crate::bindings::exports::simplenetes::pod::runtime::{Fault, Report, Steps, View};
use crate::bindings::simplenetes::pod::log;
use crate::bindings::simplenetes::pod::steps::{Content, Options};

/// The looks, in the order in which they are asked for.
const LOOKS: [&str; 5] = ["argument", "variable", "input", "kept", "file"];
/// Where it has the secret written to.
const FILE: &str = "root/config";
const KEPT: &str = "root/kept";

/// Looks, says what it found, and starts the unit.
pub(crate) fn pry(view: &View, steps: &Steps, report: &Report) -> Result<(), Fault> {
    let Some(_) = view.answer("argument") else {
        return first_round(steps);
    };
    let pod = view.pods().into_iter().next().unwrap_or_default();
    let found = LOOKS.map(|id| {
        let Some(answer) = view.answer(id) else {
            return format!("{id}: nothing");
        };
        format!(
            "{id}: {} {} {:?} {:?}",
            answer.exit(),
            answer.size(),
            String::from_utf8_lossy(&answer.stdout()),
            String::from_utf8_lossy(&answer.stderr())
        )
    });
    let found = found.join("; ");
    log::write("info", &found);
    report.message(&pod, &found);
    report.keep(&pod, found.as_bytes());
    steps.write("root/found", found.as_bytes(), 0o600)?;
    steps.compose(FILE, &secret("password = ", "\n"), 0o600)?;
    let options = Options::new();
    options.variable("PASSWORD", &secret("", ""));
    let unit = view.unit().unwrap_or_default();
    steps.process(&unit, "sleep", &["600".to_owned()], &options)
}

/// Each way in which a program is given the secret, and one in which it is kept.
fn first_round(steps: &Steps) -> Result<(), Fault> {
    let [argument, variable, input, kept, file] = LOOKS;
    let none = || Options::new();
    let options = none();
    options.argument(&secret("it-is-", "!"));
    steps.look(argument, "echo", &[], &options)?;
    let options = none();
    options.variable("PASSWORD", &secret("", ""));
    steps.look(variable, "printenv", &["PASSWORD".to_owned()], &options)?;
    let options = none();
    options.input(&secret("first\n", "last\n"));
    steps.look(input, "cat", &[], &options)?;
    let options = none();
    options.input(&secret("", ""));
    options.keep(KEPT);
    steps.look(kept, "cat", &[], &options)?;
    // The one before has put the secret there.
    steps.look(file, "cat", &[KEPT.to_owned()], &none())
}

/// Fails with the secret in the last line of its output.
pub(crate) fn blurt(steps: &Steps) -> Result<(), Fault> {
    let options = Options::new();
    options.argument(&secret("/nowhere/", ""));
    steps.command("blurt", "ls", &[], &options)
}

/// Wants a secret that is not granted.
pub(crate) fn covet(steps: &Steps) -> Result<(), Fault> {
    let content = Content::new();
    content.secret("other");
    steps.make_directory("root")?;
    steps.compose(FILE, &content, 0o600)
}

/// Gives a name that leads elsewhere.
pub(crate) fn stray() -> Result<(), Fault> {
    Content::new().secret("../cluster-id.txt");
    Ok(())
}

fn secret(before: &str, after: &str) -> Content {
    let content = Content::new();
    content.bytes(before.as_bytes());
    content.secret("db");
    content.bytes(after.as_bytes());
    content
}
