//! That root does not log in over SSH any more, and by no password.

use super::facts::Facts;
use super::step::{Action, Guarded, Plan, Put, run};

/// Our own part of the server's configuration. The first value of a key counts, so it comes first.
pub(crate) const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-simplenetes.conf";
/// All of it.
const CONFIG: &str = "/etc/ssh/sshd_config";
/// Names of the folder, as the configuration includes it.
const INCLUDED: [&str; 2] = ["/etc/ssh/sshd_config.d/*.conf", "sshd_config.d/*.conf"];

const RELOAD: &str = include_str!("scripts/reload_sshd.sh");
const TEXT: &str = "# Made by `sns host setup disableroot`.\nPermitRootLogin no\n";

/// Each script is given the new file, the place where it should lie, and how the server is told. What is there is kept
/// beside, where no pattern takes it for a part of the configuration.
const APPLY: &str = "\
set -e
rm -f \"$1.old\"
if [ -e \"$2\" ]; then cp -p \"$2\" \"$1.old\"; fi
mv -f \"$1\" \"$2\"
\"$(command -v sshd)\" -t
sh -c \"$3\"";
const UNDO: &str = "\
if [ -e \"$1.old\" ]; then mv -f \"$1.old\" \"$2\"; else rm -f \"$2\"; fi
rm -f \"$1\"
sh -c \"$3\"";
const KEEP: &str = "rm -f \"$1.old\"";

/// What has to be done, as root.
pub(crate) fn plan(facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    if facts.root_login.as_deref() != Some("no") {
        let (place, content) = match includes_drop_ins(&facts.sshd_config) {
            true => (DROP_IN, TEXT.to_owned()),
            false => (CONFIG, edited(&facts.sshd_config)),
        };
        let new = "/etc/ssh/.simplenetes.new".to_owned();
        let put = Put {
            mode: 0o600,
            is_shown: place == DROP_IN,
            ..Put::text(&new, content).checked(&["/usr/sbin/sshd", "-t", "-f"])
        };
        plan.add(
            format!("write what will be {place}, and have sshd look at it"),
            format!(
                "root may log in ({})",
                facts
                    .root_login
                    .as_deref()
                    .unwrap_or("sshd does not say how")
            ),
            Action::Put(put),
        );
        let arguments = vec![new, place.to_owned(), RELOAD.to_owned()];
        plan.add(
            format!("put it into its place, and have sshd read its configuration ({place})"),
            "it goes back within a minute by itself unless the super user can come in over a fresh connection",
            Action::Guarded(Guarded {
                apply: APPLY.to_owned(),
                undo: UNDO.to_owned(),
                keep: KEEP.to_owned(),
                arguments,
            }),
        );
    }
    if !facts.is("root-locked") {
        plan.add_proven(
            "lock the password of root",
            "nobody should become root by it, over SSH or otherwise",
            run(&["usermod", "-L", "root"]),
            &["grep", "-q", "^root:[!*]", "/etc/shadow"],
        );
    }
    plan
}

/// True when the configuration reads the folder before anything that would win over it.
fn includes_drop_ins(config: &[String]) -> bool {
    for line in config {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default().to_ascii_lowercase();
        match key.as_str() {
            "include" if words.any(|word| INCLUDED.contains(&word)) => return true,
            "permitrootlogin" | "match" => return false,
            _ => {}
        }
    }
    false
}

/// The whole configuration, with what it said before as a comment; what a `Match` says goes too.
fn edited(config: &[String]) -> String {
    let mut text = TEXT.to_owned();
    for line in config {
        let key = line.split_whitespace().next().unwrap_or_default();
        let is_said = key.eq_ignore_ascii_case("PermitRootLogin");
        let mark = if is_said { "# " } else { "" };
        text.push_str(&format!("{mark}{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(config: &str, root_login: &str) -> Facts {
        Facts {
            sshd_config: config.lines().map(str::to_owned).collect(),
            root_login: Some(root_login.to_owned()),
            ..Facts::default()
        }
    }

    fn places(facts: &Facts) -> Vec<String> {
        let steps = plan(facts).steps.into_iter();
        steps
            .filter_map(|step| match step.action {
                Action::Guarded(guarded) => guarded.arguments.get(1).cloned(),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_part_of_its_own_where_that_counts() {
        let check = |config: &str, expected: &str| {
            assert_eq!(places(&facts(config, "yes")), [expected], "{config}");
        };
        check(
            "# x\nInclude /etc/ssh/sshd_config.d/*.conf\nPort 22",
            DROP_IN,
        );
        check("include sshd_config.d/*.conf", DROP_IN);
        check(
            "Port 22\nPermitRootLogin yes\nInclude /etc/ssh/sshd_config.d/*.conf",
            CONFIG,
        );
        check(
            "Match User a\nInclude /etc/ssh/sshd_config.d/*.conf",
            CONFIG,
        );
        check("# Include /etc/ssh/sshd_config.d/*.conf\nPort 22", CONFIG);
    }

    #[test]
    fn the_whole_configuration_is_edited() {
        let lines: Vec<String> = [
            "Port 22",
            "permitrootlogin yes",
            "Match User root",
            "  PermitRootLogin yes",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(
            edited(&lines),
            format!(
                "{TEXT}Port 22\n# permitrootlogin yes\nMatch User root\n#   PermitRootLogin yes\n"
            )
        );
    }

    #[test]
    fn nothing_twice() {
        let mut facts = facts("", "no");
        assert_eq!(plan(&facts).steps.len(), 1);
        facts.is.insert("root-locked".to_owned());
        assert_eq!(plan(&facts), Plan::default());
    }
}
