//! `cdrveil init DIR`: a configuration of one's own that `check` accepts, with a fresh key and recipient.
//!
//! Invariant: everything is written beside the folder and tried there; the folder appears whole, under a name that
//! was free, or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cdr::learn::{Examples, Known};
use crate::cdr::policy::preset_names;
use crate::cli::{Exit, complain, complain_of, keys, learn};
use crate::config::Config;
use crate::seal::opener::Opener;
use crate::settings::Fault;

/// The documented file, with its comments.
const CONFIG: &str = include_str!("../../config/cdrveil.toml");
/// What of it becomes the user's own.
const DOMAIN: &str = "domain = \"billing\"";
const BROKERS: &str = "brokers = [\"localhost:9092\"]";
const GROUP: &str = "group = \"cdrveil-billing\"";
const RAW: &str = "raw = [\"cdr.raw\"]              # one or more topics to read";
const PUBLIC: &str = "public = \"cdr.billing\"         # pseudonymised records";
const RECIPIENTS: &str = "# Put your own here: nobody holds the identity of this one.\nrecipients = [\"";

/// Who holds it opens what was sealed.
const IDENTITY: &str = "identity.txt";

#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("records").required(true),
    after_help = "Writes to DIR: cdrveil.toml, policy.toml, keyring.toml, a fresh key (mode 0400), and identity.txt\n\
    (mode 0400), an age identity whose public key stands in cdrveil.toml.\n\n\
    Move identity.txt away, to the security team's safe: who has it can open every restricted and\n\
    rejected record, and the daemon never needs it. Keep a copy of the key where keys are kept: without\n\
    it the pseudonyms can never be made again.\n\n\
    DIR must not exist, or be empty: nothing is ever overwritten. What is written was checked.\n\n\
    For example:\n\
    \x20      cdrveil init billing --preset asterisk --country GB --zone Europe/London\n\
    \x20      cdrveil init billing --sample calls.csv --country GB --zone Europe/London\n\n\
    Exit: 0 written, 64 DIR is taken or the sample is none to learn from, 70 it cannot be written,\n\
    78 what came of it would be refused."
)]
pub(super) struct Args {
    /// Folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Records of a known system (docs/presets.md lists them)
    #[arg(long, group = "records", value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(preset_names()), requires = "country")]
    preset: Option<String>,
    /// Records like those of a sample, CSV or JSON, as `cdrveil learn` reads it
    #[arg(long, group = "records", value_name = "FILE")]
    sample: Option<PathBuf>,
    /// Country that national numbers belong to, such as GB [with --sample default: a guess, marked]
    #[arg(long, value_name = "CODE", value_parser = learn::country)]
    country: Option<String>,
    /// Zone of times without an offset, such as Europe/London
    #[arg(long, value_name = "ZONE", value_parser = learn::zone)]
    zone: Option<String>,
    /// Pseudonymisation domain: one purpose with one keyring
    #[arg(long, value_name = "NAME", default_value = "billing")]
    domain: String,
    /// Kafka brokers, comma-separated
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "localhost:9092"
    )]
    brokers: Vec<String>,
    /// Raw topics, comma-separated
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', default_value = "cdr.raw")]
    raw: Vec<String>,
}

/// Why nothing was written.
enum Failure {
    Said(Exit, String),
    Faults(Vec<Fault>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Said(Exit::Internal, format!("nothing was written: {error}"))
    }
}

pub(super) fn run(args: &Args) -> Exit {
    match init(args) {
        Ok(guesses) => {
            tell(args, guesses);
            Exit::Ok
        }
        Err(Failure::Said(exit, message)) => {
            complain(message);
            exit
        }
        Err(Failure::Faults(faults)) => {
            complain_of(&faults);
            complain("nothing was written");
            Exit::Config
        }
    }
}

/// Makes the folder; how many guesses are marked in its policy.
fn init(args: &Args) -> Result<usize, Failure> {
    let taken = || {
        let message = format!(
            "{} is there and not empty: name another folder, nothing is overwritten",
            args.folder.display()
        );
        Failure::Said(Exit::Usage, message)
    };
    if args.folder.symlink_metadata().is_ok() {
        let mut entries = fs::read_dir(&args.folder).map_err(|_| taken())?;
        if entries.next().is_some() {
            return Err(taken());
        }
    }
    let target = match fs::canonicalize(&args.folder) {
        Ok(there) => there,
        Err(_) => std::path::absolute(&args.folder)?,
    };
    let inside = std::env::current_dir().is_ok_and(|here| here == target);
    let around = target.parent().unwrap_or(Path::new("/"));
    // There are secrets in it.
    let trial = tempfile::Builder::new()
        .prefix(".cdrveil-init-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(around)?;
    let folder = trial.path();
    let (identity, recipient) = Opener::new_identity();
    fs::write(folder.join("cdrveil.toml"), config(args, &recipient))?;
    secret(&folder.join(IDENTITY), identity.expose())?;
    let keyring = keys::first(&folder.join("keyring.toml"), Timestamp::now());
    let keyring = keyring.map_err(|message| Failure::Said(Exit::Internal, message))?;
    fs::write(folder.join("keyring.toml"), keyring)?;
    let policy = match (&args.preset, &args.sample) {
        (Some(name), _) => preset_policy(args, name, folder)?,
        (None, Some(sample)) => learnt_policy(args, sample)?,
        (None, None) => return Err(Failure::Said(Exit::Usage, "name --preset or --sample".to_owned())),
    };
    fs::write(folder.join("policy.toml"), &policy)?;
    Config::load(&folder.join("cdrveil.toml"), &[]).map_err(Failure::Faults)?;
    // The kernel refuses a folder that is not empty: so whoever was faster keeps his. By its whole name, as it takes
    // no other for the folder one stands in.
    fs::rename(folder, &target).map_err(|error| match error.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => taken(),
        _ => error.into(),
    })?;
    let _ = trial.keep();
    if inside {
        complain("the folder you stand in is another one now: `cd \"$PWD\"` before what follows");
    }
    let marked = |line: &&str| {
        ["NOT KNOWN", "A guess", "AMBIGUOUS"]
            .iter()
            .any(|mark| line.contains(mark))
    };
    Ok(policy.lines().filter(marked).count())
}

