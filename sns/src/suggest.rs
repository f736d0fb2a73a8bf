//! "Did you mean …?", for names that do not exist.

/// The hint for a name that is not among `known`, when one of them is close.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    // One slip of the finger in three letters: `wbe` is `web`, `db` is not.
    let slips_max = (name.chars().count() / 3).max(1);
    let counted = known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate));
    let best = counted
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)?;
    Some(format!("did you mean `{}`?", best.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_or_none() {
        let known = ["laptop", "desktop", "lb1"];
        assert_eq!(
            did_you_mean("lapto", known).as_deref(),
            Some("did you mean `laptop`?")
        );
        assert_eq!(did_you_mean("worker", known), None);
        assert_eq!(
            did_you_mean("wbe", ["db", "web"]).as_deref(),
            Some("did you mean `web`?")
        );
        assert_eq!(did_you_mean("worker", []), None);
    }
}
