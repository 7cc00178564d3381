//! One librdkafka client: built from settings, shared by what borrows from it, taken down without hanging.
//!
//! Invariants: the handle lives until the last [`Client`] reference (source, sink, filled batch) is gone;
//! callbacks only write into [`Events`], which outlives the handle.

#![allow(unsafe_code)] // owns librdkafka's handle

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::types::{RDKafkaConfRes, RDKafkaErrorCode as Code, RDKafkaRespErr, RDKafkaType};

use super::error::{Flag, KafkaError};
use super::properties::{self, Side};
use super::settings::Kafka;
use super::source::{Loss, Rebalance, TopicPartition};
use super::{log, source};

/// How long a drop waits for librdkafka's threads; they finish on their own afterwards.
const BURIAL: Duration = Duration::from_millis(500);

/// librdkafka's `rd_kafka_destroy_flags`: leave the threads to end by themselves (`rdkafka_int.h`).
const DESTROY_IMMEDIATE: c_int = 0x4;

/// Which client to build, and what its callbacks are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Consumer with our rebalance callback.
    Consumer,
    /// Producer without delivery reports: a transaction needs none.
    Transactional,
    /// Producer whose failed deliveries are counted.
    Acknowledged,
}

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

/// A client's handle with what its callbacks write into.
pub(super) struct Client {
    handle: *mut sys::rd_kafka_t,
    /// Owned; callbacks hold the same address until the handle is destroyed, so it is no `Box`.
    events: *mut Events,
}

// SAFETY: librdkafka's handle may be used from any thread at once (rdkafka.h, "thread-safe"), and `Events` is
// made of atomics and mutexes.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Builds a client: defaults, the user's properties for this side, then `decided`, which win.
    pub(super) fn build(
        role: Role,
        kafka: &Kafka,
        topics: Vec<CString>,
        decided: &[(&str, &str)],
    ) -> Result<Self, KafkaError> {
        let conf = Conf::new();
        let (kind, defaults, other_side) = match role {
            Role::Consumer => (
                RDKafkaType::RD_KAFKA_CONSUMER,
                properties::CONSUMER,
                Side::Producer,
            ),
            Role::Transactional | Role::Acknowledged => (
                RDKafkaType::RD_KAFKA_PRODUCER,
                properties::PRODUCER,
                Side::Consumer,
            ),
        };
        for (name, value) in properties::BASE.iter().chain(defaults) {
            conf.set(name, value)?;
        }
        for (name, value) in kafka.properties() {
            if properties::side_of(name) != other_side {
                conf.set(name, value.expose())?;
            }
        }
        conf.set("bootstrap.servers", kafka.brokers())?;
        for (name, value) in decided {
            conf.set(name, value)?;
        }

        let events = Box::into_raw(Box::new(Events {
            topics,
            ..Events::default()
        }));
        // SAFETY: `conf` is alive; the callbacks match their C types; `events` stays where it is
        // until the handle is destroyed.
        unsafe {
            sys::rd_kafka_conf_set_opaque(conf.0, events.cast());
            sys::rd_kafka_conf_set_log_cb(conf.0, Some(log::on_log));
            sys::rd_kafka_conf_set_error_cb(conf.0, Some(on_error));
            match role {
                Role::Consumer => sys::rd_kafka_conf_set_rebalance_cb(conf.0, Some(source::on_rebalance)),
                Role::Acknowledged => sys::rd_kafka_conf_set_dr_msg_cb(conf.0, Some(on_delivery)),
                Role::Transactional => {}
            }
        }

        let mut message = [0 as c_char; 512];
        // SAFETY: `conf` is alive and becomes librdkafka's on success; `message` is as long as said.
        let handle = unsafe { sys::rd_kafka_new(kind, conf.0, message.as_mut_ptr(), message.len()) };
        if handle.is_null() {
            // SAFETY: from `into_raw` above; no client, so no callback.
            drop(unsafe { Box::from_raw(events) });
            return Err(KafkaError::fatal(text_of(&message)));
        }
        conf.given_away();
        Ok(Self { handle, events })
    }

    pub(super) fn handle(&self) -> *mut sys::rd_kafka_t {
        self.handle
    }

    pub(super) fn events(&self) -> &Events {
        // SAFETY: freed in `drop` alone; only ever shared.
        unsafe { &*self.events }
    }

    /// The fatal error that ended this client, if there is one.
    pub(super) fn fatal_error(&self) -> Option<KafkaError> {
        let mut message = [0 as c_char; 512];
        // SAFETY: the handle is alive; `message` is as long as said and NUL-terminated by librdkafka.
        let code = unsafe { sys::rd_kafka_fatal_error(self.handle, message.as_mut_ptr(), message.len()) };
        (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
            .then(|| KafkaError::new(code.into(), Flag::Fatal, text_of(&message)))
    }

    /// An error librdkafka reported outside any call of ours, once.
    pub(super) fn take_trouble(&self) -> Option<KafkaError> {
        lock(&self.events().trouble).take()
    }
}

