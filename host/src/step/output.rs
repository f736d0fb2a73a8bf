//! What is kept of an output stream: its head and its tail, so that neither the beginning of an answer
//! nor the reason of a failure is lost, and the last line for people.

use std::collections::VecDeque;

/// How much of the standard output is kept at its beginning.
pub(super) const STDOUT_BYTES_MAX: usize = 4 << 20;
/// How much of the standard error is kept at its beginning.
pub(super) const STDERR_BYTES_MAX: usize = 48 << 10;
/// How much is kept of the end of a longer stream.
const TAIL_BYTES_MAX: usize = 16 << 10;
/// How much of a line is shown.
const LINE_CHARS_MAX: usize = 200;
/// How much of a line is looked at for that.
const LINE_BYTES_MAX: usize = 4 * LINE_CHARS_MAX;

/// One stream.
#[derive(Debug)]
pub(super) struct Output {
    head: Vec<u8>,
    head_bytes_max: usize,
    tail: VecDeque<u8>,
    left_out: u64,
    partial: Vec<u8>,
    line: String,
}

impl Output {
    pub(super) fn new(head_bytes_max: usize) -> Self {
        Self {
            head: Vec::new(),
            head_bytes_max,
            tail: VecDeque::new(),
            left_out: 0,
            partial: Vec::new(),
            line: String::new(),
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = self.head_bytes_max.saturating_sub(self.head.len());
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..surplus);
        self.left_out += surplus as u64;
        self.follow(bytes);
    }

    /// A progress bar ends its lines with a carriage return. Only the last line is made anything of: there
    /// may be very many.
    fn follow(&mut self, bytes: &[u8]) {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let Some(end) = bytes.iter().rposition(is_end) else {
            return self.begin_line(bytes);
        };
        let (ended, rest) = bytes.split_at(end);
        let first = ended.split(is_end).next().unwrap_or_default();
        self.begin_line(first);
        let later = ended.get(first.len()..).unwrap_or_default();
        let lines = later.rsplit(is_end).chain([self.partial.as_slice()]);
        if let Some(line) = lines.map(shown).find(|line| !line.is_empty()) {
            self.line = line;
        }
        self.partial.clear();
        self.begin_line(rest.get(1..).unwrap_or_default());
    }

    fn begin_line(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.partial.len());
        let bytes = bytes.get(..room).unwrap_or(bytes);
        self.partial.extend_from_slice(bytes);
    }

    /// The last line that ended and was not empty.
    pub(super) fn last_line(&self) -> &str {
        &self.line
    }

    /// True while nothing had to be left out.
    pub(super) fn is_whole(&self) -> bool {
        self.left_out == 0
    }

    /// Head and tail; what was left out between them is said there. `whole_lines` leaves out what is left of
    /// a line on either side as well.
    pub(super) fn into_kept(mut self, whole_lines: bool) -> Vec<u8> {
        if whole_lines && self.left_out > 0 {
            self.leave_out_cut_lines();
        }
        let mut kept = self.head;
        if self.left_out > 0 {
            kept.extend_from_slice(format!("\n[{} bytes left out]\n", self.left_out).as_bytes());
        }
        kept.extend(self.tail);
        kept
    }
}

impl Output {
    fn leave_out_cut_lines(&mut self) {
        let is_end = |byte: &u8| *byte == b'\n';
        let whole = self.head.iter().rposition(is_end).map_or(0, |at| at + 1);
        let cut = self.tail.iter().position(is_end);
        let cut = cut.map_or(self.tail.len(), |at| at + 1);
        self.left_out += (self.head.len() - whole + cut) as u64;
        self.head.truncate(whole);
        self.tail.drain(..cut);
    }
}

/// The line without what would disturb a terminal or a file of lines.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.get(..LINE_BYTES_MAX).unwrap_or(line));
    let clean = text.trim().chars().filter(|letter| !letter.is_control());
    clean.take(LINE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_of_a_long_stream_are_kept() {
        let mut output = Output::new(4);
        output.take(b"ab");
        output.take(b"cdef");
        assert_eq!(output.left_out, 0);
        output.take(&vec![b'x'; TAIL_BYTES_MAX]);
        let kept = output.into_kept(false);
        assert!(kept.starts_with(b"abcd\n[2 bytes left out]\nxxx"));
        assert_eq!(
            kept.len(),
            TAIL_BYTES_MAX + "abcd\n[2 bytes left out]\n".len()
        );
    }

    #[test]
    fn the_lines_in_which_it_was_cut_are_left_out_where_they_are_searched() {
        let check = |written: &[&[u8]], expected: &str| {
            let mut output = Output::new(6);
            written.iter().for_each(|bytes| output.take(bytes));
            let kept = String::from_utf8(output.into_kept(true)).unwrap();
            assert_eq!(kept.trim_end_matches('x'), expected);
        };
        let line = [b'x'; TAIL_BYTES_MAX - 3];
        check(&[b"ab\ncd", b"e"], "ab\ncde");
        check(
            &[b"ab\ncde", b"fgh\nk\n", &line],
            "ab\n\n[7 bytes left out]\nk\n",
        );
        check(
            &[b"ab\ncde", &line, b"12345"],
            "ab\n\n[16389 bytes left out]\n",
        );
        check(&[b"abcdef", b"gh\n", &line, b"x"], "\n[9 bytes left out]\n");
    }

    #[test]
    fn the_last_line_is_what_a_terminal_would_show() {
        let mut output = Output::new(1);
        for (bytes, expected) in [
            (&b"one\ntw"[..], "one"),
            (b"o\r\n", "two"),
            (b" 10 %\r 20 %\r", "20 %"),
            (b"\x1b[31mred\n", "[31mred"),
            (b"\xff\n", "\u{fffd}"),
            (b"a\nb\n \n\r\nc", "b"),
            (b"d\n", "cd"),
            (b"\n\n", "cd"),
            (b"e", "cd"),
            (b"\n\n\nf", "e"),
            (b"\n", "f"),
        ] {
            output.take(bytes);
            assert_eq!(output.last_line(), expected);
        }
        output.take(&vec![b'y'; 5_000]);
        output.take(b"\n");
        assert_eq!(output.last_line().len(), LINE_CHARS_MAX);
    }
}
