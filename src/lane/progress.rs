//! How far a lane is in each of its partitions: an offset is the next to be read.

use std::time::{Duration, Instant};

use crate::kafka::{Source, TopicPartition};
use crate::telemetry::Position;

/// Lag of partitions without traffic is looked at this often.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Offsets per assigned partition.
#[derive(Default)]
pub(super) struct Progress {
    /// In the order of their places.
    partitions: Vec<(TopicPartition, Offsets)>,
    /// Where the last message belonged: messages come in runs of one partition.
    at: usize,
    lag_seen: Option<Instant>,
}

#[derive(Debug, Default)]
struct Offsets {
    /// Durable: what a restarted lane would begin with.
    committed: Option<i64>,
    /// Behind the last message handled in the open transaction.
    pending: Option<i64>,
    /// Up to here, what was lost has been told.
    lost: i64,
}

impl Offsets {
    fn next(&self) -> Option<i64> {
        self.pending.or(self.committed)
    }
}

/// What a message is to a lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The one that was next.
    Next,
    /// A later one: there is none from `from` on, up to it.
    Gap { from: i64 },
    /// Of a partition that was let go.
    NotOurs,
    /// One from below `next`, where reading is: the partition is another than it was.
    Below { next: i64 },
}

impl Progress {
    pub(super) fn assign(&mut self, places: &[TopicPartition]) {
        for place in places {
            if let Err(at) = self.find(*place) {
                self.partitions.insert(at, (*place, Offsets::default()));
            }
        }
    }

    pub(super) fn revoke(&mut self, places: &[TopicPartition]) {
        self.partitions.retain(|(place, _)| !places.contains(place));
    }

    /// Takes a message as handled in the open transaction, if it is ours and to be handled.
    pub(super) fn accept(&mut self, place: TopicPartition, offset: i64) -> Arrival {
        if self
            .partitions
            .get(self.at)
            .is_none_or(|(known, _)| *known != place)
        {
            match self.find(place) {
                Ok(at) => self.at = at,
                Err(_) => return Arrival::NotOurs,
            }
        }
        let offsets = &mut self.partitions[self.at].1;
        let arrival = match offsets.next() {
            Some(next) if offset < next => return Arrival::Below { next },
            Some(next) if offset > next => Arrival::Gap { from: next },
            _ => Arrival::Next,
        };
        offsets.pending = Some(offset + 1);
        arrival
    }

    /// Whether a message is still to come.
    pub(super) fn expects(&self, place: TopicPartition, offset: i64) -> bool {
        self.get(place)
            .is_some_and(|offsets| offsets.next().is_none_or(|next| offset >= next))
    }

    /// Whether a partition is ours.
    pub(super) fn holds(&self, place: TopicPartition) -> bool {
        self.get(place).is_some()
    }

    /// The next message to be read, where that is known.
    pub(super) fn next(&self, place: TopicPartition) -> Option<i64> {
        self.get(place)?.next()
    }

    /// Notes that offsets below `to` are lost; from where on that is news.
    pub(super) fn lost(&mut self, place: TopicPartition, from: i64, to: i64) -> Option<i64> {
        let at = self.find(place).ok()?;
        let told = &mut self.partitions[at].1.lost;
        let from = from.max(*told);
        (from < to).then(|| {
            *told = to;
            from
        })
    }

    /// The offsets that the open transaction commits.
    pub(super) fn pending(&self) -> Vec<(TopicPartition, i64)> {
        self.partitions
            .iter()
            .filter_map(|(place, offsets)| Some((*place, offsets.pending?)))
            .collect()
    }

    pub(super) fn committed(&mut self) {
        for (_, offsets) in &mut self.partitions {
            offsets.committed = offsets.pending.take().or(offsets.committed);
        }
    }

    /// A message handled in the open transaction: of one message, the one.
    pub(super) fn last_handled(&self) -> Option<(TopicPartition, i64)> {
        self.partitions
            .iter()
            .find_map(|(place, offsets)| Some((*place, offsets.pending? - 1)))
    }

    /// Forgets the open transaction.
    pub(super) fn aborted(&mut self) {
        for (_, offsets) in &mut self.partitions {
            offsets.pending = None;
        }
    }

    /// Takes what the broker says is committed.
    pub(super) fn learn(&mut self, found: &[(TopicPartition, Option<i64>)]) {
        for (place, committed) in found {
            if let Ok(at) = self.find(*place) {
                self.partitions[at].1.committed = *committed;
            }
        }
    }

    pub(super) fn places(&self) -> Vec<TopicPartition> {
        self.partitions.iter().map(|(place, _)| *place).collect()
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
                read: None,
                high_watermark: source.high_watermark(*place),
            })
            .collect()
    }

    fn get(&self, place: TopicPartition) -> Option<&Offsets> {
        self.find(place).ok().map(|at| &self.partitions[at].1)
    }

    fn find(&self, place: TopicPartition) -> Result<usize, usize> {
        self.partitions.binary_search_by_key(&place, |(known, _)| *known)
    }
}

/// Whether the broker has an offset that only the commit of unknown outcome can have left there.
pub(super) fn went_through(sent: &[(TopicPartition, i64)], found: &[(TopicPartition, Option<i64>)]) -> bool {
    found
        .iter()
        .any(|(place, committed)| committed.is_some_and(|committed| sent.contains(&(*place, committed))))
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
    fn a_partition_that_begins_again_is_not_passed_over_in_silence() {
        let mut progress = Progress::default();
        progress.assign(&[B, A]);
        progress.learn(&[(A, Some(5)), (B, None)]);
        let none = TopicPartition {
            topic: 1,
            partition: 0,
        };
        for (place, offset, arrival) in [
            (A, 5, Arrival::Next),
            (A, 6, Arrival::Next),
            (B, 40, Arrival::Next),
            (B, 40, Arrival::Below { next: 41 }),
            (A, 9, Arrival::Gap { from: 7 }),
            (A, 0, Arrival::Below { next: 10 }),
            (none, 3, Arrival::NotOurs),
            (A, 10, Arrival::Next),
        ] {
            assert_eq!(progress.accept(place, offset), arrival, "{place:?} {offset}");
        }
        progress.aborted();
        assert_eq!(progress.accept(A, 4), Arrival::Below { next: 5 });
        assert_eq!(progress.accept(A, 5), Arrival::Next);
        assert_eq!(progress.accept(B, 0), Arrival::Next);
        progress.revoke(&[A]);
        assert_eq!(progress.accept(A, 6), Arrival::NotOurs);
        assert_eq!(progress.accept(B, 1), Arrival::Next);
    }

    #[test]
    fn what_retention_took_is_told_once() {
        let mut progress = Progress::default();
        progress.assign(&[A]);
        for (from, to, news) in [
            (5, 5, None),
            (5, 9, Some(5)),
            (5, 9, None),
            (5, 12, Some(9)),
            (20, 15, None),
        ] {
            assert_eq!(progress.lost(A, from, to), news, "{from}..{to}");
        }
        assert_eq!(progress.lost(B, 0, 9), None);
    }

    #[test]
    fn an_unknown_outcome_is_told_by_the_brokers_offsets() {
        let before = [(A, Some(5)), (B, None)];
        let after = [(A, Some(10)), (B, None)];
        for (sent, found, gone_through) in [
            (&[(A, 10)][..], before, false),
            (&[(A, 10)], after, true),
            (&[(B, 10)], after, false),
            (&[], after, false),
        ] {
            assert_eq!(went_through(sent, &found), gone_through, "{sent:?} {found:?}");
        }
    }
}
