//! Every way to go wrong is stopped and named, and the next call works.

use crate::components::{load, load_with, mock_component, mock_view};
use simplenetes_plugin::{FaultClass, Grants, Step};

/// One failing behaviour, and then a good call on the same loaded plugin.
fn check(behaviour: &str, class: FaultClass, part: &str) -> Vec<String> {
    let loaded = load(&mock_component());
    let error = loaded.plugin.plan(mock_view(behaviour)).unwrap_err();
    assert_eq!(error.class, class, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    assert!(
        error
            .to_string()
            .contains("plugin mock 0.1.0 failed in `plan`"),
        "{error}"
    );
    let next = loaded.plugin.plan(mock_view("start")).unwrap();
    assert_eq!(next.steps.len(), 1, "the call after `{behaviour}`");
    error.log
}

#[test]
fn a_loop_ends_at_the_deadline() {
    // The host may have been too busy, so it is worth another try.
    check("loop", FaultClass::Retry, "did not answer within");
}

#[test]
fn a_memory_bomb_ends_at_the_limit() {
    check("bomb", FaultClass::GiveUp, "more than 32 MiB of memory");
}

#[test]
fn endless_recursion_ends() {
    check("recurse", FaultClass::GiveUp, "stack overflowed");
}

#[test]
fn an_exit_ends_the_call_and_not_the_host() {
    check("exit", FaultClass::GiveUp, "panicked");
}

#[test]
fn a_panic_shows_what_it_said() {
    let log = check("panic", FaultClass::GiveUp, "panicked");
    assert!(log.iter().any(|line| line.contains("all wrong")), "{log:?}");
}

#[test]
fn chatter_is_cut_and_counted() {
    let log = check("chatter", FaultClass::GiveUp, "said it all");
    assert!(
        log.last().unwrap().contains("more lines were dropped"),
        "{log:?}"
    );
    assert!(log.len() <= 6, "{log:?}");
}

#[test]
fn a_flood_of_steps_ends_at_the_budget() {
    check("flood", FaultClass::GiveUp, "bytes of steps and reports");
}

#[test]
fn options_count_each_time_they_are_recorded() {
    check("stuff", FaultClass::GiveUp, "bytes of steps and reports");
}

#[test]
fn empty_items_count_in_every_list() {
    for list in [
        "environment",
        "inherited",
        "arguments",
        "variables",
        "content",
    ] {
        let part = "bytes of steps and reports";
        check(&format!("lengthen {list}"), FaultClass::GiveUp, part);
    }
}

#[test]
fn what_a_plugin_says_is_one_line_that_ends() {
    let loaded = load(&mock_component());
    let error = loaded.plugin.plan(mock_view("shout")).unwrap_err();
    assert!(
        error.message.trim_start().starts_with("[2J loud"),
        "{}",
        error.message
    );
    assert!(error.message.len() < 1100, "{}", error.message.len());
    assert!(!error.message.contains(char::is_control), "{error}");
    assert!(error.message.contains("more characters"), "{error}");
}

#[test]
fn what_is_fed_to_a_program_has_a_limit() {
    check("feed", FaultClass::GiveUp, "at most 1048576");
}

#[test]
fn empty_lines_are_cut_and_counted_too() {
    let log = check("sigh", FaultClass::GiveUp, "said nothing");
    assert!(
        log.last().unwrap().contains("more lines were dropped"),
        "{log:?}"
    );
}

#[test]
fn handles_are_counted() {
    check("hoard", FaultClass::GiveUp, "more than 1000 handles");
}

#[test]
fn state_has_a_limit() {
    check("keep too much", FaultClass::GiveUp, "at most 65536");
}

#[test]
fn what_is_not_granted_is_refused_on_the_line_that_asks() {
    check("escape", FaultClass::NotGranted, "`/bin/sh` is not granted");
    check(
        "wander",
        FaultClass::NotGranted,
        "`root/../pod` is not granted",
    );
}

#[test]
fn an_empty_grant_allows_nothing() {
    let loaded = load_with(&mock_component(), Grants::default());
    let error = loaded.plugin.plan(mock_view("start")).unwrap_err();
    assert_eq!(error.class, FaultClass::NotGranted, "{error}");
    let error = loaded.plugin.observe(mock_view("")).unwrap_err();
    assert_eq!(error.class, FaultClass::NotGranted, "{error}");
}

#[test]
fn faults_say_what_to_do() {
    check("retry", FaultClass::Retry, "does not answer");
    check("strange", FaultClass::GiveUp, "what now?");
    check("dance", FaultClass::GiveUp, "no such behaviour: dance");
}

#[test]
fn nothing_is_left_of_an_earlier_call() {
    let loaded = load(&mock_component());
    for _ in 0..3 {
        let planned = loaded.plugin.plan(mock_view("twice")).unwrap();
        let [Step::Write { content, .. }] = planned.steps.as_slice() else {
            panic!("{planned:?}")
        };
        assert_eq!(content, b"0");
    }
}
