//! Ranges of user and group numbers for the containers of an ordinary user: subuid(5).

use super::facts::Facts;
use super::step::{Action, Plan};

/// How many numbers a range has: all that an image can use.
const COUNT: u64 = 65_536;
/// Below lie the numbers of real users.
const FIRST_MIN: u64 = 100_000;
const SCRIPT: &str = include_str!("scripts/subordinate.sh");

/// Has the user given ranges where it has none.
pub(crate) fn plan(plan: &mut Plan, facts: &Facts, user: &str) {
    for (file, lines, what) in [
        ("/etc/subuid", &facts.subuid, "user"),
        ("/etc/subgid", &facts.subgid, "group"),
    ] {
        if lines
            .iter()
            .any(|line| line.starts_with(&format!("{user}:")))
        {
            continue;
        }
        let line = format!("{user}:{}:{COUNT}", free(lines));
        let words = ["sh", "-c", SCRIPT, "sns", "", file, user, &line].map(str::to_owned);
        plan.add_proven(
            format!("add {line} to {file}"),
            format!(
                "the containers of {user} need {what} numbers of their own, which nobody else has"
            ),
            Action::Run {
                words: words.to_vec(),
                input: String::new(),
            },
            &["grep", "-q", &format!("^{user}:"), file],
        );
    }
}

/// The first number behind all ranges.
fn free(lines: &[String]) -> u64 {
    let end = |line: &String| {
        let mut fields = line.split(':').skip(1);
        let first: u64 = fields.next()?.trim().parse().ok()?;
        let count: u64 = fields.next()?.trim().parse().ok()?;
        first.checked_add(count)
    };
    lines.iter().filter_map(end).fold(FIRST_MIN, u64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_overlap() {
        let check = |lines: &[&str], expected: u64| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(free(&lines), expected, "{lines:?}");
        };
        check(&[], 100_000);
        check(&["me:100000:65536"], 165_536);
        check(
            &["b:300000:65536", "a:100000:65536", "# c", "d:x:1"],
            365_536,
        );
        check(&["small:1000:10"], 100_000);
    }

    #[test]
    fn who_has_a_range_keeps_it() {
        let facts = Facts {
            subuid: vec!["sns:90000:9999".to_owned()],
            subgid: vec!["sns2:100000:65536".to_owned()],
            ..Facts::default()
        };
        let mut made = Plan::default();
        plan(&mut made, &facts, "sns");
        let what: Vec<&str> = made.steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(what, ["add sns:165536:65536 to /etc/subgid"]);
    }
}
