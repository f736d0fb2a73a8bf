//! Writes one output stream of a unit into its log file: `UNIXSECONDS INDEX text` for each line, where
//! the index counts the lines of one second from 0 (format of the original).
//!
//! What came of a line that has not ended yet is written at once, so that nothing is lost when the shim is
//! killed; the rest of it follows behind.
//!
//! A file that has reached its size is renamed with the time behind its name, and only the newest of
//! those are kept. A unit never waits for a disk that is full: what cannot be written is dropped, and the
//! next line that can be written is preceded by one that says how many were not.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::log::complaint_in;
use crate::system::since_epoch;

/// A log file that has reached this size is put aside before the next line.
const FILE_BYTES_MAX: u64 = 10_485_760;
/// So many files that were put aside are kept.
const ROTATED_MAX: usize = 5;
/// A longer line is cut into several, so that a stream without line ends needs no more memory.
const LINE_BYTES_MAX: usize = 65_536;
/// So much of a log is read to find its last line.
const TAIL_BYTES_MAX: u64 = 65_536;

/// Writes everything that comes out of `stream` until it ends, with `note` as the last line.
pub(crate) fn pump(mut stream: impl Read, path: &Path, note: Option<&str>) {
    let mut log = Log::new(path);
    let mut chunk = vec![0; LINE_BYTES_MAX];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => log.take(
                chunk.get(..length).unwrap_or_default(),
                since_epoch().as_secs(),
            ),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    log.end(since_epoch().as_secs());
    if let Some(note) = note {
        log.take(format!("{note}\n").as_bytes(), since_epoch().as_secs());
    }
}

/// Writes one line, in the same form and with the same rotation as the output of a unit.
pub(crate) fn append(path: &Path, line: &str, now: u64) {
    Log::new(path).take(format!("{line}\n").as_bytes(), now);
}

struct Log {
    path: PathBuf,
    file: Option<(File, u64)>,
    /// The second of the last line, and how many lines it has.
    last: (u64, u64),
    /// How long the line is that has not ended yet, in bytes without its stamp; none after the end of one.
    begun: Option<usize>,
    file_bytes_max: u64,
    /// Lines that could not be written, not even in part, since the last one that could.
    dropped: u64,
    /// Lines of which something is about to be written.
    fresh: u64,
}

impl Log {
    fn new(path: &Path) -> Self {
        let last = last_stamp(path).map_or((0, 0), |(second, index)| (second, index + 1));
        Self {
            path: path.to_owned(),
            file: None,
            last,
            begun: None,
            file_bytes_max: FILE_BYTES_MAX,
            dropped: 0,
            fresh: 0,
        }
    }

