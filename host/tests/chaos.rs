//! Chaos with real processes: the daemon, a runner or a shim is killed at any moment while pods start,
//! stop, reload and rerun. After each kill exactly the wanted processes run, none twice, and the logs
//! have every line that a unit has written.
//!
//! `SOAK_SEED` repeats the choices of a run; the kernel's timing it cannot repeat.

mod evidence;

use std::fs;
use std::thread;
use std::time::Duration;

use hostfiles::{Endpoints, PodAction, PodStatus, PodVerb, PortMappings};
use simplenetesd::process::{ProcessId, children_of};
use simplenetesd::shim::RunFiles;
use testkit::{Daemon, wait_until};

use crate::host::{Host, LIMIT};
use evidence::Evidence;

const PODS: u64 = 20;
/// So many pods are asked for something in one round.
const CHANGES: u64 = 4;
/// A kill comes at most so long after what was asked for, in milliseconds.
const MOMENT_MAX: u64 = 300;
/// How long a runner that may be killed is looked for.
const RUNNER_LIMIT: Duration = Duration::from_secs(5);

/// Notes outside which config it has read, writes its numbered lines, and notes outside how far it has come.
/// The last line comes after TERM.
const SCRIPT: &str = r#"run=$$-$(date +%N); i=0; over=
cat conf/text > "$1/conf-$0.$run"; mv "$1/conf-$0.$run" "$1/conf-$0"
emit() { i=$((i+1)); echo "$run $i"; echo $i > "$1"; }
trap 'over=1' TERM
while test -z "$over"; do emit "$1/$0.$run"; sleep 0.2; done
emit "$1/$0.$run""#;

/// A generator of numbers that are the same for the same seed everywhere (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

struct Pod {
    id: String,
    /// Name and unique argument of each unit.
    units: Vec<(String, String)>,
    is_wanted: bool,
    /// What its config says.
    config: String,
    /// The processes of before it was to be run again; none when it was not.
    replaced: Vec<u32>,
}

