//! The state of the whole in one sentence, for who is called at night: page, terminal and JSON say the same words.
//!
//! Invariant: the sentence is healthy only if every check holds, nothing waits long, little is rejected, and the
//! keys are in order; what else is wrong stands beside it.

use serde::Serialize;

use super::history::History;
use super::status::{EpochStatusLine, LaneState, Status};

/// A daemon that is not ready for the first time is starting for so long.
const START_SECONDS: u64 = 60;
/// Records that wait longer are behind.
const BEHIND_MILLIS: i64 = 30_000;
/// Of a minute's records so many in a hundred may be rejected before it is news.
const REJECTED_PERCENT: u64 = 5;
/// Over so many seconds shares and trends are taken.
const MINUTE: usize = 60;
/// A next key should be there so long before the rhythm of the keys asks for it.
const KEY_NOTICE: i64 = 7 * DAY;
const DAY: i64 = 86_400_000;

/// What is the matter, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Told to stop.
    Draining,
    /// Not ready yet, for the first time.
    Starting,
    /// A check of `/readyz` fails.
    NotReady,
    /// Records are unaccounted for.
    Unbalanced,
    /// Records wait.
    Behind,
    /// Many records are rejected.
    Rejecting,
    /// A keyring, deck or list was refused; the former one is in use.
    ReloadRefused,
    /// The next key should be there by now.
    NextKeyDue,
    /// None of these.
    Healthy,
}

/// How much of a hurry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// None.
    Ok,
    /// Somebody should look.
    Warning,
    /// Records do not flow, or wrongly.
    Fault,
}

impl State {
    fn level(self) -> Level {
        match self {
            Self::NotReady | Self::Unbalanced => Level::Fault,
            Self::Healthy => Level::Ok,
            _ => Level::Warning,
        }
    }
}

/// The whole in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What is the matter.
    pub state: State,
    /// How much of a hurry it is.
    pub level: Level,
    /// The sentence.
    pub text: String,
    /// What else is the matter, in the same order.
    pub also: Vec<String>,
}

impl Summary {
    /// Before anything is known.
    pub(super) fn unknown() -> Self {
        Self {
            state: State::Starting,
            level: Level::Warning,
            text: String::new(),
            also: Vec::new(),
        }
    }

    /// What a status amounts to; the summary in it is not looked at.
    pub(super) fn of(status: &Status) -> Self {
        let findings = [
            readiness(status),
            books(status),
            behind(status),
            rejecting(status),
            keyring_refused(status),
            deck_refused(status),
            next_key(status),
        ];
        let mut findings = findings.into_iter().flatten();
        let (state, text) = findings
            .next()
            .unwrap_or_else(|| (State::Healthy, healthy(status)));
        Self {
            state,
            level: state.level(),
            text,
            also: findings.map(|(_, text)| text).collect(),
        }
    }
}

type Finding = Option<(State, String)>;

fn readiness(status: &Status) -> Finding {
    if status
        .checks
        .iter()
        .any(|check| check.name == "shutdown" && !check.ok)
    {
        let running = |lane: &&super::LaneStatus| lane.state != LaneState::Stopped;
        let running = status.lanes.iter().filter(running).count();
        let text = if running == 0 {
            "Draining: all is finished, the program is about to end".to_owned()
        } else {
            format!(
                "Draining: {running} of {} still finish what is open, then the program ends",
                count(status.lanes.len() as u64, "lane")
            )
        };
        return Some((State::Draining, text));
    }
    let failed: Vec<_> = status.checks.iter().filter(|check| !check.ok).collect();
    let first = failed.first()?;
    let more = match failed.len() - 1 {
        0 => String::new(),
        more => format!(", and {} more", count(more as u64, "check")),
    };
    let never = status.transactions.committed == 0 && status.uptime_seconds < START_SECONDS;
    // Waiting for its place is what a start looks like; anything else is a fault from the first second.
    let usual = failed
        .iter()
        .all(|check| check.name == "assignment" || (check.name == "brokers" && starting(status)));
    let (state, word) = if never && usual {
        (State::Starting, "Starting")
    } else {
        (State::NotReady, "Not ready")
    };
    Some((state, format!("{word}: {}: {}{more}", first.name, first.detail)))
}

/// Lanes that make their clients count as waiting for a broker.
fn starting(status: &Status) -> bool {
    status.lanes.iter().any(|lane| lane.state == LaneState::Starting)
}

fn books(status: &Status) -> Finding {
    let difference = status.reconciliation_difference;
    (difference > 0).then(|| {
        let records = count(difference, "record");
        let text = format!("Books do not balance: {records} neither written, rejected nor skipped");
        (State::Unbalanced, text)
    })
}

fn behind(status: &Status) -> Finding {
    let age = status.history.freshness.last().copied().flatten()?;
    if age.0 < BEHIND_MILLIS {
        return None;
    }
    let lag = status.history.lag.last().copied().flatten();
    let records = lag.map_or_else(String::new, |lag| format!(" and {}", count(lag, "record")));
    let trend = trend(&status.history).unwrap_or_default();
    Some((State::Behind, format!("Behind: {}{records}{trend}", span(age.0))))
}

