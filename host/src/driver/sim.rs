//! Random histories of the real planner and driver over a fake machine, from one seed: what people ask
//! for, how units end, what fails, and a daemon that is killed wherever it happens to wait.
//!
//! After every turn the rules of [`rules`] hold; when the faults end, every wanted state is reached in
//! bounded time. A failure prints its seed, the fewest sorts of faults and turns with which it still
//! happens, and what happened last. `SOAK_SEED=N` repeats it.

mod disk;
mod goals;
mod history;
mod machine;
mod random;
mod rules;

use history::History;
use random::Faults;

const TURNS: u32 = 60;

fn run(seed: u64, faults: Faults, turns: u32) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut history = History::begin(seed, faults);
        let outcome = history.live(turns).await;
        outcome.map_err(|what| format!("{what}\n{}", history.trace()))
    })
}

/// The fewest sorts of faults, then the fewest turns, with which this seed still fails.
fn smallest(seed: u64) -> (Faults, u32) {
    let mut faults = Faults::ALL;
    for fewer in Faults::EACH {
        let rest = faults.without(fewer);
        if run(seed, rest, TURNS).is_err() {
            faults = rest;
        }
    }
    let turns = (0..=TURNS).find(|turns| run(seed, faults, *turns).is_err());
    (faults, turns.unwrap_or(TURNS))
}

#[test]
fn every_history_keeps_the_rules_and_reaches_its_goal_when_faults_end() {
    let first = testkit::soak::seed();
    for round in 0..testkit::soak::count(2_000) {
        let seed = first.wrapping_add(u64::from(round));
        if run(seed, Faults::ALL, TURNS).is_ok() {
            continue;
        }
        let (faults, turns) = smallest(seed);
        let what = run(seed, faults, turns).unwrap_err();
        panic!("SOAK_SEED={seed}, {turns} turns with {faults:?}: {what}");
    }
}

#[test]
fn a_seed_repeats_its_history() {
    let trace = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut history = History::begin(7, Faults::ALL);
            history.live(TURNS).await.unwrap();
            history.events()
        })
    };
    assert_eq!(trace(), trace());
}
