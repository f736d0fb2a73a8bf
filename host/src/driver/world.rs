//! The seam between a driver and everything that has effects: plugin, steps, processes, probes, files.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use hostfiles::{PodAction, PodStatus, PortMapping};
use names::{AcceptProxy, ClusterPort, HostPort, SendProxy, UnitName};
use podspec::CompiledPod;
use tokio::sync::watch;

use super::Memory;
use crate::decrypt::Marks;
use crate::hand::Hand;
use crate::life::{Operation, ProbeError, ProbeKind, Trouble};
use crate::looks::Seen;

/// Work that is under way.
pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a driver finds when it begins.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The pod that was in service; none when nothing was ever started.
    pub spec: Option<Arc<CompiledPod>>,
    /// What the driver before remembered.
    pub memory: Memory,
    /// Units whose process runs: since when, and which start it is.
    pub running: BTreeMap<UnitName, (u64, u32)>,
    /// Units whose process has ended: when, which start it was, and how.
    pub exited: BTreeMap<UnitName, (u64, u32, End)>,
    /// What a person has asked for.
    pub hand: Hand,
    /// True when there is something to remove.
    pub remains: bool,
}

/// What an operation brought beside its effects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deed {
    /// What the plugin wants to be kept for the pod.
    pub state: Option<Vec<u8>>,
    /// Units that run although they were thought not to. A removal that finds any has removed nothing.
    pub survivors: BTreeMap<UnitName, Survivor>,
    /// How the unit that was started has ended already: its program could not be executed.
    pub ended: Option<End>,
    /// When the plugin wants to be asked for `tick`, in milliseconds since the Unix epoch.
    pub wake_at_ms: Option<u64>,
}

/// A process that was found of a unit that was thought to have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// When it was started, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Which start it is.
    pub start_count: u32,
    /// Why its start was not finished; none when it was.
    pub incomplete: Option<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// Its exit status; none when nobody saw it.
    pub code: Option<i32>,
    /// Why its program could not be executed.
    pub why: Option<String>,
    /// True when the process was the child of somebody else, who alone knows the status: a look may tell.
    pub is_elsewhere: bool,
}

/// What is told about a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Paper {
    /// Its status, without the time of writing.
    pub status: PodStatus,
    /// The cluster ports that lead to it now.
    pub routes: Vec<PortMapping>,
    /// What the units that are ready say of their cluster ports, those without a mapping too.
    pub targets: Vec<Target>,
    /// What a person has asked for, which holds until `pod.state` changes.
    pub hand: Hand,
    /// What the next driver should remember; none while what the pod made is being removed.
    pub memory: Option<Memory>,
}

/// Which port of which unit a cluster port leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The unit.
    pub unit: UnitName,
    /// The port that it listens on, inside.
    pub target_port: u16,
    /// The cluster port.
    pub cluster_port: ClusterPort,
    /// The host port of its mapping; none where it is reached inside only.
    pub host_port: Option<HostPort>,
    /// Most connections at a time.
    pub max_conn: u32,
    /// What its clients bring.
    pub accept: AcceptProxy,
    /// Which header of the PROXY protocol it wants.
    pub send: SendProxy,
}

/// A request by hand that lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is asked for.
    pub action: PodAction,
    /// Which file it is: as long as it lies there, it is found again under this name, also by the next driver.
    pub file: String,
}

/// Everything that has effects on one release. The driver begins one operation at a time.
pub trait World: Send + Sync + 'static {
    /// Looks for what is there already.
    fn find(&self) -> Work<Found>;
    /// Does an operation, with the plugin's help.
    fn operate(
        &self,
        spec: Arc<CompiledPod>,
        operation: Operation,
        start_count: u32,
        state: Vec<u8>,
    ) -> Work<Result<Deed, Trouble>>;
    /// Opens the encrypted configs again, because a sync has brought others, or says why they cannot be opened;
    /// none when the pod was removed meanwhile.
    fn reveal(&self, spec: Arc<CompiledPod>) -> Work<Option<Result<Marks, String>>>;
    /// The request that lies there, if one does that can be read. It goes away when a hand was told that
    /// knows it.
    fn read_action(&self) -> Work<Option<Asked>>;
    /// What the steps of operations write last, line by line.
    fn lines(&self) -> watch::Receiver<String>;
    /// The units that run a program of the host home which was replaced since.
    fn outdated(&self) -> BTreeSet<UnitName>;
    /// Ends the download that is under way, if there is one: something else is wanted now.
    fn cancel(&self);
    /// Runs a probe within its time.
    fn probe(
        &self,
        spec: Arc<CompiledPod>,
        unit: UnitName,
        kind: ProbeKind,
    ) -> Work<Result<(), ProbeError>>;
    /// Waits for the end of the process of this start of a unit.
    fn ended(&self, unit: UnitName, start_count: u32) -> Work<End>;
    /// Wants the plugin asked how the release is, soon; `state` is what it has had kept.
    fn look(&self, spec: Arc<CompiledPod>, state: Vec<u8>);
    /// What such a look brought.
    fn seen(&self) -> watch::Receiver<Seen>;
    /// Why plugin and host do not serve the release as they should; none when they do.
    fn problem(&self, kind: &str) -> Option<String>;
    /// Writes the status, keeps the memory, routes the ports. False when that has to be tried again.
    fn tell(&self, paper: Paper) -> Work<bool>;
}
