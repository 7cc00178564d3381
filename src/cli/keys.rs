//! `cdrveil keys new | list | check | diff | destroy | register | scope | selftest`: the security team's verbs over `keyring.toml`.
//!
//! Invariant: key bytes go to a file that is created here and nowhere else, and
//! no verb prints a key; `destroy` alone writes the keyring and overwrites files.

pub(super) mod check;
mod destroy;
mod diff;
mod list;
mod new;
mod register;
mod scope;
mod selftest;

use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::cli::Exit;
use crate::cli::keys::check::{CheckArgs, check};
use crate::cli::keys::destroy::{DestroyArgs, Terminal, destroy};
use crate::cli::keys::diff::{DiffArgs, diff};
use crate::cli::keys::list::{ListArgs, list};
use crate::cli::keys::new::{NewArgs, new};
use crate::cli::keys::register::{RegisterArgs, register};
use crate::cli::keys::scope::{ScopeArgs, scope};
use crate::cli::keys::selftest::selftest;
use crate::pseudonym::epoch::EventTime;
use crate::settings::Fault;

pub(super) use self::new::first;

/// Make, list and check the keys of the keyring.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key and print the [[key]] block to paste into the keyring.
    ///
    /// Draws 32 bytes from the operating system, writes them as one line of hex
    /// to DIR/ID.key (mode 0400, never overwritten) and prints the block, with
    /// its key check value, on stdout: `>> KEYRING` adds it, also to a keyring that
    /// has no key yet. The other keys need not be readable here. With --derive a token makes the key out of
    /// a root that never leaves it, and there is no file.
    New(NewArgs),
    /// List the keys: state, window, key check value, where each comes from, and what the register says. Never shows a key.
    ///
    /// With --config the deployment's register is asked: who claimed each epoch, when (no record was written under it
    /// before) and with which key check value, or who told its destruction. Epochs that the register alone knows come last.
    /// Exits with 0, 1 when a key cannot be used or register and keyring contradict each other, 69 when no broker
    /// answers (the file is listed all the same), 78 when a file does not load.
    List(ListArgs),
    /// Check the keyring: that it loads, that a key is in use, and that its successor is there in time.
    ///
    /// Exits with 0 when all is well, 1 when something should be done, 78 when the keyring does not load.
    Check(CheckArgs),
    /// Explain an edit of the keyring in words, and whether the running daemon takes it.
    ///
    /// Reads the two files alone: no key, no command, no token; keys are told apart by their key check values.
    /// Exits with 0 when the edit is taken, 1 when it is refused, 78 when a file does not load.
    Diff(DiffArgs),
    /// Destroy a key: wipe its file, leave a tombstone in the keyring, print a certificate.
    ///
    /// Asks for the id again. Refuses a key that calls may still need: one in use, and one whose late records may
    /// still come ([epochs] late_window after its window). A run that was cut short is finished by the next one.
    /// Exits with 0 when the key is gone, 1 when it may still be needed, 70 when it could not be finished,
    /// 78 when the keyring does not load or a file holds another key.
    Destroy(DestroyArgs),
    /// Find where tokens of an epoch are: partitions, offsets and times of the public topic, for the report of a breach.
    ///
    /// Reads the whole topic, committed records alone, in no consumer group. Exits with 0 whether or not there are
    /// some, 69 without a broker, 78 when the configuration does not load or there is no such topic.
    Scope(ScopeArgs),
    /// Ask this build and machine for the known answers of its cryptography (RFC 4231, RFC 5869, a token).
    ///
    /// The daemon does the same at its start. Exits with 0 when all are right, 70 when one is wrong.
    Selftest,
    /// Show what the register says of the epochs of this domain, or rebuild it from the keyring.
    ///
    /// The register is the topic on which all instances agree what every epoch is. `--rebuild` is for a topic
    /// that was deleted, and for records processed before there was one: it shows what it would write and asks.
    /// Exits with 0, 1 when register and keyring contradict each other or a tombstone was not told, 69 without a broker, 78
    /// when it cannot be done.
    Register(RegisterArgs),
}

/// Where a keyring lies unless it is told.
const KEYRING: &str = "config/keyring.toml";

/// How long the brokers may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
struct KeyringPath {
    /// The keyring file
    #[arg(long, value_name = "FILE", default_value = KEYRING)]
    keyring: PathBuf,
}

/// Runs the verb; `now` is the wall clock. Returns the exit code: 0 ok, 1 check
/// found something, 64 usage, 70 internal, 78 keyring.
pub fn run(
    args: &KeysArgs,
    now: Timestamp,
    stdin: &mut dyn BufRead,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Exit {
    let done = match &args.command {
        KeysCommand::New(args) => new(args, now, stdout, stderr),
        KeysCommand::List(args) => list(args, now, stdout, stderr),
        KeysCommand::Check(args) => check(args, now, stdout, stderr),
        KeysCommand::Diff(args) => diff(args, now, stdout, stderr),
        KeysCommand::Scope(args) => scope(args, stdout, stderr),
        KeysCommand::Selftest => selftest(stdout),
        KeysCommand::Destroy(args) => {
            let mut terminal = Terminal {
                stdin,
                stdout,
                stderr,
            };
            destroy(args, now, &mut terminal)
        }
        KeysCommand::Register(args) => register(args, stdin, stdout, stderr),
    };
    // Only a closed stdout or stderr gets here: there is nobody left to tell.
    done.unwrap_or(Exit::Internal)
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
