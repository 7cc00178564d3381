//! `cdrveil apply`: the daemon's transform over files, for backfills and tests.
//!
//! Public records are the bytes the daemon would write, with a line break behind
//! each (a JSON record keeps its own line breaks too); sealed outputs are JSON
//! lines (`docs/formats.md`) that `cdrveil open` reads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;

use crate::cdr::csv::{self, End};
use crate::cdr::policy::{Format, Header, Policy};
use crate::cdr::rows::Piece;
use crate::cdr::{Reason, Skip};
use crate::cli::{ConfigArg, Exit, complain, complain_of};
use crate::config::{self, Config};
use crate::engine::{Engine, Output, Payload, Stop};
use crate::telemetry::Totals;

/// How much is read at a time.
const CHUNK: usize = 1 << 20;
/// How often the progress line is drawn.
const PROGRESS: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
#[command(
    after_help = "Record ids are <file's base name>/<row>: rows counted from 0, without header and comments.\n\
    On stderr: how many records were rejected for what, then in = public + rejected + skipped.\n\
    Exit: 0 done (rejects are counted, they are no failure), 64 files that cannot go together,\n\
    70 a file cannot be read or written, 78 a fault in the configuration."
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Where pseudonymised records go
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
    /// Where sealed restricted records go, as JSON lines
    #[arg(long, value_name = "FILE")]
    restricted: PathBuf,
    /// Where sealed rejects go, as JSON lines
    #[arg(long, value_name = "FILE")]
    rejected: PathBuf,
    /// Replace output files that exist
    #[arg(long)]
    force: bool,
    /// Input files; none or "-" for stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Exit {
    if let Err(message) = told_apart(args) {
        complain(message);
        return Exit::Usage;
    }
    let config = match Config::load(&args.config.config, &config::environment()) {
        Ok(config) => config,
        Err(faults) => {
            complain_of(&faults);
            return Exit::Config;
        }
    };
    match apply(args, &config) {
        Ok(writer) => {
            writer.tell_rejected(&config.policy);
            complain(writer.totals);
            Exit::Ok
        }
        Err(message) => {
            complain(message);
            Exit::Internal
        }
    }
}

/// Outputs that overwrite each other or an input, and inputs whose record ids would be the same.
fn told_apart(args: &Args) -> Result<(), String> {
    let outputs = [
        ("--public", &args.public),
        ("--restricted", &args.restricted),
        ("--rejected", &args.rejected),
    ];
    for (at, (option, path)) in outputs.iter().enumerate() {
        if let Some((other, _)) = outputs[..at].iter().find(|(_, other)| same_file(other, path)) {
            return Err(format!("{other} and {option} are the same file: name another"));
        }
        if args.files.iter().any(|input| same_file(input, path)) {
            return Err(format!(
                "{option} {} is an input file: name another",
                path.display()
            ));
        }
    }
    for (at, input) in args.files.iter().enumerate() {
        if let Some(other) = args.files[..at]
            .iter()
            .find(|other| other.file_name() == input.file_name())
        {
            return Err(format!(
                "{} and {} have the same base name, and so would their records' ids: rename one",
                other.display(),
                input.display()
            ));
        }
    }
    Ok(())
}

/// Whether two paths lead to one file that keeps what is written: `/dev/null` may be named twice.
fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let same = real(one).is_ok_and(|one| real(other).is_ok_and(|other| one == other));
    same && !is_special(one)
}

/// A device or pipe: `/dev/null`, `/dev/stdout`.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| !data.is_file())
}

fn apply(args: &Args, config: &Config) -> Result<Writer, String> {
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        stdin.as_slice()
    } else {
        &args.files
    };
    // Before any output is made: a misspelt name should leave nothing behind.
    for file in files.iter().filter(|file| file.as_path() != Path::new("-")) {
        File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let mut writer = Writer::create(args, config)?;
    let mut engine = Engine::new(
        Arc::clone(&config.policy),
        Arc::clone(&config.keyring.keyring),
        &config.destinations(),
        &config.recipients,
    )
    .map_err(|error| error.to_string())?;
    let mut progress = Progress::new(files);
    for file in files {
        one_file(file, &config.policy, &mut engine, &mut writer, &mut progress)?;
    }
    writer.finish()?;
    progress.end();
    Ok(writer)
}

