//! Committing what is open, and giving it up.
//!
//! Invariant: no call waits longer than a slice, so that a lane gives signs of life and hears of a stop while its
//! coordinator is away. A slice that is over decides nothing: the same call is made again, until the
//! transaction's time is up and recovery takes over.

use std::time::{Duration, Instant};

use crate::config::Guarantee;
use crate::kafka::{ErrorClass, KafkaError};
use crate::lane::{Lane, Trouble};
use crate::telemetry::Now;

/// One try to commit or flush: librdkafka goes on with it in the meantime.
const SLICE: Duration = Duration::from_secs(2);
/// One try to send offsets: librdkafka begins that anew each time, so it must be enough for a slow broker.
const SEND_SLICE: Duration = Duration::from_secs(10);
/// How long the way out waits for an abort.
const ABORT: Duration = Duration::from_secs(2);
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(20);

impl Lane<'_> {
    pub(super) fn commit(&mut self) -> Result<(), Trouble> {
        if self.open.is_none() {
            return Ok(());
        }
        let began = Instant::now();
        let deadline = began + self.plan.delivery.transaction_timeout;
        let offsets = self.progress.pending();
        self.plan
            .telemetry
            .producer_queue(self.index, self.sink.queue_len());
        match self.plan.delivery.guarantee {
            Guarantee::ExactlyOnce => {
                self.again(deadline, |lane| {
                    let group = lane.source.group_metadata()?;
                    lane.sink.send_offsets(&offsets, &group, SEND_SLICE)
                })?;
                self.sent.clone_from(&offsets);
                self.again(deadline, |lane| lane.sink.commit(Some(SLICE)))?;
            }
            Guarantee::AtLeastOnce => {
                self.again(deadline, |lane| lane.sink.flush(SLICE))?;
                if self.sink.delivery_failures() > 0 {
                    let error = self.sink.take_trouble().unwrap_or_else(KafkaError::undelivered);
                    return Err(Trouble::Recover(error));
                }
                self.sent.clone_from(&offsets);
                self.again(deadline, |lane| lane.source.commit(&offsets, SLICE))?;
            }
        }
        self.committed(began.elapsed());
        Ok(())
    }

    /// Repeats a call that says nothing was decided, until the transaction's time is up; a stop shortens it.
    fn again(
        &mut self,
        mut deadline: Instant,
        mut call: impl FnMut(&mut Self) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let mut stopping = false;
        loop {
            match call(self) {
                Err(error) if error.class() == ErrorClass::Retriable && Instant::now() < deadline => {
                    self.plan.telemetry.beat(self.index, Now::read());
                    if !stopping && self.stopping() {
                        stopping = true;
                        deadline = deadline.min(Instant::now() + self.plan.delivery.drain_timeout / 3);
                    }
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    pub(super) fn committed(&mut self, took: Duration) {
        self.setbacks = 0;
        self.progress.committed();
        let messages = self.open.map_or(0, |open| open.messages);
        self.poison
            .committed(messages, |place, offset| self.progress.expects(place, offset));
        self.open = None;
        self.sent.clear();
        self.plan
            .telemetry
            .committed(self.index, &self.counts, took, Now::read());
        self.counts.clear();
        self.plan
            .telemetry
            .positions(self.index, &self.progress.positions(&self.source), Now::read());
    }

    /// Commits what is open; what cannot be committed is aborted and read again by the next instance.
    pub(super) fn drain(&mut self) {
        match self.commit() {
            Ok(()) => {}
            Err(Trouble::Recover(error)) => {
                tracing::warn!(lane = self.index, %error, "the last transaction was not committed; its records will be read again");
                self.give_up();
            }
            Err(Trouble::Fatal(error)) => {
                tracing::error!(lane = self.index, %error, "stopped with an open transaction");
                self.give_up();
            }
        }
    }

    /// Aborts what is open on the way out: left alone, it would hold up whoever reads committed records until the
    /// broker's timeout. Where that fails, the next instance's init does it.
    pub(super) fn give_up(&mut self) {
        if self.open.is_some()
            && self.plan.delivery.guarantee == Guarantee::ExactlyOnce
            && let Err(error) = self.sink.abort(Some(ABORT))
        {
            tracing::debug!(lane = self.index, %error, "not aborted");
        }
        self.abandon();
    }
}
