//! What comes from the distribution of a host, and by which of its programs.

use super::facts::Facts;
use super::step::{Plan, run};

/// Something that a host needs from its distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// Any of these is enough.
    tools: &'static [&'static str],
    /// What it is called by apt-get, dnf, zypper and apk; blank where it is part of something else.
    packages: [&'static str; 4],
}

/// Who makes the super user one.
pub(crate) const SUDO: Need = Need {
    tools: &["visudo"],
    packages: ["sudo"; 4],
};

/// What a firewall is made of where none is active.
pub(crate) const NFT: Need = Need {
    tools: &["nft"],
    packages: ["nftables"; 4],
};

/// What runs the containers of an ordinary user.
pub(crate) const PODMAN: [Need; 5] = [
    Need {
        tools: &["podman"],
        packages: ["podman"; 4],
    },
    // Gives the containers their users.
    Need {
        tools: &["newuidmap"],
        packages: ["uidmap", "shadow-utils", "shadow", "shadow-uidmap"],
    },
    // Gives them their network.
    Need {
        tools: &["slirp4netns", "pasta"],
        packages: ["slirp4netns"; 4],
    },
    // Gives them their file systems, where the kernel does not.
    Need {
        tools: &["fuse-overlayfs"],
        packages: ["fuse-overlayfs"; 4],
    },
    // Lets systemd hand control groups down to a user.
    Need {
        tools: &["dbus-user-session"],
        packages: ["dbus-user-session", "", "", ""],
    },
];

/// How a program installs packages without asking anybody.
const MANAGERS: [(&str, &[&str]); 4] = [
    (
        "apt-get",
        &[
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            // A machine that was just made installs its own updates first.
            "-oDPkg::Lock::Timeout=300",
            "-y",
            "--no-install-recommends",
        ],
    ),
    ("dnf", &["dnf", "install", "-y"]),
    ("zypper", &["zypper", "--non-interactive", "install"]),
    ("apk", &["apk", "add"]),
];

/// Has what is missing installed. A distribution that is not known is left to people.
pub(crate) fn plan(plan: &mut Plan, facts: &Facts, needs: &[Need], why: &str) {
    let is_missing = |need: &&Need| !need.tools.iter().any(|tool| facts.has(tool));
    let missing: Vec<&Need> = needs.iter().filter(is_missing).collect();
    let manager = MANAGERS
        .iter()
        .zip(0..)
        .find(|((name, _), _)| facts.has(name));
    let Some(((name, line), column)) = manager else {
        for need in missing {
            plan.note(format!(
                "{} is missing, and neither apt-get, dnf, zypper nor apk is there: install it yourself",
                need.tools.join(" or ")
            ));
        }
        return;
    };
    let packages: Vec<&str> = missing
        .iter()
        .filter_map(|need| need.packages.get(column).copied())
        .filter(|package| !package.is_empty())
        .collect();
    if packages.is_empty() {
        return;
    }
    if *name == "apt-get" {
        plan.add(
            "read the lists of packages anew",
            "packages of an old list may be gone",
            run(&["apt-get", "update", "-qq"]),
        );
    }
    plan.add(
        format!("install {}", packages.join(", ")),
        why,
        run(&[line, packages.as_slice()].concat()),
    );
}

#[cfg(test)]
mod tests {
    use super::super::step::Action;
    use super::*;

    fn installs(tools: &[&str]) -> (Vec<String>, usize) {
        let facts = Facts {
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
            ..Facts::default()
        };
        let mut made = Plan::default();
        plan(&mut made, &facts, &PODMAN, "containers run under podman");
        let lines = made.steps.iter().map(|step| match &step.action {
            Action::Run { words, .. } => words.join(" "),
            other => panic!("{other:?}"),
        });
        (lines.collect(), made.notes.len())
    }

    #[test]
    fn each_distribution_in_its_own_words() {
        let apt = "env DEBIAN_FRONTEND=noninteractive apt-get install -oDPkg::Lock::Timeout=300 -y --no-install-recommends";
        assert_eq!(
            installs(&["apt-get"]).0,
            [
                "apt-get update -qq".to_owned(),
                format!("{apt} podman uidmap slirp4netns fuse-overlayfs dbus-user-session")
            ]
        );
        assert_eq!(
            installs(&["dnf", "podman", "newuidmap", "pasta"]).0,
            ["dnf install -y fuse-overlayfs"]
        );
        assert_eq!(
            installs(&["zypper"]).0,
            ["zypper --non-interactive install podman shadow slirp4netns fuse-overlayfs"]
        );
        assert_eq!(
            installs(&["apk", "podman"]).0,
            ["apk add shadow-uidmap slirp4netns fuse-overlayfs"]
        );
        assert_eq!(installs(&[]), (Vec::new(), 5));
        let all = [
            "apt-get",
            "podman",
            "newuidmap",
            "slirp4netns",
            "fuse-overlayfs",
            "dbus-user-session",
        ];
        assert_eq!(installs(&all), (Vec::new(), 0));
    }
}
