//! A plugin for the tests of the engine. The operation that it is asked to plan is the name of a
//! behaviour: most of them are ways in which a plugin can go wrong.

mod bindings;
mod life;
mod pry;

use std::hint::black_box;

use bindings::exports::simplenetes::pod::runtime::{Fault, Guest, Report, Steps, View};
use bindings::simplenetes::pod::log;
use bindings::simplenetes::pod::steps::{Content, Options};

/// The plugin.
pub struct Mock;

impl Guest for Mock {
    fn compile(view: &View, report: &Report) -> Result<(), Fault> {
        for path in view.files() {
            let content = view.file(&path).unwrap_or_default();
            report.diagnostic(
                "warning",
                "units[0].settings.behaviour",
                &format!("{path}: {content}"),
                Some("read it"),
            );
        }
        report.resolved("main", &view.section());
        Ok(())
    }

    fn observe(view: &View, steps: &Steps) -> Result<(), Fault> {
        if view.pods().is_empty() {
            return steps.remove("root");
        }
        if life::is_any(view, "trap in observe") {
            wrong(Some("that is looked for"))?;
        }
        let options = Options::new();
        if life::is_any(view, "impatient") {
            options.timeout(500);
        }
        steps.look("all", "looker", &["--all".to_owned()], &options)
    }

    fn assess(view: &View, report: &Report) -> Result<(), Fault> {
        if view.pods().iter().any(|pod| is_poisonous(view, pod)) {
            wrong(Some("of the poisonous pod"))?;
        }
        if life::is_any(view, "trap in assess") {
            wrong(Some("that is looked at"))?;
        }
        let answer = view
            .answer("all")
            .ok_or_else(|| fault("retry", "the look brought nothing"))?;
        for pod in view.pods() {
            let (state, pid) = life::state(view, &pod);
            report.unit(&pod, "main", state, pid, None);
            report.message(&pod, &String::from_utf8_lossy(&answer.stdout()));
            let kept = answer.stderr();
            if !kept.is_empty() {
                report.keep(&pod, &kept);
            }
            if life::is_restless(view, &pod) {
                report.wake_at(&pod, view.now() + 1000);
            }
        }
        Ok(())
    }

    fn plan(view: &View, steps: &Steps, report: &Report) -> Result<(), Fault> {
        std::panic::set_hook(Box::new(|info| log::write("error", &info.to_string())));
        if view.pods().iter().any(|pod| is_poisonous(view, pod)) {
            wrong(Some("of the poisonous pod"))?;
        }
        life::misplace(view, steps)?;
        let behaviour = life::behaviour(view).unwrap_or_else(|| view.operation());
        match behaviour.as_str() {
            "serve" | "trap in observe" | "trap in assess" | "impatient" | "restless"
            | "trap at tick" => life::serve(view, steps),
            "tick" if life::is_any(view, "trap at tick") => wrong(Some("that ticks")),
            "tick" => life::tick(steps),
            "execute" => life::execute(view, steps),
            "trap at restart" => trap_at_restart(view, steps, report),
            "pry" => pry::pry(view, steps, report),
            "blurt" => pry::blurt(steps),
            "covet" => pry::covet(steps),
            "stray" => pry::stray(),
            "stop" => life::end(view, steps, "TERM"),
            "kill" => life::end(view, steps, "KILL"),
            "download" | "create" | "remove" | "purge" => Ok(()),
            "exit" => std::process::exit(0),
            "obey" => obey(view, steps, &view.fact("words").unwrap_or_default()),
            "shout" => Err(fault("give-up", &"\x1b[2J loud\n".repeat(300_000))),
            "gaze" => gaze(steps),
            "link away" => steps.link("root/main", "/etc/shadow"),
            "climb by link" => steps.link("root/../pod", "config/conf"),
            "climb by remove" => steps.remove("root/../../.."),
            "start" => steps.write("root/main", b"started", 0o644),
            "detach" => detach(steps),
            "twice" => twice(steps),
            "wander" => steps.write("root/../pod", b"", 0o644),
            "escape" => steps.command(
                "escape",
                "/bin/sh",
                &["-c".to_owned(), "true".to_owned()],
                &Options::new(),
            ),
            "loop" => endless(),
            "bomb" => bomb(),
            "recurse" => recurse(view.now()),
            "panic" => wrong(view.unit().as_deref()),
            "chatter" => chatter(),
            "flood" => flood(steps),
            "hoard" => hoard(),
            "stuff" => stuff(steps),
            "feed" => {
                Options::new().stdin(&vec![0; 1024 * 1024 + 1]);
                Ok(())
            }
            "sigh" => sigh(),
            "keep too much" => {
                report.keep("mock:1.0.0", &vec![0; 64 * 1024 + 1]);
                Ok(())
            }
            words if words.starts_with("do ") => obey(
                view,
                steps,
                &words.trim_start_matches("do ").replace(' ', "\n"),
            ),
            list if list.starts_with("lengthen ") => lengthen(list),
            "retry" => Err(fault("retry", "the world does not answer")),
            "strange" => Err(fault("from-the-future", "what now?")),
            unknown => Err(fault("give-up", &format!("no such behaviour: {unknown}"))),
        }
    }
}

