//! Which rows hold the same subscriber: a sort by token on disk, in constant memory.
//!
//! A set of ten million 16-byte tags takes some 300 MB, and a filter that may
//! err would refuse a customer by chance. So tokens are sorted in runs, the runs
//! spilled to an unnamed temporary file, and merged. Invariant: nothing but
//! tokens and line numbers goes there, never a value.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use crate::pseudonym::token::DIGITS;

/// Entries sorted at a time: 20 MiB.
const RUN: usize = 1 << 19;
/// Bytes of one run that a merge reads at a time.
const PIECE: usize = 1 << 14;
/// Duplicate rows that are remembered: with more, the column is no subscriber's number.
pub(super) const MOST: usize = 1_000_000;

/// A token's digits, and the line its row begins at.
type Entry = ([u8; DIGITS], u64);
const ENTRY: usize = DIGITS + 8;

/// A row whose subscriber stands elsewhere too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Duplicate {
    /// Where it begins.
    pub(super) line: u64,
    /// The first row of the same subscriber; for that row itself, the second.
    pub(super) other: u64,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Every row of a subscriber that has more than one, in line order.
    Rows(Vec<Duplicate>),
    /// More than [`MOST`].
    TooMany,
}

/// Takes tokens in file order.
pub(super) struct Duplicates {
    run: Vec<Entry>,
    run_length: usize,
    spilled: Option<Spilled>,
    most: usize,
}

/// Sorted runs, one after another in one file.
struct Spilled {
    file: File,
    /// Where each run ends, in bytes.
    ends: Vec<u64>,
}

impl Duplicates {
    pub(super) fn new() -> Self {
        Self::with_limits(RUN, MOST)
    }

    fn with_limits(run_length: usize, most: usize) -> Self {
        Self {
            run: Vec::new(),
            run_length,
            spilled: None,
            most,
        }
    }

    /// Takes one row's token; its epoch part is not looked at.
    pub(super) fn take(&mut self, token: &[u8], line: u64) -> io::Result<()> {
        let digits = token
            .last_chunk::<DIGITS>()
            .ok_or_else(|| io::Error::other("a token ends with 26 digits"))?;
        if self.run.len() == self.run_length {
            self.spill()?;
        }
        self.run.push((*digits, line));
        Ok(())
    }

    /// The rows that are not alone.
    pub(super) fn find(mut self) -> io::Result<Found> {
        let mut groups = Groups {
            last: None,
            rows: Vec::new(),
            most: self.most,
        };
        if self.spilled.is_none() {
            self.run.sort_unstable();
            for &entry in &self.run {
                if !groups.push(entry) {
                    return Ok(Found::TooMany);
                }
            }
            return Ok(groups.found());
        }
        self.spill()?;
        let spilled = self.spilled.take().expect("just spilled");
        let mut runs = spilled.runs();
        let mut heads = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            heads.extend(read_entry(run)?.map(|entry| Reverse((entry, at))));
        }
        while let Some(Reverse((entry, at))) = heads.pop() {
            if !groups.push(entry) {
                return Ok(Found::TooMany);
            }
            heads.extend(read_entry(&mut runs[at])?.map(|entry| Reverse((entry, at))));
        }
        Ok(groups.found())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.run.sort_unstable();
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled {
                file: tempfile::tempfile()?,
                ends: Vec::new(),
            }),
        };
        let mut out = BufWriter::new(&mut spilled.file);
        for (digits, line) in self.run.drain(..) {
            out.write_all(&digits)?;
            out.write_all(&line.to_be_bytes())?;
        }
        out.flush()?;
        drop(out);
        spilled.ends.push(spilled.file.seek(SeekFrom::End(0))?);
        Ok(())
    }
}

/// One run's bytes, read by their place: all runs share one file.
struct Run<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Run<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(most);
        let read = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Spilled {
    fn runs(&self) -> Vec<BufReader<Run<'_>>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(at, &end)| {
                let file = &self.file;
                BufReader::with_capacity(PIECE, Run { file, at, end })
            })
            .collect()
    }
}

fn read_entry(run: &mut impl Read) -> io::Result<Option<Entry>> {
    let mut bytes = [0; ENTRY];
    match run.read_exact(&mut bytes) {
        Ok(()) => {
            let (digits, line) = bytes
                .split_first_chunk()
                .expect("an entry begins with its digits");
            let line = line.try_into().expect("and ends with eight bytes");
            Ok(Some((*digits, u64::from_be_bytes(line))))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Entries in order come in; those with a neighbour's token stay.
struct Groups {
    last: Option<Open>,
    rows: Vec<Duplicate>,
    most: usize,
}

/// The token at hand and its first row.
struct Open {
    digits: [u8; DIGITS],
    first: u64,
    alone: bool,
}

impl Groups {
    /// `false`: there are too many.
    fn push(&mut self, (digits, line): Entry) -> bool {
        match &mut self.last {
            Some(open) if open.digits == digits => {
                if open.alone {
                    open.alone = false;
                    let other = line;
                    self.rows.push(Duplicate {
                        line: open.first,
                        other,
                    });
                }
                let other = open.first;
                self.rows.push(Duplicate { line, other });
            }
            last => {
                let (first, alone) = (line, true);
                *last = Some(Open { digits, first, alone });
            }
        }
        self.rows.len() <= self.most
    }

    fn found(mut self) -> Found {
        self.rows.sort_unstable();
        Found::Rows(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn token(of: u8) -> Vec<u8> {
        [b"2026-11.".as_slice(), &[of; DIGITS]].concat()
    }

    fn found(run_length: usize, most: usize, values: &[u8]) -> Found {
        let mut duplicates = Duplicates::with_limits(run_length, most);
        for (at, &value) in values.iter().enumerate() {
            duplicates.take(&token(value), at as u64 + 2).unwrap();
        }
        duplicates.find().unwrap()
    }

    /// The slow obvious way.
    fn grouped(values: &[u8]) -> Vec<Duplicate> {
        let mut lines: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
        for (at, &value) in values.iter().enumerate() {
            lines.entry(value).or_default().push(at as u64 + 2);
        }
        let mut rows: Vec<Duplicate> = lines
            .values()
            .filter(|lines| lines.len() > 1)
            .flat_map(|lines| {
                let other = |line| if line == lines[0] { lines[1] } else { lines[0] };
                lines.iter().map(move |&line| Duplicate {
                    line,
                    other: other(line),
                })
            })
            .collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn all_rows_of_a_group_are_named() {
        let row = |line, other| Duplicate { line, other };
        for run_length in [1, 2, 100] {
            assert_eq!(
                found(run_length, MOST, b"abcab-a"),
                Found::Rows(vec![row(2, 5), row(3, 6), row(5, 2), row(6, 3), row(8, 2)])
            );
            assert_eq!(found(run_length, MOST, b"abc"), Found::Rows(vec![]));
            assert_eq!(found(run_length, MOST, b""), Found::Rows(vec![]));
            assert_eq!(found(run_length, 3, b"aabcd"), found(run_length, 2, b"aabcd"));
            assert_eq!(found(run_length, 1, b"aabcd"), Found::TooMany);
        }
    }

    proptest! {
        #[test]
        fn runs_on_disk_find_what_a_map_finds(values in proptest::collection::vec(any::<u8>(), 0..200), run in 1usize..40) {
            prop_assert_eq!(found(run, MOST, &values), Found::Rows(grouped(&values)));
        }
    }
}
