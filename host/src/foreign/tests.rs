//! The plan of a foreign pod as tables: what is wanted, what is seen, what was done last → the verb.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hostfiles::{PodVerb, ReleaseDir, replace};
use names::PodState;

use super::explain::explain;
use super::life::{Call, Cause, Last, Life};
use super::plan::{is_routed, plan};
use super::program::program_of;
use super::status::{Look, Seen};

const NOW: u64 = 1_000_000;

fn life(wanted: PodState, look: Look, last: Option<(PodVerb, bool)>) -> Life {
    Life {
        wanted: Some(wanted),
        seen: Seen {
            look,
            ..Seen::default()
        },
        last: last.map(|(verb, done)| Last { verb, done }),
        ..Life::default()
    }
}

fn asked(verb: PodVerb) -> Call {
    Call {
        verb,
        words: Vec::new(),
        cause: Cause::Asked,
    }
}

fn verb(life: &Life, now: u64) -> Option<&'static str> {
    plan(life, now).call.map(|call| call.verb.as_str())
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    replace(path, text.as_bytes(), 0o644).unwrap();
}

#[test]
fn what_is_as_it_is_wanted_needs_no_verb() {
    use Look::{Exited, Lost, Nothing, Removed, Unreadable, Up};
    use PodState::{Removed as Remove, Running, Stopped};
    let done = |verb| Some((verb, true));
    let table = [
        (Running, Nothing, None, Some("run")),
        (Running, Up, None, None),
        (Running, Exited, None, Some("run")),
        (Running, Unreadable, None, Some("run")),
        (Running, Nothing, done(PodVerb::Run), None),
        (Running, Unreadable, done(PodVerb::Run), None),
        (Running, Exited, done(PodVerb::Run), None),
        (Running, Removed, done(PodVerb::Run), None),
        (Running, Lost, done(PodVerb::Run), Some("run")),
        (Running, Nothing, Some((PodVerb::Run, false)), Some("run")),
        (Running, Exited, done(PodVerb::Stop), Some("run")),
        (Stopped, Nothing, None, None),
        (Stopped, Nothing, done(PodVerb::Run), Some("stop")),
        (Stopped, Nothing, Some((PodVerb::Run, false)), Some("stop")),
        (Stopped, Up, None, Some("stop")),
        (Stopped, Lost, None, Some("stop")),
        (Stopped, Lost, done(PodVerb::Stop), None),
        (Stopped, Up, done(PodVerb::Stop), None),
        (Stopped, Exited, None, None),
        (Stopped, Removed, None, None),
        (Remove, Nothing, None, None),
        (Remove, Nothing, done(PodVerb::Stop), Some("rm")),
        (Remove, Nothing, done(PodVerb::Rm), None),
        (Remove, Exited, None, Some("rm")),
        (Remove, Up, Some((PodVerb::Rm, false)), Some("rm")),
        (Remove, Removed, done(PodVerb::Run), None),
    ];
    for (wanted, look, last, expected) in table {
        let found = verb(&life(wanted, look, last), NOW);
        assert_eq!(found, expected, "{wanted} {look:?} {last:?}");
    }
    let nothing_wanted = Life {
        wanted: None,
        ..life(Running, Nothing, None)
    };
    assert_eq!(plan(&nothing_wanted, NOW), super::plan::Plan::default());
}

#[test]
fn what_fails_waits_longer_and_longer_until_something_else_is_wanted() {
    let mut pod = life(PodState::Running, Look::Nothing, None);
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..9 {
        let call = plan(&pod, now).call.unwrap();
        pod.begin(call);
        assert_eq!(verb(&pod, now), None, "one verb at a time");
        pod.end(Err("no".to_owned()), now);
        let at = plan(&pod, now).wake_at.unwrap();
        waits.push((at - now) / 1_000);
        now = at;
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    pod.end(Err("no".to_owned()), now);
    pod.want(Some(PodState::Stopped));
    assert_eq!(verb(&pod, now), Some("stop"));
}

#[test]
fn a_crash_after_a_long_time_is_no_crash_loop() {
    let up = || Seen {
        look: Look::Up,
        ..Seen::default()
    };
    let lost = || Seen {
        look: Look::Lost,
        ..Seen::default()
    };
    let mut pod = life(PodState::Running, Look::Nothing, None);
    let crash_after = |pod: &mut Life, now: u64, lasted: u64| {
        pod.begin(plan(pod, now).call.unwrap());
        pod.end(Ok(()), now);
        pod.see(up(), now);
        pod.see(lost(), now + lasted);
        plan(pod, now + lasted)
            .wake_at
            .unwrap()
            .saturating_sub(now + lasted)
    };
    let waits: Vec<u64> = [0, 10_000, 20_000]
        .map(|at| crash_after(&mut pod, NOW + at, 0))
        .into();
    assert_eq!(waits, [0, 1_000, 2_000]);
    assert_eq!(crash_after(&mut pod, NOW + 30_000, 60_000), 0);
}

#[test]
fn a_verb_that_changes_nothing_is_called_again_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".pod.status");
    put(&path, "pod: a\nstatus: exited\n");
    let mut pod = life(PodState::Running, Look::Nothing, None);
    pod.see(Seen::read(&path, NOW / 1_000), NOW);
    pod.begin(plan(&pod, NOW).call.unwrap());
    pod.end(Ok(()), NOW);
    let again = plan(&pod, NOW);
    assert_eq!((again.call, again.wake_at), (None, Some(NOW + 10_000)));
    assert_eq!(verb(&pod, NOW + 10_000), Some("run"));
    // What is written after the verb is an answer: it has ended since.
    put(&path, "pod: a\nstatus: exited\nmessage: done\n");
    pod.see(Seen::read(&path, NOW / 1_000), NOW);
    assert_eq!(verb(&pod, NOW + 10_000), None);
}

