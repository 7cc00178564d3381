//! The last ten minutes, second by second: what the page draws, without Prometheus.
//!
//! A ring of fixed size, written by commits and read on demand: no ticking task, nothing per
//! record, and a daemon that stands still shows by itself that it does.

use serde::{Serialize, Serializer};

use super::status::{Totals, UnixMillis};

/// Seconds that are kept: ten minutes.
pub(super) const SECONDS: u64 = 600;

/// What is kept, the running second, and one to spare.
const SLOTS: u64 = SECONDS + 2;

/// How the lanes stand: what is left to read, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Records behind the committed offsets; none while unknown.
    pub(super) lag: Option<u64>,
    /// Where records wait: everything of before this time is out. In milliseconds since 1970.
    pub(super) waiting_since: Option<i64>,
}

/// Sums and standings of the last seconds; seconds are counted from the start of the daemon.
#[derive(Debug)]
pub(super) struct Ring(Box<[Slot]>);

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    second: u64,
    added: Totals,
    bytes: u64,
    standing: Option<Standing>,
    /// The oldest that a commit's newest record was, in milliseconds.
    age: Option<i64>,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self(vec![Slot::default(); SLOTS as usize].into())
    }

    /// What one commit added; `age`: how old its newest record was, in milliseconds.
    pub(super) fn add(&mut self, second: u64, added: Totals, bytes: u64, age: Option<i64>) {
        let slot = self.slot(second);
        slot.added.read += added.read;
        slot.added.public += added.public;
        slot.added.rejected += added.rejected;
        slot.bytes += bytes;
        // Producers' clocks may be ahead of ours.
        slot.age = slot.age.max(age.map(|age| age.max(0)));
    }

    /// How the lanes stand now; the second's last word counts.
    pub(super) fn stand(&mut self, second: u64, standing: Standing) {
        self.slot(second).standing = Some(standing);
    }

    /// The whole seconds before the `current` one; `started` is when second 0 began.
    pub(super) fn history(&self, current: u64, started: UnixMillis) -> History {
        let first = current.saturating_sub(SECONDS);
        let mut history = History {
            step_seconds: 1,
            from: UnixMillis(started.0 + first as i64 * 1000),
            read: Vec::new(),
            public: Vec::new(),
            rejected: Vec::new(),
            bytes: Vec::new(),
            lag: Vec::new(),
            freshness: Vec::new(),
        };
        let mut standing = Standing::default();
        for second in first..current {
            let slot = self.0[(second % SLOTS) as usize];
            let slot = if slot.second == second {
                slot
            } else {
                Slot::default()
            };
            // Who says nothing stands where it stood.
            standing = slot.standing.unwrap_or(standing);
            let ended = started.0 + (second as i64 + 1) * 1000;
            let waited = standing.waiting_since.map(|since| (ended - since).max(0));
            history.read.push(slot.added.read);
            history.public.push(slot.added.public);
            history.rejected.push(slot.added.rejected);
            history.bytes.push(slot.bytes);
            history.lag.push(standing.lag);
            history.freshness.push(slot.age.or(waited).map(Millis));
        }
        history
    }

    fn slot(&mut self, second: u64) -> &mut Slot {
        let slot = &mut self.0[(second % SLOTS) as usize];
        if slot.second != second {
            *slot = Slot {
                second,
                ..Slot::default()
            };
        }
        slot
    }
}

/// The last ten minutes, oldest first: one number a second in each list, all lists of one length.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// Seconds between two numbers: 1.
    pub step_seconds: u64,
    /// Begin of the first second.
    pub from: UnixMillis,
    /// Rows read.
    #[serde(rename = "in")]
    pub read: Vec<u64>,
    /// Public records written.
    pub public: Vec<u64>,
    /// Records refused.
    pub rejected: Vec<u64>,
    /// Bytes of the raw messages.
    pub bytes: Vec<u64>,
    /// Records behind the committed offsets, over all partitions; none while unknown.
    pub lag: Vec<Option<u64>>,
    /// How old the newest committed record was; none where no record came and none waited.
    pub freshness: Vec<Option<Millis>>,
}

impl History {
    /// Sum of the last `seconds` of a list.
    pub(super) fn sum(list: &[u64], seconds: usize) -> u64 {
        list[list.len().saturating_sub(seconds)..].iter().sum()
    }
}

/// Milliseconds, serialised as seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    /// The same in seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: UnixMillis = UnixMillis(1_795_305_600_000);

    fn added(read: u64) -> Totals {
        Totals {
            read,
            public: read,
            ..Totals::default()
        }
    }

    fn freshness(history: &History) -> Vec<Option<i64>> {
        history.freshness.iter().map(|age| age.map(|age| age.0)).collect()
    }

    #[test]
    fn a_second_holds_all_its_commits_and_the_worst_age() {
        let mut ring = Ring::new();
        ring.add(0, added(2), 300, Some(200));
        ring.add(0, added(3), 450, Some(900));
        ring.add(0, added(1), 150, None);
        ring.add(1, added(7), 10, Some(-40));
        let history = ring.history(2, STARTED);
        assert_eq!(history.read, [6, 7]);
        assert_eq!(history.bytes, [900, 10]);
        assert_eq!(
            freshness(&history),
            [Some(900), Some(0)],
            "a clock ahead of ours is no age"
        );
        assert_eq!(history.from, STARTED);
    }

    #[test]
    fn records_that_wait_grow_older_without_a_commit_and_an_idle_daemon_does_not() {
        let mut ring = Ring::new();
        let waiting = Standing {
            lag: Some(5),
            waiting_since: Some(STARTED.0 + 500),
        };
        ring.add(0, added(1), 1, Some(100));
        ring.stand(0, waiting);
        ring.stand(
            3,
            Standing {
                lag: Some(0),
                waiting_since: None,
            },
        );
        let history = ring.history(5, STARTED);
        assert_eq!(history.lag, [Some(5), Some(5), Some(5), Some(0), Some(0)]);
        assert_eq!(
            freshness(&history),
            [Some(100), Some(1500), Some(2500), None, None]
        );
        assert_eq!(history.read, [1, 0, 0, 0, 0]);
    }

    #[test]
    fn ten_minutes_are_kept_and_never_more() {
        let mut ring = Ring::new();
        let slots = ring.0.len();
        for second in 0..10_000 {
            ring.add(second, added(second), 1, None);
            let history = ring.history(second + 1, STARTED);
            let length = (second + 1).min(SECONDS) as usize;
            assert_eq!(history.read.len(), length);
            assert_eq!(history.read.last(), Some(&second));
            assert_eq!(history.read[0], second + 1 - length as u64);
            assert_eq!(history.freshness.len(), length);
        }
        assert_eq!(ring.0.len(), slots);
        let later = ring.history(20_000, STARTED);
        assert_eq!(later.read, [0; SECONDS as usize], "what is older is gone");
        assert_eq!(later.from.0, STARTED.0 + 19_400_000);
    }
}
