//! The user that may administrate a host: made by root once, so that root need not log in any more.

use super::account::Account;
use super::facts::Facts;
use super::packages;
use super::step::{Action, Plan, Put};

/// What has to be done as root, for a user that comes in by these keys.
pub(crate) fn plan(facts: &Facts, account: &Account) -> Plan {
    let mut plan = Plan::default();
    packages::plan(
        &mut plan,
        facts,
        &[packages::SUDO],
        "the super user becomes root by it",
    );
    account.plan_user(&mut plan, facts);
    let name = &account.name;
    let put = Put {
        mode: 0o440,
        ..Put::text(
            &sudoers_file(name),
            format!("# Made by `sns host setup superuser`.\n{name} ALL=(ALL:ALL) NOPASSWD: ALL\n"),
        )
        .checked(&["visudo", "-c", "-q", "-f"])
    };
    if !facts.has_file(&put.path, put.digest(), put.mode) {
        plan.add_proven(
            format!("let {name} become root without a password"),
            format!("it {}, and has no password", account.purpose),
            Action::Put(put),
            &["visudo", "-c", "-q"],
        );
    }
    account.plan_keys(&mut plan, facts);
    plan
}

/// The file of a user; sudo overlooks names with a dot.
pub(crate) fn sudoers_file(user: &str) -> String {
    format!("/etc/sudoers.d/simplenetes-{user}")
}

#[cfg(test)]
mod tests {
    use super::super::facts::FileFact;
    use super::*;

    #[test]
    fn all_of_it_once() {
        let account = Account {
            name: "snssuper".to_owned(),
            purpose: "administrates this host",
            keys: vec!["ssh-ed25519 AAAA".to_owned()],
            is_strict: false,
        };
        let mut facts = Facts {
            tools: ["apt-get", "useradd"].map(str::to_owned).into(),
            ..Facts::default()
        };
        let made = plan(&facts, &account);
        insta::assert_snapshot!(made.lines().join("\n"), @r"
        1. read the lists of packages anew
           because packages of an old list may be gone
        2. install sudo
           because the super user becomes root by it
        3. make the user snssuper
           because it administrates this host, and is not there yet
        4. give snssuper a password that nobody can type
           because a server without PAM does not let in a user whose password is locked, not even by key
        5. let snssuper become root without a password
           because it administrates this host, and has no password
           | # Made by `sns host setup superuser`.
           | snssuper ALL=(ALL:ALL) NOPASSWD: ALL
        6. write the keys that let snssuper in
           because a key of the project does not let it in yet
           | ssh-ed25519 AAAA
        ");
        facts.tools.insert("visudo".to_owned());
        facts.users.insert("snssuper".to_owned());
        facts
            .keys
            .insert("snssuper".to_owned(), account.keys.clone());
        for step in made.steps {
            if let Action::Put(put) = step.action {
                let file = FileFact {
                    digest: put.digest(),
                    mode: put.mode,
                };
                facts.files.insert(put.path, file);
            }
        }
        assert_eq!(plan(&facts, &account), Plan::default());
    }
}
