//! One operation on a pod → the steps that lead there, or first the looks that are needed to know them.
//!
//! Few calls of podman, because each costs more than all else: a container that is started again costs one.
//! Signals go to its process and need none, so a podman that hangs keeps nothing from being stopped.

mod start;

use std::collections::BTreeMap;

use crate::argv::{self, Host};
use crate::called;
use crate::image::{self, Image};
use crate::network::Network;
use crate::pod::{Memory, Pod, Unit};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) operation: String,
    pub(crate) unit: Option<String>,
    /// The signal of `signal`.
    pub(crate) signal: Option<String>,
    /// Which part `create` is to make; everything when it names none.
    pub(crate) part: Option<String>,
    /// `download`: also what is there already.
    pub(crate) force: bool,
    /// `start`: the last one failed, so what is remembered may be wrong.
    pub(crate) again: bool,
    /// `shell`: the person has a terminal.
    pub(crate) has_terminal: bool,
    pub(crate) argv: Vec<String>,
    pub(crate) host: Host,
    pub(crate) memory: Memory,
    /// The units that run.
    pub(crate) running: Vec<String>,
}

/// The answer to a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) exit: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// One step, in the words of the contract. The program is podman.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    MakeDirectory(String),
    Remove(String),
    Signal {
        unit: String,
        signal: String,
    },
    Detached {
        unit: String,
        args: Vec<String>,
        pid_file: String,
        monitor_file: String,
    },
    Command {
        id: String,
        args: Vec<String>,
    },
    /// A command that takes its time, and tells how it gets on.
    Download {
        id: String,
        args: Vec<String>,
    },
    Look {
        id: String,
        args: Vec<String>,
    },
    Attach {
        args: Vec<String>,
    },
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Asking again is of no use.
    GiveUp(String),
    /// podman did not answer as hoped.
    Retry(String),
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::GiveUp(message)
    }
}

/// The steps, and what to remember when they have been taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) memory: Option<Memory>,
}

impl Plan {
    fn of(step: Step) -> Self {
        Self {
            steps: vec![step],
            memory: None,
        }
    }
}

/// Plans one operation. `answer` gives the answer to a look, once it was asked.
pub(crate) fn plan(
    pod: &Pod,
    request: &Request,
    answer: impl Fn(&str) -> Option<Answer>,
) -> Result<Plan, Refusal> {
    let planner = Planner {
        pod,
        request,
        answer: &answer,
    };
    let unit = || this_unit(pod, request);
    match request.operation.as_str() {
        "download" => planner.download(),
        "create" => planner.create(),
        "start" => planner.start(unit()?),
        "stop" => planner.stop(unit()?),
        "kill" => Ok(signal(unit()?, "KILL")),
        "signal" => {
            let name = request
                .signal
                .as_deref()
                .ok_or_else(|| "no signal is named".to_owned())?;
            Ok(signal(unit()?, name))
        }
        "execute" => Ok(Plan::of(Step::Command {
            id: format!("execute in {}", unit()?.name),
            args: argv::exec(pod, unit()?, &request.host, &request.argv),
        })),
        "shell" => Ok(Plan::of(Step::Attach {
            args: argv::attach(
                pod,
                unit()?,
                &request.host,
                &request.argv,
                request.has_terminal,
            ),
        })),
        "collect" => Ok(Plan {
            // A container that is alone is gone when it has ended, with all that it held.
            steps: if pod.is_alone() {
                Vec::new()
            } else {
                vec![planner.remove_pod()]
            },
            memory: Some(planner.without_pod()),
        }),
        "remove" => Ok(Plan {
            steps: vec![planner.remove_pod(), Step::Remove("podman".to_owned())],
            memory: Some(planner.without_pod()),
        }),
        "purge" => planner.purge(),
        "reload" | "tick" => Ok(Plan::default()),
        unknown => Err(format!("a podman pod knows no operation `{unknown}`").into()),
    }
}

