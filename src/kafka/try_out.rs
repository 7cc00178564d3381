//! What shows only when clients are built, known before the start.

use std::time::Duration;

use super::client::{Client, Role};
use super::error::KafkaError;
use super::properties::{DEFAULT_MAX_POLL_INTERVAL, MAX_POLL_INTERVAL};
use super::settings::Kafka;
use super::sink::{Sink, SinkMode};

impl Kafka {
    /// Builds both clients without a broker and drops them: properties that contradict each other or name files
    /// that are not there show here, before the start.
    ///
    /// # Errors
    ///
    /// [`ErrorClass::Fatal`](super::ErrorClass::Fatal), in librdkafka's words.
    pub fn try_out(&self, transaction_timeout: Duration) -> Result<(), KafkaError> {
        let least = 3 * transaction_timeout;
        let given = self
            .properties()
            .iter()
            .find(|(name, _)| name == MAX_POLL_INTERVAL);
        let given = given.map_or(DEFAULT_MAX_POLL_INTERVAL, |(_, value)| value.expose());
        if given
            .parse()
            .is_ok_and(|given| Duration::from_millis(given) < least)
        {
            return Err(KafkaError::fatal(format!(
                "kafka.properties.\"{MAX_POLL_INTERVAL}\" is {given}: set it to {} or more, three times the \
                 transaction timeout, or a slow commit costs the lane its partitions",
                least.as_millis()
            )));
        }
        Client::build(Role::Consumer, self, Vec::new(), &[("group.id", self.group())])?;
        let mode = SinkMode::Transactional {
            id: "try-out",
            transaction_timeout,
        };
        Sink::connect(self, mode, &[]).map(drop)
    }
}
