//! Commands below their runners: what they get, how they end, and that they outlive the daemon alone.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hostfiles::ReleaseDir;
use simplenetes_plugin::{Answer, Step, StepOptions};
use simplenetesd::gate::Launch;
use simplenetesd::lock::{Attempt, ReleaseLock, Role};
use simplenetesd::open_files::OpenFiles;
use simplenetesd::step::{Leftovers, StepSpec};
use simplenetesd::steps::{Parting, Processes, Programs, StepError, StepRunner};
use tempfile::TempDir;
use testkit::wait_until;
use tokio::time::timeout;

use crate::host::{Host, is_alive, is_running, kill, shell};

const WEB: &str = "web:1.0.0";
const LIMIT: Duration = Duration::from_secs(60);
/// Leaves session and process group twice over, notes its number in `child` and stays.
const ESCAPE: &str = "setsid sh -c 'setsid sh -c \"echo \\$\\$ > child.new; mv child.new child; exec sleep 600\" &' & wait; sleep 600";

fn runner(folder: &Path) -> StepRunner {
    StepRunner::new(
        WEB.parse().unwrap(),
        ReleaseDir::new(folder),
        Programs::new(
            None,
            "/nowhere/simplenetesd".as_ref(),
            env!("CARGO_BIN_EXE_simplenetesd").into(),
            "/usr/bin:/bin".as_ref(),
        ),
        false,
        OpenFiles::raise(),
    )
}

fn command(script: &str, options: StepOptions) -> Step {
    Step::Command {
        id: "check".into(),
        program: "sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        options,
    }
}

async fn run_in(
    folder: &Path,
    script: &str,
    options: StepOptions,
) -> Result<Option<Answer>, StepError> {
    let step = command(script, options);
    runner(folder).run(step, &Processes::default()).await
}

async fn run(script: &str, options: StepOptions) -> Result<Option<Answer>, StepError> {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), script, options).await
}

fn noted(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join("child")).ok()?;
    Some(text.trim().parse().unwrap())
}

fn wait_for_end(pid: u32) {
    let ended = || Ok((!is_alive(pid)).then_some(()));
    wait_until("the end of the child", LIMIT, ended).unwrap();
}

#[tokio::test]
async fn a_command_gets_what_the_step_names_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let options = StepOptions {
        env: vec![("NAME".into(), "value".into())],
        stdin: b"input".to_vec(),
        ..StepOptions::default()
    };
    let script = "cat; echo \" $NAME ${HOME:-none}\"; pwd; ls -l /proc/self/fd | grep -e socket: -e pod.lock; true";
    let answer = run_in(folder.path(), script, options)
        .await
        .unwrap()
        .unwrap();
    // Neither the lock nor the way to the driver.
    let expected = format!("input value none\n{}\n", folder.path().display());
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), expected);
}

#[tokio::test]
async fn a_failure_is_told_with_the_last_line() {
    let options = StepOptions::default;
    let error = run("echo first >&2; echo last >&2; exit 3", options()).await;
    assert_eq!(error.unwrap_err().to_string(), "check: ended with 3: last");
    let error = run("kill -9 $$", options()).await;
    assert_eq!(error.unwrap_err().to_string(), "check: ended with 137");
    let step = Step::Command {
        id: "check".into(),
        program: "/nowhere/program".into(),
        args: Vec::new(),
        options: options(),
    };
    let folder = tempfile::tempdir().unwrap();
    let error = runner(folder.path())
        .run(step, &Processes::default())
        .await
        .unwrap_err();
    assert!(error.is_answer(), "{error}");
    assert_eq!(error.to_string(), "cannot start `/nowhere/program`");
}

/// Runs this until its deadline, which passes only after a child was noted, however slow the machine is.
async fn run_late(script: &str) -> (TempDir, u32) {
    let mut after_ms = 500;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let options = StepOptions {
            timeout_ms: Some(after_ms),
            ..StepOptions::default()
        };
        let error = run_in(folder.path(), script, options).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("check: no end after {after_ms} ms")
        );
        if let Some(child) = noted(folder.path()) {
            return (folder, child);
        }
        after_ms *= 2;
        assert!(
            after_ms < 60_000,
            "the shell does not come to its first line"
        );
    }
}

