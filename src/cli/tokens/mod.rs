//! `cdrveil tokens`: customer master data with tokens in place of numbers, so
//! that billing can map a token to an account.
//!
//! The file is read twice, first for rows of one subscriber: so no row is written
//! that another one contradicts, and memory stays constant. No value is ever
//! shown, only line numbers and reasons.

mod duplicates;
mod plan;
mod rows;

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cdr::csv::Dialect;
use crate::cli::outputs::{self, Existing, same_file};
use crate::cli::progress::Progress;
use crate::cli::tokens::duplicates::{Duplicate, Duplicates, Found, MOST};
use crate::cli::tokens::plan::{Asked, Plan, Refused};
use crate::cli::tokens::rows::{Broken, Rows};
use crate::cli::{ConfigArg, Exit, complain, complain_of};
use crate::config::{self, Config};

#[derive(clap::Args)]
#[command(
    after_help = "FILE is CSV with a header row. The column comes out as one column <column>_<epoch id> per\n\
    epoch, with the tokens that the public topic has in the policy's field: read, keyed and\n\
    scoped by the same code. Every other column comes out as it is: leave out what billing\n\
    must not see before, names and addresses first.\n\
    \n\
    \x20 account,number,plan              account,number_2026-11,number_2026-12,plan\n\
    \x20 A-1,07700 900123,gold      ->    A-1,2026-11.qrqzktkvbnqulweyqa722njdt4,2026-12.5mz26..,gold\n\
    \n\
    Scope pairwise: --with names the served party's column; it is replaced too (by its own\n\
    tokens, or blanked where they do not last). Scope record has no tokens that last: refused.\n\
    \n\
    Refused rows are not written, but listed as FILE:LINE: reason, on stderr or in --rejects:\n\
    rows that cannot be read, that identify nobody (withheld, short codes), and every row of\n\
    a subscriber who stands there twice, whatever the spelling: which account is right\n\
    nobody can tell. A number that changed hands needs one file per period, with --epochs.\n\
    \n\
    FILE is read twice, so it must be a file; any size in constant memory (what is sorted to\n\
    find duplicates goes to the system's temporary folder: 34 bytes a row, tokens only).\n\
    The output joins tokens to customers: guard it like the keyring.\n\
    Exit: 0 every row has its tokens, 1 rows were refused, 64 usage, 70 a file cannot be read\n\
    or written, 78 a fault in the configuration."
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Column to replace, by its name in the header row
    #[arg(long, value_name = "COLUMN")]
    column: String,
    /// Field of the policy whose tokens are wanted (default: [output] key, else the only one)
    #[arg(long, value_name = "FIELD")]
    field: Option<String>,
    /// Column of the served party, for a field of scope pairwise
    #[arg(long, value_name = "COLUMN")]
    with: Option<String>,
    /// Epochs: "2026-10,2026-11" or "2026-10..2026-12" (default: all that have a key)
    #[arg(long, value_name = "EPOCHS")]
    epochs: Option<String>,
    /// Delimiter of FILE and output: one character, or "tab"
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    delimiter: String,
    /// Where rows go (default: stdout)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where refused rows are listed (default: stderr)
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Replace output files that exist
    #[arg(long)]
    force: bool,
    /// Customer master data
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Why the verb stopped.
enum Stop {
    Usage(String),
    Internal(String),
    /// Whoever read stdout has had enough.
    Closed,
}

/// How many rows there were.
#[derive(Default)]
struct Totals {
    written: u64,
    refused: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.written + self.refused;
        write!(f, "rows={rows} written={} refused={}", self.written, self.refused)
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let config = match Config::load(&args.config.config, &config::environment()) {
        Ok(config) => config,
        Err(faults) => {
            complain_of(&faults);
            return Exit::Config;
        }
    };
    match tokens(args, &config) {
        Ok(totals) => {
            complain(&totals);
            if totals.refused == 0 {
                Exit::Ok
            } else {
                Exit::Found
            }
        }
        Err(Stop::Usage(message)) => {
            complain(message);
            Exit::Usage
        }
        Err(Stop::Internal(message)) => {
            complain(message);
            Exit::Internal
        }
        Err(Stop::Closed) => Exit::Ok,
    }
}

