//! One look at pods of a kind: the plugin says what to look at (`observe`), it is looked at, and the plugin
//! says what that means (`assess`). A pod with which the plugin fails is found and left out.
//!
//! It knows no driver and no time but the one that it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use names::ReleaseId;
use podspec::CompiledPod;
use simplenetes_plugin::{Answer, CallError, FaultClass, PodView, Report, Step, View};

use super::halve::Halving;
use super::seen::{KnownUnit, Seen, read};
use crate::driver::Work;
use crate::log::one_line;
use crate::runtime::Runtime;

/// A plugin may look at so many things at once.
const LOOKS_MAX: usize = 16;
/// So many pods are found in one round at most with which the plugin fails; the rest waits for the next.
const GUILTY_MAX: u32 = 4;
/// And they may bring so many bytes together: all of them are held until it has answered.
const BYTES_MAX: usize = 16 << 20;
/// With so many pods in a row the plugin fails before it is given up for this round.
const HOPELESS_AFTER: usize = 4;
/// So many pods with which the plugin has failed before are tried in one round.
const SUSPECTS_MAX: usize = 8;

/// A pod that is looked at.
#[derive(Clone)]
pub(super) struct Patient {
    /// Pod and version.
    pub id: ReleaseId,
    /// The pod in service.
    pub spec: Arc<CompiledPod>,
    /// What the plugin has had kept for it.
    pub state: Vec<u8>,
    /// What the shims know of its units.
    pub units: Vec<KnownUnit>,
    /// True when the plugin has failed with it before: it is asked about alone.
    pub is_suspect: bool,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// By pod, for those that the plugin has answered for.
    pub seen: BTreeMap<ReleaseId, Seen>,
    /// Pods with which alone the plugin fails, and how; [`is_retry`] says that it is not the plugin's fault.
    pub guilty: Vec<(ReleaseId, CallError)>,
    /// True when the plugin has answered `retry` about several pods at once.
    pub has_retried: bool,
    /// Why those that are in neither list were not looked at.
    pub trouble: Option<String>,
    /// True when the plugin wants to look at something.
    pub wants_looks: bool,
}

/// Whoever runs looks.
pub(crate) trait Eyes: Send + Sync {
    /// Runs a look within bounds.
    fn look(&self, step: Step) -> Work<Result<Answer, String>>;
}

/// True when it is the world that does not answer the plugin.
pub(super) fn is_retry(error: &CallError) -> bool {
    error.is_answer && error.class == FaultClass::Retry
}

/// Looks at these pods. `host` is a view of the host without pods. `retried` says that the round before was
/// answered with `retry`: then it may be because of a single pod, which is looked for.
pub(super) async fn run(
    runtime: Arc<dyn Runtime>,
    eyes: &dyn Eyes,
    mut host: View,
    patients: Vec<Patient>,
    retried: bool,
) -> Round {
    let mut round = Round::default();
    let ward = Arc::new(Ward::new(runtime, &patients, retried));
    let (asked, view) = (Arc::clone(&ward), host.clone());
    let Some(observed) = blocking(move || asked.observe(&view)).await else {
        return round;
    };
    round.has_retried = observed.has_retried;
    let Some(looks) = round.take(observed.looks, observed.guilty, observed.trouble) else {
        return round;
    };
    round.wants_looks = !looks.is_empty();
    match look_at(eyes, looks).await {
        Ok(answers) => host.answers = answers,
        Err(why) => {
            round.trouble = Some(why);
            return round;
        }
    }
    let (began_ms, healthy) = (host.now_ms, observed.healthy);
    let asked = blocking(move || ward.assess(&host, &healthy)).await;
    let Some(found) = asked else { return round };
    round.has_retried |= found.has_retried;
    let reports = round.take(Some(found.answers), found.guilty, found.trouble);
    for (group, report) in reports.into_iter().flatten() {
        for one in patients.iter().filter(|one| group.contains(&one.id)) {
            let id = one.id.to_string();
            let seen = read(&id, &report, &one.state, &one.units, began_ms);
            round.seen.insert(one.id.clone(), seen);
        }
    }
    round
}

async fn look_at(eyes: &dyn Eyes, looks: Vec<Step>) -> Result<BTreeMap<String, Answer>, String> {
    let (mut answers, mut bytes_left) = (BTreeMap::new(), BYTES_MAX);
    for look in looks {
        let Step::Look { id, .. } = &look else {
            continue;
        };
        let id = id.clone();
        let answer = eyes.look(look).await?;
        let left = bytes_left.checked_sub(answer.stdout.len() + answer.stderr.len());
        bytes_left = left.ok_or_else(|| {
            let mib = BYTES_MAX >> 20;
            format!("the plugin looks at more than {mib} MiB at once")
        })?;
        answers.insert(id, answer);
    }
    Ok(answers)
}

impl Round {
    /// Keeps what went wrong with a question, and hands its answer on.
    fn take<T>(&mut self, answer: Option<T>, guilty: Guilty, trouble: Option<String>) -> Option<T> {
        self.guilty.extend(guilty);
        if trouble.is_some() {
            self.trouble = trouble;
        }
        answer
    }
}

type Guilty = Vec<(ReleaseId, CallError)>;

/// What the plugin wants to look at.
struct Observed {
    /// None when it cannot say now.
    looks: Option<Vec<Step>>,
    /// Those that it can be asked about.
    healthy: Vec<ReleaseId>,
    guilty: Guilty,
    trouble: Option<String>,
    has_retried: bool,
}

