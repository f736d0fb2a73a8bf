//! Where the control groups of this machine are mounted, and where in them this process is. The thinking is
//! pure, from the texts of `/proc/self/mountinfo` (proc(5)) and `/proc/self/cgroup` (cgroups(7)).

use std::fs;
use std::path::{Path, PathBuf};

use super::{Controller, GroupError, Version};

const MOUNTS: &str = "/proc/self/mountinfo";
const GROUPS: &str = "/proc/self/cgroup";
/// What the kernel adds to a group that was removed under its processes.
const DELETED: &str = " (deleted)";

/// The group of this process in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: Version,
    /// Where the hierarchy is mounted.
    pub(super) top: PathBuf,
    /// The directory of the group, `top` or below it.
    pub(super) own: PathBuf,
}

/// The hierarchies of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    v1: Vec<(Vec<String>, Result<Place, PathBuf>)>,
    v2: Option<Result<Place, PathBuf>>,
}

impl Layout {
    pub(super) fn of_this_process() -> Result<Self, GroupError> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(GroupError::refused("read", Path::new(path)))
        };
        Ok(Self::parse(&read(MOUNTS)?, &read(GROUPS)?))
    }

    pub(super) fn parse(mounts: &str, groups: &str) -> Self {
        let mut layout = Self::default();
        for mount in mounts.lines().filter_map(Mount::parse) {
            match mount.version {
                Version::V1 => {
                    let own = groups.lines().find_map(|line| {
                        let (controllers, path) = group_of(line)?;
                        mount.serves(controllers).then_some(path)
                    });
                    let place = mount.place(own.unwrap_or_default());
                    layout.v1.push((mount.controllers, place));
                }
                Version::V2 => {
                    let own = groups.lines().find_map(|line| {
                        let (controllers, path) = group_of(line)?;
                        controllers.is_empty().then_some(path)
                    });
                    let place = mount.place(own.unwrap_or_default());
                    // It may be mounted twice, for others too: where we are counts.
                    if !matches!(layout.v2, Some(Ok(_))) {
                        layout.v2 = Some(place);
                    }
                }
            }
        }
        layout
    }

    /// The places that these controllers are in, each once. What no old hierarchy has is looked for in the
    /// new one; whether it is there, that says itself.
    pub(super) fn split(
        &self,
        controllers: &[Controller],
    ) -> Result<Vec<(Place, Vec<Controller>)>, GroupError> {
        let mut places: Vec<(Place, Vec<Controller>)> = Vec::new();
        for controller in controllers {
            let place = self.place(*controller)?;
            match places.iter_mut().find(|(known, _)| known == place) {
                Some((_, held)) => held.push(*controller),
                None => places.push((place.clone(), vec![*controller])),
            }
        }
        Ok(places)
    }

    /// Every place in which one of the controllers may be, each once.
    pub(super) fn places(&self) -> Vec<(Place, Vec<Controller>)> {
        let mut found = Vec::new();
        for controller in Controller::ALL {
            if let Ok(place) = self.place(controller) {
                match found.iter_mut().find(|(known, _)| known == place) {
                    Some((_, held)) => Vec::push(held, controller),
                    None => found.push((place.clone(), vec![controller])),
                }
            }
        }
        found
    }

    fn place(&self, controller: Controller) -> Result<&Place, GroupError> {
        let has = |held: &[String]| held.iter().any(|name| name == controller.as_str());
        let old = || self.v1.iter().filter(|(held, _)| has(held));
        let place = old().find(|(_, place)| place.is_ok()).or(old().next());
        let place = place.map(|(_, place)| place).or(self.v2.as_ref());
        place
            .ok_or_else(|| GroupError::NotMounted(controller.to_string()))?
            .as_ref()
            .map_err(|top| GroupError::Outside(top.clone()))
    }
}

/// `4:memory:/path`, or `0::/path` in version 2.
fn group_of(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

/// One mounted hierarchy.
struct Mount {
    version: Version,
    /// Which group of the hierarchy stands at the mount point.
    root: String,
    point: PathBuf,
    /// The options of the file system, among them the controllers of version 1.
    controllers: Vec<String>,
}

impl Mount {
    /// `31 23 0:28 ROOT POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS`.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let version = match after.next()? {
            "cgroup2" => Version::V2,
            "cgroup" => Version::V1,
            _ => return None,
        };
        let options = after.nth(1)?.split(',').map(str::to_owned);
        let mut before = before.split(' ').skip(3);
        Some(Self {
            version,
            root: unescaped(before.next()?),
            point: unescaped(before.next()?).into(),
            controllers: options.collect(),
        })
    }

    /// True for the controllers of a line of `/proc/self/cgroup`: `cpu,cpuacct`, `name=systemd`.
    fn serves(&self, controllers: &str) -> bool {
        !controllers.is_empty()
            && controllers
                .split(',')
                .all(|name| self.controllers.iter().any(|held| held == name))
    }

    /// The directory of a group. It has none when it lies outside of what is mounted, or was removed.
    fn place(&self, group: &str) -> Result<Place, PathBuf> {
        let below = Path::new(group).strip_prefix(&self.root);
        let below = below.ok().filter(|below| {
            !group.ends_with(DELETED) && below.components().all(|part| part.as_os_str() != "..")
        });
        let below = below.ok_or_else(|| self.point.clone())?;
        Ok(Place {
            version: self.version,
            top: self.point.clone(),
            own: self.point.join(below).components().collect(),
        })
    }
}

