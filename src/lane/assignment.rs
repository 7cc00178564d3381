//! Which partitions a lane reads, from where, and what becomes of a partition that cannot be read on.
//!
//! Invariant: no offset between two messages is passed over in silence. What retention deleted unread is counted; what
//! cannot be read is asked for again, then named; a partition that began again stops the lane, as nobody but
//! people can tell what is new in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kafka::{Fault, KafkaError, Loss, OFFSET_BEGINNING, Rebalance, TopicPartition};
use crate::lane::{Lane, LaneError, Trouble};
use crate::telemetry::{LaneState, Now};

/// One question for the group's committed offsets; short, as it holds up what is open.
const ASK_COMMITTED: Duration = Duration::from_secs(3);
/// One try to seek. Short: an assignment under way ends only when the group is looked at in between.
pub(super) const SEEK_TRY: Duration = Duration::from_millis(500);
/// What lasts is told again this often.
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// So often a batch that cannot be read is fetched.
const READ_TRIES: u32 = 3;
/// Pause before such a batch is fetched again.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// What could not be read lately: per partition, the offset, and how often it was tried.
#[derive(Default)]
pub(super) struct Unreadable(BTreeMap<TopicPartition, (i64, u32)>);

impl Unreadable {
    /// Notes a try; which one it was, from 1.
    fn note(&mut self, place: TopicPartition, offset: i64) -> u32 {
        let (at, tries) = self.0.entry(place).or_insert((offset, 0));
        if *at != offset {
            (*at, *tries) = (offset, 0);
        }
        *tries += 1;
        *tries
    }
}

