//! `meddle PLACE PROGRAM ARGUMENTS…`: stands between the two ends of a sync, and lets go wrong what a test has asked for.
//!
//! `PLACE/armed` says what: `CONNECTION SIDE FRAME DEED`: in that connection from now on, counted from 1, at a frame of
//! the `asked` or `answered` ones, by its number, beats not counted, or by the word that it asks or answers. Without the file the program runs as if nobody stood there.
//!
//! - `kill`: the program is killed before the frame is passed on; `kill-after=MICROSECONDS`: so long after it.
//! - `hold`: `PLACE/reached` appears, and the frame waits for `PLACE/go`; if that says `cut`, the connection ends there.
//!
//! `PLACE/ended` appears when the program has ended.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The first line of the far end, after which frames begin.
const PREAMBLE: &[u8] = b"simplenetes-sync\n";
/// The kind of frame by which an end says that it is there.
const BEAT: u8 = 0;
/// Between two looks at a file.
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Kill,
    KillAfter(Duration),
    Hold,
}

/// What goes wrong where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    side: String,
    /// The number of the frame, or its word.
    at: String,
    deed: Deed,
}

impl Plan {
    fn is_due(&self, count: u32, frame: &[u8]) -> bool {
        let said = format!(":\"{}\"", self.at);
        self.at == count.to_string()
            || frame
                .windows(said.len())
                .any(|part| part == said.as_bytes())
    }
}

fn main() -> Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let place = PathBuf::from(words.next().context("no place was named")?);
    let plan = take_plan(&place)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it stands before the program that it was asked to start"
    )]
    let mut command = std::process::Command::new(words.next().context("no program was named")?);
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, mut stdout) = (
        stdin.context("the program has no input")?,
        stdout.context("the program has no output")?,
    );
    let child = Arc::new(Mutex::new(child));
    let meddler = |side: &str| Meddler {
        plan: plan.clone().filter(|plan| plan.side == side),
        place: place.clone(),
        child: Arc::clone(&child),
    };
    let (asked, answered) = (meddler("asked"), meddler("answered"));
    // It ends with this process, whoever still writes to it.
    thread::spawn(move || asked.pass(&mut io::stdin(), &mut stdin));
    let greeted = pass_preamble(&mut stdout, &mut io::stdout());
    let passed = greeted.and_then(|()| answered.pass(&mut stdout, &mut io::stdout()));
    drop(stdout);
    let ended = lock(&child).wait()?;
    write(&place.join("ended"), "")?;
    // A connection that is cut is what was asked for.
    let _ = passed;
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(u8::MAX)))
}

/// Reads what is armed, for this connection or a later one.
fn take_plan(place: &Path) -> Result<Option<Plan>> {
    let armed = place.join("armed");
    let Ok(text) = fs::read_to_string(&armed) else {
        return Ok(None);
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let [connection, side, at, deed] = words[..] else {
        bail!("`{text}` is no plan");
    };
    let later = connection.parse::<u32>()?.saturating_sub(1);
    if later > 0 {
        write(&armed, &format!("{later} {side} {at} {deed}"))?;
        return Ok(None);
    }
    fs::remove_file(&armed)?;
    let deed = match deed.split_once('=') {
        None if deed == "kill" => Deed::Kill,
        None if deed == "hold" => Deed::Hold,
        Some(("kill-after", micros)) => Deed::KillAfter(Duration::from_micros(micros.parse()?)),
        _ => bail!("`{deed}` is no deed"),
    };
    Ok(Some(Plan {
        side: side.to_owned(),
        at: at.to_owned(),
        deed,
    }))
}

struct Meddler {
    plan: Option<Plan>,
    place: PathBuf,
    child: Arc<Mutex<Child>>,
}

impl Meddler {
    /// Passes frames on until one end is gone, or the deed says otherwise.
    fn pass(&self, from: &mut impl Read, to: &mut impl Write) -> Result<()> {
        let mut count = 0;
        loop {
            let mut head = [0; 5];
            from.read_exact(&mut head)?;
            let [a, b, c, d, kind] = head;
            let length = u32::from_be_bytes([a, b, c, d]);
            let mut frame = head.to_vec();
            from.take(length.into()).read_to_end(&mut frame)?;
            count += u32::from(kind != BEAT);
            let due = self.plan.as_ref();
            let due = due.filter(|plan| kind != BEAT && plan.is_due(count, &frame));
            match due.map(|plan| plan.deed) {
                Some(Deed::Kill) => return Ok(lock(&self.child).kill()?),
                Some(Deed::Hold) if !self.hold()? => return Ok(()),
                Some(Deed::KillAfter(time)) => {
                    to.write_all(&frame)?;
                    to.flush()?;
                    thread::sleep(time);
                    return Ok(lock(&self.child).kill()?);
                }
                _ => {}
            }
            to.write_all(&frame)?;
            to.flush()?;
        }
    }

    /// Waits for the test. False if the connection should end here.
    fn hold(&self) -> Result<bool> {
        write(&self.place.join("reached"), "")?;
        loop {
            match fs::read_to_string(self.place.join("go")) {
                Ok(word) if word == "cut" => return Ok(false),
                Ok(word) if word == "on" => return Ok(true),
                _ => thread::sleep(PAUSE),
            }
        }
    }
}

fn pass_preamble(from: &mut impl Read, to: &mut impl Write) -> Result<()> {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(PREAMBLE) {
        from.read_exact(&mut byte)?;
        heard.extend(byte);
    }
    to.write_all(&heard)?;
    Ok(to.flush()?)
}

fn lock(child: &Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    // Nothing that holds it can panic.
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody sees half of it.
fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    #[expect(
        clippy::disallowed_methods,
        reason = "it is renamed; nothing here has to survive the machine"
    )]
    fs::write(&beside, text)?;
    #[expect(clippy::disallowed_methods, reason = "as above")]
    fs::rename(&beside, path)?;
    Ok(())
}
