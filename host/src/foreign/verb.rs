//! Calls one verb of a foreign pod: below a step runner of its own, with a deadline, and writes what it
//! said into the logs of the release.

use std::io;
use std::path::Path;
use std::time::Duration;

use hostfiles::{PodVerb, ReleaseDir};
use simplenetes_plugin::{Answer, StepOptions};

use super::life::Call;
use crate::hands::Hands;
use crate::log::one_line;
use crate::shim::append_to_log;
use crate::steps::StepError;
use crate::system::since_epoch;

/// What the program finds in its environment of the daemon's.
const INHERITED: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "CONTAINERS_CONF",
    "SSL_CERT_FILE",
];
/// So many lines of each stream of a verb are kept; the last ones, because they say how it ended.
const LINES_MAX: usize = 200;
/// So much of its last line is quoted where it failed.
const WORDS_CHARS: usize = 120;

/// Calls it. An error says why it failed, and was said already.
pub(super) async fn call(hands: Hands, call: Call, limit: Duration) -> Result<(), String> {
    let mut args = vec![call.verb.as_str().to_owned()];
    if binds_ports(&call) {
        args.push(format!("--host-interface={}", hands.address()));
    }
    args.extend(call.words.iter().cloned());
    let options = StepOptions {
        inherit: INHERITED.map(str::to_owned).to_vec(),
        ..StepOptions::default()
    };
    let line = args.join(" ");
    hands.note_beside(format!("calls `{line}`")).await;
    // Only what begins something may be broken off: what ends it is never in vain.
    let is_cancellable = matches!(
        call.verb,
        PodVerb::Run | PodVerb::Create | PodVerb::Download
    );
    let ended = hands
        .runner()
        .verb(call.verb.as_str(), args, options, limit, is_cancellable)
        .await;
    let ended = match ended {
        Ok(answer) => {
            let status = answer.exit;
            let said = last_words(&answer.stderr);
            let id = hands.id();
            let name = format!("{}-{}", id.pod, id.version);
            let release = hands.release().clone();
            let keep = move || keep_output(&release, &name, &answer);
            // A disk that blocks costs the lines and nothing else.
            let _ = tokio::task::spawn_blocking(keep).await;
            match status {
                0 => Ok(()),
                _ => Err(format!("ended with {status}{said}")),
            }
        }
        Err(error) => Err(not_ended(&error)),
    };
    let news = match &ended {
        Ok(()) => format!("`{line}` is done"),
        Err(why) => format!("`{line}` failed: {why}"),
    };
    hands.note_beside(news).await;
    ended
}

/// The verbs that take an address, when they concern the whole pod.
fn binds_ports(call: &Call) -> bool {
    match call.verb {
        PodVerb::Run | PodVerb::Create => true,
        PodVerb::Rerun => call.words.iter().all(|word| word.starts_with('-')),
        _ => false,
    }
}

/// Why it did not come to its end. The file is there, so what was not found is what should read it.
fn not_ended(error: &StepError) -> String {
    let line = one_line(error);
    match error {
        StepError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            format!("{line}; is the interpreter that its first line names on this host?")
        }
        _ => line,
    }
}

/// What it said last of its failure, in the form of a message's end.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let Some(line) = line else {
        return String::new();
    };
    let line = line.trim().replace(char::is_control, " ");
    let line: String = line.chars().take(WORDS_CHARS).collect();
    format!(": {line}")
}

fn keep_output(release: &ReleaseDir, name: &str, answer: &Answer) {
    let now = since_epoch().as_secs();
    for (stream, bytes) in [("stdout", &answer.stdout), ("stderr", &answer.stderr)] {
        let path = release.log_dir().join(format!("{name}-{stream}.log"));
        append_lines(&path, bytes, now);
    }
}

fn append_lines(path: &Path, bytes: &[u8], now: u64) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LINES_MAX)) {
        append_to_log(path, line, now);
    }
}
