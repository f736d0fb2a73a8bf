//! How many cases a property has: SOAK is the percentage of the full count, 10 when unset.

/// The number of cases of a property that has so many in full.
pub(crate) fn cases(full: u32) -> u32 {
    let percent = std::env::var("SOAK").ok();
    let percent = percent.and_then(|text| text.parse().ok()).unwrap_or(10);
    (full / 100).saturating_mul(percent).max(10)
}