fn trap_at_restart(view: &View, steps: &Steps, report: &Report) -> Result<(), Fault> {
    if life::serve_once(view, steps, report)? {
        wrong(Some("that is started again"))?;
    }
    Ok(())
}

fn detach(steps: &Steps) -> Result<(), Fault> {
    let options = Options::new();
    options.pid_file("root/main.pid");
    steps.detached("main", "looker", &["--all".to_owned()], &options)
}

/// Runs these words, one to a line: as a command, or as the process of a unit. Words like `env:NAME=VALUE`
/// before the program set its environment.
fn obey(view: &View, steps: &Steps, text: &str) -> Result<(), Fault> {
    let mut words = text.lines().peekable();
    let options = Options::new();
    while let Some(pair) = words.peek().and_then(|word| word.strip_prefix("env:")) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        options.env(name, value);
        words.next();
    }
    let program = words.next().unwrap_or_default();
    let args: Vec<String> = words.map(str::to_owned).collect();
    match view.unit() {
        Some(unit) => steps.process(&unit, program, &args, &options),
        None => steps.command("obey", program, &args, &options),
    }
}

fn is_poisonous(view: &View, pod: &str) -> bool {
    view.pod(pod).is_some_and(|spec| spec.contains("poison"))
}

fn fault(code: &str, message: &str) -> Fault {
    Fault {
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

/// Only the first call of a sandbox may see zero: proves that nothing is left of an earlier call.
fn twice(steps: &Steps) -> Result<(), Fault> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    steps.write("root/calls", calls.to_string().as_bytes(), 0o644)
}

fn endless() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn bomb() -> Result<(), Fault> {
    let mut bombs = Vec::new();
    loop {
        bombs.push(black_box(vec![1_u8; 1024 * 1024]));
    }
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn recurse(depth: u64) -> Result<(), Fault> {
    let deeper = black_box([depth; 64]);
    recurse(deeper.iter().sum())?;
    Err(fault("give-up", &format!("{deeper:?}")))
}

#[expect(clippy::panic, reason = "the point of it")]
fn wrong(unit: Option<&str>) -> Result<(), Fault> {
    panic!("unit {unit:?} is all wrong")
}

fn chatter() -> Result<(), Fault> {
    for line in 0..100_000 {
        log::write("info", &format!("line {line} of very many"));
    }
    Err(fault("give-up", "said it all"))
}

fn flood(steps: &Steps) -> Result<(), Fault> {
    loop {
        steps.write("root/flood", &[0; 4096], 0o644)?;
    }
}

fn hoard() -> Result<(), Fault> {
    let mut options = Vec::new();
    loop {
        options.push(Options::new());
    }
}

/// Adds nothing to a list, for ever.
fn lengthen(list: &str) -> ! {
    let (options, content) = (Options::new(), Content::new());
    loop {
        match list {
            "lengthen environment" => options.env("", ""),
            "lengthen inherited" => options.inherit(""),
            "lengthen arguments" => options.argument(&content),
            "lengthen variables" => options.variable("", &content),
            _ => content.bytes(&[]),
        }
    }
}

/// Wants to look more often than it may.
fn gaze(steps: &Steps) -> Result<(), Fault> {
    for look in 0..101 {
        let options = Options::new();
        steps.look(&look.to_string(), "true", &["look".to_owned()], &options)?;
    }
    Ok(())
}

/// Records the same large options again and again.
fn stuff(steps: &Steps) -> Result<(), Fault> {
    let options = Options::new();
    options.stdin(&vec![0; 512 * 1024]);
    loop {
        steps.command("stuff", "looker", &["--all".to_owned()], &options)?;
    }
}

fn sigh() -> Result<(), Fault> {
    for _ in 0..100_000 {
        log::write("", "");
    }
    Err(fault("give-up", "said nothing"))
}
