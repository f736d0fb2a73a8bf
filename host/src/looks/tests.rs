//! Whole rounds, with a plugin and a world that the tests make up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use names::ReleaseId;
use simplenetes_plugin::{Answer, CallError, FaultClass, Planned, Report, Step, StepOptions, View};

use super::round::{Eyes, Patient, Round, is_retry, run};
use crate::driver::Work;
use crate::plan::tables::pod;
use crate::runtime::Runtime;

/// A plugin that says `well` of every pod.
#[derive(Default)]
struct Plugin {
    /// Pods at whose sight it traps, by export.
    poison: BTreeMap<&'static str, Vec<String>>,
    /// Pods of which the world does not answer it, by export.
    silent: BTreeMap<&'static str, Vec<String>>,
    /// The world does not answer it.
    is_helpless: bool,
    /// So many looks it wants.
    looks: usize,
    /// How many pods each call was about.
    calls: Mutex<Vec<(&'static str, usize)>>,
}

impl Plugin {
    fn asked(&self, export: &'static str, view: &View) -> Result<(), CallError> {
        let mut calls = self.calls.lock().unwrap();
        calls.push((export, view.pods.len()));
        let poison = self.poison.get(export);
        let is_poison = |id: &String| poison.is_some_and(|poison| poison.contains(id));
        let trapped = view.pods.iter().any(|pod| is_poison(&pod.id));
        let silent = self.silent.get(export);
        let is_silent = |id: &String| silent.is_some_and(|silent| silent.contains(id));
        let is_helpless = self.is_helpless || view.pods.iter().any(|pod| is_silent(&pod.id));
        if !trapped && !is_helpless {
            return Ok(());
        }
        Err(CallError {
            class: if trapped {
                FaultClass::GiveUp
            } else {
                FaultClass::Retry
            },
            plugin: "mock 0.1.0".into(),
            export,
            message: "panicked".into(),
            log: Vec::new(),
            is_answer: !trapped,
        })
    }

    fn calls(&self, export: &str) -> Vec<usize> {
        let calls = self.calls.lock().unwrap();
        let of_export = calls.iter().filter(|(name, _)| *name == export);
        of_export.map(|(_, count)| *count).collect()
    }
}

impl Runtime for Plugin {
    fn plan(&self, _: Arc<View>) -> Result<Planned, CallError> {
        panic!("nobody plans here")
    }

    fn observe(&self, view: Arc<View>) -> Result<Vec<Step>, CallError> {
        self.asked("observe", &view)?;
        let look = |number: usize| Step::Look {
            id: number.to_string(),
            program: "looker".into(),
            args: Vec::new(),
            options: StepOptions::default(),
        };
        Ok((0..self.looks).map(look).collect())
    }

    fn assess(&self, view: Arc<View>) -> Result<Report, CallError> {
        self.asked("assess", &view)?;
        assert_eq!(view.answers.len(), self.looks);
        let messages = view.pods.iter().map(|pod| (pod.id.clone(), "well".into()));
        Ok(Report {
            messages: messages.collect(),
            ..Report::default()
        })
    }

    fn takes_limits(&self, _: &str) -> bool {
        panic!("nobody starts anything here")
    }
}

/// A world in which every look brings this.
struct World(Result<Answer, String>, AtomicUsize);

impl Eyes for World {
    fn look(&self, _: Step) -> Work<Result<Answer, String>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let answer = self.0.clone();
        Box::pin(async { answer })
    }
}

fn id(number: usize) -> ReleaseId {
    format!("web{number}:1.0.0").parse().unwrap()
}

fn patients(count: usize, suspects: &[usize]) -> Vec<Patient> {
    let spec = Arc::new(pod(""));
    let patient = |number| Patient {
        id: id(number),
        spec: Arc::clone(&spec),
        state: Vec::new(),
        units: Vec::new(),
        is_suspect: suspects.contains(&number),
    };
    (0..count).map(patient).collect()
}

