//! What is read off the board: readiness, status, gauges. Nothing here changes it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::{Board, Books, Lane};
use crate::telemetry::names;
use crate::telemetry::series::{Scrape, Sum};
use crate::telemetry::status::{
    EpochFacts, EpochStatusLine, KeyringFacts, KeyringStatus, LaneState, LaneStatus, NextKey, Now,
    PartitionStatus, ReadyCheck, RejectedStatus, SkippedStatus, Status, TransactionStatus, UnixMillis,
};
use crate::telemetry::summary::Summary;

/// A lane whose oldest uncommitted record waits longer is not delivering.
/// Twice the default transaction timeout: one failed attempt is no alarm.
const DELIVERY_LIMIT: Duration = Duration::from_secs(30);

impl Board {
    /// Shows the gauges; the counters are there already.
    pub(in crate::telemetry) fn show(&self, scrape: &Scrape, now: Now) {
        let single = |metric, value| scrape.gauge(metric, &[], value);
        scrape.gauge(&names::BUILD_INFO, &[&crate::telemetry::VERSION], 1.0);
        let ready = self.checks(now).iter().all(|check| check.ok);
        single(&names::READY, f64::from(u8::from(ready)));
        for state in LaneState::ALL {
            scrape.gauge(&names::LANES, &[&state.as_str()], self.lanes_in(state) as f64);
        }
        single(&names::ASSIGNED_PARTITIONS, self.assigned_partitions() as f64);
        for (&(topic, partition), held) in self.lanes.iter().flat_map(|lane| &lane.positions) {
            let labels: [&dyn Display; 2] = [&self.topic(topic), &partition];
            if let Some(offsets) = held.lag() {
                scrape.gauge(&names::LAG, &labels, offsets as f64);
            }
            if let Some(seconds) = held.lag_seconds(now) {
                scrape.gauge(&names::LAG_SECONDS, &labels, seconds);
            }
        }
        let queued: usize = self.lanes.iter().map(|lane| lane.queued).sum();
        single(&names::PRODUCER_QUEUE, queued as f64);
        single(&names::RECONCILIATION, self.reconciliation_difference() as f64);
        if let Some(keyring) = &self.keyring {
            let at = UnixMillis(now.unix_millis());
            keyring_gauges(scrape, keyring, self.in_use(at), at);
        }
        let reload_ok = u8::from(self.keyring_error.is_none());
        single(&names::KEYRING_RELOAD_OK, f64::from(reload_ok));
        single(&names::KEYRING_RELOAD_TIME, self.keyring_loaded.0 as f64 / 1000.0);
        if let Some(register) = &self.register {
            for (state, epochs) in [
                ("agreed", register.agreed),
                ("pending", register.pending),
                ("refused", register.refused),
            ] {
                scrape.gauge(&names::REGISTER_EPOCHS, &[&state], epochs as f64);
            }
        }
        self.decks.gauges(scrape);
    }

    fn topic(&self, index: usize) -> &str {
        self.setup.raw_topics.get(index).map_or("?", String::as_str)
    }

    fn reconciliation_difference(&self) -> u64 {
        self.books.values().map(Books::difference).sum()
    }

    fn assigned_partitions(&self) -> usize {
        self.lanes.iter().map(|lane| lane.positions.len()).sum()
    }

    fn lanes_in(&self, state: LaneState) -> usize {
        self.lanes.iter().filter(|lane| lane.state() == state).count()
    }

    /// The checks of `/readyz`, always all of them and in this order.
    pub(in crate::telemetry) fn checks(&self, now: Now) -> Vec<ReadyCheck> {
        let check = |name, fault: Option<String>| ReadyCheck {
            name,
            ok: fault.is_none(),
            detail: fault.unwrap_or_default(),
        };
        vec![
            check("config", None),
            check("keyring", self.keyring_fault(now)),
            check("register", self.register_fault()),
            check(
                "brokers",
                self.broker_fault.clone().or_else(|| {
                    self.first_lane("waits for a broker", |lane| {
                        matches!(lane.state(), LaneState::Starting | LaneState::WaitingForBroker)
                    })
                }),
            ),
            check(
                "assignment",
                self.first_lane("has no assignment yet", |lane| !lane.joined),
            ),
            check("delivery", self.delivery_fault(now)),
            check(
                "lanes",
                self.first_lane("has stopped", |lane| lane.state() == LaneState::Stopped),
            ),
            check("shutdown", self.draining.then(|| "draining".to_owned())),
        ]
    }

    fn keyring_fault(&self, now: Now) -> Option<String> {
        let at = UnixMillis(now.unix_millis());
        let Some(keyring) = &self.keyring else {
            return Some("not loaded".to_owned());
        };
        if self.in_use(at).is_some() {
            return None;
        }
        Some(match keyring.in_use(at) {
            Some(epoch) => format!(
                "key \"{}\" is not used: the register does not confirm it",
                epoch.id
            ),
            None => format!("no active key at {at}"),
        })
    }

    /// The epoch whose key calls of now get.
    fn in_use(&self, at: UnixMillis) -> Option<&EpochFacts> {
        let withheld = |id| {
            let register = self.register.as_ref();
            register.is_some_and(|register| register.withheld.contains(id))
        };
        let epoch = self.keyring.as_ref()?.in_use(at)?;
        (!withheld(&epoch.id)).then_some(epoch)
    }

