//! An in-process broker for the demo and for error injection: librdkafka's mock cluster over loopback.
//!
//! Real wire protocol, but transactions are only acted (aborted records are seen, offsets in a transaction
//! are not stored) and 5 MiB are kept per partition: at-least-once only. Exactly-once is proven on Apache
//! Kafka's own broker.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::error::{Flag, KafkaError};

/// A running in-process broker; stops when dropped.
pub struct Embedded {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Embedded {
    /// Starts one broker on a free loopback port.
    ///
    /// # Errors
    ///
    /// No port or no memory to be had: fatal.
    pub fn start() -> Result<Self, KafkaError> {
        MockCluster::new(1)
            .map(|cluster| Self { cluster })
            .map_err(|error| fault(&error))
    }

    /// Makes a topic.
    ///
    /// # Errors
    ///
    /// The topic exists already: fatal.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), KafkaError> {
        self.cluster
            .create_topic(name, partitions, 1)
            .map_err(|error| fault(&error))
    }

    /// `host:port` to connect to.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Embedded").field(&self.brokers()).finish()
    }
}

fn fault(error: &rdkafka::error::KafkaError) -> KafkaError {
    let code = error
        .rdkafka_error_code()
        .unwrap_or(rdkafka::types::RDKafkaErrorCode::Fail);
    KafkaError::new(code, Flag::Fatal, format!("embedded broker: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::kafka::cluster::{self, Presence};
    use crate::kafka::{Batch, Kafka, Outgoing, Sink, SinkMode, Source};

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn records_go_round_at_least_once() {
        let embedded = Embedded::start().unwrap();
        embedded.create_topic("cdr.raw", 2).unwrap();
        let kafka = Kafka::plain(&embedded.brokers(), "group", "0");
        let mut sink = Sink::connect(&kafka, SinkMode::AtLeastOnce, &["cdr.raw"]).unwrap();
        for number in 0..100_u8 {
            let record = Outgoing {
                topic: 0,
                partition: i32::from(number % 2),
                timestamp: Some(1_767_225_600_000),
                key: None,
                value: &[number],
                headers: &[],
            };
            sink.produce(&record).unwrap();
        }
        sink.flush(PATIENCE).unwrap();
        assert_eq!(sink.delivery_failures(), 0);

        let mut source = Source::connect(&kafka, &["cdr.raw".to_owned()], None).unwrap();
        let (mut batch, mut seen) = (Batch::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        while seen.len() < 100 {
            assert!(Instant::now() < deadline, "{} of 100 read", seen.len());
            if let Some(rebalance) = source.poll(&mut batch, Duration::from_millis(50)).unwrap() {
                source.complete(&rebalance).unwrap();
            }
            seen.extend(
                batch
                    .iter()
                    .filter_map(|message| message.payload.map(|payload| payload[0])),
            );
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        source.close(Duration::from_secs(5));
    }

    #[test]
    fn its_topics_are_described() {
        let embedded = Embedded::start().unwrap();
        embedded.create_topic("cdr.billing", 3).unwrap();
        let kafka = Kafka::plain(&embedded.brokers(), "group", "0");
        let view = cluster::describe(&kafka, &["cdr.billing"], PATIENCE).unwrap();
        assert_eq!(view.topics[0].presence, Presence::Partitions(3));
        assert!(
            !view.warnings.is_empty(),
            "the mock cluster describes no settings"
        );
    }
}
