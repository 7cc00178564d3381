//! What librdkafka's callbacks leave for the lane's next call: rebalances, trouble outside any call, failed deliveries.
//!
//! Invariant: a rebalance is only recorded here, and answered when the lane completes it; while closing, a revocation
//! is answered at once.

#![allow(unsafe_code)] // librdkafka calls these

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::bindings as sys;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::error::{Flag, KafkaError};
use super::partition_list::{OFFSET_BEGINNING, PartitionList, TopicPartition, entries_of};

/// What callbacks leave for the lane's next call.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Topic names a [`TopicPartition`] points into.
    pub topics: Vec<CString>,
    /// While closing, a revocation is answered at once.
    pub closing: AtomicBool,
    pub rebalances: Mutex<VecDeque<Rebalance>>,
    pub trouble: Mutex<Option<KafkaError>>,
    pub failed_deliveries: AtomicU64,
}

/// A change of what this source reads; carried out by [`Source::complete`](super::Source::complete). In either protocol (eager, or
/// cooperative as by default) these are partitions added to, or taken from, those it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebalance {
    /// These partitions are to be read from their committed offsets (from the start without one).
    Assigned(Vec<TopicPartition>),
    /// These partitions are to be let go.
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// Whether they are still ours until let go.
        loss: Loss,
    },
}

/// Whether revoked partitions are still ours until we let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Still ours: what is open may be committed first.
    Kept,
    /// Somebody else may read them already: what is open must be aborted.
    Lost,
}

/// A lock that a panic elsewhere does not turn into another one: the data is plain.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// librdkafka reports here what no call of ours can return. Served inside poll calls, on the lane's thread.
pub(super) unsafe extern "C" fn on_error(
    handle: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // One broker out of several comes and goes without harm; a fatal error carries its own code.
    const FATAL: c_int = RDKafkaRespErr::RD_KAFKA_RESP_ERR__FATAL as c_int;
    const ALL_DOWN: c_int = RDKafkaRespErr::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as c_int;
    const AUTHENTICATION: c_int = RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTHENTICATION as c_int;
    const SSL: c_int = RDKafkaRespErr::RD_KAFKA_RESP_ERR__SSL as c_int;

    // SAFETY: librdkafka passes the opaque given at build time, alive as long as the handle, and a
    // NUL-terminated reason.
    let (events, reason) = unsafe {
        (
            &*opaque.cast::<Events>(),
            CStr::from_ptr(reason).to_string_lossy(),
        )
    };
    let error = match code {
        // SAFETY: the handle is alive inside its own callback.
        FATAL => match unsafe { KafkaError::fatal_of(handle) } {
            Some(error) => error,
            None => return,
        },
        ALL_DOWN => KafkaError::new(Code::AllBrokersDown, Flag::None, reason),
        AUTHENTICATION => KafkaError::new(Code::Authentication, Flag::None, reason),
        SSL => KafkaError::new(Code::SSL, Flag::None, reason),
        _ => return,
    };
    *lock(&events.trouble) = Some(error);
}

/// At-least-once: a record the broker did not take. Served inside poll and flush calls.
pub(super) unsafe extern "C" fn on_delivery(
    _handle: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes an alive message and the opaque given at build time.
    let (message, events) = unsafe { (&*message, &*opaque.cast::<Events>()) };
    if let Some(error) = KafkaError::from_code(message.err) {
        events.failed_deliveries.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the topic of an alive message is alive, and its name NUL-terminated.
        let topic = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(message.rkt)) }.to_string_lossy();
        *lock(&events.trouble) = Some(error.met_by(&topic, message.partition));
    }
}

/// Called by librdkafka inside `poll` (and `close`), on the lane's thread.
pub(super) unsafe extern "C" fn on_rebalance(
    handle: *mut sys::rd_kafka_t,
    code: RDKafkaRespErr,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes the opaque given at build time, an alive handle and an alive list.
    unsafe {
        let events = &*opaque.cast::<Events>();
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                record_rebalance(handle, code, partitions, events);
                if events.closing.load(Ordering::Acquire)
                    && sys::rd_kafka_consumer_closed(handle) == 0
                    && let Some(rebalance) = lock(&events.rebalances).pop_back()
                {
                    // Nobody is left to do anything about a refusal.
                    let _ = answer(handle, events, &rebalance, &[]);
                }
            }
            // The join failed: librdkafka wants the assignment gone and tries again.
            _ => {
                sys::rd_kafka_assign(handle, ptr::null());
            }
        }
    }
}

/// What the rebalance callback records.
///
/// # Safety
///
/// `handle` is alive, `partitions` is null or alive.
unsafe fn record_rebalance(
    handle: *mut sys::rd_kafka_t,
    code: RDKafkaRespErr,
    partitions: *const sys::rd_kafka_topic_partition_list_t,
    events: &Events,
) {
    // SAFETY: by this function's contract.
    let partitions = unsafe { entries_of(partitions, &events.topics) };
    let partitions: Vec<_> = partitions.into_iter().map(|(place, _, _)| place).collect();
    let rebalance = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        Rebalance::Assigned(partitions)
    } else {
        // SAFETY: the handle is alive.
        let lost = unsafe { sys::rd_kafka_assignment_lost(handle) } != 0;
        Rebalance::Revoked {
            partitions,
            loss: if lost { Loss::Lost } else { Loss::Kept },
        }
    };
    lock(&events.rebalances).push_back(rebalance);
}

/// Takes over or lets go, in the words of the group's protocol (KIP-429).
pub(super) fn answer(
    handle: *mut sys::rd_kafka_t,
    events: &Events,
    rebalance: &Rebalance,
    committed: &[(TopicPartition, Option<i64>)],
) -> Result<(), KafkaError> {
    let (Rebalance::Assigned(partitions) | Rebalance::Revoked { partitions, .. }) = rebalance;
    let from = |place: &TopicPartition| {
        let known = committed.iter().find(|(known, _)| known == place);
        let invalid = i64::from(sys::RD_KAFKA_OFFSET_INVALID);
        known.map_or(invalid, |(_, offset)| offset.unwrap_or(OFFSET_BEGINNING))
    };
    let list = PartitionList::new(
        &events.topics,
        partitions.iter().map(|place| (*place, from(place))),
    );
    // SAFETY: the handle is alive, here and inside the callback; the list is alive; error objects are freed
    // by `from_raw`; the protocol's name is null or a static string.
    unsafe {
        let protocol = sys::rd_kafka_rebalance_protocol(handle);
        // Null when the group has ended, as while closing: nobody waits for the answer.
        if protocol.is_null() {
            return Ok(());
        }
        let cooperative = CStr::from_ptr(protocol) == c"COOPERATIVE";
        let refused = match (rebalance, cooperative) {
            (Rebalance::Assigned(_), true) => {
                KafkaError::from_raw(sys::rd_kafka_incremental_assign(handle, list.as_ptr()))
            }
            (Rebalance::Revoked { .. }, true) => {
                KafkaError::from_raw(sys::rd_kafka_incremental_unassign(handle, list.as_ptr()))
            }
            (Rebalance::Assigned(_), false) => {
                KafkaError::from_code(sys::rd_kafka_assign(handle, list.as_ptr()))
            }
            (Rebalance::Revoked { .. }, false) => {
                KafkaError::from_code(sys::rd_kafka_assign(handle, ptr::null()))
            }
        };
        refused.map_or(Ok(()), Err)
    }
}