impl Drop for Client {
    /// Joining librdkafka's threads may take long while brokers are away: another thread does it,
    /// and is waited for only so long.
    fn drop(&mut self) {
        struct Remains(*mut sys::rd_kafka_t, *mut Events);
        // SAFETY: the handle may be destroyed by any thread that is not librdkafka's own; events are `Send`.
        unsafe impl Send for Remains {}

        let remains = Remains(self.handle, self.events);
        let (done, finished) = mpsc::channel();
        let burial = move || {
            let Remains(handle, events) = { remains };
            // SAFETY: the last reference is gone: no call, message, queue or topic handle is left, and after the
            // handle no callback. `events` came from `Box::into_raw`.
            unsafe {
                sys::rd_kafka_destroy_flags(handle, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
                drop(Box::from_raw(events));
            }
            let _ = done.send(());
        };
        match std::thread::Builder::new()
            .name("kafka-burial".into())
            .spawn(burial)
        {
            Ok(_) => {
                let _ = finished.recv_timeout(BURIAL);
            }
            // No thread to be had: leave everything to librdkafka's own, and the events to them.
            // SAFETY: as above.
            Err(_) => unsafe { sys::rd_kafka_destroy_flags(self.handle, DESTROY_IMMEDIATE) },
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client(..)")
    }
}

/// Why librdkafka does not take a property.
pub(super) enum PropertyFault {
    /// The name.
    Unknown(String),
    /// The value.
    Refused(String),
}

/// Asks librdkafka whether it takes a property; its message never shows the value.
pub(super) fn check_property(name: &str, value: &str) -> Result<(), PropertyFault> {
    Conf::new().try_set(name, value)
}

/// The host's name, as `gethostname(2)` has it.
pub(super) fn host_name() -> Option<String> {
    let mut name = [0 as c_char; 256];
    // SAFETY: the buffer is as long as said, less one byte that stays NUL.
    let outcome = unsafe { libc::gethostname(name.as_mut_ptr(), name.len() - 1) };
    (outcome == 0).then(|| text_of(&name))
}

/// A lock that a panic elsewhere does not turn into another one: the data is plain.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds as librdkafka takes them.
pub(super) fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

/// A librdkafka configuration, destroyed unless a client took it.
struct Conf(*mut sys::rd_kafka_conf_t);

impl Conf {
    fn new() -> Self {
        // SAFETY: no precondition; never null.
        Self(unsafe { sys::rd_kafka_conf_new() })
    }

    fn set(&self, name: &str, value: &str) -> Result<(), KafkaError> {
        self.try_set(name, value).map_err(|fault| match fault {
            PropertyFault::Unknown(message) | PropertyFault::Refused(message) => KafkaError::fatal(message),
        })
    }

    fn try_set(&self, name: &str, value: &str) -> Result<(), PropertyFault> {
        let (Ok(c_name), Ok(c_value)) = (CString::new(name), CString::new(value)) else {
            return Err(PropertyFault::Refused(format!(
                "kafka.properties.\"{name}\": holds a NUL byte"
            )));
        };
        let mut said = [0 as c_char; 512];
        // SAFETY: all pointers are alive for the call; `said` is as long as said and NUL-terminated by librdkafka.
        let outcome = unsafe {
            sys::rd_kafka_conf_set(
                self.0,
                c_name.as_ptr(),
                c_value.as_ptr(),
                said.as_mut_ptr(),
                said.len(),
            )
        };
        wipe(c_value);
        match outcome {
            RDKafkaConfRes::RD_KAFKA_CONF_OK => Ok(()),
            RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => Err(PropertyFault::Unknown(format!(
                "kafka.properties.\"{name}\" is unknown to librdkafka: correct its spelling or remove it"
            ))),
            RDKafkaConfRes::RD_KAFKA_CONF_INVALID => Err(PropertyFault::Refused(format!(
                "kafka.properties.\"{name}\": {}",
                without_value(&text_of(&said), value)
            ))),
        }
    }

    fn given_away(self) {
        std::mem::forget(self);
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: ours alone: `given_away` forgets a configuration that a client took.
        unsafe { sys::rd_kafka_conf_destroy(self.0) };
    }
}

fn wipe(value: CString) {
    use zeroize::Zeroize;
    value.into_bytes().zeroize();
}

/// librdkafka quotes the value it refuses; it may be a password in the wrong place.
fn without_value(said: &str, value: &str) -> String {
    let said = said.trim();
    if value.is_empty() {
        said.to_owned()
    } else {
        said.replace(value, "(the value)")
    }
}

fn text_of(buffer: &[c_char]) -> String {
    // SAFETY: `c_char` and `u8` have one layout; the slice is alive.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), buffer.len()) };
    CStr::from_bytes_until_nul(bytes)
        .map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

/// librdkafka reports here what no call of ours can return. Served inside poll calls, on the lane's thread.
unsafe extern "C" fn on_error(
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
        FATAL => {
            let mut message = [0 as c_char; 512];
            // SAFETY: the handle is alive inside its own callback; the buffer is as long as said.
            let code = unsafe { sys::rd_kafka_fatal_error(handle, message.as_mut_ptr(), message.len()) };
            KafkaError::new(code.into(), Flag::Fatal, text_of(&message))
        }
        ALL_DOWN => KafkaError::new(Code::AllBrokersDown, Flag::None, reason),
        AUTHENTICATION => KafkaError::new(Code::Authentication, Flag::None, reason),
        SSL => KafkaError::new(Code::SSL, Flag::None, reason),
        _ => return,
    };
    *lock(&events.trouble) = Some(error);
}

/// At-least-once: a record the broker did not take. Served inside poll and flush calls.
unsafe extern "C" fn on_delivery(
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

/// What the rebalance callback records.
///
/// # Safety
///
/// `handle` is alive, `partitions` is null or alive.
pub(super) unsafe fn record_rebalance(
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
