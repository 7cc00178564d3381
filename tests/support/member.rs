//! A member of a consumer group, and small hands for producing and settling: what Kafka tests are written with.

use std::time::{Duration, Instant};

use cdrveil::kafka::{
    Batch, ErrorClass, GroupMetadata, Kafka, KafkaError, Message, Outgoing, Rebalance, Sink, SinkMode,
    Source, TopicPartition,
};

use super::kafka::{Broker, Input};

/// How long one poll waits.
pub const TICK: Duration = Duration::from_millis(50);
/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A member of a group with what it has read.
pub struct Member {
    pub source: Source,
    pub batch: Batch,
    pub assigned: Vec<TopicPartition>,
    /// Partition, offset, text.
    pub seen: Vec<(i32, i64, String)>,
}

impl Member {
    pub fn join(broker: &Broker, group: &str, topic: &str, properties: &[(&str, &str)]) -> Self {
        Self::join_as(broker, group, topic, properties, None)
    }

    pub fn join_as(
        broker: &Broker,
        group: &str,
        topic: &str,
        properties: &[(&str, &str)],
        member: Option<&str>,
    ) -> Self {
        let with = |kafka: Kafka, (name, value): &(&str, &str)| kafka.with(name, value).unwrap();
        let kafka = properties.iter().fold(broker.kafka(group), with);
        Self {
            source: Source::connect(&kafka, &[topic.to_owned()], member).unwrap(),
            batch: Batch::new(),
            assigned: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// One poll; rebalances are completed at once, a broker that is away is waited for.
    pub fn step(&mut self) {
        let rebalance = match self.source.poll(&mut self.batch, TICK) {
            Ok(rebalance) => rebalance,
            Err(error) => {
                let patient = matches!(error.class(), ErrorClass::Retriable | ErrorClass::Unavailable);
                assert!(patient, "{error}");
                return;
            }
        };
        for message in self.batch.iter() {
            let text = String::from_utf8_lossy(message.payload.unwrap_or_default()).into_owned();
            self.seen.push((message.partition, message.offset, text));
        }
        if let Some(rebalance) = rebalance {
            self.complete(&rebalance);
        }
    }

    pub fn complete(&mut self, rebalance: &Rebalance) {
        self.source.complete(rebalance).unwrap();
        match rebalance {
            Rebalance::Assigned(partitions) => self.assigned.extend(partitions),
            Rebalance::Revoked { partitions, .. } => {
                self.assigned.retain(|place| !partitions.contains(place));
            }
        }
    }

    pub fn read_until(&mut self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} read", self.seen.len());
            self.step();
        }
    }

    pub fn read_with(&mut self, count: usize, mut look: impl FnMut(Message<'_>)) {
        let (deadline, mut seen) = (Instant::now() + PATIENCE, 0);
        while seen < count {
            assert!(Instant::now() < deadline, "{seen} of {count} read");
            self.step();
            for message in self.batch.iter() {
                look(message);
                seen += 1;
            }
        }
    }

    pub fn committed(&self) -> Vec<(TopicPartition, Option<i64>)> {
        self.source.committed(&self.assigned, PATIENCE).unwrap()
    }
}

/// Steps the members until together they have so many partitions, none of them has none, and no more changes.
pub fn settle(members: &mut [&mut Member], partitions: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(500) {
        assert!(Instant::now() < deadline, "the group does not settle");
        for member in &mut *members {
            let before = member.assigned.clone();
            member.step();
            if member.assigned != before {
                quiet = Instant::now();
            }
        }
        let total: usize = members.iter().map(|member| member.assigned.len()).sum();
        if total != partitions || members.iter().any(|member| member.assigned.is_empty()) {
            quiet = Instant::now();
        }
    }
}

pub fn transactional(broker: &Broker, id: &str, topics: &[&str]) -> Sink {
    let mode = SinkMode::Transactional {
        id,
        transaction_timeout: Duration::from_secs(15),
    };
    let mut sink = Sink::connect(&broker.kafka("sink"), mode, topics).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = sink.init_transactions(Duration::from_secs(5)) {
        assert!(
            error.class() == ErrorClass::Retriable && Instant::now() < deadline,
            "{error}"
        );
    }
    sink
}

pub fn send(
    sink: &mut Sink,
    offsets: &[(TopicPartition, i64)],
    group: &GroupMetadata,
) -> Result<(), KafkaError> {
    sink.send_offsets(offsets, group, Duration::from_secs(5))?;
    sink.commit(None)
}

pub fn outgoing(value: &[u8]) -> Outgoing<'_> {
    Outgoing {
        topic: 0,
        partition: 0,
        timestamp: None,
        key: None,
        value,
        headers: &[],
    }
}

pub fn write(sink: &mut Sink, numbers: std::ops::Range<u32>) {
    for number in numbers {
        sink.produce(&outgoing(number.to_string().as_bytes())).unwrap();
    }
}

/// xorshift64: lz4 makes nothing of it.
pub fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some((state >> 32) as u8)
    });
    bytes.take(length).collect()
}

/// A new topic with so many numbered records, dealt round.
pub fn filled_topic(broker: &Broker, partitions: i32, records: u32) -> String {
    let topic = broker.topic("raw", partitions);
    broker.produce_all(&topic, numbered(partitions, 0..records));
    topic
}

pub fn numbered(partitions: i32, numbers: std::ops::Range<u32>) -> impl Iterator<Item = Input> {
    numbers.map(move |number| Input {
        partition: number as i32 % partitions,
        value: Some(number.to_string().into_bytes()),
        ..Input::default()
    })
}

pub fn place(partition: i32) -> TopicPartition {
    TopicPartition { topic: 0, partition }
}
