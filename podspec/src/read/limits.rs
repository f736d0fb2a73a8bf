//! What a unit may use at most: memory, CPU time, processes.

use crate::compiled::SIZE_UNITS;
use crate::reader::{Fields, Problems, Value};
use crate::{Limits, Shape};

const SIZE_RULE: &str = "a size from 4M to 1024T, as in 256M or 1G, or a number of bytes";
/// Below this nothing starts at all, or only now and then.
const SIZE_MIN: u64 = 4 << 20;
const SIZE_MAX: u64 = 1024 << 40;

const CPU_RULE: &str = "CPUs from 0.01 to 1000, as in 0.5 or 500m";
/// The least share that the kernel gives, in thousandths.
const CPU_MIN: u32 = 10;
const CPU_MAX: u32 = 1_000_000;
/// Thousandths have so many digits.
const CPU_DIGITS: usize = 3;

/// No machine has more processes.
const PIDS_MAX: u32 = 4_194_304;

/// Reads `limits`; none when nothing is limited.
pub(super) fn limits(unit: &Fields<'_>, shape: &Shape, problems: &mut Problems) -> Option<Limits> {
    let value = unit.get("limits")?;
    if !shape.takes_limits {
        let message = format!("a unit of `runtime: {}` cannot be limited", shape.kind);
        problems.push(unit.key_error("limits", message));
    }
    let fields = value.fields(&["memory", "cpu", "pids"], problems)?;
    let limits = Limits {
        memory_bytes: limit(&fields, "memory", problems).and_then(|at| memory(&at, problems)),
        cpu_millis: limit(&fields, "cpu", problems).and_then(|at| cpu(&at, problems)),
        pids: limit(&fields, "pids", problems).and_then(|at| at.number(1..=PIDS_MAX, problems)),
    };
    (!limits.is_empty()).then_some(limits)
}

/// A variable without a value must not take a limit away.
fn limit<'t>(fields: &Fields<'t>, key: &str, problems: &mut Problems) -> Option<Value<'t>> {
    fields.get_whole(key, "a limit; without the line there is none", problems)
}

fn memory(value: &Value<'_>, problems: &mut Problems) -> Option<u64> {
    let text = value.text(SIZE_RULE, problems)?;
    let bytes = bytes(text).filter(|bytes| (SIZE_MIN..=SIZE_MAX).contains(bytes));
    if bytes.is_none() {
        problems.push(value.refused(text, SIZE_RULE).hinting(similar_size(text)));
    }
    bytes
}

/// `256M` and `256Mi` are the same, as in podman and in the size of a ramdisk: 256 × 1024 × 1024 bytes.
fn bytes(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(number)?;
    let known = |(letter, shift): &(char, u32)| {
        let rest = unit.strip_prefix(*letter)?;
        matches!(rest, "" | "i").then_some(*shift)
    };
    let shift = match unit {
        "" => 0,
        _ => SIZE_UNITS.iter().find_map(known)?,
    };
    whole(number)?.checked_mul(1 << shift)
}

/// Digits and nothing else: a sign is none of them.
fn whole(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The size that was probably meant by another way of writing it, as in `256m`, `256 MB` or `1GiB`.
fn similar_size(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let bare = upper.trim_end_matches('B').trim_end_matches('I');
    let (number, unit) = bare.split_at_checked(bare.len().checked_sub(1)?)?;
    let meant = format!("{}{unit}", number.trim_end());
    let is_size = bytes(&meant).is_some_and(|bytes| (SIZE_MIN..=SIZE_MAX).contains(&bytes));
    is_size.then(|| format!("did you mean `{meant}`?"))
}

fn cpu(value: &Value<'_>, problems: &mut Problems) -> Option<u32> {
    let text = value.text(CPU_RULE, problems)?;
    let millis = millis(text).filter(|millis| (CPU_MIN..=CPU_MAX).contains(millis));
    if millis.is_none() {
        let percent = text.strip_suffix('%').and_then(whole);
        let hint = percent
            .filter(|percent| *percent > 0)
            .map(|percent| format!("did you mean `{}m`?", percent.saturating_mul(10)));
        problems.push(value.refused(text, CPU_RULE).hinting(hint));
    }
    millis
}

/// Thousandths: `500m`, or CPUs with at most three digits behind the point.
fn millis(text: &str) -> Option<u32> {
    if let Some(millis) = text.strip_suffix('m') {
        return whole(millis)?.try_into().ok();
    }
    let (cpus, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > CPU_DIGITS {
        return None;
    }
    let thousandths = whole(&format!("{fraction:0<CPU_DIGITS$}"))?;
    let millis = whole(cpus)?.checked_mul(1_000)?.checked_add(thousandths)?;
    millis.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text, expected| assert_eq!(bytes(text), expected, "{text}");
        check("256M", Some(256 << 20));
        check("256Mi", Some(256 << 20));
        check("1Gi", Some(1 << 30));
        check("4096K", Some(4 << 20));
        check("4194304", Some(4 << 20));
        for wrong in [
            "",
            "M",
            "-1M",
            "+1M",
            "1.5G",
            "256m",
            "256MB",
            "1 G",
            "0x10",
            "1e9",
            "99999999999T",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn sizes_that_were_probably_meant() {
        let check = |text, expected: Option<&str>| {
            let hint = expected.map(|size| format!("did you mean `{size}`?"));
            assert_eq!(similar_size(text), hint, "{text}");
        };
        check("256m", Some("256M"));
        check("256 MB", Some("256M"));
        check("1GiB", Some("1G"));
        check("much", None);
        check("1é", None);
        check("", None);
        check("1M", None);
    }

    #[test]
    fn cpus() {
        let check = |text, expected| assert_eq!(millis(text), expected, "{text}");
        check("0.5", Some(500));
        check("500m", Some(500));
        check("2", Some(2_000));
        check("1.25", Some(1_250));
        check("0.005", Some(5));
        for wrong in [
            "",
            ".",
            ".5",
            "1.",
            "0.0005",
            "-1",
            "+1",
            "1e3",
            "m",
            "50%",
            "99999999999999999999",
        ] {
            check(wrong, None);
        }
    }
}
