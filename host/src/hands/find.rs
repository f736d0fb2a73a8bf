//! Finding what an earlier daemon has left of a release: the pod in service, its units, its memory.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use hostfiles::remove_leftovers;
use names::UnitName;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{sleep, timeout};

use super::watch::wait_for_end;
use super::{Hands, read_hand};
use crate::cgroup::{self, Group};
use crate::driver::{End, Found, Memory};
use crate::process::{Marker, ProcessId, boot_id};
use crate::scan::read_pod;
use crate::shim::{RunFiles, RunRecord};
use crate::step;

/// A shim that holds its lock but has not recorded anything yet gets so long to do it.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// A shim whose unit has ended needs no more to end what that left behind, its monitor among it, and to let
/// the streams run dry.
const ENDING_MAX: Duration = Duration::from_secs(30);
const SETTLE_PAUSE: Duration = Duration::from_millis(20);
/// How often what a killed shim has left is ended before it is given up.
const ENDS_MAX: u32 = 500;

/// What the files of one unit say.
pub(super) enum Unit {
    Running(RunRecord),
    Ended(u64, u32, End),
    /// Its shim was killed.
    Orphaned(RunRecord),
    Nothing,
    /// Its shim is about to write: this one, when its unit has ended.
    Unsettled(Option<ProcessId>),
}

impl Hands {
    pub(super) async fn find_all(self) -> Found {
        self.hold().await;
        let run = self.release().run_dir();
        // No runner lives any more, or the lock would be held; one that was killed may have left something.
        let tidying = self.clone();
        let _ = tokio::task::spawn_blocking(move || tidying.tidy_up()).await;
        let mut found = Found {
            remains: run.exists(),
            ..Found::default()
        };
        let boot = boot_id().unwrap_or_default();
        let memory = fs::read(run.join("driver.json"))
            .ok()
            .and_then(|text| serde_json::from_slice::<Memory>(&text).ok());
        found.memory = memory
            .filter(|memory| memory.boot == boot)
            .unwrap_or_default();
        found.memory.boot.clone_from(&boot);
        found.hand = read_hand(self.release());
        found.spec = read_pod(self.id(), &run.join("pod")).ok();
        for unit in found.spec.iter().flat_map(|spec| &spec.units) {
            match self.known(&unit.name).await {
                Unit::Running(record) => {
                    self.around.log.info(format_args!(
                        "{}: {} runs already (pid {})",
                        self.id(),
                        unit.name,
                        record.process.pid
                    ));
                    self.set_running(&unit.name, Some(record.process));
                    found
                        .running
                        .insert(unit.name.clone(), (record.started_ms, record.start_count));
                }
                Unit::Ended(at, start_count, end) => {
                    let exited = (at, start_count, end);
                    found.exited.insert(unit.name.clone(), exited);
                }
                Unit::Nothing | Unit::Orphaned(_) | Unit::Unsettled(_) => {}
            }
        }
        found
    }
}

impl Hands {
    /// Ends and removes what a driver and its steps have left that were killed.
    fn tidy_up(&self) {
        let release = self.release();
        let run = release.run_dir();
        step::end_strays(&run);
        cgroup::sweep(release);
        for file in [
            release.status(),
            self.release().hand(),
            run.join("driver.json"),
            run.join("pod"),
        ] {
            if let Err(error) = remove_leftovers(&file) {
                self.around.log.warn(format_args!(
                    "{}: cannot tidy up beside {}: {error}",
                    self.id(),
                    file.display()
                ));
            }
        }
    }

