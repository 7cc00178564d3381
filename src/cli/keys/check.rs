//! `cdrveil keys check`: what has to be done about the keyring, before it is late.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use crate::cli::Exit;
use crate::cli::keys::destroy::late_until;
use crate::cli::keys::{KeyringPath, event_time, or_dash, refuse};
use crate::keystore::load;
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{Epoch, EpochGap, Keyring, Status};
use crate::settings::Span;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    path: KeyringPath,
    /// The moment to check for [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How long ahead the successor of the key in use must begin
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse_span)]
    horizon: Duration,
}

pub(super) fn parse_span(text: &str) -> Result<Duration, ValueError> {
    let deserializer: StrDeserializer<'_, ValueError> = text.into_deserializer();
    Span::deserialize(deserializer).map(|span| span.0)
}

pub(super) fn check(
    args: &CheckArgs,
    now: Timestamp,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<Exit> {
    let loaded = match load(&args.path.keyring) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(stderr, &faults),
    };
    let at = event_time(args.at.unwrap_or(now));
    let horizon = i64::try_from(args.horizon.as_millis()).unwrap_or(i64::MAX);
    let until = EventTime::from_millis(at.as_millis().saturating_add(horizon));
    let mut found: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| warning.message().to_owned())
        .collect();
    found.extend(gaps(&loaded.keyring, at, until));
    found.extend(in_use_fault(&loaded.keyring, at, until));
    found.extend(overlapped(&loaded.keyring, at));
    found.extend(too_early(&loaded.keyring, at, loaded.late_window));
    if let Some(due) = due(&loaded.keyring, at, loaded.late_window) {
        writeln!(stderr, "note: {due}")?;
    }
    for line in &found {
        writeln!(stdout, "{}: {line}", args.path.keyring.display())?;
    }
    if !found.is_empty() {
        return Ok(Exit::Found);
    }
    let keys = loaded.keyring.epochs().len();
    let in_use = loaded
        .keyring
        .epoch_at(at)
        .map(|index| loaded.keyring.epoch(index).id().to_string());
    let in_use = in_use.unwrap_or_default();
    writeln!(
        stdout,
        "ok: {keys} keys, \"{in_use}\" in use at {at}, fingerprint {}{}",
        loaded.keyring.fingerprint(),
        beside(&loaded.keyring)
    )?;
    Ok(Exit::Ok)
}

/// The overlap behind a list of other things; nothing where there is none.
fn beside(keyring: &Keyring) -> String {
    let overlap = keyring.overlap();
    if overlap.carriers().any() {
        format!(", {overlap}")
    } else {
        String::new()
    }
}

/// Epochs that the overlap covers to their end.
pub(in crate::cli) fn overlapped(keyring: &Keyring, at: EventTime) -> Vec<String> {
    let overlap = keyring.overlap();
    let told = |epoch: &Epoch| {
        let (id, end) = (epoch.id(), or_dash(epoch.ends_at()));
        format!(
            "[epochs] {overlap} is no shorter than \"{id}\", which ends at {end}: every call of it can be joined to those before, so this rotation separates nobody; make the overlap shorter than an epoch"
        )
    };
    keyring.overlapped(at).map(told).collect()
}

/// Windows between `at` and `until` whose calls would be rejected.
fn gaps(keyring: &Keyring, at: EventTime, until: EventTime) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(first) = keyring.epochs().first().filter(|first| first.activate_at() > at) {
        let (id, start) = (first.id(), first.activate_at());
        found.push(format!("no key before {start}, when \"{id}\" begins: calls from {at} to then are rejected (epoch-too-old); add a key that begins earlier"));
    }
    let gone = |epoch: &&Epoch| {
        let ahead = epoch.activate_at() <= until && epoch.ends_at().is_none_or(|end| end > at);
        epoch.status() == Status::Destroyed && ahead
    };
    for epoch in keyring.epochs().iter().filter(gone) {
        let (id, from, end) = (epoch.id(), epoch.activate_at(), or_dash(epoch.ends_at()));
        found.push(format!("\"{id}\" is destroyed: calls from {from} to {end} are rejected (epoch-too-old); add a key that begins in this window"));
    }
    found
}

/// Keys destroyed while their late records may still come.
fn too_early(keyring: &Keyring, at: EventTime, late_window: Duration) -> Vec<String> {
    let mut found = Vec::new();
    for epoch in keyring
        .epochs()
        .iter()
        .filter(|epoch| epoch.status() == Status::Destroyed)
    {
        let Some(end) = epoch.ends_at().filter(|end| *end <= at) else {
            continue;
        };
        let late = late_until(end, late_window);
        if at < late {
            let id = epoch.id();
            found.push(format!("\"{id}\" is destroyed, and its late records may come until {late}: they are rejected (epoch-too-old)"));
        }
    }
    found
}

/// The keys that nobody needs any more; the first of them by name.
fn due(keyring: &Keyring, at: EventTime, late_window: Duration) -> Option<String> {
    const NAMED: usize = 3;
    let is_due = |epoch: &&Epoch| {
        let over = epoch
            .ends_at()
            .is_some_and(|end| late_until(end, late_window) <= at);
        over && epoch.status() != Status::Destroyed
    };
    let due: Vec<String> = keyring
        .epochs()
        .iter()
        .filter(is_due)
        .map(|epoch| format!("\"{}\"", epoch.id()))
        .collect();
    let first = due.first()?.trim_matches('"').to_owned();
    let more = due.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let named = due[..due.len().min(NAMED)].join(", ");
    Some(format!(
        "no late record of {named}{more} comes any more: `cdrveil keys destroy {first}` when its data may go"
    ))
}

/// What is wrong with the key in use at `at`, if one is.
fn in_use_fault(keyring: &Keyring, at: EventTime, until: EventTime) -> Option<String> {
    let epoch = match keyring.epoch_at(at) {
        Ok(index) => keyring.epoch(index),
        Err(EpochGap::TooOld | EpochGap::Destroyed) => return None,
    };
    let id = epoch.id();
    if epoch.status() == Status::Compromised {
        let end = or_dash(epoch.ends_at());
        return Some(format!(
            "\"{id}\" is compromised and in use until {end}: add a key that begins as soon as a running daemon takes it, just over [input] max_future ahead (`cdrveil keys new --activate-at`)"
        ));
    }
    if epoch.ends_at().is_none_or(|end| end > until) {
        return Some(format!(
            "no successor of \"{id}\" begins before {until}: add one (`cdrveil keys new`)"
        ));
    }
    None
}
