//! What the looks of one operation have brought. A plugin may ask for many, and each may bring megabytes: all of
//! it is held until the plugin has planned.

use std::collections::BTreeMap;

use simplenetes_plugin::Answer;

/// Looks of one operation, all rounds together.
const LOOKS_MAX: u32 = 100;
/// Bytes of all their answers: half of what the memory of a plugin could hold.
const BYTES_MAX: usize = 16 << 20;

/// The answers so far.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) answers: BTreeMap<String, Answer>,
    looks_left: u32,
    bytes_left: usize,
}

impl Default for Looked {
    fn default() -> Self {
        Self {
            answers: BTreeMap::new(),
            looks_left: LOOKS_MAX,
            bytes_left: BYTES_MAX,
        }
    }
}

impl Looked {
    /// Counts one more look, before it is run.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        let left = self.looks_left.checked_sub(1);
        let too_many = || format!("wants more than {LOOKS_MAX} looks for one operation");
        self.looks_left = left.ok_or_else(too_many)?;
        Ok(())
    }

    /// Adds what it brought.
    pub(super) fn add(&mut self, id: String, answer: Answer) -> Result<(), String> {
        let bytes = answer.stdout.len() + answer.stderr.len();
        let left = self.bytes_left.checked_sub(bytes);
        let too_much = || {
            let mib = BYTES_MAX >> 20;
            format!("looks at more than {mib} MiB for one operation")
        };
        self.bytes_left = left.ok_or_else(too_much)?;
        self.answers.insert(id, answer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_and_what_they_bring_have_an_end() {
        let mut looked = Looked::default();
        for _ in 0..LOOKS_MAX {
            looked.begin().unwrap();
        }
        assert!(looked.begin().unwrap_err().contains("more than 100 looks"));
        let answer = |bytes| Answer {
            stdout: vec![0; bytes - 1],
            stderr: vec![0],
            ..Answer::default()
        };
        looked.add("a".into(), answer(BYTES_MAX - 1)).unwrap();
        // One that stands for another is not held twice, but it was read.
        looked.add("a".into(), answer(1)).unwrap();
        let error = looked.add("b".into(), answer(1)).unwrap_err();
        assert!(error.contains("more than 16 MiB"), "{error}");
        assert_eq!(looked.answers.len(), 1);
    }
}