/// Reads a file piece by piece: memory holds one chunk and the longest record.
fn one_file(
    path: &Path,
    policy: &Policy,
    engine: &mut Engine,
    writer: &mut Writer,
    progress: &mut Progress,
) -> Result<(), String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    let mut input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(told)?)
    };
    let name = path
        .file_name()
        .filter(|_| path != Path::new("-"))
        .map_or_else(|| "stdin".into(), |name| name.to_string_lossy());
    let timestamp = now_millis();
    let began = Instant::now();
    engine.restart();
    let mut buffer = Vec::with_capacity(CHUNK);
    let mut end = End::More;
    let mut row = 0;
    loop {
        match engine.next_piece(&buffer, end) {
            Piece::Done if end == End::Final => return Ok(()),
            Piece::Done | Piece::Incomplete => {
                let start = engine.position();
                buffer.drain(..start);
                engine.consumed(start);
                if buffer.len() > policy.max_record + CHUNK {
                    return Err(format!(
                        "{}: record {row} is longer than max_record: is a quote or bracket left open? What came before it is written",
                        path.display()
                    ));
                }
                let read = input
                    .by_ref()
                    .take(CHUNK as u64)
                    .read_to_end(&mut buffer)
                    .map_err(told)?;
                if read == 0 {
                    end = End::Final;
                }
                progress.read(read);
            }
            Piece::Rejected(_, Reason::Columns | Reason::UnknownField)
                if row == 0 && what_headers_must_be(policy).is_some() =>
            {
                let told = what_headers_must_be(policy).unwrap_or_default();
                return Err(format!("{}{told}", path.display()));
            }
            piece => {
                let payload = Payload {
                    id: name.as_bytes(),
                    timestamp,
                    bytes: Some(&buffer),
                };
                let counted = !matches!(piece, Piece::Skipped(_));
                engine
                    .row(&payload, &piece, row, began.elapsed(), |output| {
                        writer.write(&output)
                    })
                    .map_err(|stop| match stop {
                        Stop::Seal(error) => format!("sealing failed: {error}"),
                        Stop::Output(error) => error,
                    })?;
                row += u64::from(counted);
                progress.record();
            }
        }
    }
}

/// What is wrong with a header row that was refused, where one is read. Marker rows may stand above one that is
/// read by name, so its line is not told.
fn what_headers_must_be(policy: &Policy) -> Option<&'static str> {
    let Format::Csv(csv) = &policy.format else {
        return None;
    };
    match csv.header {
        Header::None | Header::Skip => None,
        Header::Check => {
            Some(":1: the header row does not name the columns of [input] columns, in that order")
        }
        Header::Name => Some(
            ": the header row does not name the columns of [input] columns: one that may be missing goes into [input] optional, another one needs a line under [fields] or [input] unlisted",
        ),
    }
}

