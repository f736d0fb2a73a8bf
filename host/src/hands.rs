//! The driver's hands on a real host: plugins are asked, steps run, processes watched, files written.
//!
//! It decides nothing. What it did is answered; when it should be done is the planner's.

mod allowed;
mod asked;
mod asking;
mod attach;
mod find;
mod hold;
mod limits;
mod looked;
mod note;
mod operate;
mod pipes;
mod port;
mod probe;
mod request;
mod start;
mod survivors;
mod tell;
mod truth;
mod turns;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hostfiles::{HostHome, HostId, ReleaseDir};
use names::{ReleaseId, UnitName};
use podspec::CompiledPod;
use tokio::sync::watch as channel;

use crate::decrypt::{Decryption, KeyFile, Marks};
use crate::driver::{Asked, Deed, End, Found, Paper, Work, World};
use crate::life::{Operation, ProbeError, ProbeKind, Trouble};
use crate::lock::Role;
use crate::log::Log;
use crate::looks::{Looks, Member, Seen};
use crate::plugins::Kinds;
use crate::process::ProcessId;
use crate::publish::Routes;
use crate::ramdisk::Ramdisks;
use crate::shim::RunFiles;
use crate::steps::{Programs, StepRunner};
use truth::Truth;
pub use turns::Turns;

pub(crate) use asked::read_hand;
pub(crate) use watch::wait_for_end;

/// The address that ports are bound to and the cluster proxy listens on: the first of `hosts.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAddress {
    /// The last one that could be read, or the loopback address when there never was one.
    pub ip: IpAddr,
    /// Why it is not what `hosts.conf` says now, for people.
    pub problem: Option<String>,
}

impl OwnAddress {
    /// An address that somebody has named.
    #[must_use]
    pub fn given(ip: IpAddr) -> Self {
        Self { ip, problem: None }
    }
}

/// What all releases of a host share.
#[derive(Clone)]
pub struct Surroundings {
    /// The kinds of pods that can be run now.
    pub kinds: channel::Receiver<Arc<Kinds>>,
    /// The address of this host.
    pub address: channel::Receiver<OwnAddress>,
    /// The name of the user that the host home belongs to.
    pub owner: String,
    /// The host home; none for a pod that lies by itself.
    pub home: Option<HostHome>,
    /// What tells the host home, or that pod, from all others of the machine.
    pub id: HostId,
    /// Where ramdisks come from.
    pub ramdisks: Ramdisks,
    /// The private keys that open encrypted configs.
    pub key: KeyFile,
    /// Where the daemon says what it does.
    pub log: Log,
    /// As what releases are driven here.
    pub role: Role,
    /// Who may ask a plugin now.
    pub turns: Turns,
    /// Where plugins are asked how all pods of their kind are; none where nobody asks.
    pub looks: Option<Looks>,
}

impl Surroundings {
    /// What plugins may know about the host.
    #[must_use]
    pub fn facts(&self, owner_is_root: bool, programs: &Programs) -> BTreeMap<String, String> {
        let address = self.address.borrow().ip.to_string();
        let facts = [
            ("bind-address", address.clone()),
            ("proxy-address", address),
            ("owner", self.owner.clone()),
            ("owner-is-root", owner_is_root.to_string()),
            ("search-path", programs.as_path()),
        ];
        let mut facts = BTreeMap::from(facts.map(|(name, value)| (name.to_owned(), value)));
        facts.insert("host-id".to_owned(), self.id.to_string());
        if let Some(home) = &self.home {
            let logins = home.registry_config();
            if logins.is_file() {
                facts.insert("registry-config".to_owned(), logins.display().to_string());
            }
        }
        facts
    }
}

/// The hands on one release.
#[derive(Clone)]
pub struct Hands {
    runner: StepRunner,
    around: Surroundings,
    routes: Routes,
    truth: Truth,
    decryption: Decryption,
    /// Where the driver hears what a look brought.
    seen: Arc<channel::Sender<Seen>>,
}

