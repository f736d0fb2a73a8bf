//! nftables, where no firewall rules yet: a table of its own, loaded at each start by a unit of its own.

use std::fmt::Write as _;

use super::super::facts::Facts;
use super::super::step::{Action, Guarded, Plan, Put, run};
use super::Doors;

/// The table.
pub(crate) const FILE: &str = "/etc/simplenetes/firewall.nft";
/// What loads it.
const UNIT: &str = "simplenetes-firewall.service";
/// Its file.
pub(crate) const UNIT_FILE: &str = "/etc/systemd/system/simplenetes-firewall.service";

const UNIT_TEXT: &str = "\
# Made by `sns host setup install`.
[Unit]
Description=Simplenetes: who may come to this host
Documentation=https://github.com/simplenetes-io/simplenetes
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/simplenetes/firewall.nft
ExecReload=/usr/sbin/nft -f /etc/simplenetes/firewall.nft
ExecStop=/usr/sbin/nft delete table inet simplenetes

[Install]
WantedBy=sysinit.target
";

/// Each is given the new file and the place where it should lie.
const APPLY: &str = "nft list table inet simplenetes > \"$2.old\" 2>/dev/null; exec nft -f \"$1\"";
const UNDO: &str = "\
{ echo 'table inet simplenetes'; echo 'delete table inet simplenetes'; cat \"$2.old\"; } | nft -f -
rm -f \"$1\" \"$2.old\"";
const KEEP: &str = "rm -f \"$2.old\"; mv -f \"$1\" \"$2\"";

pub(super) fn plan(plan: &mut Plan, facts: &Facts, doors: &Doors) {
    let wanted = Put::text(FILE, text(doors));
    let is_right = facts.has_file(FILE, wanted.digest(), wanted.mode) && facts.is("nft-table");
    if !is_right {
        let new = format!("{FILE}.new");
        let staged = Put {
            path: new.clone(),
            ..wanted.checked(&["nft", "-c", "-f"])
        };
        plan.add(
            format!("write {new}"),
            "no firewall is active there, so that everybody may come to every port",
            Action::Put(staged),
        );
        plan.add_proven(
            format!("load it, and keep it as {FILE} once a fresh connection was made"),
            "it goes back within a minute by itself if nobody can come in any more",
            Action::Guarded(Guarded {
                apply: APPLY.to_owned(),
                undo: UNDO.to_owned(),
                keep: KEEP.to_owned(),
                arguments: vec![new, FILE.to_owned()],
            }),
            &["nft", "list", "table", "inet", "simplenetes"],
        );
    }
    unit(plan, facts);
}

fn unit(plan: &mut Plan, facts: &Facts) {
    let put = Put {
        is_shown: false,
        ..Put::text(UNIT_FILE, UNIT_TEXT)
    };
    let is_other = !facts.has_file(UNIT_FILE, put.digest(), put.mode);
    if is_other {
        plan.add(
            format!("write {UNIT_FILE}"),
            "systemd loads the firewall by it, before there is a network",
            Action::Put(put),
        );
    }
    if !facts.has_systemd() {
        return;
    }
    if is_other {
        plan.add(
            "have systemd read its units",
            "one of them is new",
            run(&["systemctl", "daemon-reload"]),
        );
    }
    if !facts.enabled.contains(UNIT) {
        plan.add_proven(
            format!("enable {UNIT}"),
            "the firewall should be there after the next start too",
            run(&["systemctl", "enable", UNIT]),
            &["systemctl", "is-enabled", "-q", UNIT],
        );
    }
}

fn text(doors: &Doors) -> String {
    let mut text = String::from(
        "# Made by `sns host setup install` from EXPOSE and INTERNAL of the host's host.env.\n\
         # The first two lines make it replace itself in one step.\n\
         table inet simplenetes\n\
         delete table inet simplenetes\n\
         table inet simplenetes {\n\
         \tchain input {\n\
         \t\ttype filter hook input priority filter; policy drop;\n\
         \t\tct state established,related accept\n\
         \t\tct state invalid drop\n\
         \t\tiifname \"lo\" accept\n\
         \t\tmeta l4proto { icmp, ipv6-icmp } accept\n\
         \t\tip6 saddr fe80::/10 udp dport 546 accept comment \"DHCPv6\"\n\
         \t\tiifname \"podman*\" meta l4proto { tcp, udp } th dport 53 accept comment \"names of containers\"\n",
    );
    for network in &doors.internal {
        let family = if network.is_ipv6() { "ip6" } else { "ip" };
        // Writing to a text cannot fail. A set would not take networks that overlap.
        let _ = writeln!(
            text,
            "\t\t{family} saddr {network} accept comment \"INTERNAL\""
        );
    }
    for port in &doors.expose {
        let _ = writeln!(text, "\t\ttcp dport {port} accept comment \"EXPOSE\"");
    }
    text.push_str("\t}\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::FileFact;
    use super::*;

    fn doors() -> Doors {
        Doors {
            expose: vec![22, 80],
            internal: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        }
    }

    fn planned(facts: &Facts) -> Vec<String> {
        let mut made = Plan::default();
        plan(&mut made, facts, &doors());
        made.steps.into_iter().map(|step| step.what).collect()
    }

    #[test]
    fn a_table_with_the_doors() {
        insta::assert_snapshot!(text(&doors()), @r#"
        # Made by `sns host setup install` from EXPOSE and INTERNAL of the host's host.env.
        # The first two lines make it replace itself in one step.
        table inet simplenetes
        delete table inet simplenetes
        table inet simplenetes {
        	chain input {
        		type filter hook input priority filter; policy drop;
        		ct state established,related accept
        		ct state invalid drop
        		iifname "lo" accept
        		meta l4proto { icmp, ipv6-icmp } accept
        		ip6 saddr fe80::/10 udp dport 546 accept comment "DHCPv6"
        		iifname "podman*" meta l4proto { tcp, udp } th dport 53 accept comment "names of containers"
        		ip saddr 10.0.0.0/8 accept comment "INTERNAL"
        		ip6 saddr fd00::/8 accept comment "INTERNAL"
        		tcp dport 22 accept comment "EXPOSE"
        		tcp dport 80 accept comment "EXPOSE"
        	}
        }
        "#);
    }

    #[test]
    fn it_is_loaded_when_it_is_another_or_gone() {
        let file = |text: &str| FileFact {
            digest: Put::text("", text).digest(),
            mode: 0o644,
        };
        let mut facts = Facts::default();
        facts.files.insert(FILE.to_owned(), file(&text(&doors())));
        facts.files.insert(UNIT_FILE.to_owned(), file(UNIT_TEXT));
        assert_eq!(planned(&facts).len(), 2, "gone");
        facts.is.insert("nft-table".to_owned());
        assert_eq!(planned(&facts), [""; 0]);
        facts.is.insert("systemd".to_owned());
        assert_eq!(planned(&facts), [format!("enable {UNIT}")]);
        facts.enabled.insert(UNIT.to_owned());
        assert_eq!(planned(&facts), [""; 0]);
        facts.files.insert(FILE.to_owned(), file("other"));
        assert_eq!(planned(&facts).len(), 2);
        assert_eq!(planned(&Facts::default()).len(), 3);
    }
}
