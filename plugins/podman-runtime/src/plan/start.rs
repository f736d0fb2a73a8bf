//! The start of a container, and before the first one of all that they share.

use super::{Plan, Planner, Refusal, Step};
use crate::argv;
use crate::image::Image;
use crate::network::{self, Network};
use crate::pod::{Memory, Unit};

/// What comes before a start.
enum Needs {
    Looks(Vec<Step>),
    Steps(Vec<Step>),
}

impl Planner<'_> {
    /// The container, its image before it, and before the first one the podman pod that it lives in.
    ///
    /// Before the first one come the images of all: a pull that takes its time holds up no container that runs.
    pub(super) fn start(&self, unit: &Unit) -> Result<Plan, Refusal> {
        let (request, host) = (self.request, &self.request.host);
        let mut memory = request.memory.clone();
        if request.again {
            memory = Memory::default();
        }
        let others_run = request.running.iter().any(|name| *name != unit.name);
        let is_first = !others_run && memory.created.is_empty();
        let mut steps = match self.needs(unit, is_first, &mut memory)? {
            Needs::Steps(steps) => steps,
            Needs::Looks(steps) => {
                return Ok(Plan {
                    steps,
                    memory: None,
                });
            }
        };
        let create = if self.pod.is_alone() {
            argv::connection(self.pod, host, memory.network)
        } else {
            argv::create_pod(self.pod, host, memory.network)
        };
        // It is replaced under none of its containers.
        if !others_run && !self.pod.is_alone() && memory.created != create {
            steps.push(Step::Command {
                id: "create the pod".to_owned(),
                args: create.clone(),
            });
        }
        if !others_run {
            memory.created = create;
        }
        if request.again {
            // One whose monitor was killed stays behind; no other start needs a call for that.
            steps.push(Step::Command {
                id: format!("remove what is left of {}", unit.name),
                args: argv::remove_container(self.pod, unit, host),
            });
        }
        steps.push(Step::MakeDirectory("podman".to_owned()));
        steps.push(Step::Detached {
            unit: unit.name.clone(),
            args: argv::run(self.pod, unit, host, memory.network)?,
            pid_file: argv::pid_file(unit),
            monitor_file: argv::monitor_file(unit),
        });
        Ok(Plan {
            steps,
            memory: Some(memory),
        })
    }

    /// What has to be there before a container, or the looks that tell.
    fn needs(&self, unit: &Unit, is_first: bool, memory: &mut Memory) -> Result<Needs, Refusal> {
        let images = if is_first {
            self.images()
        } else {
            vec![unit.spec.image.as_str()]
        };
        let (mut looks, mut steps) = (Vec::new(), Vec::new());
        for image in images {
            if memory.images.contains_key(image) {
                continue;
            }
            match self.image(image)? {
                Image::Unknown(look) => looks.push(look),
                Image::Absent => steps.push(self.pull(image)),
                Image::There { stop_signal } => {
                    memory.images.insert(image.to_owned(), stop_signal);
                }
            }
        }
        if is_first {
            match self.network() {
                Ok(network) => memory.network = network,
                Err(look) => looks.push(look),
            }
        }
        Ok(if looks.is_empty() {
            Needs::Steps(steps)
        } else {
            Needs::Looks(looks)
        })
    }

    /// How podman connects the pod, or the look that tells.
    fn network(&self) -> Result<Network, Step> {
        if self.request.host.owner_is_root || !argv::has_way_out(self.pod, &self.request.host) {
            return Ok(Network::Usual);
        }
        match (self.answer)(network::LOOK) {
            Some(answer) => Ok(network::read(&answer)),
            None => Err(Step::Look {
                id: network::LOOK.to_owned(),
                args: argv::info(),
            }),
        }
    }
}