fn this_unit<'a>(pod: &'a Pod, request: &Request) -> Result<&'a Unit, Refusal> {
    let name = request
        .unit
        .as_deref()
        .ok_or_else(|| format!("`{}` names no unit", request.operation))?;
    pod.units
        .iter()
        .find(|unit| unit.name == name)
        .ok_or_else(|| format!("pod {} has no unit `{name}`", pod.pod).into())
}

fn signal(unit: &Unit, signal: &str) -> Plan {
    Plan::of(Step::Signal {
        unit: unit.name.clone(),
        signal: signal.to_owned(),
    })
}

struct Planner<'a> {
    pod: &'a Pod,
    request: &'a Request,
    answer: &'a dyn Fn(&str) -> Option<Answer>,
}

impl Planner<'_> {
    /// An image may name a signal of its own to end by.
    fn stop(&self, unit: &Unit) -> Result<Plan, Refusal> {
        let image = &unit.spec.image;
        if let Some(name) = self.request.memory.images.get(image) {
            return Ok(signal(unit, name));
        }
        Ok(match self.image(image) {
            Ok(Image::Unknown(look)) => Plan::of(look),
            Ok(Image::There { stop_signal }) => signal(unit, &stop_signal),
            // It has to end all the same.
            Ok(Image::Absent) | Err(_) => signal(unit, image::STOP_SIGNAL),
        })
    }

    fn download(&self) -> Result<Plan, Refusal> {
        let mut plan = Plan::default();
        let mut looks = Vec::new();
        for image in self.images() {
            if self.request.force {
                plan.steps.push(self.pull(image));
                continue;
            }
            match self.image(image)? {
                Image::Unknown(look) => looks.push(look),
                Image::Absent => plan.steps.push(self.pull(image)),
                Image::There { .. } => {}
            }
        }
        if !looks.is_empty() {
            plan.steps = looks;
        } else {
            // A new image may want another signal.
            plan.memory = Some(Memory {
                images: BTreeMap::new(),
                ..self.request.memory.clone()
            });
        }
        Ok(plan)
    }

    /// What has to be there before a container starts, and outlives it.
    fn create(&self) -> Result<Plan, Refusal> {
        let mut plan = match self.request.part.as_deref() {
            None => self.download()?,
            Some("volumes") => Plan::default(),
            Some(part) => return Err(format!("a podman pod cannot create its {part}").into()),
        };
        let mut looks = Vec::new();
        for name in self.volumes(|_| true) {
            match self.exists(&name)? {
                Existence::Unknown(look) => looks.push(look),
                Existence::No => plan.steps.push(Step::Command {
                    id: format!("create volume {name}"),
                    args: argv::create_volume(self.pod, &self.request.host, &name),
                }),
                Existence::Yes => {}
            }
        }
        if plan.steps.iter().any(is_look) {
            plan.steps.retain(is_look);
        }
        if !looks.is_empty() {
            plan.steps.retain(is_look);
            plan.steps.append(&mut looks);
        }
        Ok(plan)
    }

    /// Only what nobody else shares: another version or pod may need the rest, now or later.
    fn purge(&self) -> Result<Plan, Refusal> {
        let mut plan = Plan::of(self.remove_pod());
        let mut looks = Vec::new();
        for name in self.volumes(|shared| !matches!(shared, "pod" | "host")) {
            match self.exists(&name)? {
                Existence::Unknown(look) => looks.push(look),
                Existence::Yes => plan.steps.push(Step::Command {
                    id: format!("remove volume {name}"),
                    args: argv::remove_volume(&name),
                }),
                Existence::No => {}
            }
        }
        if !looks.is_empty() {
            plan.steps = looks;
        }
        plan.memory = Some(Memory::default());
        Ok(plan)
    }

    fn remove_pod(&self) -> Step {
        let host = &self.request.host;
        let args = match self.pod.units.as_slice() {
            [unit] => argv::remove_container(self.pod, unit, host),
            _ => argv::remove_pod(self.pod, host),
        };
        Step::Command {
            id: "remove the pod".to_owned(),
            args,
        }
    }

    fn without_pod(&self) -> Memory {
        Memory {
            created: Vec::new(),
            network: Network::Usual,
            ..self.request.memory.clone()
        }
    }

    fn pull(&self, image: &str) -> Step {
        Step::Download {
            id: format!("pull {image}"),
            args: argv::pull(&self.request.host, image),
        }
    }

    /// Each image once, in the order of the containers.
    fn images(&self) -> Vec<&str> {
        let mut images: Vec<&str> = Vec::new();
        for unit in &self.pod.units {
            if !images.contains(&unit.spec.image.as_str()) {
                images.push(&unit.spec.image);
            }
        }
        images
    }

    fn volumes(&self, counts: impl Fn(&str) -> bool) -> Vec<String> {
        let volumes = self.pod.volumes.iter();
        let own = volumes.filter(|volume| volume.kind == "volume" && counts(&volume.shared));
        own.map(|volume| called::volume(self.pod, volume, self.request.host.id()))
            .collect()
    }

    fn image(&self, image: &str) -> Result<Image, Refusal> {
        let id = format!("image {image}");
        match (self.answer)(&id) {
            Some(answer) => image::read(image, &answer).map_err(Refusal::Retry),
            None => Ok(Image::Unknown(Step::Look {
                id,
                args: argv::inspect(image),
            })),
        }
    }

    fn exists(&self, volume: &str) -> Result<Existence, Refusal> {
        let id = format!("volume {volume}");
        match (self.answer)(&id) {
            None => Ok(Existence::Unknown(Step::Look {
                id,
                args: argv::volume_exists(volume),
            })),
            Some(Answer { exit: 0, .. }) => Ok(Existence::Yes),
            Some(Answer { exit: 1, .. }) => Ok(Existence::No),
            Some(answer) => Err(Refusal::Retry(image::failed(&id, &answer))),
        }
    }
}

