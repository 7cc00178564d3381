//! What the service manager hears of the daemon (sd_notify(3)): ready, reloading, stopping, alive.
//!
//! Ready means started: a broker answered, the topics fit, the register agrees, the lanes run. It does not mean that
//! partitions were assigned: an instance that is spare never gets any, and a start that is never over would be
//! killed for it. `/readyz` tells the rest. Where no service manager listens, nothing is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::telemetry::{Now, Telemetry};

/// How often the status is looked at; the watchdog is fed more often where its limit asks for it.
const LOOK: Duration = Duration::from_secs(5);
/// For how long one try to find a broker may count as a start that goes on.
const TRY: Duration = Duration::from_secs(30);
/// What a stop may take besides the drain: the HTTP listener, and the end of the process.
const END: Duration = Duration::from_secs(5);

/// No broker has answered yet: how long to wait is for `[kafka] start_timeout` to say, not for the unit.
pub(super) fn waiting(brokers: &str) {
    let status = format!("waiting for a broker at {brokers}");
    tell(&[NotifyState::Status(&status), longer(TRY)]);
}

/// The lanes run.
pub(super) fn started() {
    tell(&[NotifyState::Ready, NotifyState::Status("started")]);
}

/// The drain begins, and takes so long at most.
pub(super) fn stopping(drain: Duration) {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: finishing what is open"),
        longer(drain.saturating_add(END)),
    ]);
}

/// A reload that was asked for; over when the last clone of it is gone.
pub(super) struct Reloading {
    /// Whoever stops is not ready again.
    stop: Arc<AtomicBool>,
}

impl Reloading {
    pub(super) fn begin(stop: Arc<AtomicBool>) -> Arc<Self> {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "no clock for the service manager"),
        }
        Arc::new(Self { stop })
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        if !self.stop.load(Ordering::Relaxed) {
            tell(&[NotifyState::Ready]);
        }
    }
}

/// For ever: feeds the watchdog, and tells the status when it changes.
pub(super) async fn watch(telemetry: Telemetry) {
    let limit = sd_notify::watchdog_enabled();
    let every = limit.map_or(LOOK, |limit| LOOK.min(limit / 2));
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        ticks.tick().await;
        let now = Now::read();
        if alive(&telemetry, now) {
            tell(&[NotifyState::Watchdog]);
        }
        let status = status(&telemetry, now);
        if status != told {
            tell(&[NotifyState::Status(&status)]);
            told = status;
        }
    }
}

/// What `/livez` says: that this runs shows the event loop alive, the lanes are threads of their own.
fn alive(telemetry: &Telemetry, now: Now) -> bool {
    telemetry.silent_lane(now).is_none()
}

/// The first check of `/readyz` that fails, for `systemctl status`.
fn status(telemetry: &Telemetry, now: Now) -> String {
    match telemetry.checks(now).iter().find(|check| !check.ok) {
        None => "ready".to_owned(),
        Some(check) => format!("not ready: {}: {}", check.name, check.detail),
    }
}

fn longer(time: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{LaneState, Setup};

    fn telemetry(started: Now) -> Telemetry {
        let setup = Setup {
            domain: "billing".to_owned(),
            guarantee: "exactly-once".to_owned(),
            lanes: 2,
            raw_topics: vec!["cdr.raw".to_owned()],
            rejection_reasons: &[],
            skip_reasons: &[],
        };
        Telemetry::new(setup, started)
    }

    #[test]
    fn one_stuck_lane_starves_the_watchdog() {
        let start = Now::read();
        let telemetry = telemetry(start);
        let later = start.plus(Duration::from_secs(40));
        telemetry.beat(0, later);
        telemetry.beat(1, start.plus(Duration::from_secs(15)));
        assert!(alive(&telemetry, later));
        let later = start.plus(Duration::from_secs(46));
        assert!(!alive(&telemetry, later), "lane 1 was silent for 31 s");
        telemetry.lane_state(1, LaneState::Stopped);
        assert!(
            alive(&telemetry, later),
            "a lane that has stopped owes no sign of life"
        );
    }

    #[test]
    fn the_status_is_the_first_check_that_fails() {
        let now = Now::read();
        assert_eq!(status(&telemetry(now), now), "not ready: keyring: not loaded");
    }

    #[test]
    fn times_fit_their_field() {
        for (time, text) in [
            (Duration::from_secs(50), "EXTEND_TIMEOUT_USEC=50000000"),
            (Duration::MAX, "EXTEND_TIMEOUT_USEC=4294967295"),
        ] {
            assert_eq!(longer(time).to_string(), text);
        }
    }
}