    /// Takes bytes of the stream and writes them, all with one call; a file that is full is put aside
    /// between two lines.
    fn take(&mut self, mut bytes: &[u8], now: u64) {
        if self.begun.is_some() && self.is_full() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (rest, next) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            self.take_lines(rest, now);
            bytes = next;
        }
        self.take_lines(bytes, now);
    }

    fn take_lines(&mut self, bytes: &[u8], now: u64) {
        if bytes.is_empty() {
            return;
        }
        if self.begun.is_none() && self.is_full() {
            self.file = None;
            self.rotate(now);
        }
        let mut out = Vec::with_capacity(bytes.len() + 64);
        self.tell_dropped(&mut out, now);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.put(&mut out, line, now);
        }
        self.write(&out, now);
    }

    /// Ends a line that came without a line end, or that a shim has left so which was killed.
    fn end(&mut self, now: u64) {
        if self.begun.is_some() {
            self.take_lines(b"\n", now);
        } else if self.file.is_none() && self.path.exists() {
            // Opening it is enough.
            let _ = open(&self.path);
        }
    }

    /// Adds a line, or what there is of it: with a stamp where it begins, and in several where it is long.
    fn put(&mut self, out: &mut Vec<u8>, line: &[u8], now: u64) {
        let (text, has_end) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, false),
        };
        self.fresh += u64::from(self.begun.is_some());
        let mut rest = text;
        loop {
            let length = match self.begun {
                Some(length) => length,
                None => self.stamp(out, now),
            };
            let (piece, later) = rest.split_at(rest.len().min(LINE_BYTES_MAX - length));
            out.extend_from_slice(piece);
            self.begun = Some(length + piece.len());
            if later.is_empty() {
                break;
            }
            out.push(b'\n');
            self.begun = None;
            rest = later;
        }
        if has_end {
            out.push(b'\n');
            self.begun = None;
        }
    }

    /// Begins a line, of which there is nothing yet.
    fn stamp(&mut self, out: &mut Vec<u8>, now: u64) -> usize {
        let (second, index) = if now > self.last.0 {
            (now, 0)
        } else {
            self.last
        };
        self.last = (second, index + 1);
        self.fresh += 1;
        out.extend_from_slice(format!("{second} {index} ").as_bytes());
        0
    }

    fn is_full(&self) -> bool {
        let length = self.file.as_ref().map(|(_, length)| *length);
        length.is_some_and(|length| length > self.file_bytes_max)
    }

    fn write(&mut self, out: &[u8], now: u64) {
        if self.file.is_none() {
            self.file = open(&self.path).ok();
            if self.is_full() {
                self.rotate(now);
                self.file = open(&self.path).ok();
            }
        }
        let written = match &mut self.file {
            Some((file, length)) => {
                *length += out.len() as u64;
                file.write_all(out).is_ok()
            }
            None => false,
        };
        if written {
            self.dropped = 0;
        } else {
            // It may have been cut short: the file is looked at when it is opened again, and what comes
            // then is another line.
            self.file = None;
            self.begun = None;
            self.dropped += self.fresh;
        }
        self.fresh = 0;
    }

    /// Says how many lines could not be written, before the next one is tried.
    fn tell_dropped(&mut self, out: &mut Vec<u8>, now: u64) {
        if self.dropped > 0 {
            let line = format!("[{} lines could not be written]\n", self.dropped);
            self.put(out, line.as_bytes(), now);
            self.fresh = 0;
        }
    }

    fn rotate(&self, now: u64) {
        let aside = |second: u64| PathBuf::from(format!("{}.{second}", self.path.display()));
        let free = (now..).map(aside).find(|path| !path.exists());
        if let Some(free) = free {
            #[expect(
                clippy::disallowed_methods,
                reason = "a log is moved as it is; there is nothing to replace"
            )]
            let _ = fs::rename(&self.path, free);
        }
        let mut rotated = rotated(&self.path);
        rotated.sort_unstable();
        let surplus = rotated.len().saturating_sub(ROTATED_MAX);
        for second in rotated.into_iter().take(surplus) {
            let _ = fs::remove_file(aside(second));
        }
    }
}

/// Opens the file to add lines. A line at its end that was cut short, by a disk that was full or a shim
/// that was killed, is ended first: what comes must not look like the rest of it.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = File::options()
        .create(true)
        .read(true)
        .append(true)
        .open(path)?;
    let mut length = file.metadata()?.len();
    let mut last = *b"\n";
    if let Some(place) = length.checked_sub(1) {
        file.read_exact_at(&mut last, place)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
        length += 1;
    }
    Ok((file, length))
}

/// The seconds behind the names of the files that were put aside.
fn rotated(path: &Path) -> Vec<u64> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let Some(entries) = path
        .parent()
        .and_then(|directory| fs::read_dir(directory).ok())
    else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix(name)?
                .strip_prefix('.')?
                .parse()
                .ok()
        })
        .collect()
}

/// Second and index of the last line of a file that an earlier run of the unit has written, so that
/// the order of the lines is kept across a restart within one second.
fn last_stamp(path: &Path) -> Option<(u64, u64)> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(
        length.saturating_sub(2 * LINE_BYTES_MAX as u64),
    ))
    .ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    // A last line that was cut short has its stamp all the same, if that is whole.
    let has_stamp = |line: &&[u8]| line.iter().filter(|byte| **byte == b' ').count() >= 2;
    let mut lines = tail.rsplit(|byte| *byte == b'\n');
    let line = lines.find(has_stamp)?;
    let text = String::from_utf8_lossy(line.get(..line.len().min(48))?).into_owned();
    let mut words = text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Why a program has failed, from what it has written into its log since this second.
