//! Reads a topic from its start to its present end, once or on and on, outside any group: for the verb that opens
//! records, and for the register.
//!
//! Uses the crate's own consumer: no hot path. Commits nothing, disturbs no group.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as CrateError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::cluster::{self, Presence, Quiet};
use super::error::{ErrorClass, Flag, KafkaError};
use super::settings::Kafka;

const TICK: Duration = Duration::from_millis(200);

/// One record.
pub struct Record<'a>(BorrowedMessage<'a>);

impl Record<'_> {
    /// Partition.
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// The record's own offset.
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Milliseconds since 1970, where the record has a time.
    pub fn timestamp(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// Key, absent if null.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// Value, absent if null.
    pub fn payload(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// The last header of this name, if there is one with a value.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let headers = self.0.headers()?;
        let found = headers.iter().filter(|header| header.key == name).last();
        found.and_then(|header| header.value)
    }
}

/// Hands every committed record of `topic` to `look`, partition by partition in order, until the end as it is now,
/// or until `look` breaks.
///
/// # Errors
///
/// [`ErrorClass::Unavailable`]: no broker, no such topic, or nothing to be had for `patience`; what librdkafka
/// reports otherwise.
pub fn read_to_end(
    kafka: &Kafka,
    topic: &str,
    patience: Duration,
    look: impl FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<(), KafkaError> {
    let (consumer, partitions) = open(kafka, topic, &[], patience)?;
    drain(&consumer, (topic, partitions), patience, look)
}

/// A reader that has been at the end of its topic and goes on from there.
pub struct Follower(BaseConsumer<Quiet>);

/// A broker tells the end only when a fetch has waited in vain: half a second by default.
const SOON: [(&str, &str); 1] = [("fetch.wait.max.ms", "100")];

impl Follower {
    /// Hands every committed record to `look`, as [`read_to_end`] does, and stays.
    ///
    /// # Errors
    ///
    /// As [`read_to_end`].
    pub fn at_end_of(
        kafka: &Kafka,
        topic: &str,
        patience: Duration,
        mut look: impl FnMut(&Record<'_>),
    ) -> Result<Self, KafkaError> {
        let (consumer, partitions) = open(kafka, topic, &SOON, patience)?;
        drain(&consumer, (topic, partitions), patience, |record| {
            look(record);
            ControlFlow::Continue(())
        })?;
        Ok(Self(consumer))
    }

    /// Whether the topic is still there: a reader need not hear that it was deleted.
    ///
    /// # Errors
    ///
    /// No broker answered within `patience`.
    pub fn is_there(&self, topic: &str, patience: Duration) -> Result<bool, KafkaError> {
        let presence = cluster::presence(&self.0, topic, Instant::now() + patience)?;
        Ok(presence != Presence::Missing)
    }

    /// Hands out what has come since; does not wait.
    ///
    /// # Errors
    ///
    /// What librdkafka reports; the same call again goes on.
    pub fn go_on(&self, mut look: impl FnMut(&Record<'_>)) -> Result<(), KafkaError> {
        loop {
            match self.0.poll(Duration::ZERO) {
                Some(Ok(message)) => look(&Record(message)),
                Some(Err(CrateError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(cluster::sorted(&error)),
                None => return Ok(()),
            }
        }
    }
}

fn drain(
    consumer: &BaseConsumer<Quiet>,
    (topic, partitions): (&str, i32),
    patience: Duration,
    mut look: impl FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<(), KafkaError> {
    let mut ended = BTreeSet::new();
    let mut heard = Instant::now();
    while ended.len() < partitions as usize {
        match consumer.poll(TICK) {
            Some(Ok(message)) => {
                heard = Instant::now();
                if look(&Record(message)).is_break() {
                    break;
                }
            }
            // The broker's word: control records occupy offsets, so no record need stand at the end.
            Some(Err(CrateError::PartitionEOF(partition))) => {
                heard = Instant::now();
                ended.insert(partition);
            }
            Some(Err(error)) => {
                let error = cluster::sorted(&error);
                if !matches!(error.class(), ErrorClass::Retriable | ErrorClass::Unavailable)
                    || heard.elapsed() > patience
                {
                    return Err(error);
                }
            }
            None if heard.elapsed() > patience => {
                let message = format!(
                    "topic {topic}: no record and no end within {} s",
                    patience.as_secs()
                );
                return Err(KafkaError::new(Code::AllBrokersDown, Flag::None, message));
            }
            None => {}
        }
    }
    Ok(())
}

fn partitions(consumer: &BaseConsumer<Quiet>, topic: &str, patience: Duration) -> Result<i32, KafkaError> {
    match cluster::presence(consumer, topic, Instant::now() + patience)? {
        Presence::Partitions(partitions) => Ok(partitions),
        Presence::Missing => {
            let message = format!("topic {topic}: there is none of this name");
            Err(KafkaError::new(
                Code::UnknownTopicOrPartition,
                Flag::None,
                message,
            ))
        }
        Presence::Denied => {
            let message = format!("topic {topic}: this user may not read it");
            Err(KafkaError::new(
                Code::TopicAuthorizationFailed,
                Flag::None,
                message,
            ))
        }
    }
}

/// At the start of all partitions, and how many there are.
fn open(
    kafka: &Kafka,
    topic: &str,
    more: &[(&str, &str)],
    patience: Duration,
) -> Result<(BaseConsumer<Quiet>, i32), KafkaError> {
    let decided = [&[("enable.partition.eof", "true")], more].concat();
    let consumer: BaseConsumer<Quiet> = cluster::consumer(kafka, &decided)?;
    let partitions = partitions(&consumer, topic, patience)?;
    let mut assignment = TopicPartitionList::with_capacity(partitions as usize);
    for partition in 0..partitions {
        let placed = assignment.add_partition_offset(topic, partition, Offset::Beginning);
        placed.map_err(|error| cluster::sorted(&error))?;
    }
    consumer
        .assign(&assignment)
        .map_err(|error| cluster::sorted(&error))?;
    Ok((consumer, partitions))
}
