//! Runtime plugin `native`: the units of a pod are processes of the host.
//!
//! This file holds the exports of the contract and nothing else; the thought is in the pure modules,
//! which know no WIT and are tested as ordinary Rust. Restart policies, probes, logs and back-off are
//! the daemon's.

mod bindings;
mod compile;
mod plan;
mod pod;

use bindings::exports::simplenetes::pod::runtime::{Fault, Guest, Report, Steps, View};
use bindings::simplenetes::pod::log;

/// The plugin.
pub struct NativeRuntime;

impl Guest for NativeRuntime {
    fn compile(view: &View, report: &Report) -> Result<(), Fault> {
        log_panics();
        let section = parse(&view.section(), "the section of the pod")?;
        let owner_is_root = view.fact("owner-is-root").map(|fact| fact == "true");
        let compiled = compile::compile(&section, owner_is_root);
        for (unit, spec) in compiled.specs {
            report.resolved(&unit, &to_json(&spec)?);
        }
        for problem in compiled.problems {
            report.diagnostic(
                if problem.is_warning {
                    "warning"
                } else {
                    "error"
                },
                &problem.path,
                &problem.message,
                problem.hint.as_deref(),
            );
        }
        Ok(())
    }

    fn observe(_view: &View, _steps: &Steps) -> Result<(), Fault> {
        // Nothing to look at: the shims of the daemon know all there is to know about a process.
        Ok(())
    }

    fn assess(view: &View, report: &Report) -> Result<(), Fault> {
        log_panics();
        for id in view.pods() {
            for unit in this_pod(view, &id)?.units {
                let truth: pod::Truth = match view.unit_truth(&id, &unit.name) {
                    Some(json) => parse(&json, "what the shim knows of a unit")?,
                    None => pod::Truth::default(),
                };
                report.unit(&id, &unit.name, truth.state(), truth.pid, truth.exit);
            }
        }
        Ok(())
    }

    fn plan(view: &View, steps: &Steps, _report: &Report) -> Result<(), Fault> {
        log_panics();
        let id = view
            .pods()
            .into_iter()
            .next()
            .ok_or_else(|| give_up("no pod in the view"))?;
        let request = plan::Request {
            operation: view.operation(),
            unit: view.unit(),
            signal: view.argument("signal"),
            argv: view.argv(),
            proxy_address: view.fact("proxy-address"),
            release_directory: view.fact("release-directory").unwrap_or_default(),
            owner_is_root: view
                .fact("owner-is-root")
                .is_some_and(|fact| fact == "true"),
        };
        for step in
            plan::plan(&this_pod(view, &id)?, &request).map_err(|message| give_up(&message))?
        {
            record(steps, &step)?;
        }
        Ok(())
    }
}

fn this_pod(view: &View, id: &str) -> Result<pod::Pod, Fault> {
    let json = view
        .pod(id)
        .ok_or_else(|| give_up(&format!("the view does not hold pod {id}")))?;
    parse(&json, "the compiled pod")
}

fn parse<T: serde::de::DeserializeOwned>(json: &str, what: &str) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(|error| give_up(&format!("cannot read {what}: {error}")))
}

fn to_json(value: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| give_up(&format!("cannot write a unit's specification: {error}")))
}

fn give_up(message: &str) -> Fault {
    Fault {
        code: "give-up".to_owned(),
        message: message.to_owned(),
    }
}

fn record(steps: &Steps, step: &plan::Step) -> Result<(), Fault> {
    match step {
        plan::Step::MakeDirectory(path) => steps.make_directory(path),
        plan::Step::Link { path, target } => steps.link(path, target),
        plan::Step::Remove(path) => steps.remove(path),
        plan::Step::Signal { unit, signal } => steps.signal(unit, signal),
        plan::Step::Process { unit, run } => {
            steps.process(unit, &run.program, &run.args, &options(run))
        }
        plan::Step::Command { id, run } => {
            steps.command(id, &run.program, &run.args, &options(run))
        }
        plan::Step::Attach { run } => steps.attach(&run.program, &run.args, &options(run)),
    }
}

fn options(run: &plan::Run) -> bindings::simplenetes::pod::steps::Options {
    let options = bindings::simplenetes::pod::steps::Options::new();
    for name in plan::INHERITED {
        options.inherit(name);
    }
    for (name, value) in &run.env {
        options.env(name, value);
    }
    options.working_directory(&run.working_directory);
    if let Some(user) = &run.user {
        options.user(user);
    }
    options
}

/// Without it the host sees only that the sandbox stopped, not why.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| log::write("error", &info.to_string())));
}