/// Blanks and the like stand as three octal digits: `\040`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match (code, part.get(3..)) {
            (Some(code), Some(rest)) => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "24 30 0:22 / /proc rw - proc proc rw\n\
        28 22 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const HYBRID_GROUPS: &str =
        "4:memory:/jobs/a:b\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user/s.scope\n";

    #[track_caller]
    fn check(mounts: &str, groups: &str, controllers: &[Controller], expected: &str) {
        let told = match Layout::parse(mounts, groups).split(controllers) {
            Err(error) => error.to_string(),
            Ok(places) => {
                let lines = places.iter().map(|(place, held)| {
                    let held: Vec<_> = held.iter().map(|held| held.as_str()).collect();
                    let (version, own) = (place.version, place.own.display());
                    format!("{} {version:?} {own}", held.join("+"))
                });
                lines.collect::<Vec<_>>().join("; ")
            }
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn one_hierarchy_has_all() {
        let service = "0::/system.slice/simplenetesd.service\n";
        check(
            UNIFIED,
            service,
            &Controller::ALL,
            "memory+cpu+pids V2 /sys/fs/cgroup/system.slice/simplenetesd.service",
        );
        check(
            UNIFIED,
            "0::/\n",
            &Controller::ALL,
            "memory+cpu+pids V2 /sys/fs/cgroup",
        );
        check(UNIFIED, service, &[], "");
    }

    #[test]
    fn old_and_new_ones_beside_each_other() {
        check(
            HYBRID,
            HYBRID_GROUPS,
            &Controller::ALL,
            "memory V1 /sys/fs/cgroup/memory/jobs/a:b; cpu V1 /sys/fs/cgroup/cpu,cpuacct; pids V2 /sys/fs/cgroup/unified/user/s.scope",
        );
    }

    #[test]
    fn what_is_shown_of_a_container() {
        let inner = "7 1 0:9 /docker/1a /cg\\040roups/memory ro - cgroup cgroup rw,memory\n";
        let memory = &[Controller::Memory];
        check(
            inner,
            "4:memory:/docker/1a/b\n",
            memory,
            "memory V1 /cg roups/memory/b",
        );
        check(
            inner,
            "4:memory:/docker/1a\n",
            memory,
            "memory V1 /cg roups/memory",
        );
        let outside = "this process is in no control group below /cg roups/memory";
        check(inner, "4:memory:/docker/1ab\n", memory, outside);
        check(inner, "4:memory:/docker/1a/../2\n", memory, outside);
        check(inner, "", memory, outside);
        let removed = "0::/gone (deleted)\n";
        check(
            UNIFIED,
            removed,
            memory,
            "this process is in no control group below /sys/fs/cgroup",
        );
    }

    #[test]
    fn what_is_mounted_for_others_hides_nothing() {
        let other = "50 1 0:25 /box /run/box rw - cgroup2 cgroup2 rw\n";
        let old = "51 1 0:32 /box /run/old rw - cgroup cgroup rw,memory\n";
        let memory = &[Controller::Memory];
        for mounts in [format!("{UNIFIED}{other}"), format!("{other}{UNIFIED}")] {
            check(&mounts, "0::/me\n", memory, "memory V2 /sys/fs/cgroup/me");
        }
        for mounts in [format!("{HYBRID}{old}"), format!("{old}{HYBRID}")] {
            let expected = "memory V1 /sys/fs/cgroup/memory/jobs/a:b";
            check(&mounts, HYBRID_GROUPS, memory, expected);
        }
    }

    #[test]
    fn nothing_is_mounted() {
        check(
            "",
            "0::/\n",
            &[Controller::Pids],
            "control groups for pids are not mounted here",
        );
        let other = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,memory\nnonsense\n\n - \n";
        check(
            other,
            "",
            &[Controller::Memory],
            "control groups for memory are not mounted here",
        );
    }
}
