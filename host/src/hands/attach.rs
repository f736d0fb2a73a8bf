//! A command of a person in a unit: the plugin says what it is, and the person's own process becomes it.

use std::collections::BTreeMap;

use names::UnitName;
use podspec::CompiledPod;
use simplenetes_plugin::{Operation as Request, Step};

use super::Hands;
use crate::gate::Launch;
use crate::life::Trouble;
use crate::log::one_line;
use crate::shim::RunFiles;

impl Hands {
    /// What a person's process becomes to run this command in a unit that runs.
    ///
    /// # Errors
    /// The unit does not run, or the plugin fails or plans something else.
    pub async fn attach(
        &self,
        spec: &CompiledPod,
        unit: &UnitName,
        argv: Vec<String>,
        has_terminal: bool,
    ) -> Result<Launch, Trouble> {
        let trouble = |message| Trouble {
            message,
            held: true,
        };
        let record = RunFiles::of(self.release(), unit).read_run();
        let record = record
            .filter(|record| record.process.is_alive())
            .ok_or_else(|| trouble(format!("unit {unit} does not run: `run` starts the pod")))?;
        self.set_running(unit, Some(record.process));
        let request = Request {
            name: "shell".into(),
            cause: "a person asks for it".into(),
            unit: Some(unit.to_string()),
            argv,
            arguments: BTreeMap::from([("terminal".to_owned(), has_terminal.to_string())]),
        };
        let planned = self.plan_steps(spec, request, 0, Vec::new()).await?;
        let [
            Step::Attach {
                program,
                args,
                options,
            },
        ] = planned.steps.as_slice()
        else {
            return Err(trouble(format!(
                "the plugin for `runtime: {}` cannot run a person's command",
                spec.runtime
            )));
        };
        let launch = self
            .runner
            .launch(program, args.clone(), options.clone(), None);
        launch.map_err(|error| trouble(one_line(&error)))
    }
}
