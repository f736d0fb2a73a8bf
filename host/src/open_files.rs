//! The limit of open files (`RLIMIT_NOFILE`): the daemon needs some for each unit, so it takes all that
//! it may have. Units get what the daemon was given, since old programs cannot cope with more.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// What the limit was before it was raised.
#[derive(Debug, Clone)]
pub struct OpenFiles {
    before: Rlimit,
}

impl OpenFiles {
    /// Raises the limit of this process as far as it may. One that cannot be raised stays.
    #[must_use]
    pub fn raise() -> Self {
        let before = getrlimit(Resource::Nofile);
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: before.maximum,
                maximum: before.maximum,
            },
        );
        Self { before }
    }

    /// Gives another process the limit that this one had before.
    pub fn give(&self, process: Pid) {
        // It fails only when the process has ended already.
        let _ = prlimit(Some(process), Resource::Nofile, self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_gets_all_and_another_what_there_was() {
        let before = getrlimit(Resource::Nofile);
        let limit = OpenFiles::raise();
        let raised = getrlimit(Resource::Nofile);
        assert_eq!(raised.current, before.maximum);
        limit.give(rustix::process::getpid());
        assert_eq!(getrlimit(Resource::Nofile), before);
        let _ = OpenFiles::raise();
    }
}
