//! Partitions: as we name them, and as librdkafka lists them.

#![allow(unsafe_code)] // owns librdkafka's lists

use std::ffi::{CStr, CString};

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaRespErr;

use super::error::KafkaError;

/// The first offset there is, as a place to seek to.
pub const OFFSET_BEGINNING: i64 = sys::RD_KAFKA_OFFSET_BEGINNING as i64;

/// A partition of one of the topics given to [`Source::connect`](super::Source::connect).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Index into those topics.
    pub topic: usize,
    /// Partition.
    pub partition: i32,
}

/// A list of partitions in librdkafka's own form.
pub(super) struct PartitionList(*mut sys::rd_kafka_topic_partition_list_t);

impl PartitionList {
    /// Partitions with offsets; `topics` is what the indexes point into.
    pub(super) fn new(topics: &[CString], entries: impl IntoIterator<Item = (TopicPartition, i64)>) -> Self {
        // SAFETY: no precondition; never null.
        let list = Self(unsafe { sys::rd_kafka_topic_partition_list_new(8) });
        for (place, offset) in entries {
            if let Some(topic) = topics.get(place.topic) {
                list.add(topic, place.partition, offset);
            }
        }
        list
    }

    /// Whole topics, for a subscription.
    pub(super) fn of_topics(topics: &[CString]) -> Self {
        let list = Self::new(topics, []);
        for topic in topics {
            list.add(topic, -1, i64::from(sys::RD_KAFKA_OFFSET_INVALID));
        }
        list
    }

    fn add(&self, topic: &CStr, partition: i32, offset: i64) {
        // SAFETY: the list is alive; `add` copies the name and returns the new entry, alive until the list grows.
        unsafe {
            let entry = sys::rd_kafka_topic_partition_list_add(self.0, topic.as_ptr(), partition);
            (*entry).offset = offset;
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0
    }

    /// The entries as they stand now, with their own error codes.
    pub(super) fn entries(&self, topics: &[CString]) -> Vec<(TopicPartition, i64, RDKafkaRespErr)> {
        // SAFETY: the list is alive.
        unsafe { entries_of(self.0, topics) }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: ours alone.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0) };
    }
}

/// Reads a list that librdkafka owns. Topics that are not ours are left out: we never subscribe to any.
///
/// # Safety
///
/// `list` is null or alive.
pub(super) unsafe fn entries_of(
    list: *const sys::rd_kafka_topic_partition_list_t,
    topics: &[CString],
) -> Vec<(TopicPartition, i64, RDKafkaRespErr)> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: `elems` points to `cnt` entries with NUL-terminated topic names (rdkafka.h); null only if `cnt` is 0.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count)
            .filter_map(|index| {
                let entry = &*(*list).elems.add(index);
                let name = CStr::from_ptr(entry.topic);
                let topic = topics.iter().position(|topic| topic.as_c_str() == name)?;
                let place = TopicPartition {
                    topic,
                    partition: entry.partition,
                };
                Some((place, entry.offset, entry.err))
            })
            .collect()
    }
}

/// Names of topics for librdkafka; a leading `^` would make one a pattern.
pub(super) fn topic_names<'a>(topics: impl IntoIterator<Item = &'a str>) -> Result<Vec<CString>, KafkaError> {
    let name = |topic: &str| match CString::new(topic) {
        Ok(name) if !topic.is_empty() && !topic.starts_with('^') => Ok(name),
        _ => Err(KafkaError::fatal(format!("\"{topic}\" is not a topic's name"))),
    };
    topics.into_iter().map(name).collect()
}