    fn register_fault(&self) -> Option<String> {
        let faults = &self.register.as_ref()?.faults;
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    fn first_lane(&self, what: &str, fault: impl Fn(&Lane) -> bool) -> Option<String> {
        let lane = self.lanes.iter().position(fault)?;
        Some(format!("lane {lane} {what}"))
    }

    fn delivery_fault(&self, now: Now) -> Option<String> {
        self.lanes.iter().enumerate().find_map(|(lane, state)| {
            let waited = now.monotonic.saturating_duration_since(state.open_since?);
            (waited > DELIVERY_LIMIT).then(|| {
                format!(
                    "lane {lane}: records wait for a commit since {} s",
                    waited.as_secs()
                )
            })
        })
    }

    /// The whole picture; `ages` are the lanes' heartbeat ages.
    pub(in crate::telemetry) fn status(&self, ages: &[Duration], now: Now) -> Status {
        let checks = self.checks(now);
        let mut status = Status {
            summary: Summary::unknown(),
            version: crate::telemetry::VERSION,
            domain: self.setup.domain.clone(),
            guarantee: self.setup.guarantee.clone(),
            time: UnixMillis(now.unix_millis()),
            started: UnixMillis(self.started.unix_millis()),
            uptime_seconds: self.second(now),
            ready: checks.iter().all(|check| check.ok),
            checks,
            lanes: self
                .lanes
                .iter()
                .zip(ages)
                .enumerate()
                .map(|(number, (lane, age))| self.lane_status(number, lane, *age))
                .collect(),
            totals: self.totals,
            reconciliation_difference: self.reconciliation_difference(),
            rate: self.recent.rate(self.second(now)),
            history: self
                .history
                .history(self.second(now), UnixMillis(self.started.unix_millis())),
            rejected: self
                .rejected
                .iter()
                .map(|(&reason, rejected)| RejectedStatus {
                    reason,
                    records: rejected.records.value(),
                    last: rejected.last.clone(),
                    last_time: rejected.last_time,
                })
                .collect(),
            skipped: self.skipped_by_reason(),
            transactions: TransactionStatus {
                committed: self.transactions.committed.value(),
                aborted: self.transactions.aborted.value(),
                producer_recreations: self.transactions.producer_recreations.value(),
                rebalances: self.transactions.rebalances.value(),
            },
            keyring: self.keyring_status(now),
            deck: self.decks.status(),
        };
        status.summary = Summary::of(&status);
        status
    }

    fn lane_status(&self, number: usize, lane: &Lane, age: Duration) -> LaneStatus {
        LaneStatus {
            lane: number,
            state: lane.state(),
            heartbeat_seconds: age.as_secs_f64(),
            last_commit: lane.last_commit,
            partitions: lane
                .positions
                .iter()
                .map(|(&(topic, partition), held)| PartitionStatus {
                    topic: self.topic(topic).to_owned(),
                    partition,
                    committed_offset: held.committed,
                    lag: held.lag(),
                })
                .collect(),
        }
    }

    fn skipped_by_reason(&self) -> Vec<SkippedStatus> {
        let mut by_reason: BTreeMap<&'static str, u64> = self
            .setup
            .skip_reasons
            .iter()
            .map(|&reason| (reason, 0))
            .collect();
        for (&(reason, _), rows) in &self.skipped {
            *by_reason.entry(reason).or_default() += rows.value();
        }
        by_reason
            .into_iter()
            .map(|(reason, records)| SkippedStatus { reason, records })
            .collect()
    }

    fn keyring_status(&self, now: Now) -> KeyringStatus {
        let at = UnixMillis(now.unix_millis());
        let (fingerprint, epochs) = self.keyring.as_ref().map_or((String::new(), &[][..]), |keyring| {
            (keyring.fingerprint.clone(), &keyring.epochs)
        });
        let next = self.keyring.as_ref().and_then(|keyring| keyring.next(at));
        let in_use = self.in_use(at);
        KeyringStatus {
            fingerprint,
            in_use: in_use.map(|epoch| epoch.id.clone()),
            next: next.map(|epoch| NextKey {
                id: epoch.id.clone(),
                activate_at: epoch.activate_at,
            }),
            states: self
                .keyring
                .as_ref()
                .map(|keyring| keyring.states(at))
                .unwrap_or_default(),
            loaded: self.keyring_loaded,
            last_reload_ok: self.keyring_error.is_none(),
            last_reload_error: self.keyring_error.clone(),
            epochs: epochs
                .iter()
                .map(|epoch| EpochStatusLine {
                    id: epoch.id.clone(),
                    state: epoch.state(at),
                    activate_at: epoch.activate_at,
                    until: epoch.until,
                    kcv: epoch.kcv.clone(),
                    records: self.epochs.get(epoch.id.as_str()).map_or(0, Sum::value),
                })
                .collect(),
        }
    }
}

/// Windows pass while nothing is loaded: all of it is looked up when somebody asks.
fn keyring_gauges(scrape: &Scrape, keyring: &KeyringFacts, in_use: Option<&EpochFacts>, at: UnixMillis) {
    scrape.gauge(&names::KEYRING_INFO, &[&keyring.fingerprint], 1.0);
    for (state, keys) in keyring.states(at) {
        scrape.gauge(&names::KEYRING_KEYS, &[&state], keys as f64);
    }
    if let Some(epoch) = in_use {
        scrape.gauge(&names::KEYRING_ACTIVE, &[&epoch.id], 1.0);
    }
    let next = keyring.next(at);
    scrape.gauge(&names::KEYRING_NEXT, &[], f64::from(u8::from(next.is_some())));
    if let Some(epoch) = next {
        let begins = epoch.activate_at.0 as f64 / 1000.0;
        scrape.gauge(&names::KEYRING_NEXT_TIME, &[], begins);
    }
}
