//! `logs --follow`: the lines that are there, and those that come, also after a file was put aside for
//! its size. Each line is shown once: second and index of the lines of a stream only grow.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use names::UnitName;

use super::PodError;
use super::logs::{Form, Line, Logs, LogsArgs, POD, parse, write_line};

/// One stream that is followed.
struct Tail<'a> {
    path: PathBuf,
    unit: &'a str,
    stream: &'a str,
    file: Option<File>,
    /// A line that has not ended yet.
    partial: Vec<u8>,
    /// Second and index of the last line that was seen.
    last: Option<(u64, u64)>,
}

/// The streams of a pod that are followed.
pub struct Follow<'a> {
    tails: Vec<Tail<'a>>,
    form: Form<'a>,
}

impl Logs {
    /// What [`Self::show`] shows, and the way to what is written after that.
    ///
    /// # Errors
    /// A unit is named that the pod does not have.
    pub fn follow<'a>(
        &'a self,
        args: &'a LogsArgs,
        now_s: u64,
    ) -> Result<(Vec<u8>, Follow<'a>), PodError> {
        let streams = self.streams(args)?.into_iter();
        let mut tails: Vec<Tail<'_>> = streams
            .map(|(unit, stream)| self.tail(unit, stream))
            .collect();
        // What is there counts as seen; what is written between the two looks comes with the next.
        for tail in &mut tails {
            tail.read();
        }
        let is_seen = |line: &Line<'_>| {
            let of_line = |tail: &&Tail<'_>| (tail.unit, tail.stream) == (line.unit, line.stream);
            let last = tails.iter().find(of_line).and_then(|tail| tail.last);
            last >= Some((line.second, line.index))
        };
        let mut shown = self.select(args, now_s, is_seen)?;
        let form = args.form();
        if matches!(form, Form::Json) {
            shown.extend_from_slice(b"{}\n");
        }
        Ok((shown, Follow { tails, form }))
    }

    fn tail<'a>(&'a self, unit: Option<&'a UnitName>, stream: &'a str) -> Tail<'a> {
        Tail {
            path: self.log_file(unit, stream),
            unit: unit.map_or(POD, UnitName::as_str),
            stream,
            file: None,
            partial: Vec::new(),
            last: None,
        }
    }
}

impl Follow<'_> {
    /// What was written since the last look.
    pub fn news(&mut self, now_s: u64) -> Vec<u8> {
        let mut lines: Vec<Line<'_>> = self.tails.iter_mut().flat_map(Tail::read).collect();
        lines.sort_by_key(|line| (line.second, line.index));
        let mut out = Vec::new();
        for line in lines {
            write_line(&mut out, &line, self.form, now_s);
        }
        out
    }
}

impl<'a> Tail<'a> {
    /// The lines that have ended since the last look: of the file that was open, and of the one that has
    /// taken its place.
    fn read(&mut self) -> Vec<Line<'a>> {
        let mut lines = self.rest();
        if !self.is_in_place() {
            self.file = File::open(&self.path).ok();
            self.partial.clear();
            lines.extend(self.rest());
        }
        lines
    }

    fn rest(&mut self) -> Vec<Line<'a>> {
        let Some(file) = &mut self.file else {
            return Vec::new();
        };
        // One that cannot be read now is read the next time.
        let _: io::Result<usize> = file.read_to_end(&mut self.partial);
        let end = self.partial.iter().rposition(|byte| *byte == b'\n');
        let rest = self.partial.split_off(end.map_or(0, |end| end + 1));
        let ended = std::mem::replace(&mut self.partial, rest);
        let mut lines = Vec::new();
        for line in ended.split(|byte| *byte == b'\n') {
            let Some(line) = parse(line, self.unit, self.stream) else {
                continue;
            };
            let place = Some((line.second, line.index));
            if place > self.last {
                self.last = place;
                lines.push(line);
            }
        }
        lines
    }

    fn is_in_place(&self) -> bool {
        let open = self.file.as_ref().and_then(|file| file.metadata().ok());
        let there = fs::metadata(&self.path).ok();
        match (open, there) {
            (Some(open), Some(there)) => open.ino() == there.ino(),
            (_, None) => true,
            (None, Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_shown_once_also_over_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "{}\nformat: 1\npod: web\npodVersion: 1.0.0\nruntime: native\nunits: [{{name: main}}]\n",
            podspec::FIRST_LINE
        );
        hostfiles::replace(&folder.path().join("pod"), text.as_bytes(), 0o755).unwrap();
        let log = folder.path().join("log");
        fs::create_dir(&log).unwrap();
        let path = log.join("main-web-1.0.0-stdout.log");
        let add = |text: &str| {
            use std::io::Write;
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let pod = Logs::open(folder.path().join("pod")).unwrap();
        let args = LogsArgs {
            stream: vec!["stdout".into(), "stderr".into()],
            details: vec!["none".into()],
            limit: -1,
            ..LogsArgs::default()
        };
        add("100 0 a\n100 1 b\n100 2 to");
        let (shown, mut follow) = pod.follow(&args, 0).unwrap();
        let mut news = || String::from_utf8(follow.news(0)).unwrap();
        assert_eq!(shown, b"b\n");
        assert_eq!(news(), "");
        add("rn\n101 0 c\n");
        assert_eq!(news(), "torn\nc\n");
        add("101 1 last of the old\n");
        #[expect(clippy::disallowed_methods, reason = "a log is put aside")]
        fs::rename(&path, path.with_extension("log.101")).unwrap();
        assert_eq!(news(), "last of the old\n");
        add("102 0 new\n");
        assert_eq!(news(), "new\n");
        assert_eq!(news(), "");
    }

    #[test]
    fn the_same_streams_and_details_are_followed_as_shown() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut LogsArgs), expected: &str) {
            let folder = tempfile::tempdir().unwrap();
            let put = |path: &str, text: &str| {
                hostfiles::replace(&folder.path().join(path), text.as_bytes(), 0o755).unwrap();
            };
            let pod = "format: 1\npod: web\npodVersion: 1.0.0\nruntime: native\nunits: [{name: main}, {name: side}]\n";
            put("pod", &format!("{}\n{pod}", podspec::FIRST_LINE));
            fs::create_dir(folder.path().join("log")).unwrap();
            let pod = Logs::open(folder.path().join("pod")).unwrap();
            let mut args = LogsArgs {
                stream: vec!["stdout".into(), "stderr".into()],
                details: vec!["name".into()],
                ..LogsArgs::default()
            };
            change(&mut args);
            let (shown, mut follow) = pod.follow(&args, 110).unwrap();
            assert_eq!(shown, b"");
            put("log/main-web-1.0.0-stdout.log", "100 0 a\n");
            put("log/main-web-1.0.0-stderr.log", "101 0 b\n");
            put("log/side-web-1.0.0-stdout.log", "99 0 c\n");
            put("log/web-1.0.0-stdout.log", "102 0 d\n");
            let news = String::from_utf8(follow.news(110)).unwrap();
            assert_eq!(news.lines().collect::<Vec<_>>().join(","), expected);
        }
        check(|_| {}, "side c,main a,main b,<pod> d");
        check(|args| args.units = vec!["main".into()], "main a,main b");
        check(|args| args.daemon_process = true, "<pod> d");
        check(|args| args.stream = vec!["stderr".into()], "main b");
        let details = || vec!["age".into(), "stream".into()];
        let units = || vec!["side".into()];
        check(
            |args| {
                args.details = details();
                args.units = units();
            },
            "11s stdout c",
        );
    }
}
