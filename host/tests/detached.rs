//! Units that the program which starts them leaves to another parent.

use std::fs;
use std::time::Duration;

use hostfiles::ReleaseDir;
use rustix::process::{Pid, Signal, kill_process};
use simplenetes_plugin::{Step, StepOptions};
use simplenetesd::open_files::OpenFiles;
use simplenetesd::shim::{ExitRecord, RunFiles, RunRecord};
use simplenetesd::steps::{Processes, Programs, StepError, StepRunner};
use testkit::wait_until;

use crate::host::{Host, is_alive, is_running, kill, pid, shell, stop};

const WEB: &str = "web:1.0.0";
const LIMIT: Duration = Duration::from_secs(60);
/// Leaves group and session, notes its process as the unit, and ends with 7 when it is asked to.
const DAEMON: &str = "setsid sh -c 'trap \"exit 7\" TERM; echo up; echo $$ > run/main.new; mv run/main.new run/main.pid; while :; do sleep 0.05; done' & until test -e run/main.pid; do sleep 0.01; done";

fn start(release: &ReleaseDir, script: &str) -> Result<(), StepError> {
    let runner = StepRunner::new(
        WEB.parse().unwrap(),
        release.clone(),
        Programs::new(
            None,
            "/nowhere/simplenetesd".as_ref(),
            env!("CARGO_BIN_EXE_simplenetesd").into(),
            "/usr/bin:/bin".as_ref(),
        ),
        false,
        OpenFiles::raise(),
    );
    let step = Step::Detached {
        unit: "main".into(),
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        options: StepOptions {
            pid_file: Some("run/main.pid".into()),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            ..StepOptions::default()
        },
    };
    let processes = Processes {
        start_count: 1,
        ..Processes::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(runner.run(step, &processes)).map(drop)
}

fn folder() -> (tempfile::TempDir, ReleaseDir) {
    let folder = tempfile::tempdir().unwrap();
    let release = ReleaseDir::new(folder.path());
    fs::create_dir(release.run_dir()).unwrap();
    (folder, release)
}

fn record(release: &ReleaseDir) -> RunRecord {
    let files = RunFiles::of(release, &"main".parse().unwrap());
    files.read_run().unwrap()
}

fn exit(release: &ReleaseDir) -> ExitRecord {
    let files = RunFiles::of(release, &"main".parse().unwrap());
    wait_until("the exit record", LIMIT, || Ok(files.read_exit())).unwrap()
}

fn log(release: &ReleaseDir) -> String {
    fs::read_to_string(release.log_dir().join("main-web-1.0.0-stdout.log")).unwrap_or_default()
}

fn ask_to_end(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}

#[test]
fn a_unit_without_another_parent_has_logs_and_an_exit_status() {
    let (_folder, release) = folder();
    // What an earlier run has left there is not believed.
    fs::write(release.run_dir().join("main.pid"), "1\n").unwrap();
    start(&release, DAEMON).unwrap();
    let RunRecord { process, shim, .. } = record(&release);
    assert!(is_alive(process.pid) && process.pid != shim.pid);
    let up = || Ok(log(&release).contains("up").then_some(()));
    wait_until("the log", LIMIT, up).unwrap();
    ask_to_end(process.pid);
    assert_eq!(exit(&release).code, Some(7));
}

#[test]
fn a_unit_of_another_parent_is_watched_and_its_status_unknown() {
    let (_folder, release) = folder();
    let script = "setsid sh -c 'sh -c \"echo \\$\\$ > run/main.new; mv run/main.new run/main.pid; exec sleep 600\"; touch run/collected' & until test -e run/main.pid; do sleep 0.01; done";
    start(&release, script).unwrap();
    kill(record(&release).process.pid);
    assert_eq!(exit(&release).code, None);
    // Its parent had the time to do what is its own.
    assert!(release.run_dir().join("collected").exists());
}

#[test]
fn what_others_share_outlives_the_unit() {
    let (_folder, release) = folder();
    let script = format!(
        "setsid sh -c 'echo $$ > run/shared.new; mv run/shared.new run/shared; exec sleep 600' & until test -e run/shared; do sleep 0.01; done; {DAEMON}"
    );
    start(&release, &script).unwrap();
    let RunRecord { process, shim, .. } = record(&release);
    let shared = fs::read_to_string(release.run_dir().join("shared")).unwrap();
    let shared: u32 = shared.trim().parse().unwrap();
    ask_to_end(process.pid);
    assert_eq!(exit(&release).code, Some(7));
    let ended = || Ok((!is_alive(shim.pid)).then_some(()));
    wait_until("the end of the shim", LIMIT, ended).unwrap();
    assert!(is_alive(shared), "it belongs to nobody alone");
    kill(shared);
}

fn check_refusal(script: &str, expected: &str) {
    let (_folder, release) = folder();
    let error = start(&release, script).unwrap_err().to_string();
    assert!(error.contains(expected), "{script}: {error}");
    // Nothing is left of it.
    let left = fs::read_to_string(release.run_dir().join("left")).ok();
    if let Some(left) = left {
        assert!(!is_alive(left.trim().parse().unwrap()), "{script}");
    }
}

#[test]
fn what_does_not_start_is_told_and_nothing_is_left() {
    check_refusal("exit 3", "ended with 3");
    check_refusal(
        "setsid sh -c 'echo $$ > run/left; exec sleep 600' & until test -s run/left; do sleep 0.01; done",
        "names no process of the unit",
    );
    check_refusal("echo 1 > run/main.pid", "older than the start");
    check_refusal("mkfifo run/main.pid", "it is no file");
    check_refusal("ln -s /proc/self/stat run/main.pid", "names no process");
}

#[test]
fn a_detached_unit_is_adopted_and_ended_when_its_shim_is_gone() {
    let host = Host::new();
    host.pod(
        WEB,
        "running",
        &shell("main", "restart: never", "exec sleep 600"),
    );
    let release = host.release(WEB);
    fs::create_dir(release.run_dir()).unwrap();
    // The pod in service, as a daemon that was killed has left it.
    fs::copy(release.pod(), release.run_dir().join("pod")).unwrap();
    start(&release, DAEMON).unwrap();
    let process = record(&release).process.pid;
    let mut daemon = host.daemon();
    let adopted = host.wait(WEB, "the adoption", is_running);
    assert_eq!(pid(&adopted), process);
    kill(daemon.id());
    let ended = || Ok((!daemon.is_running()?).then_some(()));
    wait_until("the end of the daemon", LIMIT, ended).unwrap();
    kill(record(&release).shim.pid);
    assert!(is_alive(process), "nothing binds it to its shim");
    let _next = host.daemon();
    let gone = || Ok((!is_alive(process)).then_some(()));
    wait_until("the end of the orphan", LIMIT, gone).unwrap();
}

#[test]
fn a_detached_unit_is_adopted_and_stopped() {
    let host = Host::new();
    host.pod(
        WEB,
        "running",
        &shell("main", "restart: never", "exec sleep 600"),
    );
    let release = host.release(WEB);
    fs::create_dir(release.run_dir()).unwrap();
    fs::copy(release.pod(), release.run_dir().join("pod")).unwrap();
    start(&release, DAEMON).unwrap();
    let _daemon = host.daemon();
    host.wait(WEB, "the adoption", is_running);
    host.state(WEB, "stopped");
    let stopped = host.wait(WEB, "the stop", |status| status.units[0].status == "exited");
    assert_eq!(stopped.units[0].exit_code, Some(7));
}

#[test]
fn no_route_leads_to_a_detached_unit_whose_shim_is_still_busy() {
    let host = Host::new();
    let port = "expose: [{targetPort: 80, hostPort: 30000, clusterPort: 61000, maxConn: 10}]";
    let keys = format!("restart: never; {port}");
    host.pod(WEB, "running", &shell("main", &keys, "exec sleep 600"));
    let release = host.release(WEB);
    fs::create_dir(release.run_dir()).unwrap();
    fs::copy(release.pod(), release.run_dir().join("pod")).unwrap();
    start(&release, DAEMON).unwrap();
    let RunRecord { process, shim, .. } = record(&release);
    let _daemon = host.daemon();
    host.wait(WEB, "the adoption", is_running);
    host.wait_for_routes("61000:30000:10:false\n");
    stop(shim.pid);
    kill(process.pid);
    host.wait_for_routes("\n");
    let shim = Pid::from_raw(i32::try_from(shim.pid).unwrap()).unwrap();
    kill_process(shim, Signal::CONT).unwrap();
    let ended = host.wait(WEB, "the end", |status| status.units[0].status == "exited");
    assert_eq!(ended.units[0].exit_code, Some(137));
}