/// Whether the lag of the last minute grows or shrinks.
fn trend(history: &History) -> Option<String> {
    let lags = &history.lag[history.lag.len().saturating_sub(MINUTE)..];
    let seconds = lags.len().checked_sub(1).filter(|&seconds| seconds >= 10)? as u64;
    let (then, now) = (lags.first().copied().flatten()?, lags.last().copied().flatten()?);
    let rate = then.abs_diff(now) / seconds;
    Some(if rate == 0 {
        ", neither growing nor shrinking".to_owned()
    } else if now > then {
        format!(", growing by {}/s", grouped(rate))
    } else {
        let left = span((now / rate) as i64 * 1000);
        format!(", shrinking by {}/s: caught up in about {left}", grouped(rate))
    })
}

fn rejecting(status: &Status) -> Finding {
    let read = History::sum(&status.history.read, MINUTE);
    let rejected = History::sum(&status.history.rejected, MINUTE);
    if rejected == 0 || rejected * 100 < read * REJECTED_PERCENT {
        return None;
    }
    let percent = (rejected * 100 / read.max(1)).min(100);
    let last = status.rejected.iter().max_by_key(|found| found.last_time)?;
    let place = last.last.as_ref().map_or_else(String::new, |place| {
        format!(
            " at {} partition {} offset {}",
            place.topic, place.partition, place.offset
        )
    });
    Some((
        State::Rejecting,
        format!(
            "Rejecting: {percent} % of the last minute's records, the last for \"{}\"{place}",
            last.reason
        ),
    ))
}

fn keyring_refused(status: &Status) -> Finding {
    let error = status.keyring.last_reload_error.as_ref()?;
    let text = format!("A new keyring was refused, the running one stays in use: {error}");
    Some((State::ReloadRefused, text))
}

fn deck_refused(status: &Status) -> Finding {
    let error = status.deck.last_reload_error.as_ref()?;
    let text = format!("A new rate deck or list was refused, the running one stays in use: {error}");
    Some((State::ReloadRefused, text))
}

/// The key in use ends and none follows; or the rhythm of the keys before it asks for the next one.
fn next_key(status: &Status) -> Finding {
    let id = status.keyring.in_use.as_ref()?;
    if status.keyring.next.is_some() {
        return None;
    }
    let epochs = &status.keyring.epochs;
    let at = epochs.iter().position(|epoch| epoch.id == *id)?;
    let (epoch, now) = (&epochs[at], status.time);
    if let Some(until) = epoch.until {
        let left = span(until.0 - now.0);
        return Some((
            State::NextKeyDue,
            format!("Key {id} ends in {left} and no key follows: every later call would be rejected"),
        ));
    }
    let before: &EpochStatusLine = epochs.get(at.checked_sub(1)?)?;
    let (used, rhythm) = (
        now.0 - epoch.activate_at.0,
        epoch.activate_at.0 - before.activate_at.0,
    );
    (used > rhythm - KEY_NOTICE).then(|| {
        let text = format!(
            "No next key: {id} is in use for {}, the key before it was for {}",
            span(used),
            span(rhythm)
        );
        (State::NextKeyDue, text)
    })
}

fn healthy(status: &Status) -> String {
    let rate = status.rate.in_per_second;
    let flow = if rate > 0.0 {
        let rate = if rate < 10.0 {
            format!("{rate:.1}")
        } else {
            grouped(rate.round() as u64)
        };
        let age = status.history.freshness.iter().rev().flatten().next();
        let behind = age.map_or_else(String::new, |age| format!(", {} behind", span(age.0)));
        format!("{rate} records/s{behind}")
    } else {
        match status.history.lag.last().copied().flatten() {
            Some(0) => "no records come, none wait".to_owned(),
            Some(lag) => format!("no records came in the last seconds, {} wait", grouped(lag)),
            None => "no records came, what waits is not known yet".to_owned(),
        }
    };
    let key = status
        .keyring
        .in_use
        .as_ref()
        .map_or_else(String::new, |id| format!(", key {id}"));
    let next = match &status.keyring.next {
        Some(next) => format!(", next in {}", span(next.activate_at.0 - status.time.0)),
        None => ", no next key yet".to_owned(),
    };
    format!("Healthy: {flow}{key}{next}")
}

/// 1 lane, 3 lanes, 41,200 records.
fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// 41,200.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 0.3 s, 45 s, 3 min, 7 h, 9 d: one unit, as people say it.
pub fn span(millis: i64) -> String {
    let millis = millis.max(0);
    match millis {
        0..10_000 => format!("{:.1} s", millis as f64 / 1000.0),
        10_000..120_000 => format!("{} s", millis / 1000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / DAY),
    }
}
