//! The one way back from an error: fence, rewind, go on.
//!
//! The producer is destroyed and made again with the same transactional id:
//! its `init_transactions` ends whatever the old one left open, and fences it.
//! Then the broker's committed offsets decide what is read again; after an
//! indefinite outcome they also tell whether the transaction had gone through.

use std::time::{Duration, Instant};

use crate::config::Guarantee;
use crate::kafka::{ErrorClass, KafkaError, OFFSET_BEGINNING, Source, TopicPartition, cluster};
use crate::lane::assignment::SEEK_TRY;
use crate::lane::poison::{Refused, Verdict};
use crate::lane::progress::went_through;
use crate::lane::{Lane, LaneError, Trouble, connect_sink};
use crate::telemetry::{LaneState, Now, Output};

/// One try to reach the transaction coordinator, between two looks at the group.
const INIT_TRY: Duration = Duration::from_secs(3);
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between recoveries that come to nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the group's coordinator is asked who bears our name.
const ASK_NAME: Duration = Duration::from_secs(5);
/// So many fences within [`FENCE_WINDOW`] are another live instance, not a fault.
const FENCES: usize = 6;
const FENCE_WINDOW: Duration = Duration::from_secs(60);

/// When this lane was fenced lately.
#[derive(Default)]
pub(super) struct Fences(Vec<Instant>);

impl Fences {
    /// Notes one; how many there were lately.
    fn note(&mut self, now: Instant) -> usize {
        self.0.retain(|seen| now.duration_since(*seen) < FENCE_WINDOW);
        self.0.push(now);
        self.0.len()
    }
}

