//! firewalld: a service with the ports, in its default zone, and a zone of its own for trusted networks.

use super::super::facts::Facts;
use super::super::step::{Action, Plan, Put, run};
use super::Doors;

/// The ports for everybody.
pub(crate) const SERVICE_FILE: &str = "/etc/firewalld/services/simplenetes.xml";
/// The trusted networks.
pub(crate) const ZONE_FILE: &str = "/etc/firewalld/zones/simplenetes.xml";

const HEAD: &str =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- Made by `sns host setup install`. -->\n";

pub(super) fn plan(plan: &mut Plan, facts: &Facts, doors: &Doors) {
    let ports: Vec<String> = doors
        .expose
        .iter()
        .map(|port| format!("  <port protocol=\"tcp\" port=\"{port}\"/>\n"))
        .collect();
    let service = format!(
        "{HEAD}<service>\n  <short>Simplenetes</short>\n{}</service>\n",
        ports.concat()
    );
    let sources: Vec<String> = doors
        .internal
        .iter()
        .map(|network| format!("  <source address=\"{network}\"/>\n"))
        .collect();
    let zone = format!(
        "{HEAD}<zone target=\"ACCEPT\">\n  <short>Simplenetes</short>\n{}</zone>\n",
        sources.concat()
    );
    let mut is_other = false;
    for (put, why) in [
        (
            Put::text(SERVICE_FILE, service),
            "everybody may come to the ports of EXPOSE",
        ),
        (
            Put::text(ZONE_FILE, zone),
            "whoever lies in a network of INTERNAL may come to every port",
        ),
    ] {
        if !facts.has_file(&put.path, put.digest(), put.mode) {
            is_other = true;
            plan.add(format!("write {}", put.path), why, Action::Put(put));
        }
    }
    let reload = || run(&["firewall-cmd", "-q", "--reload"]);
    if is_other {
        plan.add(
            "have firewalld read its files",
            "one of them is new",
            reload(),
        );
    }
    if !facts.is("firewalld-service") {
        plan.add(
            "put the service simplenetes into firewalld's default zone, to stay",
            "there the ports of EXPOSE are open to everybody",
            run(&[
                "firewall-cmd",
                "-q",
                "--permanent",
                "--add-service=simplenetes",
            ]),
        );
        plan.add_proven(
            "have firewalld read its files again",
            "it counts from now on",
            reload(),
            &["firewall-cmd", "-q", "--query-service=simplenetes"],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::{FileFact, Firewall};
    use super::*;

    #[test]
    fn two_files_and_one_service() {
        let doors = Doors {
            expose: vec![22, 443],
            internal: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        };
        let mut facts = Facts {
            firewall: Firewall::Firewalld,
            ..Facts::default()
        };
        let planned = |facts: &Facts| {
            let mut made = Plan::default();
            plan(&mut made, facts, &doors);
            made
        };
        insta::assert_snapshot!(planned(&facts).lines().join("\n"), @r#"
        1. write /etc/firewalld/services/simplenetes.xml
           because everybody may come to the ports of EXPOSE
           | <?xml version="1.0" encoding="utf-8"?>
           | <!-- Made by `sns host setup install`. -->
           | <service>
           |   <short>Simplenetes</short>
           |   <port protocol="tcp" port="22"/>
           |   <port protocol="tcp" port="443"/>
           | </service>
        2. write /etc/firewalld/zones/simplenetes.xml
           because whoever lies in a network of INTERNAL may come to every port
           | <?xml version="1.0" encoding="utf-8"?>
           | <!-- Made by `sns host setup install`. -->
           | <zone target="ACCEPT">
           |   <short>Simplenetes</short>
           |   <source address="10.0.0.0/8"/>
           |   <source address="fd00::/8"/>
           | </zone>
        3. have firewalld read its files
           because one of them is new
        4. put the service simplenetes into firewalld's default zone, to stay
           because there the ports of EXPOSE are open to everybody
        5. have firewalld read its files again
           because it counts from now on
        "#);
        for step in planned(&facts).steps {
            if let Action::Put(put) = step.action {
                let file = FileFact {
                    digest: put.digest(),
                    mode: put.mode,
                };
                facts.files.insert(put.path, file);
            }
        }
        facts.is.insert("firewalld-service".to_owned());
        assert_eq!(planned(&facts), Plan::default());
    }
}
