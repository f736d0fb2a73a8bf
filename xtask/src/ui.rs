//! The one place of `xtask` that prints.

/// A line of progress, on standard error so that results can be piped.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// A line of a result, on standard output.
pub(crate) fn print(line: &str) {
    println!("{line}");
}
