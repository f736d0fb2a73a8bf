//! The logs of one release, as they come from its host: a thread for each asks the program there, and passes on what it
//! says. A host that is slow, or from which nothing is taken for a while, holds up no other.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::Line;
use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::pod_api::PodOnHost;
use crate::project::Selected;
use crate::remote::Remotes;

/// So many lines of one host, or news of all, lie ready; then whoever has more waits.
pub(crate) const LINES_MAX: usize = 1024;

/// A line of the program: a unit's has 64 KiB at most, and every byte of it may be written as six.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// What comes when the lines that were there have been told.
pub(crate) enum News {
    /// A line was written.
    Line(Line),
    /// Nothing more comes, because the host has said all, or for this reason.
    Ended(Result<(), CommandError>),
}

/// What every host is asked.
pub(crate) struct Asker {
    /// The connections.
    pub(crate) remotes: Remotes,
    /// What was read from the process.
    pub(crate) environment: Environment,
    /// The verb and its arguments.
    pub(crate) words: Vec<String>,
    /// True when the hosts go on with what is written from now on.
    pub(crate) follows: bool,
}

impl Asker {
    /// Asks one host. Gives the lines that were there; `news` gets the others, each with the number. Whoever drops both
    /// ends that.
    pub(crate) fn ask(
        self: &Arc<Self>,
        number: usize,
        release: &Selected,
        news: &SyncSender<(usize, News)>,
    ) -> Receiver<Line> {
        let (lines, present) = sync_channel(LINES_MAX);
        let (asker, release, news) = (Arc::clone(self), release.clone(), news.clone());
        // Nobody waits for this thread: a host that is followed may be silent when the command ends.
        thread::spawn(move || {
            let mut ends = Ends {
                number,
                present: Some(lines),
                news: news.clone(),
            };
            let ended = asker.relay(&release, &mut ends);
            drop(ends);
            let _ = news.send((number, News::Ended(ended)));
        });
        present
    }

    fn relay(&self, release: &Selected, ends: &mut Ends) -> Result<(), CommandError> {
        let pod = PodOnHost::open(&self.remotes, &self.environment, release)?;
        let mut running = pod.start(&self.words)?;
        running.stdin = None;
        let said = running.stdout.take();
        let wants_more = said.map_or(Ok(true), |said| pass_on(said, release, ends))?;
        if !wants_more {
            // Dropping the command ends it.
            return Ok(());
        }
        let exit = running.wait()?;
        match exit.is_success() && !self.follows {
            true => Ok(()),
            false => Err(pod.failed(&self.words, &exit, &running.errors())),
        }
    }
}

/// Where lines go.
struct Ends {
    number: usize,
    /// None when all that was there has been told.
    present: Option<SyncSender<Line>>,
    news: SyncSender<(usize, News)>,
}

impl Ends {
    /// False when nobody wants it.
    fn take(&mut self, line: Line) -> bool {
        match &self.present {
            Some(present) => present.send(line).is_ok(),
            None => self.news.send((self.number, News::Line(line))).is_ok(),
        }
    }
}

/// Passes on all lines. False when nobody wants them any more.
fn pass_on(said: impl Read, release: &Selected, ends: &mut Ends) -> Result<bool, CommandError> {
    let mut said = BufReader::new(said);
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = said
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut text);
        // A connection that breaks ends the output; whoever waits for the command is told why.
        if matches!(read, Ok(0) | Err(_)) {
            return Ok(true);
        }
        if text.len() as u64 == LINE_BYTES_MAX {
            return Err(CommandError::mistake(format!(
                "{release}: a line of its logs has more than {LINE_BYTES_MAX} bytes"
            )));
        }
        if text == b"{}\n" {
            ends.present = None;
            continue;
        }
        // The shell of the user may greet whoever logs in.
        let Ok(line) = serde_json::from_slice(&text) else {
            continue;
        };
        if !ends.take(line) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfiles::{Format as _, HostEnv, HostState, Project};

    fn release() -> Selected {
        let dir = Project::new("/nowhere").host(&"one".parse().unwrap());
        let id = "web:1.0.0".parse().unwrap();
        Selected {
            dir: dir.release(&id),
            id,
            host: crate::project::Host {
                name: "one".parse().unwrap(),
                dir,
                env: HostEnv::parse("HOST=local\n").unwrap(),
                state: HostState::Active,
            },
        }
    }

    fn line(text: &str) -> String {
        let line = serde_json::json!({
            "seconds": 1, "index": 2, "unit": "main", "stream": "stderr", "text": text, "more": 3,
        });
        format!("{line}\n")
    }

    /// What was there, and what came.
    fn passed(said: &str) -> Result<(Vec<String>, Vec<String>), CommandError> {
        let (lines, present) = sync_channel(LINES_MAX);
        let (news, later) = sync_channel(LINES_MAX);
        let mut ends = Ends {
            number: 0,
            present: Some(lines),
            news,
        };
        pass_on(said.as_bytes(), &release(), &mut ends)?;
        drop(ends);
        let text = |(_, news)| match news {
            News::Line(line) => line.text,
            News::Ended(_) => String::new(),
        };
        Ok((
            present.iter().map(|line| line.text).collect(),
            later.iter().map(text).collect(),
        ))
    }

    #[test]
    fn lines_before_and_behind_the_mark() {
        let said = ["welcome!\n", &line("a"), "{}\n", &line("b"), "{\"torn\": "].concat();
        let (present, later) = passed(&said).unwrap();
        assert_eq!((present, later), (vec!["a".into()], vec!["b".into()]));
    }

    #[test]
    fn a_line_without_an_end_is_not_waited_for() {
        let endless = "x".repeat(usize::try_from(LINE_BYTES_MAX).unwrap() + 1);
        let error = passed(&endless).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
}