fn poison(export: &'static str, numbers: &[usize]) -> Plugin {
    let ids = numbers.iter().map(|number| id(*number).to_string());
    Plugin {
        poison: BTreeMap::from([(export, ids.collect())]),
        looks: 1,
        ..Plugin::default()
    }
}

/// The outcome, and how many looks were run.
async fn look(
    plugin: &Arc<Plugin>,
    answer: Result<Answer, String>,
    patients: Vec<Patient>,
) -> (Round, usize) {
    look_again(plugin, answer, patients, false).await
}

/// The same; `retried` says what the plugin answered before.
async fn look_again(
    plugin: &Arc<Plugin>,
    answer: Result<Answer, String>,
    patients: Vec<Patient>,
    retried: bool,
) -> (Round, usize) {
    let world = World(answer, AtomicUsize::new(0));
    let runtime = Arc::clone(plugin) as Arc<dyn Runtime>;
    let round = run(runtime, &world, View::default(), patients, retried).await;
    (round, world.1.into_inner())
}

fn guilty(round: &Round) -> Vec<ReleaseId> {
    round.guilty.iter().map(|(id, _)| id.clone()).collect()
}

#[tokio::test]
async fn one_poisonous_pod_of_fifty_is_found_in_one_round_and_the_others_are_answered() {
    for export in ["observe", "assess"] {
        for number in [0, 7, 49] {
            let plugin = Arc::new(poison(export, &[number]));
            let (round, looks) = look(&plugin, Ok(Answer::default()), patients(50, &[])).await;
            assert_eq!(guilty(&round), [id(number)], "{export}");
            assert_eq!((round.seen.len(), looks), (49, 1), "{export}");
            let says_well = |seen: &super::Seen| seen.message.as_deref() == Some("well");
            assert!(round.seen.values().all(says_well));
            assert_eq!(round.trouble, None);
            let calls = plugin.calls(export).len();
            assert!(calls <= 2 * 6 + 2, "{export}: {calls} calls");
        }
    }
}

#[tokio::test]
async fn fifty_healthy_pods_cost_two_calls_and_one_look() {
    let plugin = Arc::new(poison("observe", &[]));
    let (round, looks) = look(&plugin, Ok(Answer::default()), patients(50, &[])).await;
    assert_eq!((round.seen.len(), looks), (50, 1));
    assert_eq!(plugin.calls("observe"), [50]);
    assert_eq!(plugin.calls("assess"), [50]);
}

#[tokio::test]
async fn one_that_is_suspected_spoils_nothing_for_the_others() {
    let plugin = Arc::new(poison("assess", &[3]));
    let (round, _) = look(&plugin, Ok(Answer::default()), patients(50, &[3])).await;
    assert_eq!(
        (guilty(&round), round.seen.len()),
        (vec![id(3)], 49),
        "found"
    );
    assert_eq!(plugin.calls("assess"), [49, 1]);
}

#[tokio::test]
async fn a_plugin_that_always_fails_is_soon_left_alone() {
    let all: Vec<usize> = (0..50).collect();
    let plugin = Arc::new(poison("observe", &all));
    let (round, looks) = look(&plugin, Ok(Answer::default()), patients(50, &[])).await;
    assert_eq!((round.seen.len(), looks), (0, 0));
    let why = round.trouble.unwrap();
    assert!(why.contains("with more than one pod"), "{why}");
    let calls = plugin.calls("observe").len();
    assert!(calls <= 15, "{calls} calls");
}

#[tokio::test]
async fn a_world_that_does_not_answer_is_nobodys_fault() {
    let silent = Err("no end within 30 s".to_owned());
    let plugin = Arc::new(poison("observe", &[]));
    let (round, _) = look(&plugin, silent, patients(50, &[])).await;
    assert_eq!((round.seen.len(), round.guilty.len()), (0, 0));
    assert_eq!(round.trouble.as_deref(), Some("no end within 30 s"));
    assert!(plugin.calls("assess").is_empty());

    let helpless = Arc::new(Plugin {
        is_helpless: true,
        ..Plugin::default()
    });
    let (round, _) = look(&helpless, Ok(Answer::default()), patients(50, &[])).await;
    assert_eq!((round.seen.len(), round.guilty.len()), (0, 0));
    assert!(round.trouble.is_some());
    assert_eq!(helpless.calls("observe"), [50], "nobody is looked for");
}