/// The documented file with what was said.
fn config(args: &Args, recipient: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |texts: &[String]| {
        let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        format!("[{}]", texts.join(", "))
    };
    let (domain, group) = (quoted(&args.domain), quoted(&format!("cdrveil-{}", args.domain)));
    let public = quoted(&format!("cdr.{}", args.domain));
    let shipped = CONFIG
        .split_once(RECIPIENTS)
        .and_then(|(_, rest)| Some(rest.split_once("\"]")?.0))
        .unwrap_or_default();
    CONFIG
        .replacen(DOMAIN, &format!("domain = {domain}"), 1)
        .replacen(BROKERS, &format!("brokers = {}", list(&args.brokers)), 1)
        .replacen(GROUP, &format!("group = {group}"), 1)
        .replacen(RAW, &format!("raw = {}", list(&args.raw)), 1)
        .replacen(PUBLIC, &format!("public = {public}"), 1)
        .replacen(
            &format!("{RECIPIENTS}{shipped}"),
            &format!(
                "# Its identity was written to {IDENTITY}: move that away.\nrecipients = [\"{recipient}"
            ),
            1,
        )
}

/// A preset with what is the user's to say of it. Some write times with an offset and refuse a zone.
fn preset_policy(args: &Args, name: &str, folder: &Path) -> Result<String, Failure> {
    let country = args.country.as_deref().unwrap_or_default();
    let text = |zone: Option<&str>| {
        let zone = zone.map_or_else(String::new, |zone| {
            format!("\n[input]\ntime.zone = \"{zone}\"     # where the clock of the switch stands\n")
        });
        format!(
            "# policy.toml: the privacy officer's file. The preset says what becomes of each field, as\n\
             # `cdrveil explain --config cdrveil.toml` shows; what stands here goes over it (docs/presets.md).\n\
             preset = \"{name}\"\n{zone}\n[numbers]\ncountry = \"{country}\"     # what a national number means\n"
        )
    };
    let fits = |policy: &str| {
        fs::write(folder.join("policy.toml"), policy)?;
        Ok::<_, io::Error>(Config::load(&folder.join("cdrveil.toml"), &[]))
    };
    let plain = text(None);
    let Err(refused) = fits(&plain)? else {
        // Said, but not asked for: the records bring their own offset.
        return Ok(plain);
    };
    let Some(zone) = &args.zone else {
        complain(format!(
            "the records of \"{name}\" have times without an offset: say --zone, such as Europe/London"
        ));
        return Err(Failure::Faults(refused));
    };
    Ok(text(Some(zone)))
}

fn learnt_policy(args: &Args, sample: &Path) -> Result<String, Failure> {
    let known = Known {
        country: args.country.as_deref(),
        zone: args.zone.as_deref(),
        examples: Examples::Hidden,
    };
    let learnt = learn::from_file(sample, &known);
    let learnt = learnt.map_err(|(exit, message)| Failure::Said(exit, message))?;
    Ok(learnt.policy)
}

/// A file that its owner alone may read, and that was not there before.
fn secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o400).open(path)?;
    writeln!(file, "{}", text.trim_end())?;
    file.sync_all()
}

#[allow(clippy::print_stdout)] // the result
fn tell(args: &Args, guesses: usize) {
    let folder = args.folder.display();
    complain(format!(
        "wrote {folder}: cdrveil.toml, policy.toml, keyring.toml, a key, {IDENTITY}"
    ));
    complain(format!(
        "move {folder}/{IDENTITY} away: who has it can open what was sealed, and the daemon never needs it"
    ));
    if guesses > 0 {
        complain(format!(
            "{folder}/policy.toml marks {guesses} lines as guesses (NOT KNOWN, A guess, AMBIGUOUS): read them first"
        ));
    }
    println!(
        "cdrveil check --config {folder}/cdrveil.toml     # the files, and whether the topics are there"
    );
    println!(
        "cdrveil run --config {folder}/cdrveil.toml       # the daemon; its page is http://127.0.0.1:9464/"
    );
    println!("cdrveil top                                      # the same in a terminal");
}
