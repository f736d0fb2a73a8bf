//! Asks a plugin what should be done: it is called, what it wants to look at is looked at, and it is called
//! again, until it has planned.

use std::sync::Arc;

use podspec::CompiledPod;
use simplenetes_plugin::{CallError, FaultClass, Operation as Request, Planned, Step, View};

use super::limits::refuse_unlimited;
use super::looked::Looked;
use super::operate::trouble_of_step;
use super::{Hands, allowed};
use crate::life::Trouble;
use crate::log::one_line;
use crate::runtime::Runtime;

/// How often a plugin may look before it must plan.
const ROUNDS_MAX: u32 = 4;

impl Hands {
    /// Asks the plugin until it has seen enough to say what should be done.
    pub(super) async fn plan_steps(
        &self,
        spec: &CompiledPod,
        request: Request,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Planned, Trouble> {
        let runtime = self.runtime(&spec.runtime).await?;
        let processes = self.processes(spec, start_count);
        // Shared, never copied: the answers in it may be large, and wait for a turn at the plugin.
        let mut view = Arc::new(self.view(spec, request, state));
        let held = |what: String| Trouble {
            message: format!("the plugin for {} pods {what}", spec.runtime),
            held: true,
        };
        let mut looked = Looked::new(self.around.turns.looked(&spec.runtime));
        for _ in 0..ROUNDS_MAX {
            let (asked, shown) = (Arc::clone(&runtime), Arc::clone(&view));
            let planned = self.ask(&spec.runtime, asked, shown).await?;
            allowed::check(&view.operation, &planned.steps).map_err(held)?;
            if !planned
                .steps
                .iter()
                .any(|step| matches!(step, Step::Look { .. }))
            {
                refuse_unlimited(spec, &planned.steps, runtime.takes_limits(&spec.runtime))?;
                return Ok(planned);
            }
            for step in planned.steps {
                if let Step::Look { id, .. } = &step {
                    let id = id.clone();
                    looked.begin().map_err(held)?;
                    let answer = self
                        .runner
                        .run(step, &processes)
                        .await
                        .map_err(|error| trouble_of_step(&error))?;
                    if let Some(answer) = answer {
                        looked.add(&answer).map_err(|full| Trouble {
                            held: full.is_final(),
                            ..held(full.to_string())
                        })?;
                        // The plugin has answered, and holds the view no more.
                        Arc::make_mut(&mut view).answers.insert(id, answer);
                    }
                }
            }
        }
        Err(held(format!(
            "still wants to look after {ROUNDS_MAX} rounds"
        )))
    }

    /// One call. What the plugin logged before it failed stands in the log of the release.
    async fn ask(
        &self,
        kind: &str,
        runtime: Arc<dyn Runtime>,
        view: Arc<View>,
    ) -> Result<Planned, Trouble> {
        let turn = self.around.turns.take(kind).await;
        let asked = tokio::task::spawn_blocking(move || {
            // A call that nobody waits for any more goes on to its end.
            let _turn = turn;
            runtime.plan(view)
        });
        let answered = asked.await.map_err(|_| Trouble {
            message: "the call of the plugin was aborted".into(),
            held: false,
        })?;
        let error = match answered {
            Ok(planned) => return Ok(planned),
            Err(error) => error,
        };
        for line in &error.log {
            let line = format!("plugin {} wrote {line}", error.plugin);
            self.note_beside(line).await;
        }
        Err(trouble_of_call(&error))
    }

    /// Who answers for the kind. A plugin that is being translated is waited for, unless something else is
    /// wanted of the release meanwhile.
    async fn runtime(&self, kind: &str) -> Result<Arc<dyn Runtime>, Trouble> {
        let mut kinds = self.around.kinds.clone();
        let trouble = |message, held| Trouble { message, held };
        tokio::select! {
            biased;
            // Where nothing is loaded any more, what there is counts.
            _ = kinds.wait_for(|kinds| !kinds.is_coming(kind)) => {}
            () = self.runner.told().cancelled() => {
                let message = "something else is wanted before its plugin is translated".to_owned();
                return Err(trouble(message, false));
            }
        }
        let kinds = Arc::clone(&*self.around.kinds.borrow());
        kinds
            .runtime(kind)
            .map_err(|message| trouble(message, true))
    }
}

fn trouble_of_call(error: &CallError) -> Trouble {
    let held = match error.class {
        FaultClass::GiveUp | FaultClass::NotGranted => true,
        FaultClass::Retry => false,
    };
    Trouble {
        message: one_line(error),
        held,
    }
}
