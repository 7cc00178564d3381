//! Appends a few records to a topic of one partition, each acknowledged by all replicas: for the register.
//!
//! Uses the crate's own producer: no hot path.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::cluster::{self, Quiet};
use super::error::KafkaError;
use super::properties::Side;
use super::settings::Kafka;

const TICK: Duration = Duration::from_millis(5);

/// A record to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// Appends the records in their order and waits until all replicas in sync have all of them.
///
/// # Errors
///
/// Not all were acknowledged within `patience`: each of them may stand there now, come to stand there later, or never.
pub fn append(kafka: &Kafka, topic: &str, entries: &[Entry], patience: Duration) -> Result<(), KafkaError> {
    let limit = patience.as_millis().max(1).to_string();
    let decided = [
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("linger.ms", "0"),
        ("message.timeout.ms", &limit),
    ];
    let producer: BaseProducer<Acknowledged> =
        cluster::client(kafka, Side::Producer, &decided, Acknowledged::default())?;
    for entry in entries {
        let mut record = BaseRecord::<str, [u8]>::to(topic).partition(0).key(&entry.key);
        record.payload = entry.value.as_deref();
        producer
            .send(record)
            .map_err(|(error, _)| cluster::sorted(&error))?;
    }
    let deadline = Instant::now() + patience + Duration::from_secs(1);
    loop {
        producer.poll(TICK);
        let heard = producer.context().heard();
        match heard {
            Heard {
                failed: Some(error), ..
            } => return Err(error),
            Heard { acknowledged, .. } if acknowledged == entries.len() => return Ok(()),
            _ if Instant::now() > deadline => return Err(KafkaError::undelivered()),
            _ => {}
        }
    }
}

/// Counts what the brokers acknowledged.
#[derive(Default)]
struct Acknowledged(Mutex<Heard>);

#[derive(Debug, Clone, Default)]
struct Heard {
    acknowledged: usize,
    failed: Option<KafkaError>,
}

impl Acknowledged {
    fn heard(&self) -> Heard {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Acknowledged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Quiet.log(level, facility, line);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => heard.acknowledged += 1,
            Err((error, _)) => heard.failed = Some(cluster::sorted(error)),
        }
    }
}