#[tokio::test]
async fn a_deadline_ends_every_descendant() {
    let (_folder, child) = run_late(ESCAPE).await;
    assert!(!is_alive(child), "it left the session and was not ended");
}

/// As `podman exec`: a monitor of its own watches over the command, and the program ends when it is told how
/// that has ended.
const MONITORED: &str = "(setsid sh -c 'sleep 600 & echo $! > child.new; mv child.new child; wait $!; echo $? > told.new; mv told.new told' 2> /dev/null &); until test -e told; do sleep 0.05; done; mv told over";

#[tokio::test]
async fn at_a_deadline_the_monitor_of_a_command_can_tell_how_that_has_ended() {
    let (folder, child) = run_late(MONITORED).await;
    assert!(!is_alive(child));
    let over = fs::read_to_string(folder.path().join("over")).unwrap();
    assert_eq!(over, "137\n");
}

/// Writes faster than anybody reads.
const FLOOD: &str = "exec yes";

#[tokio::test]
async fn a_program_that_never_stops_writing_has_no_more_time_than_another() {
    let options = StepOptions {
        timeout_ms: Some(500),
        ..StepOptions::default()
    };
    let ended = timeout(LIMIT, run(FLOOD, options)).await.unwrap();
    assert_eq!(
        ended.unwrap_err().to_string(),
        "check: no end after 500 ms: y"
    );
    // What it leaves behind goes on writing.
    let leaves = run("setsid yes & exit 3", StepOptions::default());
    let error = timeout(LIMIT, leaves).await.unwrap().unwrap_err();
    assert!(
        error.to_string().starts_with("check: ended with 3"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path());
    let silence = StepOptions {
        silence_ms: Some(600_000),
        ..StepOptions::default()
    };
    let mut lines = runner.told().lines();
    let (step, processes) = (command(FLOOD, silence), Processes::default());
    let (ended, ()) = tokio::join!(timeout(LIMIT, runner.run(step, &processes)), async {
        lines.wait_for(|line| line == "y").await.unwrap();
        runner.told().cancel();
    });
    let error = ended.unwrap().unwrap_err();
    assert!(matches!(error, StepError::Cancelled { .. }), "{error}");
}

#[tokio::test]
async fn a_step_may_leave_what_has_a_session_of_its_own_and_a_probe_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let script = "setsid sh -c 'echo $$ > child.new; mv child.new child; exec sleep 600' & until test -e child; do sleep 0.01; done; sleep 600 & echo $! > other";
    for probe_limit in [None, Some(LIMIT)] {
        let _ = fs::remove_file(folder.path().join("child"));
        let processes = Processes {
            probe_limit,
            ..Processes::default()
        };
        let step = command(script, StepOptions::default());
        runner(folder.path()).run(step, &processes).await.unwrap();
        let child = noted(folder.path()).unwrap();
        let other = fs::read_to_string(folder.path().join("other")).unwrap();
        wait_for_end(other.trim().parse().unwrap());
        assert_eq!(is_alive(child), probe_limit.is_none(), "{probe_limit:?}");
        if is_alive(child) {
            kill(child);
        }
    }
    let step = command("sleep 600", StepOptions::default());
    let processes = Processes {
        probe_limit: Some(Duration::from_millis(100)),
        ..Processes::default()
    };
    let error = runner(folder.path())
        .run(step, &processes)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "check: no end after 100 ms");
}

#[tokio::test]
async fn silence_ends_a_download_and_talk_does_not() {
    let silence = |milliseconds| StepOptions {
        silence_ms: Some(milliseconds),
        ..StepOptions::default()
    };
    let error = run("echo 10 %; sleep 600", silence(300)).await.unwrap_err();
    let told = [
        "check: no output for 300 ms: 10 %",
        "check: no output for 300 ms",
    ];
    assert!(told.contains(&error.to_string().as_str()), "{error}");
    let talk = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done";
    let answer = run(talk, silence(20_000)).await.unwrap().unwrap();
    assert_eq!(answer.exit, 0);
}

#[tokio::test]
async fn a_download_that_says_nothing_but_works_is_not_silent() {
    let both = StepOptions {
        silence_ms: Some(2_500),
        timeout_ms: Some(6_000),
        ..StepOptions::default()
    };
    let error = run("exec cat /dev/zero > /dev/null", both)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "check: no end after 6000 ms");
}

