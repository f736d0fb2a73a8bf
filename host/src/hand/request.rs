//! A request becomes what holds by hand, a goal and events; a wrong one is refused and changes nothing.

use std::collections::BTreeSet;

use hostfiles::{PodAction, PodVerb};
use names::{PodState, UnitName, VolumeName};
use podspec::{CompiledPod, VolumeKind};

use super::{Goal, Hand, Hold, Request};
use crate::life::{Errand, Event, Life};

/// The name of a request that has none.
const NO_ID: &str = "-";

impl Hand {
    /// Takes a request over. `file` is what `pod.state` says now. The events are for the life of the
    /// release, after which it has to be seen what is wanted now.
    pub fn take(
        &mut self,
        action: &PodAction,
        spec: Option<&CompiledPod>,
        life: &Life,
        file: Option<PodState>,
    ) -> Vec<Event> {
        self.finish(Err(format!("replaced by a later request: {}", action.verb)));
        let (goal, outcome, events) = match self.begin(action, spec, life, file) {
            Ok((goal, events)) => (goal, None, events),
            Err(refusal) => (Goal::Errand, Some(Err(refusal)), Vec::new()),
        };
        self.request = Some(Request {
            id: action.id.clone().unwrap_or_else(|| NO_ID.to_owned()),
            verb: action.verb,
            goal,
            outcome,
        });
        events
    }

    fn begin(
        &mut self,
        action: &PodAction,
        spec: Option<&CompiledPod>,
        life: &Life,
        file: Option<PodState>,
    ) -> Result<(Goal, Vec<Event>), String> {
        let spec = spec.ok_or("the compiled pod of this release cannot be read")?;
        let words = Words::of(action)?;
        let hold = |wanted| Hold {
            wanted,
            is_hasty: words.is_hasty || action.verb == PodVerb::Kill,
            is_created: false,
            file,
        };
        let is_wanted = life.wanted == PodState::Running;
        match action.verb {
            PodVerb::Run => Ok((self.run(hold(PodState::Running)), Vec::new())),
            PodVerb::Start if is_wanted || self.is_created() => {
                Ok((self.run(hold(PodState::Running)), Vec::new()))
            }
            PodVerb::Start => Err("it was not created: `run` creates and starts it".into()),
            PodVerb::Create if is_wanted => Ok((Goal::Up, Vec::new())),
            PodVerb::Create => {
                self.hold = Some(Hold {
                    is_created: true,
                    ..hold(PodState::Stopped)
                });
                errand(Errand::Create)
            }
            PodVerb::Stop | PodVerb::Kill => {
                self.hold = Some(hold(PodState::Stopped));
                Ok((Goal::Down, Vec::new()))
            }
            PodVerb::Rm => {
                self.hold = Some(hold(PodState::Removed));
                Ok((Goal::Gone, Vec::new()))
            }
            PodVerb::Rerun if words.names.is_empty() => {
                self.hold = Some(hold(PodState::Removed));
                Ok((Goal::Again, Vec::new()))
            }
            PodVerb::Rerun => rerun_units(&words, spec, life),
            PodVerb::Signal => signal(&words, spec),
            PodVerb::ReloadConfigs => reload(&words, spec, life),
            PodVerb::Download => errand(Errand::Download {
                is_forced: words.is_forced,
            }),
            PodVerb::CreateVolumes => errand(Errand::CreateVolumes),
            PodVerb::CreateRamdisks => errand(Errand::CreateRamdisks),
            PodVerb::Purge if is_wanted || !life.is_down() || !life.removed => {
                Err("the pod is still there: `rm` removes it first".into())
            }
            PodVerb::Purge => errand(Errand::Purge),
        }
    }

    fn run(&mut self, hold: Hold) -> Goal {
        self.hold = Some(hold);
        Goal::Up
    }
}

fn errand(errand: Errand) -> Result<(Goal, Vec<Event>), String> {
    Ok((Goal::Errand, vec![Event::Errand(errand)]))
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

fn rerun_units(
    words: &Words<'_>,
    spec: &CompiledPod,
    life: &Life,
) -> Result<(Goal, Vec<Event>), String> {
    if words.is_hasty {
        return Err("`--kill` is for the whole pod, not for units of it".into());
    }
    let units = words.units(spec)?;
    if life.wanted != PodState::Running {
        return Err("the pod does not run: `run` starts it".into());
    }
    let counts = units.iter().map(|name| {
        let count = life.unit(name).map_or(0, |unit| unit.start_count);
        (name.clone(), count)
    });
    let goal = Goal::Cycled(counts.collect());
    Ok((goal, vec![Event::Cycle(units)]))
}

fn signal(words: &Words<'_>, spec: &CompiledPod) -> Result<(Goal, Vec<Event>), String> {
    let units = words.units(spec)?;
    Ok((Goal::Told(units.clone()), vec![Event::Signalled(units)]))
}

fn reload(
    words: &Words<'_>,
    spec: &CompiledPod,
    life: &Life,
) -> Result<(Goal, Vec<Event>), String> {
    let configs = spec.volumes.iter().filter_map(|volume| match volume.kind {
        VolumeKind::Config { .. } => Some(&volume.name),
        VolumeKind::Ramdisk { .. } | VolumeKind::Volume { .. } | VolumeKind::Host { .. } => None,
    });
    let known: Vec<&VolumeName> = configs.collect();
    if words.names.is_empty() {
        return Err("name the configs whose units should be told".into());
    }
    if life.wanted != PodState::Running {
        return Err("the pod does not run: `run` starts it".into());
    }
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
        mounts.any(|mount| changed.contains(&mount.volume))
    };
    let units = spec.units.iter().filter(mounts);
    let goal = Goal::Told(units.map(|unit| unit.name.clone()).collect());
    Ok((goal, vec![Event::Configs(changed)]))
}
