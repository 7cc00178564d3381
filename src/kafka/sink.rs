//! The writing half of a lane: a transactional producer, or an acknowledged one.
//!
//! Invariant: a record is copied into librdkafka's queue or handed back to the caller; none is dropped
//! silently. A full queue means wait.

#![allow(unsafe_code)] // calls librdkafka's producer

use std::ffi::CString;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::bindings::rd_kafka_vtype_t as Kind;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::client::{Client, Role, millis};
use super::error::{Flag, KafkaError};
use super::group::GroupMetadata;
use super::partition_list::{PartitionList, TopicPartition, topic_names};
use super::settings::Kafka;

/// How a sink's records become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkMode<'a> {
    /// Records and offsets are committed together.
    Transactional {
        /// Stable id of the lane: a second producer of this id fences the first.
        id: &'a str,
        /// How long the broker lets a transaction stay open when its producer is gone.
        transaction_timeout: Duration,
    },
    /// Records are acknowledged one by one; failures are counted.
    AtLeastOnce,
}

/// A record to be written.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// Index into the topics given to [`Sink::connect`].
    pub topic: usize,
    /// Partition.
    pub partition: i32,
    /// Milliseconds since 1970; `None`: now.
    pub timestamp: Option<i64>,
    /// Key, null if absent.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: &'a [u8],
    /// Headers: dear, so only on records that are rare.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Keys and values may hold what must not be printed.
impl std::fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Outgoing({}/{}, {} bytes)",
            self.topic,
            self.partition,
            self.value.len()
        )
    }
}

/// Why a record was not taken. It is still the caller's.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The queue is full: poll, wait, try again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// The record is larger than this producer sends (16 MiB unless `message.max.bytes` says otherwise).
    #[error("the record is larger than message.max.bytes")]
    TooLarge,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] KafkaError),
}

/// One producer.
pub struct Sink {
    topics: Vec<*mut sys::rd_kafka_topic_t>,
    client: Client,
}

// SAFETY: topic handles, like the client's, may be used from any thread.
unsafe impl Send for Sink {}

impl Sink {
    /// Makes a producer for these output topics. Returns before a broker was reached.
    ///
    /// # Errors
    ///
    /// Properties that contradict each other, or a name that is no topic's: fatal.
    pub fn connect(kafka: &Kafka, mode: SinkMode<'_>, topics: &[&str]) -> Result<Self, KafkaError> {
        let names = topic_names(topics.iter().copied())?;
        let client = match mode {
            SinkMode::Transactional {
                id,
                transaction_timeout,
            } => {
                let timeout = transaction_timeout.as_millis().to_string();
                let decided = [("transactional.id", id), ("transaction.timeout.ms", &timeout)];
                Client::build(Role::Transactional, kafka, names, &decided)?
            }
            SinkMode::AtLeastOnce => {
                let decided = [("delivery.report.only.error", "true")];
                Client::build(Role::Acknowledged, kafka, names, &decided)?
            }
        };
        let topics = client
            .events()
            .topics
            .iter()
            .map(|name| open_topic(&client, name));
        let topics = topics.collect::<Result<_, _>>()?;
        Ok(Self { topics, client })
    }

    /// Takes the transactional id: ends the transaction of whoever had it, fences that producer, and waits for
    /// both. Once, before the first [`begin`](Self::begin).
    ///
    /// # Errors
    ///
    /// Retriable after `timeout` (call again); fenced when another instance takes the id at the same time.
    pub fn init_transactions(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        // SAFETY: the handle is alive; the error object is freed by `from_raw`.
        let failed = unsafe {
            KafkaError::from_raw(sys::rd_kafka_init_transactions(
                self.client.handle(),
                millis(timeout),
            ))
        };
        failed.map_or(Ok(()), Err)
    }

    /// Begins a transaction; local, asks no broker.
    ///
    /// # Errors
    ///
    /// The producer has failed before.
    pub fn begin(&mut self) -> Result<(), KafkaError> {
        // SAFETY: as in `init_transactions`.
        let failed = unsafe { KafkaError::from_raw(sys::rd_kafka_begin_transaction(self.client.handle())) };
        failed.map_or(Ok(()), Err)
    }

    /// What made the open transaction fail, where `error` says only that it has failed (`_STATE`): a call on a
    /// transaction that fails at that moment may say no more. The sink is of no more use afterwards.
    #[must_use]
    pub fn cause(&mut self, error: &KafkaError) -> KafkaError {
        if error.code() != Code::State {
            return error.clone();
        }
        // Begins nothing: in a transaction that must be aborted, every call but the abort is told why.
        match self.begin() {
            Err(cause) if cause.code() != Code::State => cause,
            _ => error.clone(),
        }
    }

