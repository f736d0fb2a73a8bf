//! A request becomes what holds by hand, a goal and events; a wrong one is refused and changes nothing.

use std::collections::BTreeSet;

use hostfiles::{PodAction, PodVerb};
use names::{PodState, UnitName, VolumeName};
use podspec::{CompiledPod, VolumeKind};

use super::settle::{STILL_THERE, may_purge};
use super::{Goal, Hand, Hold, Progress, Request, UNDER_WAY_MAX};
use crate::driver::Asked;
use crate::life::{Errand, Event, Life, Phase};
use crate::plan::hears_when_ended;

/// The name of a request that has none.
const NO_ID: &str = "-";

/// What a request that is not refused brings.
struct Accepted {
    goal: Goal,
    /// What holds from now on; none when that stays as it is.
    hold: Option<Hold>,
    events: Vec<Event>,
}

impl Accepted {
    fn goal(goal: Goal) -> Self {
        Self {
            goal,
            hold: None,
            events: Vec::new(),
        }
    }

    fn holding(goal: Goal, hold: Hold) -> Self {
        Self {
            hold: Some(hold),
            ..Self::goal(goal)
        }
    }
}

impl Hand {
    /// Takes a request over. `file` is what `pod.state` says now. The events are for the life of the
    /// release, after which it has to be seen what is wanted now.
    ///
    /// A request that is refused changes nothing, and those that are under way stay so unless they
    /// cannot be done together with this one.
    pub fn take(
        &mut self,
        Asked { action, file: from }: &Asked,
        spec: Option<&CompiledPod>,
        life: &Life,
        file: Option<PodState>,
    ) -> Vec<Event> {
        let (progress, events) = match self.accept(action, spec, life, file) {
            Err(refusal) => (Progress::Ended(Err(refusal)), Vec::new()),
            Ok(accepted) => {
                if let Some(hold) = accepted.hold {
                    let why = format!("replaced by a later request: {}", action.verb);
                    self.end_others_than(&hold, &why);
                    self.hold = Some(hold);
                }
                (Progress::UnderWay(accepted.goal), accepted.events)
            }
        };
        self.enter(Request {
            id: action.id.clone().unwrap_or_else(|| NO_ID.to_owned()),
            file: from.clone(),
            verb: action.verb,
            progress,
            is_begun: false,
        });
        events
    }

    fn accept(
        &self,
        action: &PodAction,
        spec: Option<&CompiledPod>,
        life: &Life,
        file: Option<PodState>,
    ) -> Result<Accepted, String> {
        let spec = spec.ok_or("the compiled pod of this release cannot be read")?;
        let under_way = self.requests.iter().filter(|one| one.outcome().is_none());
        if under_way.count() >= UNDER_WAY_MAX {
            return Err("too many requests are under way: ask again when they are done".into());
        }
        let words = Words::of(action)?;
        let hold = |wanted| Hold {
            is_hasty: words.is_hasty || action.verb == PodVerb::Kill,
            file,
            ..Hold::of(wanted)
        };
        let is_wanted = life.wanted == PodState::Running;
        let errand = |errand| Ok(Accepted::goal(Goal::Errand(errand)));
        match action.verb {
            PodVerb::Start if !is_wanted && !self.is_created() => {
                Err("it was not created: `run` creates and starts it".into())
            }
            PodVerb::Run | PodVerb::Start => {
                Ok(Accepted::holding(Goal::Up, hold(PodState::Running)))
            }
            PodVerb::Create if is_wanted => Ok(Accepted::goal(Goal::Up)),
            PodVerb::Create => {
                let goal = Goal::Errand(Errand::Create);
                Ok(Accepted::holding(goal, hold(PodState::Stopped)))
            }
            PodVerb::Stop | PodVerb::Kill => {
                Ok(Accepted::holding(Goal::Down, hold(PodState::Stopped)))
            }
            PodVerb::Rm => Ok(Accepted::holding(Goal::Gone, hold(PodState::Removed))),
            PodVerb::Rerun if words.names.is_empty() => {
                let hold = Hold {
                    then_runs: true,
                    ..hold(PodState::Removed)
                };
                Ok(Accepted::holding(Goal::Again, hold))
            }
            PodVerb::Rerun => rerun_units(&words, spec, life),
            PodVerb::Signal => signal(&words, spec, life),
            PodVerb::ReloadConfigs => reload(&words, spec, life),
            PodVerb::Download => errand(Errand::Download {
                is_forced: words.is_forced,
            }),
            PodVerb::CreateVolumes => errand(Errand::CreateVolumes),
            PodVerb::CreateRamdisks => errand(Errand::CreateRamdisks),
            PodVerb::Purge if !may_purge(life) || self.hold.is_some_and(|hold| hold.then_runs) => {
                Err(STILL_THERE.into())
            }
            PodVerb::Purge => errand(Errand::Purge),
        }
    }
}

