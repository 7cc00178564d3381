//! The reading half of a lane: polls batches, records rebalances, seeks, closes without hanging.
//!
//! Invariant: between a rebalance handed out by `poll` and its `complete`, librdkafka waits; nothing is
//! assigned or let go behind the lane's back, except while closing.

#![allow(unsafe_code)] // calls librdkafka's consumer

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::batch::Batch;
use super::client::{Client, Role, millis};
use super::error::{Flag, KafkaError};
use super::events::{Rebalance, answer, lock};
use super::group::GroupMetadata;
use super::partition_list::{PartitionList, TopicPartition, topic_names};
use super::settings::Kafka;

/// How long a seek waits between tries while an assignment is still being carried out.
const SEEK_PAUSE: Duration = Duration::from_millis(5);

/// How long a close may take beyond its budget, for its client's end.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// One member of the consumer group.
pub struct Source {
    /// Before the client: fields are dropped in this order.
    queue: Queue,
    client: Arc<Client>,
    /// Handed out and not yet completed.
    outstanding: bool,
    /// An error met behind messages: told at the next poll, so that no message is lost over it.
    deferred: Option<KafkaError>,
}

// SAFETY: the queue, like the handle, may be used from any one thread at a time.
unsafe impl Send for Source {}

impl Source {
    /// Joins the group and subscribes to `topics`. With `member`, as a static member of that id
    /// (`group.instance.id`, KIP-345).
    ///
    /// Returns before a broker was reached: see [`cluster::describe`](super::cluster::describe) for that.
    ///
    /// # Errors
    ///
    /// Properties that contradict each other, or a name that is no topic's: [`ErrorClass::Fatal`](super::ErrorClass).
    pub fn connect(kafka: &Kafka, topics: &[String], member: Option<&str>) -> Result<Self, KafkaError> {
        let names = topic_names(topics.iter().map(String::as_str))?;
        let mut decided = vec![("group.id", kafka.group())];
        decided.extend(member.map(|member| ("group.instance.id", member)));
        let client = Client::build(Role::Consumer, kafka, names, &decided)?;

        let list = PartitionList::of_topics(&client.events().topics);
        // SAFETY: handle and list are alive; the main queue is led into the consumer's, so that one poll serves
        // both; `get_consumer` is not null on a consumer, and gives a reference that `Queue` releases.
        let (outcome, queue) = unsafe {
            KafkaError::check(sys::rd_kafka_poll_set_consumer(client.handle()))?;
            let outcome = sys::rd_kafka_subscribe(client.handle(), list.as_ptr());
            (outcome, Queue(sys::rd_kafka_queue_get_consumer(client.handle())))
        };
        KafkaError::check(outcome)?;
        Ok(Self {
            client: Arc::new(client),
            queue,
            outstanding: false,
            deferred: None,
        })
    }

    /// Fills `batch` (emptied first) with at most 1,000 messages; waits up to `timeout` for the first one.
    ///
    /// Messages of the batch come before the rebalance returned with it. Call often enough:
    /// `max.poll.interval.ms` (300 s) without a poll loses the partitions.
    ///
    /// # Errors
    ///
    /// What librdkafka reports outside any call, told once: no broker reachable, access denied, this client
    /// fatally at an end. The batch is empty then. What spoils one partition only is a [`Fault`](super::Fault) of
    /// the batch.
    pub fn poll(&mut self, batch: &mut Batch, timeout: Duration) -> Result<Option<Rebalance>, KafkaError> {
        batch.clear();
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        if let Some(rebalance) = self.next_rebalance() {
            return Ok(Some(rebalance));
        }

        // A batch call waits until it is full: take what is there, else wait for one and take what came with it.
        if self.consume(batch, usize::MAX, Duration::ZERO) == 0 && !self.has_news() && !timeout.is_zero() {
            let first = self.consume(batch, 1, timeout);
            if first == 1 {
                self.consume(batch, usize::MAX, Duration::ZERO);
            }
        }

        let error = batch.take_error().or_else(|| self.client.take_trouble());
        // A client at its end may say so only once, among other errors; it never polls anything again.
        let fatal = if error.is_some() || batch.is_empty() {
            self.client.fatal_error()
        } else {
            None
        };
        let error = fatal.or(error);
        if batch.is_empty() && !batch.has_faults() {
            if let Some(error) = error {
                return Err(error);
            }
        } else {
            self.deferred = error;
        }
        Ok(self.next_rebalance())
    }

    /// Carries out a rebalance handed out by [`poll`](Self::poll), after the lane has committed or aborted.
    ///
    /// # Errors
    ///
    /// librdkafka refuses: the source is of no more use.
    pub fn complete(&mut self, rebalance: &Rebalance) -> Result<(), KafkaError> {
        self.outstanding = false;
        answer(self.client.handle(), self.client.events(), rebalance, &[])
    }