#[test]
fn requests_come_first_and_take_traffic_away_first() {
    let mut pod = life(PodState::Running, Look::Up, Some((PodVerb::Run, true)));
    pod.seen.ready_until_ms = Some(NOW + 5);
    assert_eq!(plan(&pod, NOW).wake_at, Some(NOW + 5));
    assert_eq!(
        [NOW, NOW + 5].map(|now| is_routed(&pod, now)),
        [true, false]
    );
    pod.configs_changed(["conf".parse().unwrap()]);
    pod.asked = Some(asked(PodVerb::Signal));
    assert_eq!(verb(&pod, NOW), Some("signal"));
    pod.begin(asked(PodVerb::Signal));
    assert!(is_routed(&pod, NOW));
    pod.end(Ok(()), NOW);
    assert_eq!(verb(&pod, NOW), Some("reload-configs"));
    pod.begin(asked(PodVerb::Rerun));
    assert!(!is_routed(&pod, NOW));
    pod.end(Err("no".to_owned()), NOW);
    assert!(pod.changed.is_empty(), "it has read its configs");
    pod.see(Seen::default(), NOW);
    assert_eq!(verb(&pod, NOW), Some("run"), "a rerun that failed");
}

#[test]
fn a_status_is_believed_as_far_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".pod.status");
    let me = std::process::id();
    let table = [
        (
            format!("status: running\npid: {me}\nreadiness: 1\nupdated: 900"),
            Look::Up,
            true,
        ),
        (
            format!("status: running\npid: {me}\nreadiness: 1\nupdated: 400"),
            Look::Up,
            false,
        ),
        (
            format!(
                "status: running\npid: {me}\nreadiness: 1\nupdated: {}",
                u64::MAX
            ),
            Look::Up,
            true,
        ),
        (
            format!("status: running\npid: {me}\nreadiness: 0\nupdated: 900"),
            Look::Up,
            false,
        ),
        (
            format!("status: starting\npid: {me}\nreadiness: 1\nupdated: 900"),
            Look::Up,
            false,
        ),
        (
            "status: running\nreadiness: 1\nupdated: 900".to_owned(),
            Look::Up,
            false,
        ),
        (
            format!("status: running\npid: {}\nreadiness: 1", u32::MAX),
            Look::Lost,
            false,
        ),
        (
            format!("status: exited\npid: {me}\nreadiness: 1\nupdated: 900"),
            Look::Exited,
            false,
        ),
        ("status: removed".to_owned(), Look::Removed, false),
        ("status: dancing".to_owned(), Look::Unreadable, false),
        (
            format!("status: running\npid: -{me}"),
            Look::Unreadable,
            false,
        ),
        ("x".repeat(70_000), Look::Unreadable, false),
    ];
    for (text, look, is_ready) in table {
        put(&path, &format!("pod: tool-1.0.0\n{text}\n"));
        let seen = Seen::read(&path, NOW / 1_000);
        assert_eq!(
            (seen.look, seen.is_ready(NOW)),
            (look, is_ready),
            "{text:.80}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(Seen::read(&path, NOW).look, Look::Nothing);
    fs::create_dir(&path).unwrap();
    assert_eq!(Seen::read(&path, NOW).look, Look::Unreadable);
}

#[test]
fn a_number_that_another_process_has_got_means_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".pod.status");
    let me = std::process::id();
    put(
        &path,
        &format!("pod: a\nstatus: running\npid: {me}\nupdated: 5\n"),
    );
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    assert_eq!(Seen::read(&path, NOW).look, Look::Lost);
}

