//! Settings of the kernel that pods of an ordinary user need.

use super::facts::Facts;
use super::step::{Action, Plan, Put, run};

/// Where they stand.
pub(crate) const FILE: &str = "/etc/sysctl.d/90-simplenetes.conf";

/// A port that a pod should have, and who wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LowPort {
    /// The port.
    pub(crate) port: u16,
    /// Who wants it.
    pub(crate) wanted_by: String,
}

/// Lets everybody listen from the lowest port on that a pod should have.
pub(crate) fn plan(plan: &mut Plan, facts: &Facts, low: Option<&LowPort>) {
    let Some(low) = low else { return };
    let put = Put::text(FILE, text(low.port));
    let is_low_enough = facts.low_port.is_some_and(|lowest| lowest <= low.port);
    let is_written = facts.has_file(FILE, put.digest(), put.mode);
    // Whatever else makes it so may stay; what we wrote ourselves has to be what we would write.
    let is_ours = facts.files.contains_key(FILE);
    if is_low_enough && (is_written || !is_ours) {
        return;
    }
    if !is_written {
        plan.add(
            format!("write {FILE}"),
            format!(
                "{} wants port {}, and only root may listen below {}",
                low.wanted_by,
                low.port,
                facts.low_port.unwrap_or(1024)
            ),
            Action::Put(put),
        );
    }
    plan.add(
        format!("load {FILE}"),
        "it counts from now on, not only from the next start on",
        run(&["sysctl", "-q", "-p", FILE]),
    );
}

fn text(port: u16) -> String {
    format!(
        "# Made by `sns host setup install`.\n\
         # Pods of an ordinary user listen on ports from here on.\n\
         net.ipv4.ip_unprivileged_port_start = {port}\n\
         # A firewall has a line in the kernel's list for each connection, and drops new ones when it is full. A host\n\
         # that carries very many at once wants a longer one (256 bytes each):\n\
         # net.netfilter.nf_conntrack_max = 1048576\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_port_counts() {
        let low = LowPort {
            port: 80,
            wanted_by: "EXPOSE".to_owned(),
        };
        let steps = |lowest: u16, content: Option<String>| {
            let mut facts = Facts {
                low_port: Some(lowest),
                ..Facts::default()
            };
            if let Some(content) = content {
                let digest = simplenetes_sync::Digest::of(content.as_bytes());
                let file = super::super::facts::FileFact {
                    digest,
                    mode: 0o644,
                };
                facts.files.insert(FILE.to_owned(), file);
            }
            let mut made = Plan::default();
            plan(&mut made, &facts, Some(&low));
            made.steps.len()
        };
        assert_eq!(steps(1024, None), 2);
        assert_eq!(steps(80, None), 0);
        assert_eq!(steps(0, None), 0);
        assert_eq!(steps(80, Some(text(80))), 0);
        assert_eq!(steps(1024, Some(text(80))), 1);
        assert_eq!(steps(443, Some(text(443))), 2);
        let mut made = Plan::default();
        plan(&mut made, &Facts::default(), None);
        assert_eq!(made, Plan::default());
    }
}
