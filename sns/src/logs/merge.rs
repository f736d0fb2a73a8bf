//! The lines that several hosts had when they were asked, as one sequence in the order of time. Each host's come in
//! that order already, so no more than one line of each is held.

use std::sync::mpsc::Receiver;

use super::Line;

/// All lines, each with the number of its source; of those of the same time the first source's comes first.
pub(crate) struct Merged {
    sources: Vec<Receiver<Line>>,
    /// The next line of each; none when there is none any more.
    heads: Option<Vec<Option<Line>>>,
}

impl Merged {
    /// Of these sources. Each is waited for.
    pub(crate) fn new(sources: Vec<Receiver<Line>>) -> Self {
        Self {
            sources,
            heads: None,
        }
    }
}

impl Iterator for Merged {
    type Item = (usize, Line);

    fn next(&mut self) -> Option<Self::Item> {
        let sources = &self.sources;
        let heads = self.heads.get_or_insert_with(|| {
            let first = sources.iter().map(|source| source.recv().ok());
            first.collect()
        });
        let waiting = heads.iter().enumerate();
        let (number, _) = waiting
            .filter_map(|(number, head)| Some((number, head.as_ref()?.place())))
            .min_by_key(|(_, place)| *place)?;
        let next = sources.get(number)?.recv().ok();
        let line = std::mem::replace(heads.get_mut(number)?, next)?;
        Some((number, line))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::logs::Stream;

    fn source(places: &[(i64, u64)]) -> Receiver<Line> {
        let (lines, source) = channel();
        for (seconds, index) in places {
            let line = Line {
                seconds: *seconds,
                index: *index,
                unit: "main".into(),
                stream: Stream::Stdout,
                text: String::new(),
            };
            lines.send(line).unwrap();
        }
        source
    }

    #[test]
    fn lines_come_in_the_order_of_time() {
        let sources = vec![
            source(&[(1, 0), (3, 0), (3, 1)]),
            source(&[]),
            source(&[(1, 0), (2, 5), (3, 0), (9, 0)]),
        ];
        let order: Vec<(usize, i64, u64)> = Merged::new(sources)
            .map(|(number, line)| (number, line.seconds, line.index))
            .collect();
        assert_eq!(
            order,
            [
                (0, 1, 0),
                (2, 1, 0),
                (2, 2, 5),
                (0, 3, 0),
                (2, 3, 0),
                (0, 3, 1),
                (2, 9, 0)
            ]
        );
        assert_eq!(Merged::new(Vec::new()).next(), None);
    }
}