pub(crate) fn complaint_since(path: &Path, since_s: u64) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let begin = length.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(begin)).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let said = text.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let second: u64 = words.next()?.parse().ok()?;
        words.nth(1).filter(|_| second >= since_s)
    });
    let said: Vec<&str> = said.collect();
    complaint_in(&said.join("\n")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_stamped_and_counted_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.log");
        let mut log = Log::new(&path);
        log.take(b"one\ntwo\nthr", 100);
        log.take(b"ee\n\nlast", 101);
        log.end(101);
        assert_eq!(
            text(&path),
            "100 0 one\n100 1 two\n100 2 three\n101 0 \n101 1 last\n"
        );
        let mut again = Log::new(&path);
        again.take(b"restarted\n", 101);
        assert!(text(&path).ends_with("101 2 restarted\n"));
    }

    #[test]
    fn a_line_that_was_cut_short_stays_apart_from_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.log");
        hostfiles::replace(&path, b"100 0 one\n100 1 tw", 0o600).unwrap();
        Log::new(&path).take(b"three\n", 100);
        assert_eq!(text(&path), "100 0 one\n100 1 tw\n100 2 three\n");
        hostfiles::replace(&path, b"100 0 one\n100 1", 0o600).unwrap();
        let mut log = Log::new(&path);
        log.end(100);
        log.take(b"two\n", 100);
        assert_eq!(text(&path), "100 0 one\n100 1\n100 1 two\n");
    }

    #[test]
    fn what_came_of_a_line_is_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.log");
        let mut log = Log::new(&path);
        log.file_bytes_max = 10;
        log.take(b"passw", 100);
        assert_eq!(text(&path), "100 0 passw");
        log.take(b"ord: ", 101);
        assert_eq!(text(&path), "100 0 password: ");
        // Its file is full meanwhile, and gets the rest of it all the same.
        log.take(b"x\nnext\nlast", 101);
        assert_eq!(text(&path), "101 0 next\n101 1 last");
        let aside = path.with_extension("log.101");
        assert_eq!(text(&aside), "100 0 password: x\n");
        // Who comes after a shim that was killed leaves no line open.
        drop(log);
        pump(io::empty(), &path, None);
        assert_eq!(text(&path), "101 0 next\n101 1 last\n");
    }

    #[test]
    fn what_could_not_be_written_is_counted_where_it_would_stand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/main.log");
        let mut log = Log::new(&path);
        log.take(b"one\ntwo\n", 100);
        log.take(b"three\n", 100);
        fs::create_dir(folder.path().join("log")).unwrap();
        log.take(b"four\n", 101);
        log.take(b"five\n", 101);
        let expected = "101 0 [3 lines could not be written]\n101 1 four\n101 2 five\n";
        assert_eq!(text(&path), expected);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_disturb_the_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.log");
        let mut log = Log::new(&path);
        log.take(b"one\n", 100);
        log.take(b"two\n", 90);
        assert_eq!(text(&path), "100 0 one\n100 1 two\n");
    }

    #[test]
    fn full_files_are_put_aside_and_only_the_newest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.log");
        let mut log = Log::new(&path);
        log.file_bytes_max = 10;
        for turn in 0..9 {
            log.take(b"a line of text\n", 100 + turn / 3);
        }
        assert_eq!(rotated(&path).len(), ROTATED_MAX);
        assert_eq!(text(&path), "102 2 a line of text\n");
    }

    #[test]
    fn no_line_is_lost_when_files_are_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.log");
        let mut log = Log::new(&path);
        log.file_bytes_max = 100;
        for number in 0..30 {
            log.take(format!("line {number}\n").as_bytes(), 100 + number);
        }
        let mut files: Vec<PathBuf> = rotated(&path)
            .into_iter()
            .map(|second| PathBuf::from(format!("{}.{second}", path.display())))
            .collect();
        files.sort_unstable();
        files.push(path);
        let lines: String = files.iter().map(|file| text(file)).collect();
        let expected: String = (0..30)
            .map(|n| format!("{} 0 line {n}\n", 100 + n))
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.log");
        pump(
            io::repeat(b'x').take(3 * LINE_BYTES_MAX as u64),
            &path,
            Some("the end"),
        );
        let lines: Vec<String> = text(&path).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[3].ends_with(" 3 the end") || lines[3].ends_with(" 0 the end"),
            "{}",
            lines[3]
        );
    }
}