#[tokio::test]
async fn a_download_is_ended_when_something_else_is_wanted_and_a_command_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path());
    let silence = StepOptions {
        silence_ms: Some(600_000),
        ..StepOptions::default()
    };
    let mut lines = runner.told().lines();
    let escape = ESCAPE.strip_suffix("wait; sleep 600").unwrap();
    let script = format!("{escape} while :; do test -e child && echo layer; sleep 0.1; done");
    let step = command(&script, silence);
    let processes = Processes::default();
    let (ended, ()) = tokio::join!(runner.run(step, &processes), async {
        lines.wait_for(|line| line == "layer").await.unwrap();
        runner.told().cancel();
    });
    let error = ended.unwrap_err();
    assert!(matches!(error, StepError::Cancelled { .. }), "{error}");
    let child = noted(folder.path()).unwrap();
    assert!(!is_alive(child), "the next step would run beside it");
    let step = command("touch begun; sleep 0.2", StepOptions::default());
    let begun = async {
        while !folder.path().join("begun").exists() {
            tokio::task::yield_now().await;
        }
        runner.told().cancel();
    };
    let (ended, ()) = tokio::join!(runner.run(step, &processes), begun);
    ended.unwrap();
}

#[tokio::test]
async fn the_last_line_is_told_also_when_none_follows() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path());
    let options = StepOptions {
        silence_ms: Some(600_000),
        ..StepOptions::default()
    };
    let mut lines = runner.told().lines();
    // It comes too soon to be told at once.
    let (step, processes) = (
        command("echo line; exec sleep 600", options),
        Processes::default(),
    );
    let told = timeout(LIMIT, lines.wait_for(|line| line == "line"));
    let told = async {
        let told = told.await.is_ok_and(|told| told.is_ok());
        runner.told().cancel();
        told
    };
    let (ended, told) = tokio::join!(runner.run(step, &processes), told);
    assert!(matches!(ended, Err(StepError::Cancelled { .. })));
    assert!(told, "nobody knows what it hangs after");
}

#[tokio::test]
async fn what_a_probe_writes_is_no_progress_of_an_operation() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path());
    let lines = runner.told().lines();
    let processes = Processes {
        probe_limit: Some(LIMIT),
        ..Processes::default()
    };
    // It lasts long enough for its line to be told.
    let step = command("echo line; sleep 1", StepOptions::default());
    runner.run(step, &processes).await.unwrap();
    assert_eq!(*lines.borrow(), "");
}

#[tokio::test]
async fn a_download_is_not_begun_after_something_else_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path());
    let silence = StepOptions {
        silence_ms: Some(600_000),
        ..StepOptions::default()
    };
    let download = || command("touch begun", silence.clone());
    let processes = Processes::default();
    runner.told().begin();
    // The operation is between two steps.
    runner.told().cancel();
    let error = runner.run(download(), &processes).await.unwrap_err();
    assert!(matches!(error, StepError::Cancelled { .. }), "{error}");
    assert!(!folder.path().join("begun").exists());
    let probe = Processes {
        probe_limit: Some(LIMIT),
        ..Processes::default()
    };
    let step = command("true", StepOptions::default());
    runner.run(step, &processes).await.unwrap();
    runner.run(download(), &probe).await.unwrap();
    runner.told().begin();
    runner.run(download(), &processes).await.unwrap();
}

#[tokio::test]
async fn a_step_that_lasts_longer_than_the_daemon_is_left_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let parting = Parting::default();
    let runner = runner(folder.path()).with_parting(parting.clone());
    let processes = Processes::default();
    let there = |name: &str| folder.path().join(name).exists();
    let script = "touch begun; until test -e go; do sleep 0.01; done; touch done";
    let step = command(script, StepOptions::default());
    let begun = async {
        while !there("begun") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        parting.leave();
    };
    tokio::select! {
        ended = runner.run(step, &processes) => panic!("{ended:?}"),
        () = begun => {}
    }
    fs::write(folder.path().join("go"), "").unwrap();
    let done = || Ok(there("done").then_some(()));
    wait_until("the end of the step", LIMIT, done).unwrap();
}

