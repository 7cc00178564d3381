//! A batch of messages as librdkafka holds them: nothing is copied, nothing allocated per message.
//!
//! Invariants: a filled batch keeps its client alive, so its messages may outlast the [`Source`](super::Source);
//! behind a place that could not be read, it holds no message of that partition.

#![allow(unsafe_code)] // reads librdkafka's messages in place

use std::ffi::{CStr, CString};
use std::ptr;
use std::slice;
use std::sync::Arc;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaRespErr;

use super::client::Client;
use super::error::{ErrorClass, KafkaError};
use super::partition_list::TopicPartition;

/// At most so many messages per poll; more measured no faster.
pub(super) const CAPACITY: usize = 1000;

/// Messages of one poll; reused from poll to poll.
#[derive(Debug, Default)]
pub struct Batch {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    client: Option<Arc<Client>>,
    faults: Vec<Fault>,
}

/// Where a partition could not be read on. librdkafka would go on behind it: seek, or records are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The partition.
    pub place: TopicPartition,
    /// Offset of the batch that cannot be read, as far as librdkafka knows it.
    pub offset: i64,
    /// What is wrong with it.
    pub error: KafkaError,
}

// SAFETY: messages are reference-counted by librdkafka and may be read and freed on any one thread.
unsafe impl Send for Batch {}

/// One message, borrowed from its batch.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Index into the topics given to [`Source::connect`](super::Source::connect).
    pub topic: usize,
    /// Partition.
    pub partition: i32,
    /// This message's own offset; the next one to be read is at least one more.
    pub offset: i64,
    /// Milliseconds since 1970, where the message has a time.
    pub timestamp: Option<i64>,
    /// Key, absent if null.
    pub key: Option<&'a [u8]>,
    /// Value, absent if null (a tombstone).
    pub payload: Option<&'a [u8]>,
    raw: &'a sys::rd_kafka_message_t,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            messages: Vec::with_capacity(CAPACITY),
            client: None,
            faults: Vec::new(),
        }
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages, in the order of each partition.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        let topics: &[CString] = self.client.as_ref().map_or(&[], |client| &client.events().topics);
        let mut last = (ptr::null_mut(), 0);
        self.messages.iter().map(move |&message| {
            // SAFETY: alive until `clear`, which needs `&mut self`.
            let raw = unsafe { &*message };
            // One name look-up per run of messages of a topic. Comparing handles is sound: messages of this
            // batch keep theirs alive, so no address is used twice.
            if raw.rkt != last.0 {
                last = (raw.rkt, topic_index(raw.rkt, topics));
            }
            Message::read(raw, last.1)
        })
    }

    /// Frees all messages.
    pub fn clear(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: from librdkafka, freed once: drained here, or by `keep_messages` before.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
        self.client = None;
        self.faults.clear();
    }

    /// Where partitions could not be read on; seek there before the next poll.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.faults)
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Room for librdkafka to write message pointers into, after those already there.
    pub(super) fn spare(&mut self) -> (*mut *mut sys::rd_kafka_message_t, usize) {
        self.messages.reserve(CAPACITY - self.messages.len());
        let spare = self.messages.spare_capacity_mut();
        (spare.as_mut_ptr().cast(), spare.len().min(CAPACITY))
    }

    /// Takes over what librdkafka wrote into [`spare`](Self::spare).
    ///
    /// # Safety
    ///
    /// The first `count` places of the spare room hold messages of `client`'s handle.
    pub(super) unsafe fn filled(&mut self, count: usize, client: &Arc<Client>) {
        // SAFETY: by this function's contract.
        unsafe { self.messages.set_len(self.messages.len() + count) };
        if count > 0 && self.client.is_none() {
            self.client = Some(Arc::clone(client));
        }
    }

    /// Takes out what is not a message but an error. What spoils one partition becomes a [`Fault`], and takes along
    /// what was read of it behind; of the others, the first worth telling is returned.
    pub(super) fn take_error(&mut self) -> Option<KafkaError> {
        let topics: &[CString] = self.client.as_ref().map_or(&[], |client| &client.events().topics);
        let faults = &mut self.faults;
        let mut first = None;
        self.messages.retain(|&message| {
            // SAFETY: alive until freed below, and then no longer kept.
            let raw = unsafe { &*message };
            let error = KafkaError::from_code(raw.err);
            if error.is_none() && faults.is_empty() {
                return true;
            }
            let place = (!raw.rkt.is_null() && raw.partition >= 0).then(|| TopicPartition {
                topic: topic_index(raw.rkt, topics),
                partition: raw.partition,
            });
            // Behind a batch that cannot be read, librdkafka finds anything: messages, other errors, other offsets.
            let behind = faults.iter().any(|fault| Some(fault.place) == place);
            match (error, place) {
                (None, _) if !behind => return true,
                (_, Some(_)) if behind => {}
                (Some(error), Some(place)) if spoils(&error) => faults.push(Fault {
                    place,
                    offset: raw.offset,
                    error,
                }),
                (Some(error), _) if raw.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                    first.get_or_insert(error);
                }
                _ => {}
            }
            // SAFETY: as above.
            unsafe { sys::rd_kafka_message_destroy(message) };
            false
        });
        first
    }
}

/// Whether an error of one partition says that data of it cannot be read: all but those that end by themselves and
/// those that an administrator must end.
fn spoils(error: &KafkaError) -> bool {
    !matches!(error.class(), ErrorClass::Retriable | ErrorClass::Unavailable) && !error.is_denied()
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<'a> Message<'a> {
    fn read(raw: &'a sys::rd_kafka_message_t, topic: usize) -> Self {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: `raw` is alive; `kind` is written.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(raw, &raw mut kind) };
        Self {
            topic,
            partition: raw.partition,
            offset: raw.offset,
            timestamp: (timestamp >= 0).then_some(timestamp),
            // SAFETY: librdkafka says null or `len` bytes, alive with the message.
            key: unsafe { bytes(raw.key.cast(), raw.key_len) },
            // SAFETY: as above.
            payload: unsafe { bytes(raw.payload.cast(), raw.len) },
            raw,
        }
    }

    /// The last header of this name, if there is one with a value.
    pub fn header(&self, name: &CStr) -> Option<&'a [u8]> {
        let mut headers = ptr::null_mut();
        let mut value = ptr::null();
        let mut length = 0;
        // SAFETY: the message is alive; the call parses the headers inside it, which it owns, from the one
        // thread that reads this batch; out-pointers are written on success alone.
        unsafe {
            let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
            if sys::rd_kafka_message_headers(self.raw, &raw mut headers) != none
                || sys::rd_kafka_header_get_last(headers, name.as_ptr(), &raw mut value, &raw mut length)
                    != none
            {
                return None;
            }
            bytes(value.cast(), length)
        }
    }
}

/// Raw numbers live in keys and values: only the place is shown.
impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({}/{}/{})", self.topic, self.partition, self.offset)
    }
}

fn topic_index(handle: *mut sys::rd_kafka_topic_t, topics: &[CString]) -> usize {
    // SAFETY: a message's topic handle is alive as long as the message; its name is NUL-terminated.
    let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(handle)) };
    topics
        .iter()
        .position(|topic| topic.as_c_str() == name)
        .expect("invariant: a source reads only topics it was given")
}

/// # Safety
///
/// `pointer` is null or points to `length` bytes alive for `'a`.
unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> Option<&'a [u8]> {
    // SAFETY: by this function's contract.
    (!pointer.is_null()).then(|| unsafe { slice::from_raw_parts(pointer, length) })
}
