//! `report`: what a plugin says is so.

use podspec::Severity;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::ReportResource;
use crate::bindings::simplenetes::pod::report::{Host, HostReport};
use crate::call::CallState;
use crate::said::said;
use crate::{PluginDiagnostic, UnitReport};

type ReportHandle = Resource<ReportResource>;

/// Bytes of state that the daemon keeps for one pod.
const KEPT_BYTES_MAX: usize = 64 * 1024;

impl Host for CallState {}

impl HostReport for CallState {
    fn unit(
        &mut self,
        report: ReportHandle,
        pod: String,
        unit: String,
        state: String,
        pid: Option<u32>,
        exit: Option<i32>,
    ) -> Result<()> {
        self.spend(64 + pod.len() + unit.len() + state.len())?;
        let units = &mut self.table.get_mut(&report)?.report.units;
        units.retain(|known| known.pod != pod || known.unit != unit);
        units.push(UnitReport {
            pod,
            unit,
            state,
            pid,
            exit,
        });
        Ok(())
    }

    fn message(&mut self, report: ReportHandle, pod: String, text: String) -> Result<()> {
        self.spend(64 + pod.len() + text.len())?;
        self.table
            .get_mut(&report)?
            .report
            .messages
            .push((pod, said(text)));
        Ok(())
    }

    fn wake_at(&mut self, report: ReportHandle, pod: String, milliseconds: u64) -> Result<()> {
        self.spend(64 + pod.len())?;
        self.table
            .get_mut(&report)?
            .report
            .wake_at_ms
            .insert(pod, milliseconds);
        Ok(())
    }

    fn keep(&mut self, report: ReportHandle, pod: String, content: Vec<u8>) -> Result<()> {
        if content.len() > KEPT_BYTES_MAX {
            return Err(self.over_budget(format!(
                "wanted {} bytes kept for {pod}, at most {KEPT_BYTES_MAX} are",
                content.len()
            )));
        }
        self.spend(64 + pod.len() + content.len())?;
        self.table
            .get_mut(&report)?
            .report
            .state
            .insert(pod, content);
        Ok(())
    }

    fn resolved(&mut self, report: ReportHandle, unit: String, spec: String) -> Result<()> {
        self.spend(64 + unit.len() + spec.len())?;
        let spec = match serde_json::from_str(&spec) {
            Ok(spec) => spec,
            Err(error) => {
                return Err(self.over_budget(format!(
                    "resolved unit `{unit}` to a text that is not JSON: {error}"
                )));
            }
        };
        self.table
            .get_mut(&report)?
            .compiled
            .specs
            .insert(unit, spec);
        Ok(())
    }

    fn diagnostic(
        &mut self,
        report: ReportHandle,
        severity: String,
        path: String,
        message: String,
        hint: Option<String>,
    ) -> Result<()> {
        self.spend(64 + path.len() + message.len() + hint.as_ref().map_or(0, String::len))?;
        let severity = if severity == "warning" {
            Severity::Warning
        } else {
            Severity::Error
        };
        let diagnostics = &mut self.table.get_mut(&report)?.compiled.diagnostics;
        diagnostics.push(PluginDiagnostic {
            severity,
            path: said(path),
            message: said(message),
            hint: hint.map(said),
        });
        Ok(())
    }

    fn drop(&mut self, report: ReportHandle) -> Result<()> {
        self.table.delete(report)?;
        Ok(())
    }
}