fn silent(export: &'static str, numbers: &[usize]) -> Plugin {
    let ids = numbers.iter().map(|number| id(*number).to_string());
    Plugin {
        silent: BTreeMap::from([(export, ids.collect())]),
        looks: 1,
        ..Plugin::default()
    }
}

#[tokio::test]
async fn a_pod_for_which_the_world_does_not_answer_is_found_in_the_second_round() {
    let few: Vec<usize> = (0..6).collect();
    for export in ["observe", "assess"] {
        for numbers in [&[0][..], &[7], &[49], &[0, 49], &few] {
            let plugin = Arc::new(silent(export, numbers));
            let (first, _) = look(&plugin, Ok(Answer::default()), patients(50, &[])).await;
            assert!(first.has_retried && first.guilty.is_empty() && first.seen.is_empty());
            assert!(first.trouble.is_some());
            assert_eq!(plugin.calls(export), [50], "{export}: nobody is looked for");

            let all = patients(50, &[]);
            let (second, _) = look_again(&plugin, Ok(Answer::default()), all, true).await;
            let expected: Vec<_> = numbers.iter().map(|number| id(*number)).collect();
            assert_eq!(guilty(&second), expected, "{export}");
            assert!(second.guilty.iter().all(|(_, error)| is_retry(error)));
            assert_eq!(second.seen.len(), 50 - numbers.len(), "{export}");
            assert_eq!(second.trouble, None);

            let known = patients(50, numbers);
            let (third, _) = look_again(&plugin, Ok(Answer::default()), known, false).await;
            assert_eq!(guilty(&third), expected, "{export}");
            assert_eq!(third.seen.len(), 50 - numbers.len(), "{export}");
            assert!(!third.has_retried && third.trouble.is_none());
        }
    }
}

#[tokio::test]
async fn a_world_that_answers_for_nobody_is_nobodys_fault_for_ever() {
    for export in ["observe", "assess"] {
        for (count, suspects) in [(1, &[][..]), (1, &[0]), (50, &[]), (50, &[3, 4])] {
            let all: Vec<usize> = (0..count).collect();
            for retried in [false, true] {
                let plugin = Arc::new(silent(export, &all));
                let patients = patients(count, suspects);
                let (round, _) =
                    look_again(&plugin, Ok(Answer::default()), patients, retried).await;
                assert_eq!(
                    guilty(&round),
                    [],
                    "{export} {count} {suspects:?} {retried}"
                );
                let why = round.trouble.unwrap();
                assert!(why.contains("panicked") && round.seen.is_empty(), "{why}");
                let calls = plugin.calls(export).len();
                assert!(calls <= 2 * 6 * 4 + 3, "{export}: {calls} calls");
            }
        }
    }
}

#[tokio::test]
async fn a_plugin_that_wants_no_look_or_too_many() {
    let plugin = Arc::new(Plugin::default());
    let (round, looks) = look(&plugin, Ok(Answer::default()), patients(2, &[])).await;
    assert_eq!((round.seen.len(), looks, round.wants_looks), (2, 0, false));

    let greedy = Arc::new(Plugin {
        looks: 17,
        ..Plugin::default()
    });
    let (round, looks) = look(&greedy, Ok(Answer::default()), patients(2, &[])).await;
    assert_eq!((round.seen.len(), looks), (0, 0));
    assert!(round.trouble.unwrap().contains("wants 17 looks"));

    let hungry = Arc::new(Plugin {
        looks: 5,
        ..Plugin::default()
    });
    let large = Answer {
        stdout: vec![0; 4 << 20],
        ..Answer::default()
    };
    let (round, looks) = look(&hungry, Ok(large), patients(2, &[])).await;
    assert_eq!((round.seen.len(), looks), (0, 5));
    assert!(round.trouble.unwrap().contains("more than 16 MiB"));
}
