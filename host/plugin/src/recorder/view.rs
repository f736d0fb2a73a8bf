//! `view`: what a plugin can see.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::Resource;

use super::{AnswerResource, ViewResource};
use crate::bindings::simplenetes::pod::view::{Host, HostAnswer, HostView};
use crate::call::CallState;
use crate::declared::unit_digest;

type ViewHandle = Resource<ViewResource>;
type AnswerHandle = Resource<AnswerResource>;

impl Host for CallState {}

impl HostAnswer for CallState {
    fn exit(&mut self, answer: AnswerHandle) -> Result<i32> {
        Ok(self
            .table
            .get(&answer)?
            .answer()
            .map_or(0, |answer| answer.exit))
    }

    fn stdout(&mut self, answer: AnswerHandle) -> Result<Vec<u8>> {
        let answer = self.table.get(&answer)?.answer();
        Ok(answer
            .map(|answer| answer.stdout.clone())
            .unwrap_or_default())
    }

    fn stderr(&mut self, answer: AnswerHandle) -> Result<Vec<u8>> {
        let answer = self.table.get(&answer)?.answer();
        Ok(answer
            .map(|answer| answer.stderr.clone())
            .unwrap_or_default())
    }

    fn size(&mut self, answer: AnswerHandle) -> Result<u64> {
        let answer = self.table.get(&answer)?.answer();
        Ok(answer.map_or(0, |answer| answer.output().bytes))
    }

    fn digest(&mut self, answer: AnswerHandle) -> Result<String> {
        let answer = self.table.get(&answer)?.answer();
        Ok(answer
            .map(|answer| answer.output().digest)
            .unwrap_or_default())
    }

    fn drop(&mut self, answer: AnswerHandle) -> Result<()> {
        self.table.delete(answer)?;
        Ok(())
    }
}

/// The pod with what tells each unit's specification from others: the plugin has no hash of its own.
fn with_digests(mut pod: serde_json::Value) -> serde_json::Value {
    let units = pod
        .get_mut("units")
        .and_then(serde_json::Value::as_array_mut);
    for unit in units.into_iter().flatten() {
        let digest = unit_digest(unit);
        if let Some(unit) = unit.as_object_mut() {
            unit.insert("digest".to_owned(), digest.into());
        }
    }
    pod
}

impl HostView for CallState {
    fn operation(&mut self, view: ViewHandle) -> Result<String> {
        Ok(self.table.get(&view)?.view.operation.name.clone())
    }

    fn cause(&mut self, view: ViewHandle) -> Result<String> {
        Ok(self.table.get(&view)?.view.operation.cause.clone())
    }

    fn unit(&mut self, view: ViewHandle) -> Result<Option<String>> {
        Ok(self.table.get(&view)?.view.operation.unit.clone())
    }

    fn argument(&mut self, view: ViewHandle, name: String) -> Result<Option<String>> {
        Ok(self
            .table
            .get(&view)?
            .view
            .operation
            .arguments
            .get(&name)
            .cloned())
    }

    fn argv(&mut self, view: ViewHandle) -> Result<Vec<String>> {
        Ok(self.table.get(&view)?.view.operation.argv.clone())
    }

    fn now(&mut self, view: ViewHandle) -> Result<u64> {
        Ok(self.table.get(&view)?.view.now_ms)
    }

    fn fact(&mut self, view: ViewHandle, name: String) -> Result<Option<String>> {
        Ok(self.table.get(&view)?.view.facts.get(&name).cloned())
    }

    fn pods(&mut self, view: ViewHandle) -> Result<Vec<String>> {
        Ok(self
            .table
            .get(&view)?
            .view
            .pods
            .iter()
            .map(|pod| pod.id.clone())
            .collect())
    }

    fn pod(&mut self, view: ViewHandle, id: String) -> Result<Option<String>> {
        Ok(self
            .table
            .get(&view)?
            .view
            .pod(&id)
            .map(|pod| with_digests(pod.spec.clone()).to_string()))
    }

    fn unit_truth(
        &mut self,
        view: ViewHandle,
        pod: String,
        unit: String,
    ) -> Result<Option<String>> {
        let view = &self.table.get(&view)?.view;
        let truth = view
            .pod(&pod)
            .and_then(|pod| pod.units.iter().find(|truth| truth.unit == unit));
        Ok(truth.map(serde_json::to_string).transpose()?)
    }

    fn kept(&mut self, view: ViewHandle, pod: String) -> Result<Vec<u8>> {
        Ok(self
            .table
            .get(&view)?
            .view
            .pod(&pod)
            .map(|pod| pod.state.clone())
            .unwrap_or_default())
    }

    fn answer(&mut self, view: ViewHandle, id: String) -> Result<Option<AnswerHandle>> {
        let view = Arc::clone(&self.table.get(&view)?.view);
        if !view.answers.contains_key(&id) {
            return Ok(None);
        }
        Ok(Some(self.hand_out(AnswerResource(view, id))?))
    }

    fn section(&mut self, view: ViewHandle) -> Result<String> {
        let compile = &self.table.get(&view)?.compile;
        Ok(compile
            .as_ref()
            .map(|input| input.section.to_string())
            .unwrap_or_default())
    }

    fn files(&mut self, view: ViewHandle) -> Result<Vec<String>> {
        let compile = &self.table.get(&view)?.compile;
        Ok(compile
            .as_ref()
            .map(|input| input.files.keys().cloned().collect())
            .unwrap_or_default())
    }

    fn file(&mut self, view: ViewHandle, path: String) -> Result<Option<String>> {
        let compile = &self.table.get(&view)?.compile;
        Ok(compile
            .as_ref()
            .and_then(|input| input.files.get(&path).cloned()))
    }

    fn drop(&mut self, view: ViewHandle) -> Result<()> {
        self.table.delete(view)?;
        Ok(())
    }
}
