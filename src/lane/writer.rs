//! Writes what the engine made of one message, and counts it.
//!
//! A full producer queue means wait, never drop.

use std::time::{Duration, Instant};

use crate::config::Partitioning;
use crate::engine::Output;
use crate::kafka::{KafkaError, Message, Outgoing, ProduceError, Sink, partition_for_key};
use crate::lane::{LanePlan, PUBLIC, REJECTED, RESTRICTED, Trouble};
use crate::telemetry::{LaneCounts, Now, VERSION};

/// Writes one message's outputs to Kafka and counts them.
pub(super) struct Writer<'a> {
    pub(super) plan: &'a LanePlan,
    pub(super) lane: usize,
    pub(super) sink: &'a mut Sink,
    pub(super) counts: &'a mut LaneCounts,
    pub(super) message: &'a Message<'a>,
    /// The raw record's time.
    pub(super) timestamp: i64,
    /// Whether the outputs refuse this message: that may be for its time, so its reject is given none.
    pub(super) convicted: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn write(&mut self, output: &Output<'_>) -> Result<(), Trouble> {
        self.counts.read(1);
        let partition = self.message.partition;
        match output {
            Output::Skipped(why) => self.counts.skipped(why.as_str()),
            Output::Accepted(accepted) => {
                let place = match (self.plan.delivery.partition, accepted.key) {
                    (Partitioning::Key, Some(key)) => partition_for_key(key, self.plan.public_partitions),
                    _ => partition,
                };
                let (headers, count) = self.copied_headers();
                self.produce(PUBLIC, place, accepted.key, accepted.public, &headers[..count])?;
                self.counts
                    .public(place, accepted.public.len(), accepted.epoch.as_str());
                if let Some(sealed) = accepted.restricted {
                    self.produce(RESTRICTED, partition, Some(accepted.record_id), sealed, &[])?;
                    self.counts.restricted(partition, sealed.len());
                }
            }
            Output::Rejected {
                record_id,
                refusal,
                sealed,
            } => {
                let reason = refusal.reason;
                let time = jiff::Timestamp::from_millisecond(self.timestamp)
                    .map(|time| time.to_string())
                    .unwrap_or_default();
                let headers: [(&str, &[u8]); 4] = [
                    ("cdrveil-reason", reason.as_str().as_bytes()),
                    ("cdrveil-source", record_id),
                    ("cdrveil-time", time.as_bytes()),
                    ("cdrveil-version", VERSION.as_bytes()),
                ];
                self.produce(REJECTED, partition, Some(record_id), sealed, &headers)?;
                self.counts
                    .rejected(reason.as_str(), self.message.offset, partition, sealed.len());
            }
        }
        Ok(())
    }

    /// The allow-listed headers of the raw record, if the policy copies any.
    fn copied_headers(&self) -> ([(&'a str, &'a [u8]); 2], usize) {
        let mut copied: [(&str, &[u8]); 2] = [("", &[]); 2];
        let mut count = 0;
        for name in self.plan.policy.headers.iter().take(copied.len()) {
            if let Some(value) = self.message.header(name) {
                copied[count] = (name.to_str().unwrap_or_default(), value);
                count += 1;
            }
        }
        (copied, count)
    }

    /// A full queue means wait, never drop.
    fn produce(
        &mut self,
        topic: usize,
        partition: i32,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<(), Trouble> {
        let record = Outgoing {
            topic,
            partition,
            timestamp: (!self.convicted).then_some(self.timestamp),
            key,
            value,
            headers,
        };
        // The clock is looked at only once the queue was full: every record comes by here.
        let mut deadline = None;
        loop {
            match self.sink.produce(&record) {
                Ok(()) => return Ok(()),
                Err(ProduceError::QueueFull) => {
                    let patience = self.plan.delivery.transaction_timeout;
                    if Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + patience) {
                        return Err(Trouble::Recover(KafkaError::stalled()));
                    }
                    self.plan.telemetry.beat(self.lane, Now::read());
                    self.sink.poll(Duration::from_millis(1));
                }
                Err(ProduceError::TooLarge) => return Err(Trouble::Recover(KafkaError::too_large())),
                Err(ProduceError::Other(error)) => return Err(Trouble::Recover(error)),
            }
        }
    }
}
