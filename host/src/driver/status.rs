//! What is told about a release: `.pod.status` for people and readers of the original's format, the
//! cluster ports that lead to it, and what the next driver should remember.

use std::sync::Arc;

use hostfiles::{PodPhase, PodStatus, UnitStatus};
use names::PodState;
use podspec::{CompiledPod, Unit, VolumeKind};

use super::wake::{TELL_AGAIN_MS, TRY_AGAIN_MS};
use super::{Driver, Paper, Target, World};
use crate::life::{Phase, UnitLife};
use crate::plan::{explain, is_ready, is_settled};

impl<W: World> Driver<W> {
    /// Tells what is so, if it is not what was told last, was told long ago, or may have been lost.
    pub(super) async fn tell(&mut self) {
        let now = self.clock.now_ms();
        let mut paper = self.paper(now);
        let told_at = self
            .told
            .as_ref()
            .map_or(0, |told| told.status.updated * 1_000);
        if let Some(told) = &self.told {
            paper.status.updated = told.status.updated;
            let is_kept = self.doubt.is_none_or(|doubt| now < doubt);
            if is_kept && *told == paper && now < told_at.saturating_add(TELL_AGAIN_MS) {
                return;
            }
        }
        // What only takes its place again is the same to the last byte, so that it wakes nobody.
        let is_old = self.told.as_ref() == Some(&paper) && now < told_at + TELL_AGAIN_MS;
        if !is_old {
            paper.status.updated = now / 1_000;
        }
        self.told = Some(paper.clone());
        self.doubt = None;
        if !self.world.tell(paper).await {
            self.doubt_after(TRY_AGAIN_MS);
        }
    }

    /// Has what was told last told again after so long, or sooner if that was planned already.
    pub(super) fn doubt_after(&mut self, ms: u64) {
        let due = self.clock.now_ms().saturating_add(ms);
        self.doubt = Some(self.doubt.map_or(due, |doubt| doubt.min(due)));
    }

    fn paper(&mut self, now: u64) -> Paper {
        let desired = self.orders.desired.borrow().clone();
        let spec = self.spec.clone();
        let ready = spec.as_ref().is_some_and(|spec| is_ready(spec, &self.life));
        let phase = self.phase(spec.as_deref());
        self.keep_times(phase, now);
        let problem = desired
            .as_ref()
            .and_then(crate::scan::DesiredRelease::problem);
        let from_kind = spec
            .as_ref()
            .and_then(|spec| self.world.problem(&spec.runtime));
        let from_life = spec
            .as_ref()
            .and_then(|spec| explain(spec, &self.life, now));
        // The unit that could not start because of its kind has said so already.
        let from_kind = from_kind.filter(|why| {
            !from_life
                .as_ref()
                .is_some_and(|told: &String| told.contains(why))
        });
        let from_configs = self.encrypted.problem().filter(|why| {
            let told = from_life.as_ref();
            !told.is_some_and(|told: &String| told.contains(*why))
        });
        let from_step = self.progress.clone().filter(|line| !line.is_empty());
        let lines: Vec<String> = [
            problem,
            from_kind,
            self.hand.explain(),
            from_configs.cloned(),
            from_life,
            from_step,
        ]
        .into_iter()
        .flatten()
        .chain(self.said())
        .collect();
        let status = PodStatus {
            pod: format!("{}-{}", self.id.pod, self.id.version),
            pod_version: self.id.version.to_string(),
            host_ports: spec
                .iter()
                .flat_map(|spec| &spec.units)
                .flat_map(|unit| &unit.expose)
                .filter_map(|port| port.host_port)
                .collect(),
            created: self.memory.created_ms.map(|ms| ms / 1_000),
            started: self.memory.started_ms.map(|ms| ms / 1_000),
            updated: now / 1_000,
            status: phase,
            pid: Some(std::process::id()),
            readiness: ready,
            message: lines.join("; "),
            action: self.hand.status(),
            units: spec.iter().flat_map(|spec| self.units(spec)).collect(),
        };
        let routed = desired.filter(|_| ready);
        let targets = targets(spec.as_deref().filter(|_| routed.is_some()));
        let routes = routed.map(|desired| desired.mappings).unwrap_or_default();
        Paper {
            status,
            routes,
            targets,
            hand: self.hand.clone(),
            memory: (!self.is_being_removed()).then(|| self.remember()),
        }
    }

    /// A unit that has its grace to end still holds its ports and files: it is not gone before its process is.
    fn has_processes(&self) -> bool {
        !self.life.units.iter().all(UnitLife::is_gone)
    }

    fn is_being_removed(&self) -> bool {
        self.life.wanted == PodState::Removed && !self.has_processes()
    }