/// What a question about several pods brought.
struct Found<T> {
    /// The answers, each with the pods that it is about.
    answers: Vec<(Vec<ReleaseId>, T)>,
    guilty: Guilty,
    trouble: Option<String>,
    has_retried: bool,
}

/// The pods of one round, as the plugin is shown them.
struct Ward {
    runtime: Arc<dyn Runtime>,
    pods: BTreeMap<ReleaseId, PodView>,
    suspects: BTreeSet<ReleaseId>,
    /// True when a `retry` about several pods is halved as any other fault.
    halves_retries: bool,
}

impl Ward {
    fn new(runtime: Arc<dyn Runtime>, patients: &[Patient], halves_retries: bool) -> Self {
        let suspects = patients.iter().filter(|one| one.is_suspect);
        let suspects: BTreeSet<_> = suspects
            .take(SUSPECTS_MAX)
            .map(|one| one.id.clone())
            .collect();
        let is_asked = |one: &&Patient| !one.is_suspect || suspects.contains(&one.id);
        let pods = patients.iter().filter(is_asked);
        Self {
            runtime,
            pods: pods.map(|one| (one.id.clone(), pod_view(one))).collect(),
            suspects,
            halves_retries,
        }
    }

    fn observe(&self, host: &View) -> Observed {
        let all: Vec<ReleaseId> = self.pods.keys().cloned().collect();
        let ask = |group: &[ReleaseId]| self.runtime.observe(self.view(host, group));
        let Found {
            mut answers,
            guilty,
            mut trouble,
            has_retried,
        } = self.search(&all, ask);
        let healthy: Vec<_> = answers
            .iter()
            .flat_map(|(group, _)| group)
            .cloned()
            .collect();
        let looks = match (answers.len(), answers.pop()) {
            (1, Some((_, looks))) => Ok(looks),
            (0, _) | (_, None) => Err(None),
            // There is one look for all: groups are only asked to find out who is guilty.
            (_, Some(_)) => ask(&healthy).map_err(|error| Some(one_line(&error))),
        };
        let looks = looks.and_then(|looks| match looks.len() {
            0..=LOOKS_MAX => Ok(looks),
            count => Err(Some(format!(
                "the plugin wants {count} looks at once, at most {LOOKS_MAX} are run"
            ))),
        });
        Observed {
            looks: looks.map_err(|why| trouble = why.or(trouble.take())).ok(),
            healthy,
            guilty,
            trouble,
            has_retried,
        }
    }

    fn assess(&self, host: &View, healthy: &[ReleaseId]) -> Found<Report> {
        self.search(healthy, |group| self.runtime.assess(self.view(host, group)))
    }

    /// Asks about all of them, and about fewer and fewer while that fails.
    fn search<T>(
        &self,
        ids: &[ReleaseId],
        ask: impl Fn(&[ReleaseId]) -> Result<T, CallError>,
    ) -> Found<T> {
        let (suspects, others): (Vec<_>, Vec<_>) = ids
            .iter()
            .cloned()
            .partition(|id| self.suspects.contains(id));
        let depth = others.len().next_power_of_two().ilog2();
        let alone = u32::try_from(suspects.len()).unwrap_or(u32::MAX);
        let calls_max = alone.saturating_add(2 * depth * GUILTY_MAX + 1);
        let suspects = suspects.into_iter().map(|id| vec![id]);
        let groups = std::iter::once(others).chain(suspects).collect();
        let mut halving = Halving::new(groups, calls_max);
        let (mut answers, mut trouble) = (Vec::new(), None);
        let (mut has_retried, mut faults) = (false, 0);
        while let Some(group) = halving.next_group() {
            let (is_alone, asked) = (group.len() == 1, ask(&group));
            match asked {
                Ok(answer) => answers.push((group, answer)),
                Err(error) => {
                    let is_retry = is_retry(&error);
                    has_retried |= is_retry && !is_alone;
                    faults += usize::from(is_alone && !is_retry);
                    if is_retry && !is_alone && !self.halves_retries {
                        // Most often the world does not answer whatever the pod, and does a little later.
                        trouble = Some(one_line(&error));
                    } else {
                        halving.failed(group, error);
                    }
                }
            }
            // It is not about the pods when it fails with all of them.
            if answers.is_empty() && faults >= HOPELESS_AFTER {
                break;
            }
        }
        let (mut guilty, unasked) = halving.found();
        if let (false, Some((_, error))) = (unasked.is_empty(), guilty.first()) {
            trouble = Some(format!("{}, with more than one pod", one_line(error)));
        }
        if answers.is_empty() {
            // The world answers for none of them: it is about none of them.
            let world = guilty.extract_if(.., |(_, error)| is_retry(error)).last();
            trouble = world.map(|(_, error)| one_line(&error)).or(trouble);
        }
        Found {
            answers,
            guilty,
            trouble,
            has_retried,
        }
    }

    fn view(&self, host: &View, ids: &[ReleaseId]) -> Arc<View> {
        let pods = ids.iter().filter_map(|id| self.pods.get(id));
        Arc::new(View {
            pods: pods.cloned().collect(),
            ..host.clone()
        })
    }
}

fn pod_view(patient: &Patient) -> PodView {
    PodView {
        id: patient.id.to_string(),
        spec: serde_json::to_value(&*patient.spec).unwrap_or_default(),
        units: patient
            .units
            .iter()
            .map(|known| known.truth.clone())
            .collect(),
        state: patient.state.clone(),
    }
}

/// Plugins answer while a thread waits for them; none when the daemon is being torn down.
async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(ask).await.ok()
}