struct Chaos {
    /// The last one runs. They are kept, because a guard that is dropped ends the units.
    daemons: Vec<Daemon>,
    host: Host,
    pods: Vec<Pod>,
    evidence: Evidence,
    random: Random,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let host = Host::new();
        let written = host.home().path().parent().unwrap().join("written");
        fs::create_dir(&written).unwrap();
        let pods = (0..PODS).map(|number| {
            let units = (0..=number % 2).map(|unit| {
                let token = format!("chaos-{seed:016x}-{number}-{unit}");
                (format!("unit{unit}"), token)
            });
            let pod = Pod {
                id: format!("pod{number}:1.0.0"),
                units: units.collect(),
                is_wanted: true,
                config: "0\n".to_owned(),
                replaced: Vec::new(),
            };
            let units: String = pod.units.iter().map(|unit| text(unit, &written)).collect();
            host.config(&pod.id, &pod.config);
            host.pod(&pod.id, "running", &format!("{ONE_SHOT}{units}"));
            pod
        });
        Self {
            pods: pods.collect(),
            daemons: vec![host.daemon()],
            evidence: Evidence::new(written),
            random: Random(seed),
            host,
        }
    }

    /// Asks several different pods for something.
    fn change(&mut self, round: u32) {
        let first = self.random.below(PODS);
        let running = evidence::roots();
        for step in 0..CHANGES {
            let index = usize::try_from((first + step * 7) % PODS).unwrap();
            let choice = self.random.below(3);
            let pod = self.pods.get_mut(index).unwrap();
            let release = self.host.release(&pod.id);
            match choice {
                1 if pod.is_wanted => {
                    pod.config = format!("{round}\n");
                    self.host.config(&pod.id, &pod.config);
                }
                2 if pod.is_wanted => {
                    let of_pod = |token: &str| pod.units.iter().any(|(_, own)| own == token);
                    let before = running.iter().filter(|(token, _)| of_pod(token));
                    pod.replaced = before.map(|(_, pid)| *pid).collect();
                    let action = PodAction::new(PodVerb::Rerun);
                    action.place(&release.action()).unwrap();
                }
                _ => {
                    pod.is_wanted = !pod.is_wanted;
                    let state = if pod.is_wanted { "running" } else { "stopped" };
                    self.host.state(&pod.id, state);
                }
            }
        }
    }

    /// Kills something; gives what.
    fn kill(&mut self) -> &'static str {
        match self.random.below(4) {
            0 => self.kill_runner(),
            1 => self.kill_shim(),
            _ => self.kill_daemon(),
        }
    }

    fn kill_daemon(&mut self) -> &'static str {
        let daemon = self.daemons.last_mut().unwrap();
        crate::host::kill(daemon.id());
        let ended = || Ok((!daemon.is_running()?).then_some(()));
        wait_until("the end of the daemon", LIMIT, ended).unwrap();
        self.check_files();
        self.daemons.push(self.host.daemon());
        "daemon"
    }

    /// Whatever the daemon was writing when it was killed: every file is there as a whole, or not at all.
    fn check_files(&self) {
        let home = self.host.home();
        hostfiles::read_if_present::<PortMappings>(&home.portmappings_conf()).unwrap();
        hostfiles::read_if_present::<Endpoints>(&home.endpoints_conf()).unwrap();
        for pod in &self.pods {
            let release = self.host.release(&pod.id);
            hostfiles::read_if_present::<PodStatus>(&release.status()).unwrap();
            evidence::check_json(release.path());
            evidence::check_json(&release.run_dir());
        }
    }

    /// A child of the daemon that runs a step.
    fn kill_runner(&self) -> &'static str {
        let daemon = self.daemons.last().unwrap().id();
        let runner = || {
            let children = children_of(daemon).into_iter();
            // Which process it is was noted before it was looked at, and is compared by the kill.
            let mut known = children.filter_map(|pid| ProcessId::of(pid).ok());
            Ok(known.find(|child| {
                evidence::words(child.pid)
                    .get(1)
                    .is_some_and(|w| w == "step")
            }))
        };
        wait_until("a runner", RUNNER_LIMIT, runner).unwrap().kill();
        "runner"
    }

    fn kill_shim(&mut self) -> &'static str {
        let index = usize::try_from(self.random.below(PODS)).unwrap();
        let pod = self.pods.get(index).unwrap();
        for (unit, _) in &pod.units {
            let files = RunFiles::of(&self.host.release(&pod.id), &unit.parse().unwrap());
            if let Some(record) = files.read_run() {
                self.evidence.shim_killed(record.process.pid);
                record.shim.kill();
            }
        }
        "shim"
    }

    /// Waits until everything is as it should be.
    fn check(&mut self, what: &str) {
        let mut wrong = Vec::new();
        let settled = wait_until("everything to be as wanted", LIMIT, || {
            wrong = self.wrong();
            Ok(wrong.is_empty().then_some(()))
        });
        assert!(settled.is_ok(), "{what}: {}", wrong.join("\n"));
        self.pods.iter_mut().for_each(|pod| pod.replaced.clear());
    }

    /// What is not as it should be.
    fn wrong(&self) -> Vec<String> {
        let running = evidence::roots();
        let mut wrong = Vec::new();
        for pod in &self.pods {
            let release = self.host.release(&pod.id);
            if release.action().exists() {
                wrong.push(format!("{}: its request was not taken", pod.id));
            }
            wrong.extend(evidence::half_written(release.path()));
            wrong.extend(evidence::half_written(&release.run_dir()));
            for (unit, token) in &pod.units {
                let found = running.iter().filter(|(held, _)| held == token);
                let pids: Vec<u32> = found.map(|(_, pid)| *pid).collect();
                if pids.len() != usize::from(pod.is_wanted) {
                    let status = self.host.status(&pod.id);
                    wrong.push(format!("{token}: runs as {pids:?}: {status:?}"));
                }
                if pids.iter().any(|pid| pod.replaced.contains(pid)) {
                    wrong.push(format!("{token}: was not run again: {pids:?}"));
                }
                let config = self.evidence.config(token);
                if pod.is_wanted && config.as_ref() != Some(&pod.config) {
                    wrong.push(format!(
                        "{token}: knows the config {config:?}, not {:?}",
                        pod.config
                    ));
                }
                let log = self.host.log(&pod.id, unit, "stdout");
                wrong.extend(self.evidence.missing(&log, token));
            }
        }
        wrong
    }
}

/// The units after it wait until it has ended well, also when nobody sees that.
const ONE_SHOT: &str = "- name: init\n  restart: on-failure\n  startupProbe: {timeoutSeconds: 60, check: exit}\n  spec: {program: sleep, args: ['0.05']}\n";

/// One unit: its name and its argument. The second one of a pod may end, but not before it is asked to.
fn text((name, token): &(String, String), written: &std::path::Path) -> String {
    let script = serde_json::to_string(SCRIPT).unwrap();
    let written = written.display();
    let restart = match name.as_str() {
        "unit0" => "always",
        _ => "on-failure",
    };
    format!(
        "- name: {name}\n  restart: {restart}\n  stopTimeout: 10\n  mounts: [{{volume: conf, dest: /conf}}]\n  startupProbe: {{timeoutSeconds: 60, check: {{cmd: [sleep, '0.1']}}}}\n  readinessProbe: {{timeoutSeconds: 9, check: {{cmd: [sleep, '0.2']}}}}\n  spec:\n    program: sh\n    args: [\"-c\", {script}, \"{token}\", \"{written}\"]\n"
    )
}

#[test]
fn whoever_is_killed_the_wanted_processes_run_once_and_no_line_is_lost() {
    let seed = testkit::soak::seed();
    println!("SOAK_SEED={seed}");
    let mut chaos = Chaos::new(seed);
    chaos.check("the first start");
    for round in 1..=testkit::soak::count(200) {
        chaos.change(round);
        // Any moment will do: nothing is waited for here.
        thread::sleep(Duration::from_millis(chaos.random.below(MOMENT_MAX)));
        let killed = chaos.kill();
        println!("round {round}: killed a {killed}");
        chaos.check(&format!(
            "SOAK_SEED={seed}, round {round}, killed a {killed}"
        ));
    }
}