impl Lane<'_> {
    /// Takes the transactional id over from a dead self; waits for the coordinator.
    pub(super) fn first_init(&mut self) -> Result<(), LaneError> {
        self.init()?;
        self.tell_state();
        Ok(())
    }

    /// What a lane does that waits for nothing.
    pub(super) fn tell_state(&self) {
        let state = if self.joined {
            LaneState::Running
        } else {
            LaneState::Joining
        };
        self.plan.telemetry.lane_state(self.index, state);
    }

    /// Aborts what is open and goes back to what is committed.
    pub(super) fn recover(&mut self, error: &KafkaError) -> Result<(), LaneError> {
        let messages = self.open.map_or(0, |open| open.messages);
        let error = &self.cause(error);
        tracing::warn!(lane = self.index, messages, %error, "transaction not committed: making the producer again and rewinding");
        self.plan.telemetry.output_failed(self.output_of(error));
        self.search_poison(error, messages)?;
        if error.class() == ErrorClass::Fenced {
            self.contest(error)?;
        }
        self.plan
            .telemetry
            .lane_state(self.index, LaneState::RecreatingProducer);
        if !error.blames_a_record() {
            self.pause();
        }
        self.replace_sink()?;
        self.init()?;
        self.rewind()
    }

    /// Drops the open transaction on the way out; the next instance's init aborts it.
    pub(super) fn abandon(&mut self) {
        if self.open.take().is_some() {
            self.plan.telemetry.aborted();
        }
        self.counts.clear();
        self.sent.clear();
        self.progress.aborted();
    }

    /// The consumer's own errors: most mend themselves.
    pub(super) fn consumer_error(&mut self, error: KafkaError) -> Result<(), Trouble> {
        match error.class() {
            ErrorClass::Retriable | ErrorClass::Unavailable | ErrorClass::Abort => {
                self.plan.telemetry.interrupted(self.index);
                tracing::warn!(lane = self.index, %error, "reading is interrupted");
                Ok(())
            }
            ErrorClass::Fenced => {
                self.contest(&error).map_err(Trouble::Fatal)?;
                self.rejoin(&error)
                    .map_err(|error| Trouble::Fatal(LaneError::Kafka(error)))?;
                Err(Trouble::Recover(KafkaError::lost()))
            }
            ErrorClass::Fatal => Err(Trouble::Fatal(LaneError::Kafka(error))),
        }
    }

    /// Makes the consumer again. After an outage longer than its session a static member can fence itself: a join
    /// that it gave up was answered all the same, and the next one takes its place.
    fn rejoin(&mut self, error: &KafkaError) -> Result<(), KafkaError> {
        tracing::warn!(lane = self.index, %error, "our place in the group was taken: joining again");
        let member = self.plan.kafka.member(self.index);
        self.source = Source::connect(&self.plan.kafka, &self.plan.topics.raw, Some(&member))?;
        self.offered = None;
        self.joined = false;
        self.progress.revoke(&self.progress.places());
        self.tell_assignment();
        Ok(())
    }

    /// Another client took our place. Once or twice that is a ghost of ours: a request that we gave up and the broker
    /// answered all the same. Too often, it is a live instance of our name, and the one that joined the group last
    /// goes on: the coordinator has one order for both, so that never both stop.
    fn contest(&mut self, error: &KafkaError) -> Result<(), LaneError> {
        let fences = self.fences.note(Instant::now());
        // All lanes are in the same fight; one of them ends it.
        let most = if self.index == 0 { FENCES } else { 2 * FENCES };
        if fences < most || self.joined_last() {
            return Ok(());
        }
        Err(LaneError::Fenced {
            id: self.plan.kafka.transactional_id(self.index),
            error: error.clone(),
        })
    }

    fn joined_last(&self) -> bool {
        let name = self.plan.kafka.member(self.index);
        match cluster::static_member(&self.plan.kafka, &name, ASK_NAME) {
            Ok(holder) => {
                let ours = self.source.group_metadata().map(|group| group.member_id());
                holder.is_some_and(|holder| ours.is_ok_and(|ours| ours == holder))
            }
            // Nobody can tell: asked again at the next fence.
            Err(_) => true,
        }
    }

    /// Nothing before the first recovery after a commit, then longer and longer.
    fn pause(&mut self) {
        let pause = match self.setbacks {
            0 => Duration::ZERO,
            more => (PAUSE * 2u32.saturating_pow(more - 1)).min(LONGEST_PAUSE),
        };
        self.setbacks += 1;
        let end = Instant::now() + pause;
        while Instant::now() < end && !self.stopping() {
            self.plan.telemetry.beat(self.index, Now::read());
            std::thread::sleep(PAUSE.min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// What made the transaction fail, where an error says only that it has failed.
    fn cause(&mut self, error: &KafkaError) -> KafkaError {
        match self.plan.delivery.guarantee {
            Guarantee::ExactlyOnce => self.sink.cause(error),
            Guarantee::AtLeastOnce => error.clone(),
        }
    }

    /// The output whose topic an error names.
    fn output_of(&self, error: &KafkaError) -> Option<Output> {
        let topics = &self.plan.topics;
        [
            (Output::Public, &topics.public),
            (Output::Restricted, &topics.restricted),
            (Output::Rejected, &topics.rejected),
        ]
        .into_iter()
        .find_map(|(output, topic)| error.is_about(topic).then_some(output))
    }

    fn search_poison(&mut self, error: &KafkaError, messages: usize) -> Result<(), LaneError> {
        if !error.blames_a_record() {
            return Ok(());
        }
        let last = self.progress.last_handled();
        let refused = Refused {
            messages,
            largest_at: self.open.map_or(0, |open| open.largest.1),
            last,
        };
        match self.poison.refused(refused) {
            Verdict::Searching => tracing::warn!(
                lane = self.index,
                messages,
                "the broker refuses a record: searching for it"
            ),
            Verdict::Convicted(sentence) => {
                if let Some((place, offset)) = last {
                    tracing::warn!(lane = self.index, topic = %self.plan.topics.raw[place.topic], partition = place.partition, offset, ?sentence, "the broker refuses this record: it is rejected as poison");
                }
            }
            Verdict::Hopeless => {
                let (place, offset) = last.unwrap_or((
                    TopicPartition {
                        topic: 0,
                        partition: 0,
                    },
                    -1,
                ));
                return Err(LaneError::Unrejectable {
                    topic: self.plan.topics.raw[place.topic].clone(),
                    partition: place.partition,
                    offset,
                    error: error.clone(),
                });
            }
        }
        Ok(())
    }

    fn replace_sink(&mut self) -> Result<(), LaneError> {
        let fresh = connect_sink(self.plan, self.index).map_err(LaneError::Kafka)?;
        std::mem::replace(&mut self.sink, fresh).destroy_now();
        self.plan.telemetry.producer_recreated();
        Ok(())
    }

    fn init(&mut self) -> Result<(), LaneError> {
        if self.plan.delivery.guarantee == Guarantee::AtLeastOnce {
            return Ok(());
        }
        while !self.stopping() {
            let error = match self.sink.init_transactions(INIT_TRY) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.plan
                .telemetry
                .lane_state(self.index, LaneState::WaitingForBroker);
            tracing::warn!(lane = self.index, %error, "the transaction coordinator does not answer yet");
            match error.class() {
                ErrorClass::Retriable | ErrorClass::Unavailable => {}
                ErrorClass::Fatal if error.is_denied() => return Err(LaneError::Kafka(error)),
                ErrorClass::Fatal if error.refuses_the_timeout() => {
                    return Err(LaneError::TransactionTimeout {
                        timeout: self.plan.delivery.transaction_timeout,
                        error,
                    });
                }
                ErrorClass::Fenced => {
                    self.contest(&error)?;
                    self.replace_sink()?;
                }
                ErrorClass::Abort | ErrorClass::Fatal => self.replace_sink()?,
            }
            self.keep_membership()?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Without polling, the group would take our partitions away; what is read meanwhile comes again after the rewind.
    fn keep_membership(&mut self) -> Result<(), LaneError> {
        self.plan.telemetry.beat(self.index, Now::read());
        let event = match self.source.poll(&mut self.batch, Duration::ZERO) {
            Ok(event) => event,
            Err(error) => match self.consumer_error(error) {
                Err(Trouble::Fatal(error)) => return Err(error),
                Ok(()) | Err(Trouble::Recover(_)) => None,
            },
        };
        self.batch.clear();
        event.map_or(Ok(()), |event| self.follow(event).map_err(LaneError::Kafka))
    }

    /// Back to what the broker has, for every partition still ours.
    fn rewind(&mut self) -> Result<(), LaneError> {
        while !self.stopping() {
            self.plan.telemetry.beat(self.index, Now::read());
            match self.try_rewind() {
                Ok(()) => {
                    self.tell_state();
                    return Ok(());
                }
                Err(error) if error.is_denied() => return Err(LaneError::Kafka(error)),
                Err(error) => {
                    self.plan
                        .telemetry
                        .lane_state(self.index, LaneState::WaitingForBroker);
                    tracing::warn!(lane = self.index, %error, "the committed offsets cannot be read yet");
                    std::thread::sleep(PAUSE);
                    self.keep_membership()?;
                }
            }
        }
        // Stopped on the way: what was open went with the old producer and must not be committed.
        self.abandon();
        Ok(())
    }

    fn try_rewind(&mut self) -> Result<(), KafkaError> {
        // Those of an unknown outcome too, though they may have been let go since: their records are to be counted.
        let mut places = self.progress.places();
        places.extend(self.sent.iter().map(|(place, _)| *place));
        places.sort_unstable();
        places.dedup();
        let mut committed = self.ask_committed(&places)?;
        if self.open.is_some() {
            // One transaction: if one of its offsets is there, all of it is.
            if went_through(&self.sent, &committed) {
                tracing::info!(
                    lane = self.index,
                    "the transaction of unknown outcome had been committed"
                );
                self.committed(Duration::ZERO);
            } else {
                self.abandon();
            }
        }
        self.progress.aborted();
        committed.retain(|(place, _)| self.progress.holds(*place));
        self.progress.learn(&committed);
        // Without a commit yet, a partition is read from its start (auto.offset.reset = earliest).
        let from: Vec<_> = committed
            .iter()
            .map(|(place, offset)| (*place, offset.unwrap_or(OFFSET_BEGINNING)))
            .collect();
        self.source.seek(&from, SEEK_TRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fences_of_the_last_minute_count() {
        let mut fences = Fences::default();
        let start = Instant::now();
        for second in 0..10 {
            assert_eq!(
                fences.note(start + Duration::from_secs(second)),
                second as usize + 1
            );
        }
        for minute in 2..20 {
            assert_eq!(fences.note(start + Duration::from_secs(minute * 61)), 1);
        }
    }
}
