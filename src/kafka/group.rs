//! A member's place in its consumer group, to go with offsets into a transaction.

#![allow(unsafe_code)] // owns librdkafka's group metadata

use std::ffi::{CStr, CString};
use std::sync::Arc;

use rdkafka::bindings as sys;

use super::client::Client;
use super::error::KafkaError;

/// A member's place in its group at one moment (KIP-447), with the names its partitions point into.
pub struct GroupMetadata {
    raw: *mut sys::rd_kafka_consumer_group_metadata_t,
    client: Arc<Client>,
}

impl GroupMetadata {
    /// Of a client that joined a group.
    pub(super) fn of(client: &Arc<Client>) -> Result<Self, KafkaError> {
        // SAFETY: the handle is alive; the result is the caller's to free.
        let raw = unsafe { sys::rd_kafka_consumer_group_metadata(client.handle()) };
        if raw.is_null() {
            return Err(KafkaError::fatal("this source is in no group"));
        }
        Ok(Self {
            raw,
            client: Arc::clone(client),
        })
    }

    pub(super) fn as_ptr(&self) -> *const sys::rd_kafka_consumer_group_metadata_t {
        self.raw
    }

    pub(super) fn topics(&self) -> &[CString] {
        &self.client.events().topics
    }

    /// The generation of the group this was taken in.
    pub fn generation(&self) -> i32 {
        // SAFETY: alive.
        unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(self.raw) }
    }

    /// The member id the coordinator gave.
    pub fn member_id(&self) -> String {
        // SAFETY: alive; NUL-terminated.
        unsafe { CStr::from_ptr(sys::rd_kafka_consumer_group_metadata_member_id(self.raw)) }
            .to_string_lossy()
            .into_owned()
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours alone.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.raw) };
    }
}

impl std::fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupMetadata")
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