/// What stands behind the verb.
struct Words<'a> {
    names: Vec<&'a str>,
    is_hasty: bool,
    is_forced: bool,
}

impl<'a> Words<'a> {
    fn of(action: &'a PodAction) -> Result<Self, String> {
        let mut words = Self {
            names: Vec::new(),
            is_hasty: false,
            is_forced: false,
        };
        for word in &action.words {
            match (word.as_str(), action.verb) {
                ("-k" | "--kill", PodVerb::Rm | PodVerb::Rerun) => words.is_hasty = true,
                ("-f" | "--force", PodVerb::Download) => words.is_forced = true,
                (name, PodVerb::Rerun | PodVerb::Signal | PodVerb::ReloadConfigs)
                    if !name.starts_with('-') =>
                {
                    words.names.push(name);
                }
                (word, verb) => return Err(format!("`{verb}` does not know `{word}`")),
            }
        }
        Ok(words)
    }

    /// The units of these names; all when none is named.
    fn units(&self, spec: &CompiledPod) -> Result<Vec<UnitName>, String> {
        let all = || spec.units.iter().map(|unit| &unit.name);
        if self.names.is_empty() {
            return Ok(all().cloned().collect());
        }
        let find = |name: &&str| {
            let unit = all().find(|unit| unit.as_str() == *name).cloned();
            unit.ok_or_else(|| format!("there is no unit `{name}`: expected {}", joined(all())))
        };
        self.names.iter().map(find).collect()
    }
}

fn joined<T: ToString>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    names.join(", ")
}

fn rerun_units(words: &Words<'_>, spec: &CompiledPod, life: &Life) -> Result<Accepted, String> {
    if words.is_hasty {
        return Err("`--kill` is for the whole pod, not for units of it".into());
    }
    let units = words.units(spec)?;
    runs(life)?;
    let counts = units.into_iter().map(|name| {
        let count = life.unit(&name).map_or(0, |unit| unit.start_count);
        (name, count)
    });
    Ok(Accepted::goal(Goal::Cycled(counts.collect())))
}

fn signal(words: &Words<'_>, spec: &CompiledPod, life: &Life) -> Result<Accepted, String> {
    let mut units = words.units(spec)?;
    runs(life)?;
    let is_deaf = |name: &UnitName| !hears(spec, life, name);
    if !words.names.is_empty()
        && let Some(name) = units.iter().find(|name| is_deaf(name))
    {
        return Err(format!("unit `{name}` does not run"));
    }
    units.retain(|name| !is_deaf(name));
    Ok(Accepted {
        events: vec![Event::Signalled(units.clone())],
        ..Accepted::goal(Goal::Told(units))
    })
}

/// Nothing can be told to a pod that does not run.
fn runs(life: &Life) -> Result<(), String> {
    match life.wanted {
        PodState::Running => Ok(()),
        PodState::Stopped | PodState::Removed => {
            Err("the pod does not run: `run` starts it".into())
        }
    }
}

/// True when the unit takes notice of what it is told, if only by being started for it.
fn hears(spec: &CompiledPod, life: &Life, name: &UnitName) -> bool {
    match life.unit(name).map(|unit| unit.phase) {
        None | Some(Phase::Absent) => false,
        Some(Phase::Exited { .. }) => spec.unit(name).is_some_and(hears_when_ended),
        Some(Phase::Starting | Phase::Up { .. } | Phase::Stopping { .. }) => true,
    }
}

fn reload(words: &Words<'_>, spec: &CompiledPod, life: &Life) -> Result<Accepted, String> {
    let configs = spec.volumes.iter().filter_map(|volume| match volume.kind {
        VolumeKind::Config { .. } => Some(&volume.name),
        VolumeKind::Ramdisk { .. } | VolumeKind::Volume { .. } | VolumeKind::Host { .. } => None,
    });
    let known: Vec<&VolumeName> = configs.collect();
    if words.names.is_empty() {
        return Err("name the configs whose units should be told".into());
    }
    runs(life)?;
    let mut changed = BTreeSet::new();
    for name in &words.names {
        let config = known.iter().find(|config| config.as_str() == *name);
        let config = config.ok_or_else(|| {
            let known = joined(known.iter());
            format!("there is no config `{name}`: expected one of `{known}`")
        })?;
        changed.insert((*config).clone());
    }
    let mounts = |unit: &&podspec::Unit| {
        let mut mounts = unit.mounts.iter();
        let mounts = mounts.any(|mount| changed.contains(&mount.volume));
        mounts && hears(spec, life, &unit.name)
    };
    let units = spec.units.iter().filter(mounts);
    let goal = Goal::Told(units.map(|unit| unit.name.clone()).collect());
    Ok(Accepted {
        events: vec![Event::Configs(changed)],
        ..Accepted::goal(goal)
    })
}