impl Lane<'_> {
    pub(super) fn rebalance(&mut self, event: Rebalance) -> Result<(), Trouble> {
        let Rebalance::Revoked { partitions, loss } = &event else {
            self.follow(event)?;
            return self.take_over();
        };
        tracing::info!(
            lane = self.index,
            partitions = partitions.len(),
            ?loss,
            "partitions revoked"
        );
        // Commit before letting go; what was lost is another's already.
        let kept = match loss {
            Loss::Kept => self.commit(),
            Loss::Lost if self.open.is_some() => Err(Trouble::Recover(KafkaError::lost())),
            Loss::Lost => Ok(()),
        };
        self.follow(event)?;
        kept
    }

    /// Carries out a rebalance; what is open goes with partitions that are let go. Partitions given to us wait for
    /// [`take_over`](Self::take_over).
    pub(super) fn follow(&mut self, event: Rebalance) -> Result<(), KafkaError> {
        match &event {
            Rebalance::Assigned(_) => self.offered = Some(event),
            Rebalance::Revoked { partitions, loss } => {
                self.progress.revoke(partitions);
                // Whoever lost partitions lost its place, and joins again.
                self.joined &= *loss == Loss::Kept;
                self.source.complete(&event)?;
                self.tell_assignment();
            }
        }
        Ok(())
    }

    pub(super) fn tell_assignment(&self) {
        let assigned: Vec<_> = self
            .progress
            .places()
            .iter()
            .map(|place| (place.topic, place.partition))
            .collect();
        self.plan.telemetry.assigned(self.index, &assigned, Now::read());
        if !self.joined {
            self.plan.telemetry.left(self.index);
        }
    }

    /// Begins to read partitions given to us, at their committed offsets. While those cannot be had, nothing is read
    /// of them, and we are not ready: any other place to begin at would lose records or double them.
    pub(super) fn take_over(&mut self) -> Result<(), Trouble> {
        let Some(event) = self.offered.take() else {
            return Ok(());
        };
        let Rebalance::Assigned(places) = &event else {
            return Ok(());
        };
        match self.ask_committed(places) {
            Ok(committed) => {
                tracing::info!(
                    lane = self.index,
                    partitions = places.len(),
                    "partitions assigned"
                );
                self.unknown_told = None;
                self.joined = true;
                self.progress.assign(places);
                self.progress.learn(&committed);
                self.tell_assignment();
                self.tell_state();
                Ok(self.source.complete_at(&event, &committed)?)
            }
            Err(error) if error.is_denied() => Err(Trouble::Fatal(LaneError::Kafka(error))),
            Err(error) => {
                self.plan
                    .telemetry
                    .lane_state(self.index, LaneState::WaitingForBroker);
                if self.unknown_told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    self.unknown_told = Some(Instant::now());
                    tracing::warn!(lane = self.index, partitions = places.len(), %error, "the committed offsets of new partitions are not known yet");
                }
                self.offered = Some(event);
                Ok(())
            }
        }
    }

    pub(super) fn ask_committed(
        &self,
        places: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, KafkaError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        self.source.committed(places, ASK_COMMITTED)
    }

    pub(super) fn report_lag(&mut self) {
        if self.open.is_none() && self.progress.lag_is_due() {
            let mut positions = self.progress.positions(&self.source);
            // Nothing that was read waits here, as it may at a commit amid a batch.
            for position in &mut positions {
                let place = TopicPartition {
                    topic: position.topic,
                    partition: position.partition,
                };
                position.read = self.source.position(place).or_else(|| self.empty_end(place));
            }
            self.plan.telemetry.positions(self.index, &positions, Now::read());
        }
    }

    /// The end of a partition that holds nothing: as nothing was read of it, it has no position.
    fn empty_end(&self, place: TopicPartition) -> Option<i64> {
        let (low, high) = (
            self.source.low_watermark(place)?,
            self.source.high_watermark(place)?,
        );
        (low >= high).then_some(high)
    }

    /// Offsets were passed over: control records and compaction do that, and retention that overtook us.
    pub(super) fn gap(&mut self, place: TopicPartition, from: i64, to: i64) {
        if let Some(low) = self.source.low_watermark(place) {
            self.lost(place, from, low.min(to));
        }
    }

    /// Whether retention overtook us in partitions where nothing comes any more: only when nothing is fetched ahead.
    pub(super) fn report_lost(&mut self) {
        for place in self.progress.places() {
            if let (Some(next), Some(low)) = (self.progress.next(place), self.source.low_watermark(place)) {
                self.lost(place, next, low);
            }
        }
    }

    fn lost(&mut self, place: TopicPartition, from: i64, to: i64) {
        let Some(from) = self.progress.lost(place, from, to) else {
            return;
        };
        let topic = &self.plan.topics.raw[place.topic];
        tracing::error!(
            lane = self.index,
            %topic,
            partition = place.partition,
            from,
            to,
            "retention deleted records of the raw topic before they were read: they are lost; raise its retention.ms or retention.bytes"
        );
        self.plan
            .telemetry
            .lost(place.topic, place.partition, to.abs_diff(from));
    }

    pub(super) fn begun_again(&self, place: TopicPartition, offset: i64, next: i64) -> Trouble {
        Trouble::Fatal(LaneError::BegunAgain {
            topic: self.plan.topics.raw[place.topic].clone(),
            partition: place.partition,
            offset,
            next,
        })
    }

    /// Goes back to where partitions could not be read on: librdkafka has passed over it.
    pub(super) fn read_again(&mut self, faults: Vec<Fault>) -> Result<(), Trouble> {
        for Fault { place, offset, error } in faults {
            if !self.progress.holds(place) {
                continue;
            }
            let topic = self.plan.topics.raw[place.topic].clone();
            let tries = self.unreadable.note(place, offset);
            if tries >= READ_TRIES {
                self.commit()?;
                return Err(Trouble::Fatal(LaneError::Unreadable {
                    topic,
                    partition: place.partition,
                    offset,
                    tries,
                    error,
                }));
            }
            tracing::warn!(lane = self.index, %topic, partition = place.partition, offset, %error, "records cannot be read: fetching them again");
            std::thread::sleep(READ_PAUSE);
            let from = self.progress.next(place).unwrap_or(OFFSET_BEGINNING);
            self.source.seek(&[(place, from)], SEEK_TRY)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_per_place_that_cannot_be_read() {
        let [a, b] = [0, 1].map(|partition| TopicPartition { topic: 0, partition });
        let mut unreadable = Unreadable::default();
        let noted: Vec<_> = [(a, 5), (b, 5), (a, 5), (a, 9), (b, 5), (a, 9), (a, 9)]
            .map(|(place, offset)| unreadable.note(place, offset))
            .to_vec();
        assert_eq!(noted, [1, 1, 2, 1, 2, 2, 3]);
    }
}
