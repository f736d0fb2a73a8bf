//! "Did you mean …?", for names that do not exist.

/// The hint for a name that is not among `known`, when one of them is close.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// How alike two names must be, from 0 to 1: `lapto` and `laptop` are, `web` and `db` are not.
    const ALIKE_MIN: f64 = 0.75;
    let scored = known.into_iter().map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let best = scored.filter(|(score, _)| *score >= ALIKE_MIN).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(format!("did you mean `{}`?", best.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_or_none() {
        let known = ["laptop", "desktop", "lb1"];
        assert_eq!(did_you_mean("lapto", known).as_deref(), Some("did you mean `laptop`?"));
        assert_eq!(did_you_mean("worker", known), None);
        assert_eq!(did_you_mean("worker", []), None);
    }
}
