//! Writing down what is so: status, memory and routes of a release.

use std::collections::BTreeMap;

use hostfiles::{Endpoint, Inside, PortMapping, replace, write};
use names::UnitName;
use simplenetes_reach::Process;

use super::Hands;
use crate::driver::{Paper, Target};
use crate::log::one_line;
use crate::process::ProcessId;
use crate::publish::Ways;

impl Hands {
    pub(super) async fn tell_all(self, mut paper: Paper) -> bool {
        let running = self.running();
        for unit in &mut paper.status.units {
            let process = running.iter().find(|(name, _)| name.as_str() == unit.name);
            unit.pid = process.map(|(_, process)| process.pid);
        }
        if self.truth.lingers() {
            // What routes lead to has ended, although nobody can say yet how.
            paper.routes.clear();
            paper.targets.clear();
        }
        let ways = Ways {
            endpoints: endpoints(&paper.routes, &paper.targets, &running),
            mappings: std::mem::take(&mut paper.routes),
        };
        self.routes.set(self.id().clone(), ways).await;
        // A disk that blocks must not hold up other releases.
        let written = tokio::task::spawn_blocking(move || self.write(&paper)).await;
        written.unwrap_or(true)
    }

    /// False when something could not be written.
    fn write(&self, paper: &Paper) -> bool {
        // A directory that is being taken away should not get a new file.
        let release = self.release();
        if !release.pod().exists() && !release.state().exists() {
            return true;
        }
        let hand = self.write_hand(&paper.hand);
        if hand.is_ok() {
            self.forget_request(&paper.hand);
        }
        let status = write(&self.release().status(), &paper.status);
        // What is removed must not come back as a directory with nothing but a memory.
        let run = self.release().run_dir();
        let memory = match paper.memory.as_ref().filter(|_| run.is_dir()) {
            Some(memory) => {
                let text = serde_json::to_vec_pretty(memory).unwrap_or_default();
                replace(&run.join("driver.json"), &text, 0o600)
            }
            None => Ok(false),
        };
        for error in [&hand, &status, &memory]
            .into_iter()
            .filter_map(|written| written.as_ref().err())
        {
            self.around
                .log
                .warn(format_args!("{}: {}", self.id(), one_line(error)));
        }
        hand.is_ok() && status.is_ok() && memory.is_ok()
    }
}

/// All that is to know of each way into the pod: of its mappings, and of ports that have none because they are
/// reached inside only.
fn endpoints(
    mappings: &[PortMapping],
    targets: &[Target],
    running: &BTreeMap<UnitName, ProcessId>,
) -> Vec<Endpoint> {
    let mapped = mappings.iter().map(|mapping| {
        let target = targets.iter().find(|target| {
            let is_same = target.cluster_port == mapping.cluster_port;
            is_same && target.host_port == Some(mapping.host_port)
        });
        // The pod in service may be another one than that which the mappings came with.
        target.map_or_else(
            || (*mapping).into(),
            |target| Endpoint {
                inside: inside(target, running),
                accept: target.accept,
                send: target.send,
                ..(*mapping).into()
            },
        )
    });
    let hidden = targets.iter().filter(|target| target.host_port.is_none());
    let hidden = hidden.filter_map(|target| {
        Some(Endpoint {
            cluster_port: target.cluster_port,
            host_port: None,
            inside: Some(inside(target, running)?),
            max_conn: target.max_conn,
            accept: target.accept,
            send: target.send,
            pod: None,
        })
    });
    mapped.chain(hidden).collect()
}

/// Where a unit listens in a network of its own; none while its process is not known, and in the network of the host.
fn inside(target: &Target, running: &BTreeMap<UnitName, ProcessId>) -> Option<Inside> {
    let ProcessId { pid, start_time } = *running.get(&target.unit)?;
    let shares_ours = Process { pid, start_time }.is_in_our_network();
    // Where that cannot be known here the proxy finds out.
    (!matches!(shares_ours, Ok(true))).then_some(Inside {
        target_port: target.target_port,
        pid,
        start_time,
    })
}

#[cfg(test)]
mod tests {
    use names::{AcceptProxy, SendProxy};

    use super::*;

    fn target(unit: &str, host_port: Option<u16>, cluster_port: u16) -> Target {
        Target {
            unit: unit.parse().unwrap(),
            target_port: 80,
            cluster_port: cluster_port.to_string().parse().unwrap(),
            host_port: host_port.map(|port| port.to_string().parse().unwrap()),
            max_conn: 5,
            accept: AcceptProxy::Required,
            send: SendProxy::V2,
        }
    }

    fn mappings(text: &str) -> Vec<PortMapping> {
        let words = text.split_whitespace();
        words.map(|word| word.parse().unwrap()).collect()
    }

    fn check(mapped: &str, targets: &[Target], running: &[(&str, ProcessId)], expected: &[&str]) {
        let running = running.iter();
        let running = running.map(|(unit, process)| (unit.parse().unwrap(), *process));
        let found = endpoints(&mappings(mapped), targets, &running.collect());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    /// Of a process that nobody can look at it is not known that it shares the network of the host.
    const ELSEWHERE: ProcessId = ProcessId {
        pid: 4_194_304,
        start_time: 7,
    };

    #[test]
    fn ports_with_and_without_a_mapping_are_described() {
        let targets = [
            target("main", Some(30000), 61000),
            target("main", None, 61001),
        ];
        check(
            "61000:30000:9:true",
            &targets,
            &[("main", ELSEWHERE)],
            &[
                "cluster=61000 host=30000 target=80 pid=4194304 start=7 max=9 in=required out=v2",
                "cluster=61001 target=80 pid=4194304 start=7 max=5 in=required out=v2",
            ],
        );
        // Without a process there is nothing but the host port.
        let outside = "cluster=61000 host=30000 max=9 in=required out=v2";
        check("61000:30000:9:true", &targets, &[], &[outside]);
        // Nothing leads to a pod that ends.
        check("", &[], &[("main", ELSEWHERE)], &[]);
    }

    #[test]
    fn a_process_in_the_network_of_the_host_is_reached_at_its_host_port_alone() {
        let own = ProcessId::of(std::process::id()).unwrap();
        let targets = [
            target("main", Some(30000), 61000),
            target("main", None, 61001),
        ];
        check(
            "61000:30000:9:true",
            &targets,
            &[("main", own)],
            &["cluster=61000 host=30000 max=9 in=required out=v2"],
        );
    }

    #[test]
    fn a_mapping_of_another_pod_than_that_in_service_says_what_it_can() {
        check(
            "61000:30001:9:true 61000:30002:9:false",
            &[target("main", Some(30000), 61000)],
            &[("main", ELSEWHERE)],
            &[
                "cluster=61000 host=30001 max=9 in=optional out=v1",
                "cluster=61000 host=30002 max=9 in=optional out=none",
            ],
        );
    }
}
