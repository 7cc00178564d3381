//! `cdrveil keys new | list | check`: the security team's verbs over `keyring.toml`.
//!
//! Invariant: key bytes go to a file that is created here and nowhere else;
//! no verb writes the keyring itself, overwrites a file or prints a key.

mod check;
mod new;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::keys::check::{CheckArgs, check};
use crate::cli::keys::new::{NewArgs, new};
use crate::keystore::{LoadedKeyring, load};
use crate::pseudonym::epoch::EventTime;
use crate::settings::Fault;

/// Make, list and check the keys of the keyring.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key file and print the [[key]] block to paste into the keyring.
    ///
    /// Draws 32 bytes from the operating system, writes them as one line of hex
    /// to DIR/ID.key (mode 0400, never overwritten) and prints the block, with
    /// its key check value, on stdout. The keyring file itself is not touched.
    New(NewArgs),
    /// List the keys: state, window, key check value and where each comes from. Never shows a key.
    List(ListArgs),
    /// Check the keyring: that it loads, that a key is in use, and that its successor is there in time.
    ///
    /// Exits with 0 when all is well, 1 when something should be done, 78 when the keyring does not load.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct KeyringPath {
    /// The keyring file
    #[arg(long, value_name = "FILE", default_value = "config/keyring.toml")]
    keyring: PathBuf,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    path: KeyringPath,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb; `now` is the wall clock. Returns the exit code: 0 ok, 1 check
/// found something, 64 usage, 70 internal, 78 keyring.
pub fn run(args: &KeysArgs, now: Timestamp, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Exit {
    let done = match &args.command {
        KeysCommand::New(args) => new(args, now, stdout, stderr),
        KeysCommand::List(args) => list(args, now, stdout, stderr),
        KeysCommand::Check(args) => check(args, now, stdout, stderr),
    };
    // Only a closed stdout or stderr gets here: there is nobody left to tell.
    done.unwrap_or(Exit::Internal)
}

fn list(args: &ListArgs, now: Timestamp, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<Exit> {
    let loaded = match load(&args.path.keyring) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(stderr, &faults),
    };
    for warning in &loaded.warnings {
        writeln!(stderr, "warning: {warning}")?;
    }
    if args.json {
        writeln!(stdout, "{:#}", listed_json(&loaded, event_time(now)))?;
    } else {
        write_table(stdout, &listed_rows(&loaded, event_time(now)))?;
    }
    Ok(Exit::Ok)
}

fn listed_json(loaded: &LoadedKeyring, now: EventTime) -> serde_json::Value {
    let epochs = loaded.keyring.epochs().iter().zip(&loaded.sources);
    let keys: Vec<_> = epochs
        .map(|(epoch, source)| {
            json!({
                "id": epoch.id().as_str(),
                "state": epoch.state(now).to_string(),
                "status": epoch.status().to_string(),
                "activate_at": epoch.activate_at().to_string(),
                "ends_at": epoch.ends_at().map(|end| end.to_string()),
                "kcv": epoch.kcv().map(|kcv| kcv.to_string()),
                "source": source,
            })
        })
        .collect();
    json!({ "fingerprint": loaded.keyring.fingerprint(), "keys": keys })
}

fn listed_rows(loaded: &LoadedKeyring, now: EventTime) -> Vec<[String; 6]> {
    let titles = ["ID", "STATE", "FROM", "UNTIL", "KCV", "SOURCE"].map(str::to_owned);
    let epochs = loaded.keyring.epochs().iter().zip(&loaded.sources);
    let rows = epochs.map(|(epoch, source)| {
        [
            epoch.id().to_string(),
            epoch.state(now).to_string(),
            epoch.activate_at().to_string(),
            or_dash(epoch.ends_at()),
            or_dash(epoch.kcv()),
            source.clone(),
        ]
    });
    std::iter::once(titles).chain(rows).collect()
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn write_table<const N: usize>(out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn refuse(stderr: &mut dyn Write, faults: &[Fault]) -> io::Result<Exit> {
    for fault in faults {
        writeln!(stderr, "{fault}")?;
    }
    Ok(Exit::Config)
}

fn event_time(time: Timestamp) -> EventTime {
    EventTime::from_millis(time.as_millisecond())
}

#[cfg(test)]
mod tests;