enum Existence {
    Yes,
    No,
    Unknown(Step),
}

fn is_look(step: &Step) -> bool {
    matches!(step, Step::Look { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "pod": "web", "podVersion": "1.0.0",
            "volumes": [
                {"name": "own", "type": "volume", "shared": "no"}, {"name": "data", "type": "volume", "shared": "pod"},
                {"name": "all", "type": "volume", "shared": "host"}
            ],
            "units": [
                {"name": "main", "spec": {"image": "a:1"}}, {"name": "side", "spec": {"image": "a:1"}},
                {"name": "last", "spec": {"image": "b:1"}}
            ],
        }))
        .unwrap()
    }

    fn request(operation: &str, unit: &str) -> Request {
        Request {
            operation: operation.to_owned(),
            unit: Some(unit.to_owned()).filter(|unit| !unit.is_empty()),
            ..Request::default()
        }
    }

    /// Steps in short: a look or command by its id, all others by their kind.
    fn short(plan: &Plan) -> String {
        let words = plan.steps.iter().map(|step| match step {
            Step::MakeDirectory(path) => format!("make {path}"),
            Step::Remove(path) => format!("remove {path}"),
            Step::Signal { unit, signal } => format!("{signal} to {unit}"),
            Step::Detached { unit, .. } => format!("run {unit}"),
            Step::Command { id, .. } | Step::Download { id, .. } => id.clone(),
            Step::Look { id, .. } => format!("look {id}"),
            Step::Attach { args } => args.join(" "),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn answered(exit: i32, stdout: &str, stderr: &str) -> Answer {
        Answer {
            exit,
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    fn there() -> Answer {
        answered(0, r#"[{"Config": {"StopSignal": "3"}}]"#, "")
    }

    fn absent() -> Answer {
        answered(125, "[]", "Error: a:1: image not known")
    }

    #[track_caller]
    fn plan_of(pod: &Pod, request: &Request, answers: &[(&str, Answer)]) -> Plan {
        let answer = |id: &str| {
            let found = answers.iter().find(|(known, _)| *known == id);
            found.map(|(_, answer)| answer.clone())
        };
        plan(pod, request, answer).unwrap()
    }

    #[track_caller]
    fn check(request: &Request, answers: &[(&str, Answer)], expected: &str) -> Plan {
        let plan = plan_of(&pod(), request, answers);
        assert_eq!(short(&plan), expected);
        plan
    }

    const START: &str = "create the pod, make podman, run main";

    #[test]
    fn a_first_start_looks_for_all_images_once() {
        let start = request("start", "main");
        check(&start, &[], "look image a:1, look image b:1");
        let both = [("image a:1", there()), ("image b:1", there())];
        check(
            &start,
            &[("image a:1", absent()), ("image b:1", absent())],
            "pull a:1, pull b:1, create the pod, make podman, run main",
        );
        let plan = check(&start, &both, START);
        let memory = plan.memory.unwrap();
        assert_eq!(memory.images["a:1"], "QUIT");
        let again = Request {
            memory: memory.clone(),
            ..start.clone()
        };
        check(&again, &[], "make podman, run main");
        // An image that was removed meanwhile is the matter of its container alone.
        let last = Request {
            memory: Memory {
                images: BTreeMap::new(),
                ..memory
            },
            ..request("start", "last")
        };
        check(&last, &[], "look image b:1");
        // The first attempt has failed: what is remembered may be why.
        let failed = Request {
            again: true,
            ..again
        };
        check(
            &failed,
            &both,
            "create the pod, remove what is left of main, make podman, run main",
        );
    }

    #[test]
    fn an_ordinary_user_s_pod_reaches_the_proxy_through_pasta_too() {
        let start = Request {
            host: Host {
                proxy_address: Some("192.168.1.5".to_owned()),
                ..Host::default()
            },
            ..request("start", "main")
        };
        let images = [("image a:1", there()), ("image b:1", there())];
        check(&start, &images, "look network");
        let created = |said: Answer| {
            let answers = [&images[..], &[("network", said)]].concat();
            check(&start, &answers, START).memory.unwrap()
        };
        let pasta = created(answered(
            0,
            r#"{"host": {"rootlessNetworkCmd": "pasta"}}"#,
            "",
        ));
        assert!(
            pasta
                .created
                .iter()
                .any(|arg| arg.starts_with("--network=pasta:")),
            "{pasta:?}"
        );
        for said in [
            r#"{"host": {"rootlessNetworkCmd": "slirp4netns"}}"#,
            r#"{"host": {}}"#,
            "?",
        ] {
            let usual = created(answered(0, said, ""));
            assert!(
                !usual.created.iter().any(|arg| arg.starts_with("--network")),
                "{usual:?}"
            );
        }
        // It is known for as long as there is the podman pod.
        let next = Request {
            memory: pasta.clone(),
            ..start.clone()
        };
        check(&next, &[], "make podman, run main");
        let collect = Request {
            operation: "collect".to_owned(),
            ..next
        };
        let memory = check(&collect, &[], "remove the pod").memory.unwrap();
        assert_eq!(memory.network, Network::Usual);
        // Root's pods have a network of another kind, and need no look.
        let root = Request {
            host: Host {
                owner_is_root: true,
                ..start.host.clone()
            },
            ..start
        };
        check(&root, &images, START);
    }

    #[test]
    fn a_container_that_is_alone_needs_no_podman_pod() {
        let mut alone = pod();
        alone.units.truncate(1);
        let start = request("start", "main");
        let first = plan_of(&alone, &start, &[("image a:1", there())]);
        assert_eq!(short(&first), "make podman, run main");
        let again = Request {
            memory: first.memory.unwrap(),
            ..start
        };
        assert_eq!(
            short(&plan_of(&alone, &again, &[])),
            "make podman, run main"
        );
    }

    #[test]
    fn the_podman_pod_is_never_replaced_under_a_container() {
        let second = Request {
            running: vec!["main".to_owned()],
            again: true,
            ..request("start", "side")
        };
        check(
            &second,
            &[("image a:1", there())],
            "remove what is left of side, make podman, run side",
        );
        // Of itself it is no container: it is being started again.
        let own = Request {
            running: vec!["main".to_owned()],
            ..request("start", "main")
        };
        check(
            &own,
            &[("image a:1", there()), ("image b:1", there())],
            START,
        );
    }

    #[test]
    fn a_podman_that_does_not_answer_is_asked_again() {
        let silent = answered(125, "", "Error: cannot connect\n");
        let refused = plan(&pod(), &request("start", "main"), |_| Some(silent.clone()));
        let message = "podman cannot say how image a:1 is: Error: cannot connect".to_owned();
        assert_eq!(refused, Err(Refusal::Retry(message)));
    }

    #[test]
    fn units_end_by_signals_and_without_podman() {
        let stop = Request {
            memory: Memory {
                images: BTreeMap::from([("a:1".to_owned(), "QUIT".to_owned())]),
                ..Memory::default()
            },
            ..request("stop", "main")
        };
        check(&stop, &[], "QUIT to main");
        check(&request("stop", "main"), &[], "look image a:1");
        check(
            &request("stop", "main"),
            &[("image a:1", absent())],
            "TERM to main",
        );
        check(&request("kill", "main"), &[], "KILL to main");
        let hup = Request {
            signal: Some("HUP".to_owned()),
            ..request("signal", "main")
        };
        check(&hup, &[], "HUP to main");
    }

    #[test]
    fn downloads() {
        check(
            &request("download", ""),
            &[],
            "look image a:1, look image b:1",
        );
        let answers = [("image a:1", there()), ("image b:1", absent())];
        check(&request("download", ""), &answers, "pull b:1");
        let forced = Request {
            force: true,
            ..request("download", "")
        };
        check(&forced, &[], "pull a:1, pull b:1");
    }

    #[test]
    fn volumes_are_made_once_and_purged_when_nobody_shares_them() {
        let volumes = Request {
            part: Some("volumes".to_owned()),
            ..request("create", "")
        };
        let (yes, no) = (answered(0, "", ""), answered(1, "", ""));
        check(
            &volumes,
            &[],
            "look volume own-web-1.0.0, look volume data-web, look volume all",
        );
        let answers = [
            ("volume own-web-1.0.0", no),
            ("volume data-web", yes.clone()),
            ("volume all", yes.clone()),
        ];
        check(&volumes, &answers, "create volume own-web-1.0.0");
        let purge = request("purge", "");
        check(&purge, &[], "look volume own-web-1.0.0");
        let plan = check(
            &purge,
            &[("volume own-web-1.0.0", yes)],
            "remove the pod, remove volume own-web-1.0.0",
        );
        assert_eq!(plan.memory, Some(Memory::default()));
    }

    #[test]
    fn what_a_pod_holds_is_let_go() {
        let plan = check(&request("collect", ""), &[], "remove the pod");
        assert!(plan.memory.unwrap().created.is_empty());
        check(&request("remove", ""), &[], "remove the pod, remove podman");
        let mut alone = pod();
        alone.units.truncate(1);
        let planned = |operation| plan_of(&alone, &request(operation, ""), &[]);
        assert_eq!(short(&planned("collect")), "", "it has gone by itself");
        match planned("remove").steps.as_slice() {
            [Step::Command { args, .. }, _] => assert_eq!(args[..2], ["rm", "--force"]),
            other => panic!("{other:?}"),
        }
        check(&request("tick", ""), &[], "");
        assert!(plan_of_unknown().is_err());
    }

    fn plan_of_unknown() -> Result<Plan, Refusal> {
        plan(&pod(), &request("dance", ""), |_| None)
    }
}