    /// What is true of a unit, when its shim has had the time to write it down. What a shim that was
    /// killed has left is ended first.
    pub(super) async fn settled(&self, unit: &UnitName) -> Unit {
        let files = RunFiles::of(self.release(), unit);
        let boot = boot_id().unwrap_or_default();
        let begin = Instant::now();
        loop {
            let shim = match look(&files, &boot).unwrap_or(Unit::Unsettled(None)) {
                Unit::Unsettled(shim) => shim,
                Unit::Orphaned(record) => {
                    self.end_orphans(unit, &record).await;
                    let (at, start_count) = (record.started_ms, record.start_count);
                    return Unit::Ended(at, start_count, End::default());
                }
                Unit::Ended(at, start_count, mut end) => {
                    end.is_elsewhere = self.is_elsewhere(end.code);
                    return Unit::Ended(at, start_count, end);
                }
                known => return known,
            };
            let max = shim.map_or(SETTLE_MAX, |_| ENDING_MAX);
            let left = max.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Unit::Unsettled(shim);
            }
            if let Some(shim) = shim {
                let _ = timeout(left, wait_for_end(shim)).await;
            }
            sleep(SETTLE_PAUSE).await;
        }
    }

    /// The same, for those who could start the unit a second time if it was thought to be absent.
    async fn known(&self, unit: &UnitName) -> Unit {
        loop {
            match self.settled(unit).await {
                Unit::Unsettled(_) => self.around.log.warn(format_args!(
                    "{}: nobody can say yet whether {unit} still runs, and nothing is done before",
                    self.id()
                )),
                known => return known,
            }
        }
    }

    /// Ends what is left of a unit whose shim was killed, and waits until it is gone: the kernel has only
    /// ended the unit's own process, not the children of that.
    pub(super) async fn end_orphans(&self, unit: &UnitName, record: &RunRecord) {
        for _ in 0..ENDS_MAX {
            let record = record.clone();
            // It reads all of /proc.
            if let Ok(true) = tokio::task::spawn_blocking(move || end_once(&record)).await {
                return;
            }
            sleep(SETTLE_PAUSE).await;
        }
        self.around.log.warn(format_args!(
            "{}: processes of {unit} whose shim was killed do not end",
            self.id()
        ));
    }
}

impl Hands {
    /// True when the shim has seen the end of a unit but not how: somebody else was its parent, whom the
    /// plugin can ask.
    pub(super) fn is_elsewhere(&self, code: Option<i32>) -> bool {
        code.is_none() && self.around.looks.is_some()
    }
}

/// Ends what is left of the unit now; true when nothing is, and its group is gone too.
fn end_once(record: &RunRecord) -> bool {
    let left = orphans(record);
    if let (true, Some(group)) = (left.is_empty(), record.group.clone()) {
        group.dissolve();
    }
    left.iter().copied().for_each(ProcessId::kill);
    left.is_empty()
}

/// Everything that a shim starts is in its session or, if it has left that, carries the shim's marker; a
/// unit with limits is in its group, whatever it does.
fn orphans(record: &RunRecord) -> Vec<ProcessId> {
    let unit = record.process.is_alive().then_some(record.process);
    if record.detached {
        // What its program has left beside it is shared with others, and what watched over it ends by itself.
        return unit.into_iter().collect();
    }
    let mut left = record.shim.session_without_leader();
    left.extend(unit);
    left.extend(record.group.iter().flat_map(Group::processes));
    left.extend(
        Marker::of(record.shim)
            .iter()
            .flat_map(Marker::processes)
            .collect::<Vec<_>>(),
    );
    left
}

/// Errors when nobody can say, because there are no descriptors left.
fn look(files: &RunFiles, boot: &str) -> io::Result<Unit> {
    let has_shim = is_locked(files.lock())?;
    // Of an earlier boot is what belongs to no process any more.
    let record = files.try_read_run()?.filter(|record| record.boot == boot);
    let Some(record) = record else {
        return Ok(if has_shim {
            Unit::Unsettled(None)
        } else {
            Unit::Nothing
        });
    };
    let exit = files
        .read_exit()
        .filter(|exit| exit.start_count == record.start_count);
    Ok(match exit {
        Some(_) if has_shim => Unit::Unsettled(Some(record.shim)),
        Some(exit) => Unit::Ended(
            exit.ended_ms,
            exit.start_count,
            End {
                code: exit.code,
                why: exit.reason,
                ..End::default()
            },
        ),
        None if !has_shim => Unit::Orphaned(record),
        None if record.process.is_alive() => Unit::Running(record),
        None => Unit::Unsettled(Some(record.shim)),
    })
}

fn is_locked(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
