//! Limits as the files of a group want them: <https://docs.kernel.org/admin-guide/cgroup-v2.html> and the
//! `cgroup-v1` pages beside it. Pure.

use podspec::Limits;
use serde::{Deserialize, Serialize};

use super::{Controller, Version};

/// Within so long a unit gets its share of CPU time, in microseconds; what the kernel takes by itself.
const PERIOD_US: u64 = 100_000;

/// One file of a group and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setting {
    /// The name of the file.
    pub file: String,
    /// What it should hold.
    pub value: String,
    /// True when a kernel without that file has nothing to be limited by it.
    #[serde(default)]
    pub optional: bool,
}

fn must(file: &str, value: &impl ToString) -> Setting {
    Setting {
        file: file.to_owned(),
        value: value.to_string(),
        optional: false,
    }
}

fn may(file: &str, value: &impl ToString) -> Setting {
    Setting {
        optional: true,
        ..must(file, value)
    }
}

/// The controllers that keep these limits.
pub(super) fn needed(limits: Limits) -> Vec<Controller> {
    let is_needed = |controller: &Controller| match controller {
        Controller::Memory => limits.memory_bytes.is_some(),
        Controller::Cpu => limits.cpu_millis.is_some(),
        Controller::Pids => limits.pids.is_some(),
    };
    Controller::ALL.into_iter().filter(is_needed).collect()
}

/// What is written into the files of these controllers, in this order.
pub(super) fn settings(
    version: Version,
    controllers: &[Controller],
    limits: Limits,
) -> Vec<Setting> {
    let of = |controller: &Controller| match controller {
        Controller::Memory => limits.memory_bytes.map(|bytes| memory(version, bytes)),
        Controller::Cpu => limits.cpu_millis.map(|millis| cpu(version, millis)),
        Controller::Pids => limits.pids.map(|count| vec![must("pids.max", &count)]),
    };
    controllers.iter().filter_map(of).flatten().collect()
}

/// Swap space is part of the limit; a kernel without the file has none, or does not count it.
fn memory(version: Version, bytes: u64) -> Vec<Setting> {
    match version {
        // What is killed for memory is killed as a whole: half a unit serves nobody.
        Version::V2 => vec![
            must("memory.max", &bytes),
            may("memory.swap.max", &0),
            may("memory.oom.group", &1),
        ],
        // The sum can only be set after the smaller of both.
        Version::V1 => vec![
            must("memory.limit_in_bytes", &bytes),
            may("memory.memsw.limit_in_bytes", &bytes),
        ],
    }
}

fn cpu(version: Version, millis: u32) -> Vec<Setting> {
    let quota = u64::from(millis) * PERIOD_US / 1_000;
    match version {
        Version::V2 => vec![must("cpu.max", &format!("{quota} {PERIOD_US}"))],
        Version::V1 => vec![
            must("cpu.cfs_period_us", &PERIOD_US),
            must("cpu.cfs_quota_us", &quota),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limits = Limits {
        memory_bytes: Some(268_435_456),
        cpu_millis: Some(500),
        pids: Some(100),
    };

    #[track_caller]
    fn check(version: Version, limits: Limits, expected: &str) {
        let written = settings(version, &needed(limits), limits);
        let line = |setting: &Setting| {
            let mark = if setting.optional { "?" } else { "" };
            format!("{}{mark}={}", setting.file, setting.value)
        };
        let lines: Vec<_> = written.iter().map(line).collect();
        assert_eq!(lines.join("; "), expected);
    }

    #[test]
    fn each_limit_in_the_words_of_each_version() {
        check(
            Version::V2,
            ALL,
            "memory.max=268435456; memory.swap.max?=0; memory.oom.group?=1; cpu.max=50000 100000; pids.max=100",
        );
        check(
            Version::V1,
            ALL,
            "memory.limit_in_bytes=268435456; memory.memsw.limit_in_bytes?=268435456; cpu.cfs_period_us=100000; cpu.cfs_quota_us=50000; pids.max=100",
        );
    }

    #[test]
    fn what_is_not_limited_is_not_written() {
        let one = |limits| check(Version::V2, limits, "pids.max=7");
        one(Limits {
            pids: Some(7),
            ..Limits::default()
        });
        check(Version::V2, Limits::default(), "");
        let two = Limits {
            cpu_millis: Some(2_000),
            ..Limits::default()
        };
        check(Version::V2, two, "cpu.max=200000 100000");
        assert_eq!(needed(two), [Controller::Cpu]);
    }
}
