//! One librdkafka client: built from settings, shared by what borrows from it, taken down without hanging.
//!
//! Invariants: the handle lives until the last [`Client`] reference (source, sink, filled batch) is gone;
//! callbacks only write into [`Events`], which outlives the handle.

#![allow(unsafe_code)] // owns librdkafka's handle

use std::ffi::{CString, c_char, c_int};
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaType;

use super::conf::Conf;
use super::error::{KafkaError, text_of};
use super::events::{self, Events, lock};
use super::log;
use super::properties::{self, Side};
use super::settings::Kafka;

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
            sys::rd_kafka_conf_set_opaque(conf.as_ptr(), events.cast());
            sys::rd_kafka_conf_set_log_cb(conf.as_ptr(), Some(log::on_log));
            sys::rd_kafka_conf_set_error_cb(conf.as_ptr(), Some(events::on_error));
            match role {
                Role::Consumer => {
                    sys::rd_kafka_conf_set_rebalance_cb(conf.as_ptr(), Some(events::on_rebalance));
                }
                Role::Acknowledged => {
                    sys::rd_kafka_conf_set_dr_msg_cb(conf.as_ptr(), Some(events::on_delivery));
                }
                Role::Transactional => {}
            }
        }

        let mut message = [0 as c_char; 512];
        // SAFETY: `conf` is alive and becomes librdkafka's on success; `message` is as long as said.
        let handle = unsafe { sys::rd_kafka_new(kind, conf.as_ptr(), message.as_mut_ptr(), message.len()) };
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
        // SAFETY: the handle is alive.
        unsafe { KafkaError::fatal_of(self.handle) }
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

/// Milliseconds as librdkafka takes them.
pub(super) fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}
