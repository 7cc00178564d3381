//! Reads a topic once, from its start to its present end, outside any group: for the verb that opens records.
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
    mut look: impl FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<(), KafkaError> {
    let partitions = partitions(kafka, topic, patience)?;
    let consumer = open(kafka, topic, partitions)?;
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

fn partitions(kafka: &Kafka, topic: &str, patience: Duration) -> Result<i32, KafkaError> {
    let found = cluster::find(kafka, &[topic], patience)?;
    match found.first().map_or(Presence::Missing, |topic| topic.presence) {
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

fn open(kafka: &Kafka, topic: &str, partitions: i32) -> Result<BaseConsumer<Quiet>, KafkaError> {
    let consumer: BaseConsumer<Quiet> = cluster::consumer(kafka, &[("enable.partition.eof", "true")])?;
    let mut assignment = TopicPartitionList::with_capacity(partitions as usize);
    for partition in 0..partitions {
        let placed = assignment.add_partition_offset(topic, partition, Offset::Beginning);
        placed.map_err(|error| cluster::sorted(&error))?;
    }
    consumer
        .assign(&assignment)
        .map_err(|error| cluster::sorted(&error))?;
    Ok(consumer)
}