#[tokio::test]
async fn a_step_that_nobody_waits_for_is_ended_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let work = run_in(folder.path(), ESCAPE, StepOptions::default());
    let noted_child = async {
        loop {
            if let Some(child) = noted(folder.path()) {
                return child;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let child = tokio::select! {
        ended = work => panic!("{ended:?}"),
        child = noted_child => child,
    };
    wait_for_end(child);
}

#[tokio::test]
async fn what_a_killed_runner_leaves_is_ended_also_outside_its_session() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("run")).unwrap();
    let script = format!("echo $PPID > runner.new; mv runner.new runner; {ESCAPE}");
    let work = run_in(folder.path(), &script, StepOptions::default());
    let murder = async {
        loop {
            if let Some(child) = noted(folder.path()) {
                let runner = fs::read_to_string(folder.path().join("runner")).unwrap();
                kill(runner.trim().parse().unwrap());
                return child;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (ended, child) = tokio::join!(work, murder);
    assert!(!ended.unwrap_err().is_answer());
    assert!(!is_alive(child), "it outlived its runner");
    assert_eq!(fs::read_dir(folder.path().join("run")).unwrap().count(), 0);
}

#[test]
fn what_a_step_leaves_whose_daemon_and_runner_were_killed_is_ended_by_the_next() {
    let host = Host::new();
    let escape = format!("echo $PPID > runner.new; mv runner.new runner; {ESCAPE}");
    // A semicolon would end the key of the unit.
    let probe = serde_json::to_string(&["sh", "-c", &escape.replace(';', "\n")]).unwrap();
    let keys = format!("startupProbe: {{timeoutSeconds: 60, check: {{cmd: {probe}}}}}");
    host.pod(WEB, "running", &shell("main", &keys, "exec sleep 600"));
    let root = host.release(WEB).path().join("root/main");
    let mut daemon = host.daemon();
    let child = wait_until("the child of the probe", LIMIT, || Ok(noted(&root))).unwrap();
    let runner = fs::read_to_string(root.join("runner")).unwrap();
    kill(daemon.id());
    kill(runner.trim().parse().unwrap());
    let ended = || Ok((!daemon.is_running()?).then_some(()));
    wait_until("the end of the daemon", LIMIT, ended).unwrap();
    assert!(is_alive(child));
    fs::remove_file(root.join("child")).unwrap();
    let _next = host.daemon();
    // The next daemon probes again, when nothing is left of the probe before.
    wait_until("the next probe", LIMIT, || Ok(noted(&root))).unwrap();
    assert!(!is_alive(child), "it outlived daemon and runner");
    host.state(WEB, "stopped");
    host.wait(WEB, "the stop", |status| status.units[0].status == "exited");
}

/// A daemon that is a script.
fn with_daemon(folder: &Path, script: &str) -> StepRunner {
    let daemon = folder.join("daemon");
    fs::write(&daemon, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&daemon, fs::Permissions::from_mode(0o755)).unwrap();
    StepRunner::new(
        WEB.parse().unwrap(),
        ReleaseDir::new(folder),
        Programs::new(
            None,
            "/nowhere/simplenetesd".as_ref(),
            daemon,
            "/usr/bin:/bin".as_ref(),
        ),
        false,
        OpenFiles::raise(),
    )
}

#[tokio::test]
async fn a_shim_that_is_given_up_starts_nothing_later() {
    let folder = tempfile::tempdir().unwrap();
    // What it answers cannot be read.
    let shim = "cd \"${0%/*}\"; echo $$ > child; echo what >&0; exec sleep 600";
    let step = Step::Process {
        unit: "main".into(),
        program: "sh".into(),
        args: Vec::new(),
        options: StepOptions::default(),
    };
    let error = with_daemon(folder.path(), shim)
        .run(step, &Processes::default())
        .await
        .unwrap_err();
    assert!(matches!(error, StepError::Shim { .. }), "{error}");
    let shim = noted(folder.path()).unwrap();
    assert!(!is_alive(shim), "it may still start its unit");
}

fn spec(release: &ReleaseDir, script: &str, total_ms: u64) -> StepSpec {
    StepSpec {
        about: vec![WEB.to_owned()],
        launch: Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            working_directory: release.path().to_owned(),
            user: None,
            root: None,
            stdin: Vec::new(),
            group: Vec::new(),
        },
        total_ms: Some(total_ms),
        silence_ms: None,
        keep: false,
        whole_lines: false,
        leftovers: Leftovers::Stay,
        run_dir: release.run_dir(),
    }
}

#[test]
fn a_driver_that_is_stopped_gives_a_step_no_more_time() {
    let host = Host::new();
    let release = host.release(WEB);
    fs::create_dir_all(release.path()).unwrap();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    // It has not read what it was told long ago: there is no room for another line.
    theirs.set_nonblocking(true).unwrap();
    while theirs.write(b"\n").is_ok() {}
    theirs.set_nonblocking(false).unwrap();
    let script = "echo $$ > child.new; mv child.new child; while :; do echo line; sleep 0.01; done";
    let request = serde_json::to_string(&spec(&release, script, 2_000)).unwrap();
    writeln!(ours, "{request}").unwrap();
    let mut command = host.command(&["step"]);
    let mut step = command.stdin(OwnedFd::from(theirs)).spawn().unwrap();
    drop(command);
    let child = wait_until("the program", LIMIT, || Ok(noted(release.path()))).unwrap();
    wait_for_end(child);
    drop(ours);
    step.wait().unwrap();
}

#[test]
fn a_step_outlives_its_driver_and_holds_the_lock_until_it_has_ended() {
    let host = Host::new();
    let release = host.release(WEB);
    fs::create_dir_all(release.path()).unwrap();
    let Attempt::Taken(lock) = ReleaseLock::try_take(&release, Role::Daemon).unwrap() else {
        panic!("nobody has the lock");
    };
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = host.command(&["step"]);
    command
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::from(lock.duplicate().unwrap()));
    let mut step = command.spawn().unwrap();
    drop(command);
    let script = "touch begun; while [ ! -e go ]; do sleep 0.01; done; touch done";
    let spec = spec(&release, script, 60_000);
    let request = serde_json::to_string(&spec).unwrap();
    writeln!(ours, "{request}").unwrap();
    let there = |name: &str| Ok(release.path().join(name).exists().then_some(()));
    wait_until("the program to run", LIMIT, || there("begun")).unwrap();
    // The driver is gone now, and with it its end of the socket.
    drop((ours, lock));
    let is_held = || {
        matches!(
            ReleaseLock::try_take(&release, Role::Keep),
            Ok(Attempt::Held(_))
        )
    };
    assert!(is_held(), "nobody holds the lock while the step runs");
    fs::write(release.path().join("go"), "").unwrap();
    assert!(step.wait().unwrap().success());
    there("done").unwrap().unwrap();
    assert!(!is_held());
}

#[test]
fn a_restarted_daemon_waits_for_the_step_of_the_one_before() {
    let host = Host::new();
    // Says so when two of it run at once.
    let probe = "mkdir busy || echo two at once >> trouble\ntouch begun\nuntil [ -e go ]\ndo sleep 0.01\ndone\nrmdir busy";
    let probe = serde_json::to_string(&["sh", "-c", probe]).unwrap();
    let keys = format!("startupProbe: {{timeoutSeconds: 60, check: {{cmd: {probe}}}}}");
    host.pod(WEB, "running", &shell("main", &keys, "exec sleep 600"));
    let root = host.release(WEB).path().join("root/main");
    let mut daemon = host.daemon();
    let there = || Ok(root.join("begun").exists().then_some(()));
    wait_until("the probe to run", LIMIT, there).unwrap();
    kill(daemon.id());
    let ended = || Ok((!daemon.is_running()?).then_some(()));
    wait_until("the end of the daemon", LIMIT, ended).unwrap();
    let release = host.release(WEB);
    let attempt = ReleaseLock::try_take(&release, Role::Keep).unwrap();
    assert!(matches!(attempt, Attempt::Held(None)), "{attempt:?}");
    let _next = host.daemon();
    fs::write(root.join("go"), "").unwrap();
    host.wait(WEB, "the pod to run", is_running);
    assert!(!root.join("trouble").exists(), "two probes ran at once");
}
