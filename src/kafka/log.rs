//! librdkafka's log, led through ours and thinned out: a dead broker is twenty lines a second.
//!
//! One line per facility in ten seconds, with the count of those held back; what librdkafka retries by
//! itself is never above debug. Its lines name brokers, groups and topics, never a record.

#![allow(unsafe_code)] // reads the C strings of librdkafka's log callback

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use tracing::Level;

const INTERVAL: Duration = Duration::from_secs(10);

/// What librdkafka retries by itself; trouble that lasts is reported as an error of a call.
const RETRIED: &[&str] = &[
    "ADDPARTS",
    "COMMITFAIL",
    "COORD",
    "COORDFAIL",
    "ERROR",
    "FAIL",
    "FETCHERR",
    "GETPID",
    "HEARTBEAT",
    "METADATA",
    "OFFREQ",
    "PARTCNT",
    "REQTMOUT",
    "SESSION",
    "TERMINATE",
    "TIMEOUT",
    "TXNADDPARTS",
];

/// What a call of ours reports as its error, too: the lane decides how bad it is.
const REPORTED: &[&str] = &["FATAL", "TXNERR"];

/// Called by librdkafka from any of its threads.
pub(super) unsafe extern "C" fn on_log(
    _handle: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: librdkafka passes NUL-terminated strings, alive for the call.
    let (facility, line) = unsafe {
        (
            CStr::from_ptr(facility).to_string_lossy(),
            CStr::from_ptr(line).to_string_lossy(),
        )
    };
    pass(level, &facility, &line);
}

/// One line of librdkafka's at a syslog level.
pub(super) fn pass(level: c_int, facility: &str, line: &str) {
    static THINNER: LazyLock<Mutex<Thinner>> = LazyLock::new(|| Mutex::new(Thinner::default()));

    let mut thinner = THINNER.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(held_back) = thinner.admit(facility, Instant::now()) else {
        return;
    };
    match level_of(level, facility) {
        Level::ERROR => tracing::error!(target: "librdkafka", facility, held_back, "{line}"),
        Level::WARN => tracing::warn!(target: "librdkafka", facility, held_back, "{line}"),
        Level::INFO => tracing::info!(target: "librdkafka", facility, held_back, "{line}"),
        _ => tracing::debug!(target: "librdkafka", facility, held_back, "{line}"),
    }
}

fn level_of(syslog: c_int, facility: &str) -> Level {
    if RETRIED.contains(&facility) {
        return Level::DEBUG;
    }
    if REPORTED.contains(&facility) {
        return Level::WARN;
    }
    match syslog {
        ..=3 => Level::ERROR,
        4 => Level::WARN,
        5 | 6 => Level::INFO,
        _ => Level::DEBUG,
    }
}

/// Per facility: when a line last passed, and how many were held back since.
#[derive(Default)]
struct Thinner(HashMap<String, (Instant, u64)>);

impl Thinner {
    /// How many lines were held back before this one, or `None`: hold this one back too.
    fn admit(&mut self, facility: &str, now: Instant) -> Option<u64> {
        let Some((last, held_back)) = self.0.get_mut(facility) else {
            self.0.insert(facility.to_owned(), (now, 0));
            return Some(0);
        };
        if now.saturating_duration_since(*last) < INTERVAL {
            *held_back += 1;
            return None;
        }
        *last = now;
        Some(std::mem::take(held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_facility_in_ten_seconds() {
        let start = Instant::now();
        let mut thinner = Thinner::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (facility, second, admitted) in [
            ("FAIL", 0, Some(0)),
            ("FAIL", 1, None),
            ("CONFWARN", 1, Some(0)),
            ("FAIL", 9, None),
            ("FAIL", 10, Some(2)),
            ("FAIL", 11, None),
            ("FAIL", 25, Some(1)),
        ] {
            assert_eq!(
                thinner.admit(facility, at(second)),
                admitted,
                "{facility} at {second}"
            );
        }
    }

    #[test]
    fn what_librdkafka_retries_is_never_above_debug() {
        for (syslog, facility, level) in [
            (3, "FAIL", Level::DEBUG),
            (0, "FATAL", Level::WARN),
            (1, "TXNERR", Level::WARN),
            (3, "SSL", Level::ERROR),
            (4, "CONFWARN", Level::WARN),
            (4, "MAXPOLL", Level::WARN),
            (4, "OFFSET", Level::WARN),
            (6, "BROKER", Level::INFO),
            (7, "BROKER", Level::DEBUG),
        ] {
            assert_eq!(level_of(syslog, facility), level, "{syslog} {facility}");
        }
    }
}
