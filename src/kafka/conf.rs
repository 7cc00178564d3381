//! librdkafka's configuration, set property by property; no message shows a value.

#![allow(unsafe_code)] // owns librdkafka's configuration

use std::ffi::{CString, c_char};

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaConfRes;
use zeroize::Zeroize;

use super::error::{KafkaError, text_of};

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

/// A librdkafka configuration, destroyed unless a client took it.
pub(super) struct Conf(*mut sys::rd_kafka_conf_t);

impl Conf {
    pub(super) fn new() -> Self {
        // SAFETY: no precondition; never null.
        Self(unsafe { sys::rd_kafka_conf_new() })
    }

    pub(super) fn set(&self, name: &str, value: &str) -> Result<(), KafkaError> {
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

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_conf_t {
        self.0
    }

    pub(super) fn given_away(self) {
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