    /// Puts the offsets, each the next message to be read, into the open transaction (KIP-447).
    ///
    /// # Errors
    ///
    /// Retriable: the same call again. Abort when the group has moved on: another member has the partitions.
    pub fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, i64)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        let list = PartitionList::new(group.topics(), offsets.iter().copied());
        // SAFETY: handle, list and metadata are alive; the error object is freed by `from_raw`.
        let failed = unsafe {
            KafkaError::from_raw(sys::rd_kafka_send_offsets_to_transaction(
                self.client.handle(),
                list.as_ptr(),
                group.as_ptr(),
                millis(timeout),
            ))
        };
        failed.map_or(Ok(()), Err)
    }

    /// Flushes and commits the open transaction. `None` waits as long as it takes: while the coordinator is away, that
    /// has no bound.
    ///
    /// # Errors
    ///
    /// Retriable, also when `timeout` is over: librdkafka goes on with it; the same call again takes it up, and
    /// nothing else may be called meanwhile. Anything else: abort, and make the producer again.
    pub fn commit(&mut self, timeout: Option<Duration>) -> Result<(), KafkaError> {
        // SAFETY: as in `init_transactions`.
        let failed = unsafe {
            KafkaError::from_raw(sys::rd_kafka_commit_transaction(
                self.client.handle(),
                timeout.map_or(-1, millis),
            ))
        };
        failed.map_or(Ok(()), Err)
    }

    /// Drops what is queued and aborts the open transaction.
    ///
    /// # Errors
    ///
    /// Any: [`destroy_now`](Self::destroy_now) and make the producer again, whose `init_transactions` aborts.
    pub fn abort(&mut self, timeout: Option<Duration>) -> Result<(), KafkaError> {
        // SAFETY: as in `init_transactions`.
        let failed = unsafe {
            KafkaError::from_raw(sys::rd_kafka_abort_transaction(
                self.client.handle(),
                timeout.map_or(-1, millis),
            ))
        };
        failed.map_or(Ok(()), Err)
    }

    /// Queues a copy of the record.
    ///
    /// # Errors
    ///
    /// The record is handed back: see [`ProduceError`].
    pub fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), ProduceError> {
        let Some(&topic) = self.topics.get(record.topic) else {
            return Err(KafkaError::fatal("a record names an output this sink was not given").into());
        };
        let headers = (!record.headers.is_empty()).then(|| Headers::new(record.headers));
        let (key, key_size) = record
            .key
            .map_or((ptr::null(), 0), |key| (key.as_ptr(), key.len()));

        let fields = [
            field(
                Kind::RD_KAFKA_VTYPE_RKT,
                sys::rd_kafka_vu_s__bindgen_ty_1 { rkt: topic },
            ),
            field(
                Kind::RD_KAFKA_VTYPE_PARTITION,
                sys::rd_kafka_vu_s__bindgen_ty_1 {
                    i32_: record.partition,
                },
            ),
            field(
                Kind::RD_KAFKA_VTYPE_MSGFLAGS,
                sys::rd_kafka_vu_s__bindgen_ty_1 {
                    i: sys::RD_KAFKA_MSG_F_COPY,
                },
            ),
            // librdkafka reads 0 as now.
            field(
                Kind::RD_KAFKA_VTYPE_TIMESTAMP,
                sys::rd_kafka_vu_s__bindgen_ty_1 {
                    i64_: record.timestamp.unwrap_or(0),
                },
            ),
            field(Kind::RD_KAFKA_VTYPE_KEY, memory(key, key_size)),
            field(
                Kind::RD_KAFKA_VTYPE_VALUE,
                memory(record.value.as_ptr(), record.value.len()),
            ),
            field(
                Kind::RD_KAFKA_VTYPE_HEADERS,
                sys::rd_kafka_vu_s__bindgen_ty_1 {
                    headers: headers.as_ref().map_or(ptr::null_mut(), |headers| headers.0),
                },
            ),
        ];
        let count = fields.len() - usize::from(headers.is_none());
        // SAFETY: handle, topic, key, value and headers are alive for the call, which copies key and value; it takes
        // the headers over on success alone; the error object is freed by `from_raw`.
        let failed = unsafe {
            KafkaError::from_raw(sys::rd_kafka_produceva(
                self.client.handle(),
                fields.as_ptr(),
                count,
            ))
        };
        match failed {
            None => {
                if let Some(headers) = headers {
                    headers.given_away();
                }
                Ok(())
            }
            Some(error) => Err(match error.code() {
                Code::QueueFull => ProduceError::QueueFull,
                Code::MessageSizeTooLarge => ProduceError::TooLarge,
                _ => ProduceError::Other(error),
            }),
        }
    }

    /// Serves callbacks; call once per batch and while waiting for a full queue.
    pub fn poll(&mut self, timeout: Duration) {
        // SAFETY: the handle is alive; callbacks are served on this thread.
        unsafe { sys::rd_kafka_poll(self.client.handle(), millis(timeout)) };
    }

    /// Waits until every queued record was acknowledged or has failed.
    ///
    /// # Errors
    ///
    /// Retriable when `timeout` is over first.
    pub fn flush(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        // SAFETY: the handle is alive.
        KafkaError::check(unsafe { sys::rd_kafka_flush(self.client.handle(), millis(timeout)) })
    }

    /// Records queued or on their way.
    pub fn queue_len(&self) -> usize {
        // SAFETY: the handle is alive.
        usize::try_from(unsafe { sys::rd_kafka_outq_len(self.client.handle()) }).unwrap_or(0)
    }

    /// At-least-once: how many records the broker did not take, so far. Not zero after a flush: do not commit
    /// the offsets, make the sink again and rewind.
    pub fn delivery_failures(&self) -> u64 {
        self.client.events().failed_deliveries.load(Ordering::Relaxed)
    }

    /// The fatal error that ended this producer, if there is one.
    pub fn fatal_error(&self) -> Option<KafkaError> {
        self.client.fatal_error()
    }

    /// What librdkafka reported outside any call since last asked: no broker, access denied, a delivery failed.
    pub fn take_trouble(&mut self) -> Option<KafkaError> {
        self.client.take_trouble()
    }

    /// Drops what is queued and the producer with it, without asking a broker. An open transaction stays for
    /// the next `init_transactions` of its id, or the transaction timeout.
    pub fn destroy_now(self) {
        let flags =
            sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the handle is alive.
        unsafe { sys::rd_kafka_purge(self.client.handle(), flags) };
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        for &topic in &self.topics {
            // SAFETY: ours alone; the handle is still alive, as fields are dropped after this.
            unsafe { sys::rd_kafka_topic_destroy(topic) };
        }
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("queue_len", &self.queue_len())
            .finish_non_exhaustive()
    }
}

