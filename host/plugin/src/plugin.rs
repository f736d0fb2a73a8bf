//! A loaded plugin, and the four calls into it.

use std::sync::Arc;

use podspec::CompiledPod;
use wasmtime::component::Resource;
use wasmtime::{Engine, Store};

use crate::bindings::PluginPre;
use crate::bindings::exports::simplenetes::pod::runtime::{Fault, Guest};
use crate::call::CallState;
use crate::declared::Declared;
use crate::recorder::{ReportResource, StepsResource, ViewResource};
use crate::said::said;
use crate::{
    CallError, CompileInput, CompileOutput, Digest, FaultClass, Grants, Limits, Manifest, Report,
    Step, View,
};

/// A loaded plugin with its grants. Each call runs in a sandbox of its own, so a plugin can be called
/// from several threads at once, and nothing is left of a call that failed.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) engine: Engine,
    pub(crate) world: PluginPre<CallState>,
    pub(crate) manifest: Manifest,
    pub(crate) digest: Digest,
    pub(crate) grants: Arc<Grants>,
    pub(crate) limits: Limits,
}

/// The answer to `plan`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// What the plugin said besides.
    pub report: Report,
}

type Outcome = wasmtime::Result<Result<(), Fault>>;

impl Plugin {
    /// What the plugin says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The digest of its component.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Resolves the kind's part of a pod.yaml.
    ///
    /// # Errors
    /// The plugin failed. What is wrong with the pod is not an error but in the output.
    pub fn compile(&self, input: CompileInput) -> Result<CompileOutput, CallError> {
        let view = View {
            facts: input.facts.clone(),
            ..View::default()
        };
        let mut call = self.call(
            "compile",
            Arc::new(view),
            Some(Arc::new(input)),
            Declared::default(),
        );
        let report = call.push(ReportResource::default())?;
        call.run(|guest, store, view| {
            guest.call_compile(store, view, Resource::new_borrow(report.rep()))
        })?;
        Ok(call.take(report)?.compiled)
    }

    /// The looks that the plugin needs to know how the pods of the view are.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn observe(&self, view: Arc<View>) -> Result<Vec<Step>, CallError> {
        let declared = Declared::of_host(&view.facts);
        let mut call = self.call("observe", view, None, declared);
        let steps = call.push(StepsResource {
            looks_only: true,
            ..StepsResource::default()
        })?;
        call.run(|guest, store, view| {
            guest.call_observe(store, view, Resource::new_borrow(steps.rep()))
        })?;
        Ok(call.take(steps)?.steps)
    }

    /// How the pods of the view are.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn assess(&self, view: Arc<View>) -> Result<Report, CallError> {
        let mut call = self.call("assess", view, None, Declared::default());
        let report = call.push(ReportResource::default())?;
        call.run(|guest, store, view| {
            guest.call_assess(store, view, Resource::new_borrow(report.rep()))
        })?;
        Ok(call.take(report)?.report)
    }

    /// The steps of the view's operation on its one pod, each of them checked against the grants.
    ///
    /// # Errors
    /// The plugin failed, or wanted a step that is not granted.
    pub fn plan(&self, view: Arc<View>) -> Result<Planned, CallError> {
        let declared = self.declared(&view)?;
        let mut call = self.call("plan", view, None, declared);
        let steps = call.push(StepsResource::default())?;
        let report = call.push(ReportResource::default())?;
        call.run(|guest, store, view| {
            guest.call_plan(
                store,
                view,
                Resource::new_borrow(steps.rep()),
                Resource::new_borrow(report.rep()),
            )
        })?;
        Ok(Planned {
            steps: call.take(steps)?.steps,
            report: call.take(report)?.report,
        })
    }

    fn declared(&self, view: &View) -> Result<Declared, CallError> {
        let [pod] = view.pods.as_slice() else {
            return Err(self.error(
                "plan",
                FaultClass::GiveUp,
                format!("was asked about {} pods at once", view.pods.len()),
            ));
        };
        let compiled =
            serde_json::from_value::<CompiledPod>(pod.spec.clone()).map_err(|error| {
                self.error(
                    "plan",
                    FaultClass::GiveUp,
                    format!("was given a pod that is not compiled: {error}"),
                )
            })?;
        Ok(Declared::of(&compiled, &view.facts, &view.operation.argv))
    }

    fn call(
        &self,
        export: &'static str,
        view: Arc<View>,
        compile: Option<Arc<CompileInput>>,
        declared: Declared,
    ) -> Call<'_> {
        let store = CallState::store(
            &self.engine,
            self.limits,
            Arc::clone(&self.grants),
            declared,
        );
        Call {
            plugin: self,
            export,
            store,
            view: Some(ViewResource { view, compile }),
        }
    }

    fn error(&self, export: &'static str, class: FaultClass, message: String) -> CallError {
        let plugin = format!("{} {}", self.manifest.id, self.manifest.version);
        CallError {
            class,
            plugin,
            export,
            message: said(message),
            log: Vec::new(),
            is_answer: false,
        }
    }
}

/// A call in the making.
struct Call<'a> {
    plugin: &'a Plugin,
    export: &'static str,
    store: Store<CallState>,
    view: Option<ViewResource>,
}

impl Call<'_> {
    fn push<T: Send + 'static>(&mut self, resource: T) -> Result<Resource<T>, CallError> {
        self.store
            .data_mut()
            .table
            .push(resource)
            .map_err(|error| self.failed(&error.into()))
    }

    fn take<T: Send + 'static>(&mut self, resource: Resource<T>) -> Result<T, CallError> {
        self.store
            .data_mut()
            .table
            .delete(resource)
            .map_err(|error| self.failed(&error.into()))
    }

    fn run(
        &mut self,
        export: impl FnOnce(&Guest, &mut Store<CallState>, Resource<ViewResource>) -> Outcome,
    ) -> Result<(), CallError> {
        let Some(view) = self.view.take() else {
            return Ok(());
        };
        let view = self.push(view)?;
        let world = match self.plugin.world.instantiate(&mut self.store) {
            Ok(world) => world,
            Err(error) => {
                let failed = self.failed(&error);
                // Without a trap it was not the guest: the host has no memory or descriptors left for it.
                let is_answer = failed.class == FaultClass::Retry && !error.is::<wasmtime::Trap>();
                return Err(CallError {
                    is_answer,
                    ..failed
                });
            }
        };
        let guest = world.simplenetes_pod_runtime();
        match export(guest, &mut self.store, Resource::new_borrow(view.rep())) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(CallError {
                is_answer: true,
                ..self.error(FaultClass::of_code(&fault.code), fault.message)
            }),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// A trap, or a call that the host ended.
    fn failed(&self, error: &wasmtime::Error) -> CallError {
        let (class, message) = self.store.data().explain(error);
        self.error(class, message)
    }

    fn error(&self, class: FaultClass, message: String) -> CallError {
        CallError {
            log: self.store.data().last_lines(),
            ..self.plugin.error(self.export, class, message)
        }
    }
}