impl Hands {
    /// The hands on the release of this runner.
    #[must_use]
    pub fn new(runner: StepRunner, around: Surroundings, routes: Routes) -> Self {
        let (key, ramdisks) = (around.key.clone(), around.ramdisks.clone());
        let (release, id) = (runner.release.clone(), runner.id.clone());
        Self {
            truth: Truth::new(release.clone()),
            decryption: Decryption::new(key, ramdisks, release, id),
            runner,
            around,
            routes,
            seen: Arc::default(),
        }
    }

    pub(crate) fn id(&self) -> &ReleaseId {
        &self.runner.id
    }

    pub(crate) fn release(&self) -> &ReleaseDir {
        &self.runner.release
    }

    pub(crate) fn runner(&self) -> &StepRunner {
        &self.runner
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The address that ports are bound to now.
    pub(crate) fn address(&self) -> IpAddr {
        self.around.address.borrow().ip
    }

    fn running(&self) -> BTreeMap<UnitName, ProcessId> {
        self.truth.running()
    }

    fn set_running(&self, unit: &UnitName, process: Option<ProcessId>) {
        self.truth.set_running(unit, process);
    }

    /// The address that a unit was started with: it stays there when `hosts.conf` names another.
    fn address_of(&self, unit: &UnitName) -> IpAddr {
        let record = RunFiles::of(self.release(), unit).read_run();
        record
            .and_then(|record| record.address)
            .unwrap_or_else(|| self.around.address.borrow().ip)
    }
}

impl World for Hands {
    fn find(&self) -> Work<Found> {
        Box::pin(self.clone().find_all())
    }

    fn operate(
        &self,
        spec: Arc<CompiledPod>,
        operation: Operation,
        start_count: u32,
        state: Vec<u8>,
    ) -> Work<Result<Deed, Trouble>> {
        self.runner.told().begin();
        Box::pin(
            self.clone()
                .do_operation(spec, operation, start_count, state),
        )
    }

    fn reveal(&self, spec: Arc<CompiledPod>) -> Work<Option<Result<Marks, String>>> {
        Box::pin(self.decryption.reveal_again(spec))
    }

    fn read_action(&self) -> Work<Option<Asked>> {
        let hands = self.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || hands.read_request()).await;
            read.unwrap_or_default()
        })
    }

    fn lines(&self) -> channel::Receiver<String> {
        self.runner.told().lines()
    }

    fn outdated(&self) -> BTreeSet<UnitName> {
        let Some(home) = &self.around.home else {
            return BTreeSet::new();
        };
        // The kernel names a program by the way that has no links in it.
        let programs = home.programs_dir();
        let programs = programs.canonicalize().unwrap_or(programs);
        let running = self.running().into_iter();
        let outdated = running.filter(|(_, process)| process.runs_replaced_from(&programs));
        outdated.map(|(unit, _)| unit).collect()
    }

    fn cancel(&self) {
        self.runner.told().cancel();
    }

    fn probe(
        &self,
        spec: Arc<CompiledPod>,
        unit: UnitName,
        kind: ProbeKind,
    ) -> Work<Result<(), ProbeError>> {
        Box::pin(self.clone().run_probe(spec, unit, kind))
    }

    fn ended(&self, unit: UnitName, start_count: u32) -> Work<End> {
        Box::pin(self.clone().watch_end(unit, start_count))
    }

    fn look(&self, spec: Arc<CompiledPod>, state: Vec<u8>) {
        let member = Member {
            spec,
            state,
            units: Arc::new(self.truth.clone()),
            seen: Arc::clone(&self.seen),
        };
        if let Some(looks) = &self.around.looks {
            looks.look(self.id(), member);
        }
    }

    fn seen(&self) -> channel::Receiver<Seen> {
        self.seen.subscribe()
    }

    fn problem(&self, kind: &str) -> Option<String> {
        let kinds = self.around.kinds.borrow();
        let of_kind = match kinds.kinds.get(kind) {
            Some(known) => known.problem.clone(),
            None => kinds.runtime(kind).err(),
        };
        let of_address = self.around.address.borrow().problem.clone();
        let problems: Vec<String> = of_kind
            .into_iter()
            .chain(of_address)
            .chain(self.around.ramdisks.problem(self.release()))
            .collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn tell(&self, paper: Paper) -> Work<bool> {
        Box::pin(self.clone().tell_all(paper))
    }
}
