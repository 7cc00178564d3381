//! `cdrveil keys diff`: what an edit of the keyring means, in words, for the ticket that asks for it.
//!
//! Invariant: reads the two files alone. An edit nobody has looked at yet names commands and modules of its own, and
//! none of them is run or loaded; keys are compared by their check values.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::keys::check::parse_span;
use crate::cli::keys::{event_time, or_dash, refuse};
use crate::keystore::{Outline, outline_strictly};
use crate::pseudonym::edit::{refusals, reshaped};
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{Epoch, EpochIndex, Overlap, Status, after, beside, fingerprint};

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The keyring in use
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The keyring as it shall be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The moment at which the daemon gets it [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How far ahead a call's time may lie: [input] max_future of the policy
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = parse_span)]
    max_future: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn diff(
    args: &DiffArgs,
    now: Timestamp,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<Exit> {
    let (old, new) = match (outline_strictly(&args.old), outline_strictly(&args.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let faults = [old.err(), new.err()].into_iter().flatten().flatten();
            return refuse(stderr, &faults.collect::<Vec<_>>());
        }
    };
    let at = event_time(args.at.unwrap_or(now));
    let ahead = i64::try_from(args.max_future.as_millis()).unwrap_or(i64::MAX);
    let reach = EventTime::from_millis(at.as_millis().saturating_add(ahead));
    let mut refused = refusals(&old.epochs, &new.epochs, reach);
    refused.extend(reshaped(old.overlap, new.overlap));
    let report = Report {
        changes: changes(&old, &new),
        calls: calls(&old, &new),
        refused: refused
            .iter()
            .map(|refused| new.refusal(&args.new, refused).to_string())
            .collect(),
        fingerprints: [
            fingerprint(&old.epochs, old.overlap),
            fingerprint(&new.epochs, new.overlap),
        ],
        at,
        reach,
    };
    if args.json {
        writeln!(stdout, "{:#}", report.json())?;
    } else {
        report.write(stdout)?;
    }
    Ok(if report.refused.is_empty() {
        Exit::Ok
    } else {
        Exit::Found
    })
}

/// One key that is not what it was.
struct Change {
    id: String,
    what: Vec<String>,
}

/// Calls of a span of time whose tokens are not what they were.
#[derive(Debug, Clone, PartialEq)]
struct Calls {
    from: Option<EventTime>,
    until: Option<EventTime>,
    before: String,
    after: String,
}

struct Report {
    changes: Vec<Change>,
    calls: Vec<Calls>,
    /// What the running daemon would say; empty when it takes the edit.
    refused: Vec<String>,
    fingerprints: [String; 2],
    at: EventTime,
    /// The latest call that may be written by then.
    reach: EventTime,
}

impl Report {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "keys")?;
        for Change { id, what } in &self.changes {
            for what in what {
                writeln!(out, "  {id:<16} {what}")?;
            }
        }
        if self.changes.is_empty() {
            writeln!(out, "  nothing changes")?;
        }
        writeln!(out, "tokens")?;
        for calls in &self.calls {
            let Calls { before, after, .. } = calls;
            writeln!(out, "  {}: {after} (before: {before})", calls.span())?;
        }
        if self.calls.is_empty() {
            writeln!(out, "  every call gets the tokens it got")?;
        }
        let Self { at, reach, .. } = self;
        writeln!(
            out,
            "daemon\n  at {at} calls up to {reach} may be written already"
        )?;
        for refused in &self.refused {
            writeln!(out, "  refused: {refused}")?;
        }
        if self.refused.is_empty() {
            writeln!(out, "  takes this edit while it runs")?;
        }
        let [before, after] = &self.fingerprints;
        writeln!(out, "fingerprint\n  {after} (before: {before})")
    }

    fn json(&self) -> serde_json::Value {
        let time = |time: Option<EventTime>| time.map(|time| time.to_string());
        let calls = self.calls.iter().map(|calls| {
            json!({
                "from": time(calls.from),
                "until": time(calls.until),
                "before": calls.before,
                "after": calls.after,
            })
        });
        json!({
            "taken": self.refused.is_empty(),
            "at": self.at.to_string(),
            "written_until": self.reach.to_string(),
            "refused": self.refused,
            "keys": self.changes.iter().map(|change| json!({ "id": change.id, "changes": change.what })).collect::<Vec<_>>(),
            "tokens": calls.collect::<Vec<_>>(),
            "fingerprint_before": self.fingerprints[0],
            "fingerprint_after": self.fingerprints[1],
        })
    }
}