/// The three output files.
struct Writer {
    public: BufWriter<File>,
    restricted: BufWriter<File>,
    rejected: BufWriter<File>,
    restricted_topic: String,
    rejected_topic: String,
    totals: Totals,
    /// How often for which reason, and at which of the policy's fields.
    reasons: BTreeMap<(&'static str, Option<usize>), u64>,
    line: Vec<u8>,
}

impl Writer {
    fn create(args: &Args, config: &Config) -> Result<Self, String> {
        let outputs = [&args.public, &args.restricted, &args.rejected];
        let taken = |path: &&PathBuf| !args.force && path.exists() && !is_special(path);
        if let Some(path) = outputs.into_iter().find(taken) {
            return Err(format!(
                "{} exists: name another file, or --force to replace it",
                path.display()
            ));
        }
        let open = |path: &Path| {
            let mut options = File::options();
            options.write(true);
            if is_special(path) {
                &mut options
            } else if args.force {
                options.create(true).truncate(true)
            } else {
                options.create_new(true)
            };
            options
                .open(path)
                .map(BufWriter::new)
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        let mut writer = Self {
            public: open(&args.public)?,
            restricted: open(&args.restricted)?,
            rejected: open(&args.rejected)?,
            restricted_topic: config.topics.restricted.clone(),
            rejected_topic: config.topics.rejected.clone(),
            totals: Totals::default(),
            reasons: BTreeMap::new(),
            line: Vec::new(),
        };
        writer.header(&config.policy).map_err(|error| error.to_string())?;
        Ok(writer)
    }

    /// An input with a header row gives an output with one.
    fn header(&mut self, policy: &Policy) -> io::Result<()> {
        let Format::Csv(csv) = &policy.format else {
            return Ok(());
        };
        if csv.header == Header::None {
            return Ok(());
        }
        let dialect = csv.dialect;
        let names = policy
            .fields
            .iter()
            .map(|field| field.name.clone())
            .chain(policy.appended());
        for (at, name) in names.enumerate() {
            if at > 0 {
                self.line.push(dialect.delimiter);
            }
            csv::write_value(&mut self.line, dialect, name.as_bytes()).map_err(io::Error::other)?;
        }
        self.line.push(b'\n');
        self.public.write_all(&self.line)
    }

    fn write(&mut self, output: &Output<'_>) -> Result<(), String> {
        self.totals.read += 1;
        let written = match output {
            Output::Skipped(Skip::Header | Skip::Comment | Skip::Marker | Skip::Tombstone) => {
                self.totals.skipped += 1;
                Ok(())
            }
            Output::Accepted(accepted) => {
                self.totals.public += 1;
                let public = self
                    .public
                    .write_all(accepted.public)
                    .and_then(|()| self.public.write_all(b"\n"));
                match accepted.restricted {
                    None => public,
                    Some(sealed) => {
                        self.totals.restricted += 1;
                        public.and_then(|()| {
                            sealed_line(
                                &mut self.restricted,
                                &self.restricted_topic,
                                accepted.record_id,
                                None,
                                sealed,
                            )
                        })
                    }
                }
            }
            Output::Rejected {
                record_id,
                refusal,
                sealed,
            } => {
                self.totals.rejected += 1;
                *self
                    .reasons
                    .entry((refusal.reason.as_str(), refusal.field))
                    .or_default() += 1;
                sealed_line(
                    &mut self.rejected,
                    &self.rejected_topic,
                    record_id,
                    Some(refusal.reason),
                    sealed,
                )
            }
        };
        written.map_err(|error| format!("writing failed: {error}; what was written so far stands"))
    }

    fn tell_rejected(&self, policy: &Policy) {
        for ((reason, field), count) in &self.reasons {
            let field = field.map_or_else(String::new, |at| {
                format!(" at field \"{}\"", policy.fields[at].name)
            });
            complain(format!("rejected {count}: {reason}{field}"));
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        for file in [&mut self.public, &mut self.restricted, &mut self.rejected] {
            file.flush()
                .and_then(|()| synced(file.get_ref()))
                .map_err(|error| format!("writing failed: {error}"))?;
        }
        Ok(())
    }
}

/// A device or pipe cannot be synced.
fn synced(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.sync_all()
    } else {
        Ok(())
    }
}

/// `{"topic":..,"record_id":..,"reason":..,"sealed":..}`
fn sealed_line(
    file: &mut impl Write,
    topic: &str,
    record_id: &[u8],
    reason: Option<Reason>,
    sealed: &[u8],
) -> io::Result<()> {
    let mut line = serde_json::Map::new();
    line.insert("topic".into(), topic.into());
    line.insert("record_id".into(), String::from_utf8_lossy(record_id).into());
    if let Some(reason) = reason {
        line.insert("reason".into(), reason.as_str().into());
    }
    line.insert("sealed".into(), BASE64.encode(sealed).into());
    serde_json::to_writer(&mut *file, &line)?;
    file.write_all(b"\n")
}

/// One line on a terminal: how far, how fast.
struct Progress {
    total: u64,
    bytes: u64,
    records: u64,
    began: Instant,
    drawn: Option<Instant>,
    terminal: bool,
}

impl Progress {
    fn new(files: &[PathBuf]) -> Self {
        let total = files
            .iter()
            .filter_map(|file| fs::metadata(file).ok())
            .map(|data| data.len())
            .sum();
        Self {
            total,
            bytes: 0,
            records: 0,
            began: Instant::now(),
            drawn: None,
            terminal: io::stderr().is_terminal(),
        }
    }

    fn read(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    fn record(&mut self) {
        self.records += 1;
        // A look at the clock per record would cost more than the record.
        if self.terminal
            && self.records.is_multiple_of(1_024)
            && self.drawn.is_none_or(|drawn| drawn.elapsed() > PROGRESS)
        {
            self.draw();
        }
    }

    #[allow(clippy::print_stderr)] // the progress line of a terminal
    fn draw(&mut self) {
        let rate = self.records as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let part = (self.bytes.min(self.total) * 100).checked_div(self.total);
        let part = part.map_or_else(String::new, |part| format!("{part:3} %  "));
        eprint!("\r{part}{} records, {rate:.0}/s\x1b[K", self.records);
        self.drawn = Some(Instant::now());
    }

    #[allow(clippy::print_stderr)]
    fn end(&self) {
        if self.drawn.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