#[test]
fn no_verb_is_called_that_cannot_be() {
    let mut pod = life(PodState::Running, Look::Nothing, None);
    pod.asked = Some(asked(PodVerb::Signal));
    pod.is_blocked = true;
    assert_eq!(plan(&pod, NOW), super::plan::Plan::default());
    pod.is_blocked = false;
    assert_eq!(verb(&pod, NOW), Some("signal"));
}

#[test]
fn a_request_is_only_taken_when_it_can_begin() {
    let mut pod = life(PodState::Running, Look::Nothing, None);
    assert!(pod.takes_requests());
    pod.is_blocked = true;
    assert!(!pod.takes_requests());
    pod.is_blocked = false;
    pod.begin(plan(&pod, NOW).call.unwrap());
    assert!(!pod.takes_requests(), "whatever verb is under way");
    pod.end(Ok(()), NOW);
    assert!(pod.takes_requests());
    pod.asked = Some(asked(PodVerb::Signal));
    assert!(!pod.takes_requests());
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    use Look::{Exited, Nothing, Removed, Up};
    use PodState::{Removed as Remove, Running, Stopped};
    let said = |life: &Life| explain(life, NOW, std::time::Duration::from_secs(600));
    let done = |verb| Some((verb, true));
    let table = [
        (Running, Nothing, None, None),
        (
            Running,
            Nothing,
            done(PodVerb::Run),
            Some("has written no .pod.status"),
        ),
        (
            Running,
            Exited,
            done(PodVerb::Run),
            Some("ended by itself or by hand"),
        ),
        (
            Running,
            Removed,
            done(PodVerb::Run),
            Some("ended by itself or by hand"),
        ),
        (Running, Up, done(PodVerb::Run), Some("names no `pid`")),
        (Stopped, Exited, done(PodVerb::Stop), None),
        (
            Stopped,
            Up,
            done(PodVerb::Stop),
            Some("`stop` has succeeded, and"),
        ),
        (
            Remove,
            Up,
            done(PodVerb::Rm),
            Some("`rm` has succeeded, and"),
        ),
        (Remove, Removed, done(PodVerb::Rm), None),
    ];
    for (wanted, look, last, expected) in table {
        let found = said(&life(wanted, look, last));
        let fits = match (&found, expected) {
            (Some(found), Some(expected)) => found.contains(expected),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(fits, "{wanted} {look:?}: {found:?}");
    }
    let mut pod = life(Running, Up, done(PodVerb::Run));
    pod.seen.ready_until_ms = Some(NOW + 1);
    assert_eq!(said(&pod), None);
    pod.seen.ready_until_ms = Some(NOW);
    assert!(said(&pod).unwrap().contains("older than 600 s"));
    let mut pod = life(Running, Nothing, None);
    for _ in 0..3 {
        pod.begin(plan(&pod, u64::MAX).call.unwrap());
        assert_eq!(
            said(&pod).unwrap().rsplit("; ").next().unwrap(),
            "`run` is under way, and is ended after 600 s"
        );
        pod.end(Err("ended with 3: cannot".to_owned()), NOW);
    }
    assert_eq!(
        said(&pod).unwrap(),
        "`run` failed: ended with 3: cannot; tries: 3, the next one after 2 s; its logs say more"
    );
    pod.see(life(Running, Up, None).seen, NOW);
    assert_eq!(said(&pod), None, "it has come up in another way");
    pod.see(Seen::default(), NOW);
    pod.want(Some(Stopped));
    assert_eq!(said(&pod), None);
}

#[test]
fn a_program_is_no_compiled_pod_and_stays_one_when_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let release = ReleaseDir::new(folder.path());
    let compiled = format!("{}\nformat: 1\n", podspec::FIRST_LINE);
    let (good, bad) = (Some(true), Some(false));
    let table = [
        ("#!/bin/sh\n", 0o755, good, good),
        ("\u{7f}ELF…", 0o700, good, good),
        ("#!/bin/sh\n", 0o644, bad, bad),
        ("", 0o755, None, bad),
        ("echo\n", 0o755, None, bad),
    ];
    for (text, mode, unknown, driven) in table {
        put(&release.pod(), text);
        fs::set_permissions(release.pod(), fs::Permissions::from_mode(mode)).unwrap();
        let found = || program_of(&release).map(|program| program.is_ok());
        let _ = fs::remove_dir_all(release.run_dir());
        assert_eq!(found(), unknown, "{text} {mode:o}");
        put(&release.run_dir().join("foreign.json"), "");
        assert_eq!(found(), driven, "{text} {mode:o}");
    }
    put(&release.pod(), &compiled);
    fs::remove_dir_all(release.run_dir()).unwrap();
    assert_eq!(program_of(&release), None);
}