    /// As [`complete`](Self::complete), reading assigned partitions from these offsets (as [`committed`](Self::committed)
    /// gives them) instead of letting librdkafka ask for them: when its own question fails, at a coordinator that
    /// is just coming back, it tells the error once and never reads those partitions.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn complete_at(
        &mut self,
        rebalance: &Rebalance,
        committed: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), KafkaError> {
        self.outstanding = false;
        answer(self.client.handle(), self.client.events(), rebalance, committed)
    }

    /// The group's committed offsets, `None` where nothing was committed yet. Asks the coordinator, and waits
    /// there while a transaction of ours is still open or being ended.
    ///
    /// # Errors
    ///
    /// Retriable while the coordinator is away or takes longer than `timeout`.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, KafkaError> {
        let invalid = i64::from(sys::RD_KAFKA_OFFSET_INVALID);
        let list = self.list(partitions.iter().map(|&place| (place, invalid)));
        // SAFETY: handle and list are alive.
        KafkaError::check(unsafe {
            sys::rd_kafka_committed(self.client.handle(), list.as_ptr(), millis(timeout))
        })?;
        list.entries(&self.client.events().topics)
            .into_iter()
            .map(|(place, offset, code)| {
                KafkaError::check(code)?;
                Ok((place, (offset >= 0).then_some(offset)))
            })
            .collect()
    }

    /// Goes on reading at these offsets; what was fetched before is dropped. The partitions must be assigned
    /// (completed); an assignment still being carried out is waited for.
    ///
    /// # Errors
    ///
    /// Retriable when `timeout` is over; no broker is needed for a seek itself.
    pub fn seek(&mut self, offsets: &[(TopicPartition, i64)], timeout: Duration) -> Result<(), KafkaError> {
        let deadline = Instant::now() + timeout;
        let mut left = offsets.to_vec();
        while !left.is_empty() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let list = self.list(left.iter().copied());
            // SAFETY: handle and list are alive; the error object is freed by `from_raw`.
            let failed = unsafe {
                KafkaError::from_raw(sys::rd_kafka_seek_partitions(
                    self.client.handle(),
                    list.as_ptr(),
                    millis(remaining).max(1),
                ))
            };
            if let Some(error) = failed {
                return Err(KafkaError::new(
                    Code::OperationTimedOut,
                    Flag::None,
                    error.to_string(),
                ));
            }
            left.clear();
            for (place, offset, code) in list.entries(&self.client.events().topics) {
                match code {
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                    // Assigned, but the fetcher has not started yet.
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR__STATE
                    | RDKafkaRespErr::RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS
                    | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
                        if Instant::now() < deadline =>
                    {
                        left.push((place, offset));
                    }
                    code => KafkaError::check(code)?,
                }
            }
            if !left.is_empty() {
                thread::sleep(SEEK_PAUSE);
            }
        }
        Ok(())
    }

    /// Commits offsets and waits for the answer: for at-least-once, where no transaction carries them.
    ///
    /// # Errors
    ///
    /// Retriable when there is no answer within `timeout`: it may be committed or not, commit again. Abort when
    /// the group has moved on.
    pub fn commit(&mut self, offsets: &[(TopicPartition, i64)], timeout: Duration) -> Result<(), KafkaError> {
        let list = self.list(offsets.iter().copied());
        let mut answer: Option<RDKafkaRespErr> = None;
        // The plain synchronous call waits without a limit while the coordinator is away. A queue of one's own
        // has one, and dropping it unserved drops a late answer with it.
        // SAFETY: handle and list are alive; `answer` outlives the queue, whose poll alone calls `on_commit`.
        unsafe {
            let queue = Queue(sys::rd_kafka_queue_new(self.client.handle()));
            KafkaError::check(sys::rd_kafka_commit_queue(
                self.client.handle(),
                list.as_ptr(),
                queue.0,
                Some(on_commit),
                (&raw mut answer).cast(),
            ))?;
            sys::rd_kafka_queue_poll_callback(queue.0, millis(timeout));
        }
        KafkaError::check(answer.unwrap_or(RDKafkaRespErr::RD_KAFKA_RESP_ERR__TIMED_OUT))
    }

    /// The member's place in the group, to go with offsets into a transaction. Take it right before
    /// [`Sink::send_offsets`](super::Sink::send_offsets): it changes with every rebalance.
    ///
    /// # Errors
    ///
    /// Only when this source never joined a group.
    pub fn group_metadata(&self) -> Result<GroupMetadata, KafkaError> {
        GroupMetadata::of(&self.client)
    }

    /// Behind the last of a partition that a poll met, without asking a broker; `None` before the first. It met what no
    /// batch holds too: markers of transactions.
    pub fn position(&self, place: TopicPartition) -> Option<i64> {
        let list = self.list([(place, i64::from(sys::RD_KAFKA_OFFSET_INVALID))]);
        // SAFETY: handle and list are alive.
        KafkaError::check(unsafe { sys::rd_kafka_position(self.client.handle(), list.as_ptr()) }).ok()?;
        let (_, offset, _) = *list.entries(&self.client.events().topics).first()?;
        (offset >= 0).then_some(offset)
    }

    /// The end of a partition as the last fetch saw it, without asking a broker; `None` before the first.
    pub fn high_watermark(&self, place: TopicPartition) -> Option<i64> {
        self.watermarks(place)
            .map(|(_, high)| high)
            .filter(|high| *high >= 0)
    }

    /// The first offset that retention has left in a partition, as the last fetch saw it; as
    /// [`high_watermark`](Self::high_watermark).
    pub fn low_watermark(&self, place: TopicPartition) -> Option<i64> {
        self.watermarks(place).map(|(low, _)| low).filter(|low| *low >= 0)
    }

    fn watermarks(&self, place: TopicPartition) -> Option<(i64, i64)> {
        let topic = self.client.events().topics.get(place.topic)?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the handle is alive; both out-pointers are written on success.
        let code = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.client.handle(),
                topic.as_ptr(),
                place.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then_some((low, high))
    }

    /// Lets go of everything and leaves, for at most `budget`; a static member keeps its place in the group
    /// for the session timeout. The lane has committed or aborted before. Messages still in a [`Batch`] stay valid.
    pub fn close(self, budget: Duration) {
        let (done, finished) = mpsc::channel();
        // An answer given while the group ends may be lost, and librdkafka waits for its outcome without a limit:
        // another thread does it, and is waited for only so long.
        let leaving = thread::Builder::new().name("kafka-close".into()).spawn(move || {
            self.leave(budget);
            let _ = done.send(());
        });
        if leaving.is_ok() {
            let _ = finished.recv_timeout(budget + CLOSE_GRACE);
        }
    }

    fn leave(self, budget: Duration) {
        let deadline = Instant::now() + budget;
        let events = self.client.events();
        events.closing.store(true, Ordering::Release);
        let unanswered = self.outstanding || !lock(&events.rebalances).is_empty();
        // SAFETY: the handle and the queue are alive; a null list stands for no partitions; close is asked for
        // once, and its events, our rebalance callback among them, are served on this thread.
        unsafe {
            let refused = sys::rd_kafka_consumer_close_queue(self.client.handle(), self.queue.0);
            if KafkaError::from_raw(refused).is_some() {
                return;
            }
            // Only now: before the close, the cooperative protocol refuses it (_STATE), and the close would wait
            // for the answer to a rebalance that nobody gives.
            if unanswered {
                sys::rd_kafka_assign(self.client.handle(), ptr::null());
            }
            let mut batch = Batch::new();
            while sys::rd_kafka_consumer_closed(self.client.handle()) == 0 && Instant::now() < deadline {
                self.consume(&mut batch, 1, Duration::from_millis(10));
                batch.clear();
            }
        }
    }

    fn consume(&self, batch: &mut Batch, most: usize, timeout: Duration) -> usize {
        let (room, size) = batch.spare();
        let size = size.min(most);
        if size == 0 {
            return 0;
        }
        // SAFETY: the queue is alive; `room` has space for `size` pointers; what is written there are messages of
        // this client's handle, handed over to the batch at once.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(self.queue.0, millis(timeout), room, size);
            let count = usize::try_from(count).unwrap_or(0);
            batch.filled(count, &self.client);
            count
        }
    }

    fn has_news(&self) -> bool {
        let events = self.client.events();
        !lock(&events.rebalances).is_empty() || lock(&events.trouble).is_some()
    }

    fn next_rebalance(&mut self) -> Option<Rebalance> {
        let rebalance = lock(&self.client.events().rebalances).pop_front();
        self.outstanding |= rebalance.is_some();
        rebalance
    }

    fn list(&self, entries: impl IntoIterator<Item = (TopicPartition, i64)>) -> PartitionList {
        PartitionList::new(&self.client.events().topics, entries)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

/// A queue of a client, which it must not outlive.
struct Queue(*mut sys::rd_kafka_queue_t);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours alone.
        unsafe { sys::rd_kafka_queue_destroy(self.0) };
    }
}

/// Called by librdkafka inside `commit`, on the lane's thread.
unsafe extern "C" fn on_commit(
    _handle: *mut sys::rd_kafka_t,
    code: RDKafkaRespErr,
    offsets: *mut sys::rd_kafka_topic_partition_list_t,
    answer: *mut c_void,
) {
    let fine = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: `answer` is what `commit` gave; the list is null or alive, with `cnt` entries.
    unsafe {
        let count = offsets
            .as_ref()
            .map_or(0, |list| usize::try_from(list.cnt).unwrap_or(0));
        let mut codes = (0..count).map(|index| (*(*offsets).elems.add(index)).err);
        let of_a_partition = codes.find(|&code| code != fine);
        *answer.cast::<Option<RDKafkaRespErr>>() = Some(if code == fine {
            of_a_partition.unwrap_or(fine)
        } else {
            code
        });
    }
}