    fn phase(&self, spec: Option<&CompiledPod>) -> PodPhase {
        let Some(spec) = spec else {
            return if self.life.wanted == PodState::Running {
                PodPhase::Starting
            } else {
                PodPhase::Exited
            };
        };
        match self.life.wanted {
            PodState::Running if is_settled(spec, &self.life) => PodPhase::Running,
            PodState::Running => PodPhase::Starting,
            PodState::Removed if self.life.is_down() && self.life.removed => PodPhase::Removed,
            PodState::Stopped if self.hand.is_created() && self.life.is_down() => PodPhase::Created,
            PodState::Stopped | PodState::Removed if self.has_processes() => PodPhase::Running,
            PodState::Stopped | PodState::Removed => PodPhase::Exited,
        }
    }

    fn keep_times(&mut self, phase: PodPhase, now: u64) {
        match phase {
            PodPhase::Created | PodPhase::Starting => {
                self.memory.created_ms.get_or_insert(now);
            }
            // What is on its way down keeps the times that it has.
            PodPhase::Running if self.life.wanted != PodState::Running => {}
            PodPhase::Running => {
                self.memory.created_ms.get_or_insert(now);
                self.memory.started_ms.get_or_insert(now);
            }
            PodPhase::Exited => self.memory.started_ms = None,
            PodPhase::Removed => (self.memory.created_ms, self.memory.started_ms) = (None, None),
        }
    }

    fn units(&self, spec: &Arc<CompiledPod>) -> Vec<UnitStatus> {
        let pairs = spec.units.iter().zip(&self.life.units);
        pairs
            .map(|(unit, life)| unit_status(&self.id, spec, unit, life))
            .collect()
    }
}

fn unit_status(
    id: &names::ReleaseId,
    spec: &CompiledPod,
    unit: &Unit,
    life: &UnitLife,
) -> UnitStatus {
    let text = |key: &str| {
        unit.spec
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    UnitStatus {
        name: unit.name.to_string(),
        container: format!("{}-{}-{}", unit.name, id.pod, id.version),
        image: text("image"),
        image_exists: None,
        restart: unit.restart.to_string(),
        mounts: mounts(spec, unit),
        ports: ports(unit),
        network: network(unit).to_owned(),
        start_count: life.start_count.saturating_sub(life.counted_from),
        status: word(life.phase).to_owned(),
        pid: None,
        exit_code: match life.phase {
            Phase::Exited { code, .. } => code,
            Phase::Absent | Phase::Starting | Phase::Up { .. } | Phase::Stopping { .. } => None,
        },
    }
}

/// The word of the original's container runtime for the phase.
fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Absent => "non-existent",
        Phase::Starting => "created",
        Phase::Up { .. } => "running",
        Phase::Stopping { .. } => "stopping",
        Phase::Exited { .. } => "exited",
    }
}

/// `source:dest`, separated by spaces.
pub(crate) fn mounts(spec: &CompiledPod, unit: &Unit) -> String {
    let texts = unit.mounts.iter().map(|mount| {
        let volume = spec
            .volumes
            .iter()
            .find(|volume| volume.name == mount.volume);
        let source = match volume.map(|volume| &volume.kind) {
            Some(VolumeKind::Config { .. }) => format!("./config/{}", mount.volume),
            Some(VolumeKind::Ramdisk { .. }) => format!("./ramdisk/{}", mount.volume),
            Some(VolumeKind::Host { bind }) => bind.clone(),
            Some(VolumeKind::Volume { .. }) | None => mount.volume.to_string(),
        };
        format!("{source}:{}", mount.dest)
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// `[IP:]hostPort:targetPort`, separated by spaces.
pub(crate) fn ports(unit: &Unit) -> String {
    let texts = unit.expose.iter().filter_map(|port| {
        let interface = port
            .host_interface
            .map(|ip| format!("{ip}:"))
            .unwrap_or_default();
        Some(format!(
            "{interface}{}:{}",
            port.host_port?, port.target_port?
        ))
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// The network that the unit lives in when it is not its pod's own.
pub(crate) fn network(unit: &Unit) -> &str {
    let of_host = unit.spec.get("hostNetwork") == Some(&serde_json::Value::Bool(true));
    let named = unit.spec.get("network").and_then(serde_json::Value::as_str);
    named.unwrap_or(if of_host { "host" } else { "" })
}

/// Where the cluster ports of a pod lead, inside.
fn targets(spec: Option<&CompiledPod>) -> Vec<Target> {
    let units = spec.into_iter().flat_map(|spec| &spec.units);
    let targets = units.flat_map(|unit| {
        unit.expose.iter().filter_map(|expose| {
            Some(Target {
                unit: unit.name.clone(),
                target_port: expose.target_port?,
                cluster_port: expose.cluster_port?,
                host_port: expose.host_port,
                max_conn: expose.max_conn,
                accept: expose.accept_proxy,
                send: expose.send_proxy,
            })
        })
    });
    targets.collect()
}
