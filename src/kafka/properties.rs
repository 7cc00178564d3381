//! librdkafka's properties: what this program decides, its defaults with their reasons, and whose they are.
//!
//! Figures in comments were measured on librdkafka 2.12 and Apache Kafka 4.4 (2026-11).

/// How long a member may not poll before it loses its partitions, in milliseconds.
pub(super) const MAX_POLL_INTERVAL: &str = "max.poll.interval.ms";
pub(super) const DEFAULT_MAX_POLL_INTERVAL: &str = "300000";

/// Properties this program decides, with the reason or what to use instead.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "use kafka.brokers"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("group.id", "use kafka.group"),
    ("group.instance.id", "it is made from kafka.instance and the lane"),
    (
        "transactional.id",
        "it is made from kafka.group, kafka.instance and the lane",
    ),
    ("transaction.timeout.ms", "use delivery.transaction_timeout"),
    (
        "group.protocol",
        "librdkafka 2.12's KIP-848 client stalls; classic it is",
    ),
    ("group.remote.assignor", "it belongs to group.protocol"),
    (
        "enable.auto.commit",
        "offsets are committed with the records they stand for",
    ),
    (
        "auto.commit.enable",
        "offsets are committed with the records they stand for",
    ),
    (
        "auto.commit.interval.ms",
        "offsets are committed with the records they stand for",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed with the records they stand for",
    ),
    ("auto.offset.reset", "anything but earliest can lose records"),
    ("isolation.level", "aborted records must never be read"),
    ("enable.partition.eof", "the end of a partition is no event here"),
    (
        "allow.auto.create.topics",
        "a topic made by a typing mistake loses records quietly",
    ),
    (
        "enable.idempotence",
        "without it a retry doubles or reorders records",
    ),
    ("acks", "exactly-once needs all"),
    ("request.required.acks", "exactly-once needs all"),
    (
        "delivery.report.only.error",
        "failed deliveries are counted by this program",
    ),
    (
        "enable.gapless.guarantee",
        "a lost record aborts the transaction already",
    ),
    ("statistics.interval.ms", "metrics are this program's own"),
    (
        "enable.metrics.push",
        "nothing but records leaves this program by Kafka",
    ),
    ("partitioner", "use the output's own setting"),
    ("consume.callback.max.messages", "it has no meaning here"),
];

/// Refuses a property this program decides.
pub(super) fn check_owned(name: &str) -> Result<(), String> {
    match OWNED.iter().find(|(owned, _)| *owned == name) {
        Some((_, reason)) => Err(format!(
            "kafka.properties.\"{name}\" cannot be set here: {reason}"
        )),
        None => Ok(()),
    }
}

/// Every client's defaults.
pub(super) const BASE: &[(&str, &str)] = &[
    ("client.id", "cdrveil"),
    // A dead peer behind a firewall that drops silently is noticed.
    ("socket.keepalive.enable", "true"),
    // librdkafka's 10 s leaves a lane idle long after its broker is back.
    ("reconnect.backoff.max.ms", "2000"),
    // Idle connections are closed by brokers every ten minutes: no news.
    ("log.connection.close", "false"),
    // KIP-714: nothing but records leaves this program by Kafka.
    ("enable.metrics.push", "false"),
];

/// The consumer's defaults.
pub(super) const CONSUMER: &[(&str, &str)] = &[
    ("group.protocol", "classic"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Never latest: a lost or aborted first commit would skip records.
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "false"),
    ("allow.auto.create.topics", "false"),
    // A member that joins does not stop the others.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // At least three times the transaction timeout: a commit may block for as long as that.
    (MAX_POLL_INTERVAL, DEFAULT_MAX_POLL_INTERVAL),
    // The default of 1000 ms costs up to ten times the throughput: the client sleeps
    // that long each time its queue was full.
    ("fetch.queue.backoff.ms", "2"),
    ("queued.min.messages", "20000"),
    // Bounds a lane's memory: per client, whatever the number of partitions.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "8388608"),
    // A larger batch is sent whole all the same (KIP-74): no record is too large to be read and rejected.
    ("fetch.message.max.bytes", "1048576"),
    ("receive.message.max.bytes", "134217728"),
    // 6 % of the consumer's time, and a flipped bit is never billed.
    ("check.crcs", "true"),
];

/// The producer's defaults.
pub(super) const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    // Halves the broker's CPU; the sealed key at the front of every sealed value is nearly free.
    ("compression.type", "lz4"),
    // Big batches: small ones cost the broker more than a small queue saves the cache. Below the commit
    // interval, and a commit does not wait for it.
    ("linger.ms", "20"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.messages", "100000"),
    // Bounds a lane's memory.
    ("queue.buffering.max.kbytes", "32768"),
    // A raw record of some MB must pass as a sealed reject; the topic's max.message.bytes decides.
    ("message.max.bytes", "16777216"),
];

/// Which client takes a property; librdkafka warns at every start of one given to the wrong side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Both,
    Consumer,
    Producer,
}

/// From librdkafka 2.12's CONFIGURATION.md, column C/P.
pub(super) fn side_of(name: &str) -> Side {
    const CONSUMER_ONLY: &[&str] = &[
        "check.crcs",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "heartbeat.interval.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "offset.store.method",
        "offset.store.path",
        "offset.store.sync.interval.ms",
        "partition.assignment.strategy",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
        "coordinator.query.interval.ms",
        "group.protocol.type",
    ];
    const PRODUCER_ONLY: &[&str] = &[
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "delivery.timeout.ms",
        "linger.ms",
        "message.send.max.retries",
        "message.timeout.ms",
        "msg_order_cmp",
        "produce.offset.report",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "queuing.strategy",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
    ];
    if CONSUMER_ONLY.contains(&name) {
        Side::Consumer
    } else if PRODUCER_ONLY.contains(&name) {
        Side::Producer
    } else {
        Side::Both
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::conf;

    #[test]
    fn every_default_is_taken_by_librdkafka() {
        for (name, value) in BASE.iter().chain(CONSUMER).chain(PRODUCER) {
            assert!(conf::check_property(name, value).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_default_goes_to_its_own_side() {
        for (name, _) in CONSUMER {
            assert_ne!(side_of(name), Side::Producer, "{name}");
        }
        for (name, _) in PRODUCER {
            assert_ne!(side_of(name), Side::Consumer, "{name}");
        }
        assert_eq!(side_of("security.protocol"), Side::Both);
        assert_eq!(side_of("session.timeout.ms"), Side::Consumer);
        assert_eq!(side_of("linger.ms"), Side::Producer);
    }
}