/// Headers on their way into a record; librdkafka's once it took them.
struct Headers(*mut sys::rd_kafka_headers_t);

impl Headers {
    fn new(headers: &[(&str, &[u8])]) -> Self {
        // SAFETY: lengths are given beside every pointer; librdkafka copies both.
        unsafe {
            let list = Self(sys::rd_kafka_headers_new(headers.len()));
            for (name, value) in headers {
                sys::rd_kafka_header_add(
                    list.0,
                    name.as_ptr().cast(),
                    name.len().cast_signed(),
                    value.as_ptr().cast(),
                    value.len().cast_signed(),
                );
            }
            list
        }
    }

    fn given_away(self) {
        std::mem::forget(self);
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: ours alone: `given_away` forgets what a record took.
        unsafe { sys::rd_kafka_headers_destroy(self.0) };
    }
}

fn open_topic(client: &Client, name: &CString) -> Result<*mut sys::rd_kafka_topic_t, KafkaError> {
    // SAFETY: the handle is alive; a null configuration stands for the defaults.
    let topic = unsafe { sys::rd_kafka_topic_new(client.handle(), name.as_ptr(), ptr::null_mut()) };
    if topic.is_null() {
        let message = format!("topic {} cannot be opened", name.to_string_lossy());
        return Err(KafkaError::new(Code::InvalidTopic, Flag::Fatal, message));
    }
    Ok(topic)
}

fn field(vtype: Kind, u: sys::rd_kafka_vu_s__bindgen_ty_1) -> sys::rd_kafka_vu_t {
    sys::rd_kafka_vu_t { vtype, u }
}

fn memory(bytes: *const u8, size: usize) -> sys::rd_kafka_vu_s__bindgen_ty_1 {
    sys::rd_kafka_vu_s__bindgen_ty_1 {
        mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: bytes.cast_mut().cast(),
            size,
        },
    }
}
