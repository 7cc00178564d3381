//! What one lane did since its last commit, counted without locks.
//!
//! The lane fills a [`LaneCounts`], hands it over when the transaction is
//! committed and clears it when it is aborted, so nothing is ever counted
//! that did not happen. No allocation per record after warm-up.

use std::time::Duration;

/// The three topics a lane writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// Pseudonymised records.
    Public,
    /// Sealed fields.
    Restricted,
    /// Sealed rejected records.
    Rejected,
}

impl Output {
    /// All three, in label order.
    pub const ALL: [Self; 3] = [Self::Public, Self::Restricted, Self::Rejected];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Restricted => "restricted",
            Self::Rejected => "rejected",
        }
    }
}

/// Counts of one open transaction (or of one uncommitted stretch in at-least-once).
///
/// Usage: [`message`](Self::message) for each Kafka message, then, for its
/// rows, [`read`](Self::read) and one of [`public`](Self::public) (with
/// [`restricted`](Self::restricted) beside it), [`rejected`](Self::rejected)
/// or [`skipped`](Self::skipped). `read` is counted apart from the outcomes on
/// purpose: that is what makes their balance a check.
#[derive(Debug, Default)]
pub struct LaneCounts {
    pub(super) inputs: Vec<Input>,
    current: usize,
    /// Records by output (index of [`Output::ALL`]) and output partition.
    pub(super) written: [Vec<u64>; 3],
    pub(super) bytes_written: [u64; 3],
    pub(super) epochs: Vec<(Box<str>, u64)>,
    pub(super) transforms: Vec<Duration>,
    /// Rows of messages that bear the same time, one behind the other: their age is known at the commit only.
    times: Vec<Run>,
    /// The run at hand.
    run: Run,
}

/// Rows of one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    /// Their messages' Kafka timestamp, milliseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) rows: u64,
}

/// Counts of one input partition.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) topic: usize,
    pub(super) partition: i32,
    /// The last message's Kafka timestamp.
    pub(super) timestamp: i64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) read: u64,
    pub(super) public: u64,
    pub(super) restricted: u64,
    pub(super) rejected: Vec<Rejections>,
    pub(super) skipped: Vec<(&'static str, u64)>,
}

/// Rejections of one input partition for one reason.
#[derive(Debug)]
pub(super) struct Rejections {
    pub(super) reason: &'static str,
    pub(super) records: u64,
    pub(super) last_offset: i64,
}

impl LaneCounts {
    /// Begins a message: the calls that follow belong to its partition.
    ///
    /// `topic` is the index in the list of raw topics, `bytes` the payload's length, `timestamp` Kafka's, in
    /// milliseconds since 1970.
    pub fn message(&mut self, topic: usize, partition: i32, bytes: usize, timestamp: i64) {
        if self.run.timestamp != timestamp {
            if self.run.rows > 0 {
                self.times.push(self.run);
            }
            self.run = Run { timestamp, rows: 0 };
        }
        let same = |input: &Input| input.topic == topic && input.partition == partition;
        if !self.inputs.get(self.current).is_some_and(same) {
            self.current = self.inputs.iter().position(same).unwrap_or_else(|| {
                self.inputs.push(Input {
                    topic,
                    partition,
                    ..Input::default()
                });
                self.inputs.len() - 1
            });
        }
        let input = &mut self.inputs[self.current];
        input.messages += 1;
        input.timestamp = timestamp;
        input.bytes += bytes as u64;
    }

    /// Counts rows found in the message: records and skipped rows alike (a tombstone is one row).
    pub fn read(&mut self, rows: u64) {
        self.run.rows += rows;
        self.input().read += rows;
    }

    /// Counts a public record of `bytes` to an output partition, made with an epoch's key.
    pub fn public(&mut self, partition: i32, bytes: usize, epoch: &str) {
        self.input().public += 1;
        self.write(Output::Public, partition, bytes);
        match self.epochs.iter_mut().find(|(id, _)| **id == *epoch) {
            Some((_, records)) => *records += 1,
            None => self.epochs.push((epoch.into(), 1)),
        }
    }

    /// Counts a sealed restricted record of `bytes` to an output partition.
    pub fn restricted(&mut self, partition: i32, bytes: usize) {
        self.input().restricted += 1;
        self.write(Output::Restricted, partition, bytes);
    }

    /// Counts a rejected record: its reason, the raw message's offset, and where it was written.
    pub fn rejected(&mut self, reason: &'static str, offset: i64, partition: i32, bytes: usize) {
        let rejected = &mut self.input().rejected;
        match rejected.iter_mut().find(|found| found.reason == reason) {
            Some(found) => {
                found.records += 1;
                found.last_offset = offset;
            }
            None => rejected.push(Rejections {
                reason,
                records: 1,
                last_offset: offset,
            }),
        }
        self.write(Output::Rejected, partition, bytes);
    }

    /// Counts a row that is no record (header, comment, marker, tombstone).
    pub fn skipped(&mut self, reason: &'static str) {
        let skipped = &mut self.input().skipped;
        match skipped.iter_mut().find(|(found, _)| *found == reason) {
            Some((_, rows)) => *rows += 1,
            None => skipped.push((reason, 1)),
        }
    }

    /// Notes the time one polled batch took to transform.
    pub fn transformed(&mut self, time: Duration) {
        self.transforms.push(time);
    }

    /// The rows read, by their messages' time.
    pub(super) fn times(&self) -> impl Iterator<Item = Run> {
        self.times.iter().copied().chain([self.run])
    }

    /// The newest Kafka timestamp of the partitions' last messages, milliseconds since 1970.
    pub(super) fn newest(&self) -> Option<i64> {
        let read = self.inputs.iter().filter(|input| input.messages > 0);
        read.map(|input| input.timestamp).max()
    }

    /// True when no message was begun since the last [`clear`](Self::clear).
    pub fn is_empty(&self) -> bool {
        self.inputs.iter().all(|input| input.messages == 0)
    }

    /// Back to zero; the memory is kept.
    pub fn clear(&mut self) {
        for input in &mut self.inputs {
            (input.messages, input.bytes, input.read) = (0, 0, 0);
            (input.public, input.restricted) = (0, 0);
            input.rejected.clear();
            input.skipped.clear();
        }
        for partitions in &mut self.written {
            partitions.fill(0);
        }
        self.bytes_written = [0; 3];
        for (_, records) in &mut self.epochs {
            *records = 0;
        }
        self.transforms.clear();
        self.times.clear();
        self.run = Run::default();
    }

    fn input(&mut self) -> &mut Input {
        if self.inputs.is_empty() {
            self.inputs.push(Input::default());
        }
        &mut self.inputs[self.current]
    }

    fn write(&mut self, output: Output, partition: i32, bytes: usize) {
        // Partitions are small and dense, so the number is the index.
        let at = usize::try_from(partition).unwrap_or(0);
        let partitions = &mut self.written[output as usize];
        if partitions.len() <= at {
            partitions.resize(at + 1, 0);
        }
        partitions[at] += 1;
        self.bytes_written[output as usize] += bytes as u64;
    }
}
