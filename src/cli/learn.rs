//! `cdrveil learn`: a draft policy from a sample of records.
//!
//! Invariant: no value of the sample is printed, unless `--show-values` asks for examples; what is tried runs
//! under keys that are made here and forgotten.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::cdr::csv::End;
use crate::cdr::learn::{self, Examples, Known, Learnt, OTHER_FORM, Sample};
use crate::cli::apply::inputs::packed;
use crate::cli::outputs::{Existing, create, free, same_file};
use crate::cli::{Exit, complain, output_failed};
use crate::number::{NumberSettings, Numbers};
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{KeyEntry, Keyring, Status};
use crate::pseudonym::mac::EpochKey;

/// How much of a file is read.
const MOST_BYTES: u64 = 64 << 20;

#[derive(clap::Args)]
#[command(
    after_help = "The presets are tried on the sample first, with keys made for this and forgotten; one that accepts\n\
    nearly all records is recognised, and the draft names it with the lines that are yours to say. Else\n\
    the draft proposes format, columns, the call's time and an action for every field, with the reason\n\
    as a comment. What is not recognised is restricted (sealed): a draft may seal too much.\n\n\
    No value of the sample is printed: only counts, and names of columns and members that look like\n\
    names. Guesses are marked (A guess, NOT KNOWN, AMBIGUOUS): read them, and every line that keeps.\n\n\
    Then:  cdrveil learn calls.csv --country GB --zone Europe/London --output config/policy.toml\n\
    \x20      cdrveil check --config config/cdrveil.toml --offline\n\
    \x20      cdrveil explain --config config/cdrveil.toml calls.csv\n\n\
    At most the first 64 MiB and 100,000 records are read.\n\
    Exit: 0 a draft was written, 64 a file that is none to learn from (empty, packed, no calls), with\n\
    its line, 70 the draft cannot be written."
)]
pub(super) struct Args {
    /// Sample of call records, CSV or JSON; "-" for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Country that national numbers belong to, such as GB [default: a guess, marked]
    #[arg(long, value_name = "CODE", value_parser = country)]
    country: Option<String>,
    /// Zone of times without an offset, such as Europe/London [default: UTC, marked]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<String>,
    /// Show up to three raw values of each proposed field as comments: such a draft is not for sharing
    #[arg(long)]
    show_values: bool,
    /// Write the draft to a file instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output file if it exists
    #[arg(long)]
    force: bool,
}

pub(super) fn country(text: &str) -> Result<String, String> {
    let settings = NumberSettings {
        country: Some(text.to_owned()),
        ..NumberSettings::default()
    };
    match Numbers::new(&settings) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn zone(text: &str) -> Result<String, String> {
    match TimeZone::get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("unknown: use an IANA name such as Europe/London or UTC".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let existing = Existing::of(args.force);
    let taken = args.output.iter().find_map(|path| {
        if same_file(path, &args.file) {
            return Some(format!("{} is the sample: name another output", path.display()));
        }
        free(path, existing).err()
    });
    if let Some(message) = taken {
        complain(message);
        return Exit::Usage;
    }
    let known = Known {
        country: args.country.as_deref(),
        zone: args.zone.as_deref(),
        examples: if args.show_values {
            Examples::Shown
        } else {
            Examples::Hidden
        },
    };
    match from_file(&args.file, &known) {
        Ok(learnt) => write(args.output.as_deref(), existing, &learnt.policy),
        Err((exit, message)) => {
            complain(message);
            exit
        }
    }
}

/// What a sample teaches, told on stderr.
///
/// # Errors
///
/// What is wrong with it, and the exit code of that.
pub(super) fn from_file(file: &Path, known: &Known<'_>) -> Result<Learnt, (Exit, String)> {
    let (bytes, end) = sample(file).map_err(|message| (Exit::Usage, message))?;
    let keyring = Arc::new(throwaway().map_err(|message| (Exit::Internal, message))?);
    let sample = Sample {
        bytes: &bytes,
        end,
        now: now_millis(),
        keyring: &keyring,
    };
    let learnt = learn::learn(&sample, known);
    let learnt = learnt.map_err(|error| (Exit::Usage, format!("{}:{error}", file.display())))?;
    tell(&learnt, end);
    Ok(learnt)
}

/// The beginning of the file, and whether it is all of it.
fn sample(path: &Path) -> Result<(Vec<u8>, End), String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(told)?)
    };
    let mut bytes = Vec::new();
    source
        .by_ref()
        .take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(told)?;
    if let Some(said) = packed(path, &bytes) {
        return Err(format!("{said} learn -"));
    }
    let more = source.read(&mut [0]).map_err(told)? > 0;
    Ok((bytes, if more { End::More } else { End::Final }))
}

/// Keys of no domain, for trying: nothing that is made under them leaves this process.
fn throwaway() -> Result<Keyring, String> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    let entry = KeyEntry {
        id: "learn".parse().map_err(|_| "no epoch of this name")?,
        activate_at: EventTime::from_millis(0),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new(bytes).ok(),
    };
    Keyring::new(vec![entry]).map_err(|error| error.to_string())
}

fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// What was tried, and what came of it: on stderr.
#[allow(clippy::print_stderr)]
fn tell(learnt: &Learnt, end: End) {
    if end == End::More {
        complain("only the first 64 MiB were read");
    }
    let (other, near): (Vec<_>, Vec<_>) = learnt.tried.iter().partition(|tried| tried.verdict == OTHER_FORM);
    complain("presets tried on the first records, and how many they accept:");
    let width = near.iter().map(|tried| tried.name.len()).max().unwrap_or(0);
    for tried in &near {
        eprintln!(
            "  {:width$}  {:>3} of {:>3}  {}",
            tried.name, tried.accepted, tried.records, tried.verdict
        );
    }
    let names: Vec<&str> = other.iter().map(|tried| tried.name.as_str()).collect();
    if !names.is_empty() {
        eprintln!("  {OTHER_FORM}: {}", names.join(", "));
    }
    let result = match learnt.preset {
        Some(preset) => format!("recognised: preset \"{preset}\""),
        None => "no preset fits: every field has a proposal".to_owned(),
    };
    complain(format!(
        "{result}; the draft accepts {} of {} records",
        learnt.accepted, learnt.records
    ));
    for line in &learnt.rejected {
        complain(format!("it rejects {line}"));
    }
}

fn write(output: Option<&Path>, existing: Existing, policy: &str) -> Exit {
    let Some(path) = output else {
        return match io::stdout().lock().write_all(policy.as_bytes()) {
            Ok(()) => Exit::Ok,
            Err(error) => output_failed(&error),
        };
    };
    let written = create(path, existing).and_then(|mut file| {
        file.write_all(policy.as_bytes())
            .map_err(|error| format!("{}: {error}", path.display()))
    });
    match written {
        Ok(()) => Exit::Ok,
        Err(message) => {
            complain(message);
            Exit::Internal
        }
    }
}
