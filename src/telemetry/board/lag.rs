//! How far a lane is behind in a partition: in offsets, and in time.

use std::time::Instant;

use crate::telemetry::status::{Now, UnixMillis};

/// Where a lane stands in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Index in the list of raw topics.
    pub topic: usize,
    /// Partition number.
    pub partition: i32,
    /// Our own committed offset (the next to be read), if known.
    pub committed: Option<i64>,
    /// Behind the last of the partition that was read, if anything was: markers of transactions are read too, and
    /// no committed offset is ever behind one that nothing follows.
    pub read: Option<i64>,
    /// End of the partition, if known.
    pub high_watermark: Option<i64>,
}

/// What is known of an assigned partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) committed: Option<i64>,
    read: Option<i64>,
    high_watermark: Option<i64>,
    /// The Kafka timestamp of the record committed last.
    record: Option<UnixMillis>,
    assigned: Instant,
    /// When all there was was committed.
    caught_up: Option<Instant>,
}

impl Held {
    /// A partition that was just assigned.
    pub(super) fn new(now: Now) -> Self {
        Self {
            committed: None,
            read: None,
            high_watermark: None,
            record: None,
            assigned: now.monotonic,
            caught_up: None,
        }
    }

    /// Takes what the lane says, while none of its records waits for a commit.
    pub(super) fn learn(&mut self, position: &Position, now: Now) {
        self.committed = position.committed.or(self.committed);
        self.read = position.read.or(self.read);
        self.high_watermark = position.high_watermark.or(self.high_watermark);
        if self.is_caught_up() {
            self.caught_up = Some(now.monotonic);
        }
    }

    /// A record of this time was committed.
    pub(super) fn committed(&mut self, record: UnixMillis) {
        self.record = Some(record);
    }

    /// In offsets.
    pub(super) fn lag(&self) -> Option<u64> {
        let high = self.high_watermark?;
        let Some(committed) = self.committed else {
            // Never committed, as there was never anything.
            return self.is_caught_up().then_some(0);
        };
        // A watermark may be older than our commit: that is no lag.
        Some(u64::try_from(high.saturating_sub(committed)).unwrap_or(0))
    }

    /// In seconds.
    pub(super) fn lag_seconds(&self, now: Now) -> Option<f64> {
        self.high_watermark?;
        if self.is_caught_up() {
            return Some(0.0);
        }
        let since = |then: Instant| now.monotonic.saturating_duration_since(then).as_secs_f64();
        // Behind a silence, the record before it would tell the silence and not the wait.
        let age = self
            .record
            .map(|record| (now.unix_millis().saturating_sub(record.0) as f64 / 1000.0).max(0.0));
        Some(match (age, self.caught_up) {
            (Some(age), Some(caught_up)) => age.min(since(caught_up)),
            (Some(age), None) => age,
            (None, caught_up) => since(caught_up.unwrap_or(self.assigned)),
        })
    }

    /// Whether nothing that can be read is left: behind the last record there may be markers of transactions.
    pub(super) fn is_caught_up(&self) -> bool {
        self.high_watermark
            .is_some_and(|high| self.committed.max(self.read).is_some_and(|read| read >= high))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn position(committed: i64, read: Option<i64>, high: i64) -> Position {
        Position {
            topic: 0,
            partition: 0,
            committed: Some(committed),
            read,
            high_watermark: Some(high),
        }
    }

    fn shown(held: &Held, now: Now) -> Option<String> {
        held.lag_seconds(now).map(|seconds| format!("{seconds:.1}"))
    }

    #[test]
    fn lag_in_time_is_the_wait_of_what_waits() {
        let start = Now::read();
        let at = |seconds: u32| start.plus(SECOND * seconds);
        let mut held = Held::new(start);
        assert_eq!(shown(&held, at(5)), None, "nothing is known");
        held.learn(&position(0, None, 90), at(5));
        assert_eq!(shown(&held, at(7)).unwrap(), "7.0", "since it was assigned");
        // A backlog: the record committed last is of an hour ago.
        held.committed(UnixMillis(start.unix_millis() - 3_600_000));
        held.learn(&position(40, Some(40), 90), at(8));
        assert_eq!(shown(&held, at(10)).unwrap(), "3610.0");
        // All of it is there, then silence, then something new that is not read.
        held.committed(UnixMillis(start.unix_millis()));
        held.learn(&position(90, Some(90), 90), at(10));
        assert_eq!(shown(&held, at(900)).unwrap(), "0.0");
        held.learn(&position(90, Some(90), 90), at(999));
        held.learn(&position(90, Some(90), 91), at(1000));
        assert_eq!(
            shown(&held, at(1001)).unwrap(),
            "2.0",
            "not the 1001 s of silence"
        );
    }

    #[test]
    fn a_marker_at_the_end_of_a_partition_is_no_lag_in_time() {
        let now = Now::read();
        let mut held = Held::new(now);
        held.committed(UnixMillis(now.unix_millis()));
        held.learn(&position(9, Some(10), 10), now);
        assert_eq!(held.lag(), Some(1), "offsets know no better");
        assert_eq!(shown(&held, now.plus(SECOND * 60)).unwrap(), "0.0");
    }

    #[test]
    fn a_partition_that_holds_nothing_is_not_behind() {
        let start = Now::read();
        let mut held = Held::new(start);
        let mut empty = position(0, Some(0), 0);
        empty.committed = None;
        held.learn(&empty, start);
        assert_eq!(held.lag(), Some(0));
        assert_eq!(shown(&held, start.plus(SECOND * 600)).unwrap(), "0.0");
        held.learn(&empty, start.plus(SECOND * 600));
        empty.high_watermark = Some(1);
        held.learn(&empty, start.plus(SECOND * 601));
        assert_eq!(held.lag(), None, "where reading begins is not known");
        assert_eq!(shown(&held, start.plus(SECOND * 602)).unwrap(), "2.0");
    }

    #[test]
    fn a_clock_behind_the_brokers_makes_no_negative_lag() {
        let now = Now::read();
        let mut held = Held::new(now);
        held.committed(UnixMillis(now.unix_millis() + 5000));
        held.learn(&position(5, Some(5), 10), now);
        assert_eq!(shown(&held, now).unwrap(), "0.0");
    }
}