impl Calls {
    fn span(&self) -> String {
        match (self.from, self.until) {
            (Some(from), Some(until)) => format!("calls from {from} to {until}"),
            (Some(from), None) => format!("calls from {from} on"),
            (None, Some(until)) => format!("calls before {until}"),
            (None, None) => "all calls".to_owned(),
        }
    }
}

/// Every key of both that differs, by its start.
fn changes(old: &Outline, new: &Outline) -> Vec<Change> {
    let mut found = Vec::new();
    for (before, source) in old.epochs.iter().zip(&old.sources) {
        let after = new
            .epochs
            .iter()
            .zip(&new.sources)
            .find(|(after, _)| after.id() == before.id());
        let what = match after {
            None => vec![format!("removed: it had {}", described(before))],
            Some((after, next)) => differences((before, source), (after, next)),
        };
        found.push((before.activate_at(), before, what));
    }
    let known = |epoch: &Epoch| old.epochs.iter().any(|old| old.id() == epoch.id());
    for added in new.epochs.iter().filter(|epoch| !known(epoch)) {
        found.push((
            added.activate_at(),
            added,
            vec![format!("added: {}", described(added))],
        ));
    }
    found.sort_by_key(|(from, ..)| *from);
    let mut changes: Vec<Change> = found
        .into_iter()
        .filter(|(.., what)| !what.is_empty())
        .map(|(_, epoch, what)| Change {
            id: epoch.id().to_string(),
            what,
        })
        .collect();
    let what = of_every_epoch(old, new);
    if !what.is_empty() {
        let id = "[epochs]".to_owned();
        changes.push(Change { id, what });
    }
    changes
}

/// What differs in `[epochs]`, and what follows.
fn of_every_epoch(old: &Outline, new: &Outline) -> Vec<String> {
    let mut found = Vec::new();
    // Without the overlap, which is needed in any case.
    let late = |of: &Outline| {
        of.late_window
            .saturating_sub(of.overlap.public.unwrap_or_default())
    };
    if late(old) != late(new) {
        let hours = |window: Duration| window.as_secs() / 3_600;
        found.push(format!(
            "late_window {} h instead of {} h",
            hours(late(new)),
            hours(late(old))
        ));
    }
    if old.overlap != new.overlap {
        let follows = match (old.overlap.public, new.overlap.public) {
            (None, Some(_)) => {
                ": public records get a column <field>_prev for each token; who calls within it after a rotation is linked across it"
            }
            (Some(_), None) => ": public records lose their columns <field>_prev",
            (Some(before), Some(after)) if before != after => {
                ": calls between the two lengths after a rotation come out otherwise than before when they are replayed"
            }
            _ => "",
        };
        found.push(format!("{} instead of {}{follows}", new.overlap, old.overlap));
    }
    if old.overlap.sealed != new.overlap.sealed {
        found.push(if new.overlap.sealed {
            "sealed records get the tokens of both epochs".to_owned()
        } else {
            "sealed records lose the tokens of both epochs".to_owned()
        });
    }
    found
}

fn described(epoch: &Epoch) -> String {
    let (from, kcv, status) = (epoch.activate_at(), or_dash(epoch.kcv()), epoch.status());
    let until = epoch
        .ends_at()
        .map_or_else(|| "on".to_owned(), |end| format!("to {end}"));
    format!("calls from {from} {until}, kcv {kcv}, {status}")
}