fn tokens(args: &Args, config: &Config) -> Result<Totals, Stop> {
    let dialect = dialect(&args.delimiter).map_err(Stop::Usage)?;
    told_apart(args).map_err(Stop::Usage)?;
    let mut input = Input::open(&args.file)?;
    let mut rows = input.rows("reading: ", dialect)?;
    let header = header(&mut rows, &args.file)?;
    let asked = Asked {
        column: &args.column,
        field: args.field.as_deref(),
        with: args.with.as_deref(),
        epochs: args.epochs.as_deref(),
        dialect,
    };
    let mut plan = Plan::new(&asked, config, &header).map_err(Stop::Usage)?;
    let duplicates = find_duplicates(&mut rows, &mut plan, args)?;
    drop(rows);
    let mut outputs = Outputs::create(args)?;
    plan.header(&header, &config.keyring.keyring, &mut outputs.row)
        .map_err(Stop::Internal)?;
    outputs.write().map_err(|error| outputs.broken(&error))?;
    let mut rows = input.rows("writing: ", dialect)?;
    rows.next().map_err(|broken| told(&args.file, &broken))?;
    let totals = write_rows(&mut rows, &mut plan, &duplicates, &mut outputs, args)?;
    rows.clear_progress();
    drop(rows);
    outputs.finish().map_err(|error| outputs.broken(&error))?;
    input.unchanged()?;
    Ok(totals)
}

/// What stands between values: nothing that could stand in a token.
fn dialect(delimiter: &str) -> Result<Dialect, String> {
    let byte = match delimiter.as_bytes() {
        b"tab" | b"\\t" => b'\t',
        [byte] if (byte.is_ascii_punctuation() || *byte == b'\t') && !b".-_\"".contains(byte) => *byte,
        _ => {
            return Err(format!(
                "--delimiter {delimiter:?}: one character such as \";\" or \"|\", or \"tab\""
            ));
        }
    };
    Ok(Dialect {
        delimiter: byte,
        quote: Some(b'"'),
        comment: None,
    })
}

/// Files that overwrite each other or the input, or that are there already.
fn told_apart(args: &Args) -> Result<(), String> {
    let outputs = [("--output", &args.output), ("--rejects", &args.rejects)];
    let named = outputs
        .iter()
        .filter_map(|(option, path)| path.as_ref().map(|path| (option, path)));
    for (option, path) in named {
        if same_file(path, &args.file) {
            return Err(format!(
                "{option} {} is the input file: name another",
                path.display()
            ));
        }
        outputs::free(path, Existing::of(args.force))?;
    }
    match (&args.output, &args.rejects) {
        (Some(output), Some(rejects)) if same_file(output, rejects) => {
            Err("--output and --rejects are the same file: name another".to_owned())
        }
        _ => Ok(()),
    }
}

/// The file, and what it was when it was first read.
struct Input {
    path: PathBuf,
    file: File,
    seen: (u64, Option<SystemTime>),
}

impl Input {
    fn open(path: &Path) -> Result<Self, Stop> {
        if path == Path::new("-") {
            return Err(Stop::Usage(
                "the file is read twice, which a pipe cannot be: name a file".to_owned(),
            ));
        }
        let failed = |error: io::Error| Stop::Internal(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(failed)?;
        let seen = state(&file).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            seen,
        })
    }

    /// From the beginning.
    fn rows(&mut self, doing: &'static str, dialect: Dialect) -> Result<Rows<&File>, Stop> {
        self.file.rewind().map_err(|error| {
            Stop::Usage(format!(
                "{}: is read twice and cannot be rewound ({error}): name a file",
                self.path.display()
            ))
        })?;
        let progress = Progress::new(doing, std::slice::from_ref(&self.path));
        Ok(Rows::new(&self.file, dialect, progress))
    }

    /// Duplicates were looked for in what was there before.
    fn unchanged(&self) -> Result<(), Stop> {
        match state(&self.file) {
            Ok(state) if state == self.seen => Ok(()),
            _ => Err(Stop::Internal(format!(
                "{} changed while it was read: do not use what was written, run again",
                self.path.display()
            ))),
        }
    }
}

fn state(file: &File) -> io::Result<(u64, Option<SystemTime>)> {
    let data = file.metadata()?;
    Ok((data.len(), data.modified().ok()))
}

