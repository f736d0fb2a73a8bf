//! ufw: a rule for each door, with a comment by which our own are known again.

use super::super::facts::Facts;
use super::super::step::{Plan, run};
use super::Doors;

const COMMENT: &str = "simplenetes";

pub(super) fn plan(plan: &mut Plan, facts: &Facts, doors: &Doors) {
    let ports = doors.expose.iter().map(|port| vec![format!("{port}/tcp")]);
    let networks = doors
        .internal
        .iter()
        .map(|network| vec!["from".to_owned(), network.to_string()]);
    let wanted: Vec<Vec<String>> = ports.chain(networks).collect();
    let present: Vec<Vec<String>> = facts.ufw.iter().filter_map(|line| own(line)).collect();
    // A rule that a person made does as well, and keeps its comment.
    let any: Vec<Vec<String>> = facts.ufw.iter().filter_map(|line| allowed(line)).collect();
    for rule in wanted.iter().filter(|rule| !any.contains(rule)) {
        let words: Vec<&str> = rule.iter().map(String::as_str).collect();
        plan.add(
            format!("ufw allow {}", rule.join(" ")),
            match rule.len() {
                1 => "everybody may come to a port of EXPOSE",
                _ => "whoever lies in a network of INTERNAL may come to every port",
            },
            run(&[&["ufw", "allow"], words.as_slice(), &["comment", COMMENT]].concat()),
        );
    }
    for rule in present.iter().filter(|rule| !wanted.contains(rule)) {
        let is_ssh = facts
            .ssh
            .is_none_or(|ssh| rule.first() == Some(&format!("{}/tcp", ssh.port)) || rule.len() > 1);
        if is_ssh {
            plan.note(format!(
                "ufw still has `allow {}`, which the project does not want: SSH may depend on it, so it stays",
                rule.join(" ")
            ));
            continue;
        }
        let words: Vec<&str> = rule.iter().map(String::as_str).collect();
        plan.add(
            format!("ufw delete allow {}", rule.join(" ")),
            "the project does not want it any more",
            run(&[&["ufw", "delete", "allow"], words.as_slice()].concat()),
        );
    }
}

/// What one of our own rules allows.
fn own(line: &str) -> Option<Vec<String>> {
    let ours = line.trim().ends_with(&format!(" comment '{COMMENT}'"));
    allowed(line).filter(|_| ours)
}

/// What a rule allows: `ufw show added` prints the line by which it was made.
fn allowed(line: &str) -> Option<Vec<String>> {
    let rule = line.trim().strip_prefix("ufw allow ")?;
    let rule = rule.split(" comment '").next().unwrap_or(rule);
    Some(rule.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::SshConnection;
    use super::*;

    fn planned(present: &[&str]) -> (Vec<String>, usize) {
        let doors = Doors {
            expose: vec![80],
            internal: vec!["10.0.0.0/8".parse().unwrap()],
        };
        let facts = Facts {
            ufw: present.iter().map(|line| (*line).to_owned()).collect(),
            ssh: Some(SshConnection {
                client: "10.0.0.1".parse().unwrap(),
                port: 22,
            }),
            ..Facts::default()
        };
        let mut made = Plan::default();
        plan(&mut made, &facts, &doors);
        let what = made.steps.iter().map(|step| step.what.clone());
        (what.collect(), made.notes.len())
    }

    #[test]
    fn rules_are_added_and_only_our_own_go() {
        let (port, network) = ("ufw allow 80/tcp", "ufw allow from 10.0.0.0/8");
        assert_eq!(planned(&[]), (vec![port.to_owned(), network.to_owned()], 0));
        let ours = [
            "ufw allow 80/tcp comment 'simplenetes'",
            "ufw allow from 10.0.0.0/8 comment 'simplenetes'",
            "ufw allow 22/tcp",
        ];
        assert_eq!(planned(&ours), (Vec::new(), 0));
        let theirs = [
            "ufw allow 80/tcp",
            "ufw allow from 10.0.0.0/8 comment 'office'",
            "ufw deny 81/tcp",
        ];
        assert_eq!(planned(&theirs), (Vec::new(), 0));
        let former = [&ours[..], &["ufw allow 443/tcp comment 'simplenetes'"]].concat();
        assert_eq!(
            planned(&former),
            (vec!["ufw delete allow 443/tcp".to_owned()], 0)
        );
        let ssh = [&ours[..], &["ufw allow 22/tcp comment 'simplenetes'"]].concat();
        assert_eq!(planned(&ssh), (Vec::new(), 1));
    }
}