fn differences((old, source): (&Epoch, &String), (new, next): (&Epoch, &String)) -> Vec<String> {
    let mut found = Vec::new();
    let mut differs = |what: &str, before: String, after: String| {
        if before != after {
            found.push(format!("{what} {after} instead of {before}"));
        }
    };
    let end = |epoch: &Epoch| {
        epoch
            .ends_at()
            .map_or_else(|| "never".to_owned(), |end| end.to_string())
    };
    differs(
        "moved: begins",
        old.activate_at().to_string(),
        new.activate_at().to_string(),
    );
    differs("ends", end(old), end(new));
    differs("another key: kcv", or_dash(old.kcv()), or_dash(new.kcv()));
    differs("status", old.status().to_string(), new.status().to_string());
    differs("material from", source.clone(), next.clone());
    found
}

/// Every span of time whose calls get other tokens than before.
fn calls(old: &Outline, new: &Outline) -> Vec<Calls> {
    let mut bounds: Vec<EventTime> = bounds(old).chain(bounds(new)).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let starts = std::iter::once(None).chain(bounds.iter().copied().map(Some));
    let ends = bounds.iter().copied().map(Some).chain([None]);
    let mut found: Vec<Calls> = Vec::new();
    for (from, until) in starts.zip(ends) {
        let (was, is) = (epoch_at(&old.epochs, from), epoch_at(&new.epochs, from));
        let (besides, beside) = (previous(old, from), previous(new, from));
        if same_tokens(was, is) && besides == beside {
            continue;
        }
        let calls = Calls {
            from,
            until,
            before: given(was) + &besides,
            after: given(is) + &beside,
        };
        match found.last_mut() {
            Some(last) if last.until == from && last.before == calls.before && last.after == calls.after => {
                last.until = until;
            }
            _ => found.push(calls),
        }
    }
    found
}

/// Where tokens begin to be others: the starts of epochs, and where their overlaps end.
fn bounds(of: &Outline) -> impl Iterator<Item = EventTime> {
    let ends = move |start| Some(after(start, of.overlap.public?));
    let starts = of.epochs.iter().map(Epoch::activate_at);
    starts.flat_map(move |start| std::iter::once(start).chain(ends(start)))
}

/// What stands beside the tokens of calls from then on, in words.
fn previous(of: &Outline, from: Option<EventTime>) -> String {
    let at = of
        .epochs
        .partition_point(|epoch| Some(epoch.activate_at()) <= from);
    let (Some(at), Some(from)) = (at.checked_sub(1), from) else {
        return String::new();
    };
    // Sealed records have them as long as the epoch lasts: that is told by the setting.
    let public = Overlap {
        sealed: false,
        ..of.overlap
    };
    let found = match of.epochs[at].status() {
        Status::Destroyed => None,
        Status::Enabled | Status::Compromised => beside(&of.epochs, public, EpochIndex(at), from).ok(),
    };
    let before = found
        .and_then(|beside| beside.public)
        .map(|index| &of.epochs[index.0]);
    before.map_or_else(String::new, |before| {
        format!(", beside {}.… under kcv {}", before.id(), or_dash(before.kcv()))
    })
}

fn epoch_at(epochs: &[Epoch], at: Option<EventTime>) -> Option<&Epoch> {
    let after = epochs.partition_point(|epoch| Some(epoch.activate_at()) <= at);
    after.checked_sub(1).map(|index| &epochs[index])
}

fn same_tokens(was: Option<&Epoch>, is: Option<&Epoch>) -> bool {
    let destroyed = |epoch: &Epoch| epoch.status() == Status::Destroyed;
    match (was, is) {
        (None, None) => true,
        (Some(was), Some(is)) if destroyed(was) || destroyed(is) => destroyed(was) && destroyed(is),
        (Some(was), Some(is)) => was.id() == is.id() && was.kcv() == is.kcv(),
        _ => false,
    }
}

fn given(epoch: Option<&Epoch>) -> String {
    match epoch {
        None => "rejected, no key begins so early".to_owned(),
        Some(epoch) if epoch.status() == Status::Destroyed => {
            format!("rejected, the key of \"{}\" is destroyed", epoch.id())
        }
        Some(epoch) => format!("{}.… under kcv {}", epoch.id(), or_dash(epoch.kcv())),
    }
}
