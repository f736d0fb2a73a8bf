//! Everything that a host needs before `sns host init`: from what is so and what should be so to a plan.

use super::account::Account;
use super::facts::Facts;
use super::firewall::{self, Doors, LockOut};
use super::kernel::{self, LowPort};
use super::packages;
use super::programs::{self, Program};
use super::step::Plan;
use super::subordinate;

/// What should be so on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Who runs the pods.
    pub(crate) user: Account,
    /// Who administrates it.
    pub(crate) superuser: Account,
    /// Whether its containers run under podman.
    pub(crate) podman: bool,
    /// Whether the daemon runs there.
    pub(crate) daemon: bool,
    /// Who may come in; none leaves the firewall alone.
    pub(crate) doors: Option<Doors>,
    /// The lowest port that a pod should have, when only root may have it as a rule.
    pub(crate) low_port: Option<LowPort>,
    /// What is sent.
    pub(crate) programs: Vec<Program>,
    /// For which processor that was made, as `uname -m` says it.
    pub(crate) machine: &'static str,
}

/// A host that cannot be made what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Impossible {
    /// The operator could not get in any more.
    #[error(transparent)]
    LockOut(#[from] LockOut),
    /// Our programs do not run there.
    #[error("its processor is {there}, and the programs beside this sns are for {here}")]
    Machine {
        /// The host's.
        there: String,
        /// Ours.
        here: &'static str,
    },
}

/// Files whose digests a plan wants to know.
pub(crate) fn files(programs: &[Program]) -> Vec<String> {
    let own = programs.iter().map(|program| program.path.clone());
    let others = [
        programs::UNIT_FILE,
        kernel::FILE,
        firewall::NFT_FILE,
        firewall::NFT_UNIT_FILE,
        firewall::SERVICE_FILE,
        firewall::ZONE_FILE,
    ];
    own.chain(others.map(str::to_owned)).collect()
}

/// What has to be done, as root, in this order.
pub(crate) fn plan(facts: &Facts, wanted: &Wanted) -> Result<Plan, Impossible> {
    let mut plan = Plan::default();
    if wanted.daemon && facts.machine != wanted.machine {
        return Err(Impossible::Machine {
            there: facts.machine.clone(),
            here: wanted.machine,
        });
    }
    let mut needs = Vec::new();
    if wanted.podman {
        needs.extend(packages::PODMAN);
    }
    if wanted.doors.is_some() {
        needs.extend(firewall::needs(facts));
    }
    let why = "containers of an ordinary user, and the firewall, are made of it";
    packages::plan(&mut plan, facts, &needs, why);
    wanted.user.plan_user(&mut plan, facts);
    wanted.user.plan_keys(&mut plan, facts);
    wanted.superuser.plan_keys(&mut plan, facts);
    let user = &wanted.user.name;
    if wanted.podman {
        subordinate::plan(&mut plan, facts, user);
        kernel::plan(&mut plan, facts, wanted.low_port.as_ref());
        programs::plan_linger(&mut plan, facts, user);
    }
    if wanted.daemon {
        programs::plan(&mut plan, facts, &wanted.programs);
    }
    if let Some(doors) = &wanted.doors {
        firewall::plan(&mut plan, facts, doors)?;
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::super::facts::SshConnection;
    use super::*;

    fn account(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            purpose: "runs the pods",
            keys: vec!["ssh-ed25519 AAAA".to_owned()],
            is_strict: false,
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            user: account("sns"),
            superuser: account("snssuper"),
            podman: true,
            daemon: true,
            doors: Some(Doors {
                expose: vec![22, 80],
                internal: Vec::new(),
            }),
            low_port: Some(LowPort {
                port: 80,
                wanted_by: "EXPOSE".to_owned(),
            }),
            programs: vec![Program {
                path: programs::DAEMON.to_owned(),
                is_executable: true,
                content: b"daemon".to_vec(),
            }],
            machine: "x86_64",
        }
    }

    fn bare() -> Facts {
        Facts {
            machine: "x86_64".to_owned(),
            ssh: Some(SshConnection {
                client: "192.0.2.1".parse().unwrap(),
                port: 22,
            }),
            tools: ["apt-get", "useradd"].map(str::to_owned).into(),
            is: ["systemd".to_owned()].into(),
            ..Facts::default()
        }
    }

    fn what(facts: &Facts, wanted: &Wanted) -> Vec<String> {
        let plan = plan(facts, wanted).unwrap();
        plan.steps.into_iter().map(|step| step.what).collect()
    }

    #[test]
    fn a_bare_host() {
        let lines = what(&bare(), &wanted()).join("\n");
        insta::assert_snapshot!(lines, @r"
        read the lists of packages anew
        install podman, uidmap, slirp4netns, fuse-overlayfs, dbus-user-session, nftables
        make the user sns
        give sns a password that nobody can type
        write the keys that let sns in
        write the keys that let snssuper in
        add sns:100000:65536 to /etc/subuid
        add sns:100000:65536 to /etc/subgid
        write /etc/sysctl.d/90-simplenetes.conf
        load /etc/sysctl.d/90-simplenetes.conf
        let sns linger
        send /usr/local/bin/simplenetesd (1 KiB, sha256 f77b12a53ece5f6b7050800bbdbf8cc5ebe87f1b1387cf739f243e43e2ce886b)
        write /etc/systemd/system/simplenetesd.service
        have systemd read its units
        enable simplenetesd.service
        start the daemon anew
        write /etc/simplenetes/firewall.nft.new
        load it, and keep it as /etc/simplenetes/firewall.nft once a fresh connection was made
        write /etc/systemd/system/simplenetes-firewall.service
        have systemd read its units
        enable simplenetes-firewall.service
        ");
    }

    #[test]
    fn what_is_skipped_is_left_alone() {
        let mut wanted = wanted();
        wanted.podman = false;
        wanted.daemon = false;
        wanted.doors = None;
        let lines = what(&bare(), &wanted).join("\n");
        insta::assert_snapshot!(lines, @r"
        make the user sns
        give sns a password that nobody can type
        write the keys that let sns in
        write the keys that let snssuper in
        ");
    }

    #[test]
    fn a_host_with_another_processor() {
        let facts = Facts {
            machine: "aarch64".to_owned(),
            ..bare()
        };
        assert!(matches!(
            plan(&facts, &wanted()),
            Err(Impossible::Machine { .. })
        ));
        let mut only_user = wanted();
        only_user.daemon = false;
        assert!(plan(&facts, &only_user).is_ok());
    }

    #[test]
    fn a_plan_that_locks_out_is_none() {
        let mut wanted = wanted();
        if let Some(doors) = &mut wanted.doors {
            doors.expose = vec![80];
        }
        assert!(matches!(
            plan(&bare(), &wanted),
            Err(Impossible::LockOut(_))
        ));
    }
}
