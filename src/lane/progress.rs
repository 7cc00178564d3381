//! How far a lane is in each of its partitions: an offset is the next to be read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kafka::{Source, TopicPartition};
use crate::telemetry::Position;

/// Lag of partitions without traffic is looked at this often.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Offsets per assigned partition.
#[derive(Default)]
pub(super) struct Progress {
    partitions: BTreeMap<TopicPartition, Offsets>,
    lag_seen: Option<Instant>,
}

#[derive(Default)]
struct Offsets {
    /// Durable: what a restarted lane would begin with.
    committed: Option<i64>,
    /// Behind the last message handled in the open transaction.
    pending: Option<i64>,
}

impl Progress {
    pub(super) fn assign(&mut self, places: &[TopicPartition]) {
        for place in places {
            self.partitions.entry(*place).or_default();
        }
    }

    pub(super) fn revoke(&mut self, places: &[TopicPartition]) {
        for place in places {
            self.partitions.remove(place);
        }
    }

    /// Whether a message is ours and was not handled already.
    pub(super) fn expects(&self, place: TopicPartition, offset: i64) -> bool {
        self.partitions.get(&place).is_some_and(|offsets| {
            offsets
                .pending
                .or(offsets.committed)
                .is_none_or(|next| offset >= next)
        })
    }

    pub(super) fn handled(&mut self, place: TopicPartition, offset: i64) {
        if let Some(offsets) = self.partitions.get_mut(&place) {
            offsets.pending = Some(offset + 1);
        }
    }

    /// The offsets that the open transaction commits.
    pub(super) fn pending(&self) -> Vec<(TopicPartition, i64)> {
        self.partitions
            .iter()
            .filter_map(|(place, offsets)| Some((*place, offsets.pending?)))
            .collect()
    }

    pub(super) fn committed(&mut self) {
        for offsets in self.partitions.values_mut() {
            offsets.committed = offsets.pending.take().or(offsets.committed);
        }
    }

    /// A message handled in the open transaction: of one message, the one.
    pub(super) fn last_handled(&self) -> Option<(TopicPartition, i64)> {
        self.partitions
            .iter()
            .find_map(|(place, offsets)| Some((*place, offsets.pending? - 1)))
    }

    /// Whether the broker has an offset that only the open transaction can have committed.
    pub(super) fn went_through(&self, found: &[(TopicPartition, Option<i64>)]) -> bool {
        found.iter().any(|(place, committed)| {
            let pending = self.partitions.get(place).and_then(|offsets| offsets.pending);
            pending.is_some() && pending == *committed
        })
    }

    /// Forgets the open transaction.
    pub(super) fn aborted(&mut self) {
        for offsets in self.partitions.values_mut() {
            offsets.pending = None;
        }
    }

    /// Takes what the broker says is committed.
    pub(super) fn learn(&mut self, found: &[(TopicPartition, Option<i64>)]) {
        for (place, committed) in found {
            if let Some(offsets) = self.partitions.get_mut(place) {
                offsets.committed = *committed;
            }
        }
    }

    pub(super) fn places(&self) -> Vec<TopicPartition> {
        self.partitions.keys().copied().collect()
    }

    pub(super) fn lag_is_due(&mut self) -> bool {
        let due = self.lag_seen.is_none_or(|seen| seen.elapsed() >= LAG_INTERVAL);
        if due {
            self.lag_seen = Some(Instant::now());
        }
        due
    }

    pub(super) fn positions(&self, source: &Source) -> Vec<Position> {
        self.partitions
            .iter()
            .map(|(place, offsets)| Position {
                topic: place.topic,
                partition: place.partition,
                committed: offsets.committed,
                high_watermark: source.high_watermark(*place),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TopicPartition = TopicPartition {
        topic: 0,
        partition: 0,
    };
    const B: TopicPartition = TopicPartition {
        topic: 0,
        partition: 1,
    };

    #[test]
    fn messages_from_before_a_rewind_are_not_handled_twice() {
        let mut progress = Progress::default();
        progress.assign(&[A]);
        assert!(progress.expects(A, 7) && !progress.expects(B, 7));
        progress.handled(A, 7);
        assert!(!progress.expects(A, 7) && progress.expects(A, 8));
        progress.aborted();
        assert!(progress.expects(A, 7));
        progress.learn(&[(A, Some(8))]);
        assert!(!progress.expects(A, 7) && progress.expects(A, 8));
    }

    #[test]
    fn an_unknown_outcome_is_told_by_the_brokers_offsets() {
        let mut progress = Progress::default();
        progress.assign(&[A, B]);
        progress.learn(&[(A, Some(5)), (B, None)]);
        progress.handled(A, 9);
        assert!(!progress.went_through(&[(A, Some(5)), (B, None)]));
        assert!(progress.went_through(&[(A, Some(10)), (B, None)]));
        progress.committed();
        assert!(!progress.went_through(&[(A, Some(10)), (B, None)]));
        assert!(progress.pending().is_empty());
    }
}
