//! The command line: one file per verb. Results go to stdout, all else to stderr.
//!
//! What was typed ends here: each verb's `run` gets values and returns an exit code.

mod apply;
mod check;
mod completions;
mod demo;
mod explain;
mod init;
mod keys;
mod learn;
mod man;
mod memory;
mod open;
mod outputs;
mod progress;
mod run;
mod tokens;
mod top;

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::settings::Fault;
use crate::telemetry::log;

/// How the program ended (sysexits.h where it has a number).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All well.
    Ok = 0,
    /// A check found something, or some records did not open.
    Found = 1,
    /// The command line itself.
    Usage = 64,
    /// No broker.
    Unavailable = 69,
    /// A fault of this program or its machine.
    Internal = 70,
    /// Configuration, policy, keyring, recipient or a missing topic.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[derive(Parser)]
#[command(
    name = "cdrveil",
    version,
    about = "Pseudonymises call detail records on Kafka: tokens for billing, sealed fields for the rest",
    long_about = "cdrveil reads raw call detail records (CDRs) from Kafka, replaces phone numbers and other \
                  subscriber identifiers with keyed HMAC pseudonyms so that billing still works, moves sensitive \
                  fields sealed to a restricted topic, and rejects (sealed, with a reason) what it cannot read.",
    after_help = "Start with:  cdrveil demo --seconds 20\n\
                  Exit codes:  0 ok, 1 a check found something, 64 usage, 69 broker or HTTP address unavailable, 70 internal,\n\
                  \x20            78 configuration, policy, keyring, recipient or a missing topic, 130 and 143 interrupted"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the daemon
    Run(run::Args),
    /// Check files, keys, policy and topics; every fault with its place and cure
    Check(check::Args),
    /// Show the whole program on an embedded broker, with generated calls
    Demo(demo::Args),
    /// Write a configuration to a new folder: for a preset or a sample, with a fresh key and recipient
    Init(init::Args),
    /// Show a running daemon in the terminal: the page over the same JSON
    Top(top::Args),
    /// Transform files instead of Kafka: the same bytes, sealed outputs as JSON lines
    Apply(apply::Args),
    /// Open restricted and rejected records with an age identity
    Open(open::Args),
    /// Make, list, check and destroy epoch keys
    Keys(keys::KeysArgs),
    /// Map customer master data to tokens, so that billing can find a token's account
    Tokens(tokens::Args),
    /// Read a sample of records and draft a policy for them
    Learn(learn::Args),
    /// Show the policy as a table, and what it does to records from a file or stdin
    Explain(explain::Args),
    /// Write a manual page for every verb
    Man(man::Args),
    /// Print what a shell needs to complete verbs and options
    Completions(completions::Args),
}

/// The program: arguments to exit code.
pub fn main() -> ExitCode {
    log::guard_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; anything else is EX_USAGE.
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked {
                Exit::Ok.into()
            } else {
                Exit::Usage.into()
            };
        }
    };
    // Whatever the verb, a key may come into its memory; `run` tells what could not be had.
    let unguarded = memory::guard();
    let exit = match cli.verb {
        Verb::Run(args) => run::run(&args, &unguarded),
        Verb::Check(args) => check::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Top(args) => top::run(&args),
        Verb::Apply(args) => apply::run(&args),
        Verb::Open(args) => open::run(&args),
        Verb::Keys(args) => keys::run(
            &args,
            Timestamp::now(),
            &mut io::stdin().lock(),
            &mut io::stdout(),
            &mut io::stderr(),
        ),
        Verb::Tokens(args) => tokens::run(&args),
        Verb::Learn(args) => learn::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Man(args) => man::run(&args),
        Verb::Completions(args) => completions::run(&args),
    };
    exit.into()
}

/// The configuration file, as every verb that needs one takes it.
#[derive(Debug, clap::Args)]
struct ConfigArg {
    /// Configuration file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "config/cdrveil.toml",
        env = "CDRVEIL_CONFIG"
    )]
    config: PathBuf,
}

/// Says what is wrong, on stderr.
#[allow(clippy::print_stderr)] // the verbs' one way to stderr, besides the log
fn complain(message: impl Display) {
    eprintln!("cdrveil: {message}");
}

/// A result that could not be written: a closed pipe is the reader's choice, anything else a fault.
fn output_failed(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::Ok;
    }
    complain(error);
    Exit::Internal
}

/// All faults of a configuration, one a line, in the form editors and CI can follow.
#[allow(clippy::print_stderr)]
fn complain_of(faults: &[Fault]) {
    for fault in faults {
        eprintln!("{fault}");
    }
    let count = faults.len();
    eprintln!(
        "cdrveil: {count} {} found",
        if count == 1 { "fault" } else { "faults" }
    );
}
