//! The text format of Prometheus, version 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>. Knows no metric.

use std::fmt::{Display, Write as _};

use super::histogram::{BUCKETS, Sum};

/// A text that grows family by family.
#[derive(Debug, Default)]
pub(crate) struct Text {
    text: String,
    name: &'static str,
}

/// Names and values of labels.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a dyn Display)];

impl Text {
    /// The samples that follow are of this family. `kind` is `counter`, `gauge` or `histogram`.
    pub(crate) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One number.
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A family of one number.
    pub(crate) fn single(
        &mut self,
        name: &'static str,
        kind: &str,
        help: &str,
        value: impl Display,
    ) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// The numbers of one histogram.
    pub(crate) fn histogram(&mut self, labels: Labels<'_>, sum: &Sum) {
        let mut count = 0;
        let ends = BUCKETS.iter().map(|(_, end)| *end).chain(["+Inf"]);
        for (more, end) in sum.counts.iter().zip(ends) {
            count += more;
            self.line("_bucket", labels, Some(("le", &end)), count);
        }
        let (whole, part) = (sum.sum_us / 1_000_000, sum.sum_us % 1_000_000);
        self.line("_sum", labels, None, format_args!("{whole}.{part:06}"));
        self.line("_count", labels, None, count);
    }

    /// All that was written.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        last: Option<(&str, &dyn Display)>,
        value: impl Display,
    ) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            let _ = write!(self.text, "{before}{name}=\"{}\"", escaped(value));
            before = ',';
        }
        let end = if before == ',' { "}" } else { "" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

fn escaped(value: &dyn Display) -> String {
    value
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_samples_and_labels() {
        let mut text = Text::default();
        text.family("a_total", "counter", "What.");
        text.sample(&[], 1);
        text.sample(&[("x", &61000), ("y", &"a\"b\\c\nd")], 2);
        let expected = "# HELP a_total What.\n# TYPE a_total counter\na_total 1\n\
                        a_total{x=\"61000\",y=\"a\\\"b\\\\c\\nd\"} 2\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn buckets_add_up() {
        let mut sum = Sum::default();
        sum.counts[0] = 2;
        sum.counts[13] = 1;
        sum.sum_us = 2_000_200;
        let mut text = Text::default();
        text.family("a_seconds", "histogram", "How long.");
        text.histogram(&[("way", &"inside")], &sum);
        let text = text.finish();
        for line in [
            "a_seconds_bucket{way=\"inside\",le=\"0.0001\"} 2\n",
            "a_seconds_bucket{way=\"inside\",le=\"1\"} 2\n",
            "a_seconds_bucket{way=\"inside\",le=\"+Inf\"} 3\n",
            "a_seconds_sum{way=\"inside\"} 2.000200\n",
            "a_seconds_count{way=\"inside\"} 3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