fn told(file: &Path, broken: &Broken) -> Stop {
    let place = file.display();
    Stop::Internal(match broken {
        Broken::Io(error) => format!("{place}: {error}"),
        Broken::OpenQuote(_) => format!("{place}:{broken}"),
    })
}

fn header(rows: &mut Rows<&File>, file: &Path) -> Result<Vec<u8>, Stop> {
    match rows.next().map_err(|broken| told(file, &broken))? {
        Some(_) => Ok(rows.row().to_vec()),
        None => Err(Stop::Usage(format!("{} has no header row", file.display()))),
    }
}

/// The first walk.
fn find_duplicates(rows: &mut Rows<&File>, plan: &mut Plan, args: &Args) -> Result<Vec<Duplicate>, Stop> {
    let failed = |error: io::Error| Stop::Internal(format!("temporary file: {error}"));
    let mut duplicates = Duplicates::new();
    while let Some(line) = rows.next().map_err(|broken| told(&args.file, &broken))? {
        // Rows that cannot be read are told by the second walk.
        if plan.read(rows.row()).is_ok()
            && let Ok(token) = plan.first_token()
        {
            duplicates.take(token, line).map_err(failed)?;
        }
    }
    rows.clear_progress();
    match duplicates.find().map_err(failed)? {
        Found::Rows(rows) => Ok(rows),
        Found::TooMany => Err(Stop::Usage(format!(
            "--column {}: more than {MOST} rows hold a subscriber that another row holds too: this is no list by subscriber",
            args.column
        ))),
    }
}

/// The second walk.
fn write_rows(
    rows: &mut Rows<&File>,
    plan: &mut Plan,
    duplicates: &[Duplicate],
    outputs: &mut Outputs,
    args: &Args,
) -> Result<Totals, Stop> {
    let mut totals = Totals::default();
    let mut duplicates = duplicates.iter().peekable();
    while let Some(line) = rows.next().map_err(|broken| told(&args.file, &broken))? {
        let twin = duplicates.next_if(|duplicate| duplicate.line == line);
        let written = plan
            .read(rows.row())
            .and_then(|()| twin.map_or(Ok(()), |twin| Err(Refused::Duplicate(twin.other))))
            .and_then(|()| plan.write(rows.row(), &mut outputs.row));
        let told = match written {
            Ok(()) => {
                totals.written += 1;
                outputs.write()
            }
            Err(refused) => {
                totals.refused += 1;
                rows.clear_progress();
                outputs.refuse(&args.file, line, refused)
            }
        };
        told.map_err(|error| outputs.broken(&error))?;
    }
    Ok(totals)
}

/// Where rows and refusals go.
struct Outputs {
    rows: BufWriter<Box<dyn Write>>,
    refusals: BufWriter<Box<dyn Write>>,
    /// What has to be on disk at the end.
    files: Vec<File>,
    /// The row at hand.
    row: Vec<u8>,
}

impl Outputs {
    fn create(args: &Args) -> Result<Self, Stop> {
        let mut files = Vec::new();
        let mut open = |path: &Option<PathBuf>, default: Box<dyn Write>| {
            let Some(path) = path else {
                return Ok(default);
            };
            let file = outputs::create(path, Existing::of(args.force)).map_err(Stop::Internal)?;
            let other = file.try_clone();
            files.push(other.map_err(|error| Stop::Internal(format!("{}: {error}", path.display())))?);
            Ok(Box::new(file) as Box<dyn Write>)
        };
        Ok(Self {
            rows: BufWriter::new(open(&args.output, Box::new(io::stdout()))?),
            refusals: BufWriter::new(open(&args.rejects, Box::new(io::stderr()))?),
            files,
            row: Vec::new(),
        })
    }

    fn write(&mut self) -> io::Result<()> {
        self.rows.write_all(&self.row)?;
        self.row.clear();
        Ok(())
    }

    fn refuse(&mut self, file: &Path, line: u64, refused: Refused) -> io::Result<()> {
        self.row.clear();
        writeln!(self.refusals, "{}:{line}: {refused}", file.display())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.rows.flush()?;
        self.refusals.flush()?;
        self.files.iter().try_for_each(outputs::synced)
    }

    fn broken(&self, error: &io::Error) -> Stop {
        if error.kind() == io::ErrorKind::BrokenPipe && self.files.is_empty() {
            return Stop::Closed;
        }
        Stop::Internal(format!("writing failed: {error}; do not use what was written"))
    }
}
