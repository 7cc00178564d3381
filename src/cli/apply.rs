//! `cdrveil apply`: the daemon's transform over files, for backfills and tests.
//!
//! Public records are the bytes the daemon would write, with a line break behind
//! each (a JSON record keeps its own line breaks too); sealed outputs are JSON
//! lines (`docs/formats.md`) that `cdrveil open` reads.

pub(super) mod inputs;
mod outputs;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};

use crate::cdr::Reason;
use crate::cdr::csv::{self, End};
use crate::cdr::policy::{Csv, Format, Header, Policy};
use crate::cdr::rows::Piece;
use crate::cli::apply::inputs::{Input, inputs, plain_text};
use crate::cli::apply::outputs::{Named, Shared, UNFINISHED, Writer, standing, told_apart};
use crate::cli::progress::Progress;
use crate::cli::run::first;
use crate::cli::{ConfigArg, Exit, complain, complain_of};
use crate::config::{self, Config};
use crate::engine::{Engine, Payload, Stop};

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

#[derive(clap::Args)]
#[command(
    after_help = "Record ids are <file's base name>/<row>: rows counted from 0, without header and comments;\n\
    --name gives the one input another base, and stdin one that another run does not repeat.\n\
    Outputs are written as FILE.part and get their names when all is done; \"-\" is stdout.\n\
    On stderr: how many records were rejected for what, then in = public + rejected + skipped.\n\
    Exit: 0 done (rejects are counted, they are no failure), 64 files that cannot go together or are\n\
    no plain text, 70 a file cannot be read or written, 78 a fault in the configuration or a header\n\
    row that is not the policy's, 130 and 143 interrupted."
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
    /// First part of the record ids of the one input [default: its base name, or "stdin"]
    #[arg(long, value_name = "ID")]
    name: Option<String>,
    /// Input files; none or "-" for stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Why it ended early: how to exit, and what to say.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Nothing is left to say.
    fn told(exit: Exit) -> Self {
        Self::new(exit, "")
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let checked = told_apart(&Named::all(args), &args.files);
    let done = checked.and_then(|()| {
        let config = Config::load(&args.config.config, &config::environment()).map_err(|faults| {
            complain_of(&faults);
            Failure::told(Exit::Config)
        })?;
        apply(args, &config)
    });
    match done {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            if !failure.message.is_empty() {
                complain(failure.message);
            }
            failure.exit
        }
    }
}

fn apply(args: &Args, config: &Config) -> Result<(), Failure> {
    let inputs = inputs(&args.files, args.name.as_deref(), &config.policy)?;
    let internal = |error: String| Failure::new(Exit::Internal, error);
    let shared = Shared::default();
    interruptible(Arc::clone(&shared)).map_err(|error| internal(error.to_string()))?;
    let mut engine = Engine::new(
        Arc::clone(&config.policy),
        Arc::clone(&config.keyring.keyring),
        &config.destinations(),
        &config.recipients,
    )
    .map_err(|error| internal(error.to_string()))?;
    let mut writer = Writer::create(args, config, Arc::clone(&shared))?;
    if let Some(input) = inputs.iter().find(|input| input.repeats) {
        complain(format!(
            "record ids begin with \"{}/\", as those of every such run do: --name gives these records their own",
            input.name
        ));
    }
    let paths: Vec<_> = inputs.iter().map(|input| input.path.clone()).collect();
    let mut progress = Progress::new("", &paths);
    let done = inputs
        .iter()
        .try_for_each(|input| one_file(input, &config.policy, &mut engine, &mut writer, &mut progress))
        .and_then(|()| writer.finish());
    progress.clear();
    if let Err(failure) = done {
        complain(&failure.message);
        writer.abandon();
        return Err(Failure::told(failure.exit));
    }
    writer.tell_rejected(&config.policy);
    complain(standing(&shared).totals);
    Ok(())
}

/// From now on TERM and INT end the process with the totals: it may wait for a pipe for hours.
fn interruptible(shared: Shared) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    thread::spawn(move || {
        let code = runtime.block_on(first(&mut terminate, &mut interrupt));
        // Held to the end: no file gets its name any more.
        let standing = standing(&shared);
        if !standing.complete {
            complain(format!("interrupted: {}; {UNFINISHED}", standing.totals));
            std::process::exit(code);
        }
    });
    Ok(())
}

/// Reads a file piece by piece: memory holds one chunk and the longest record.
fn one_file(
    input: &Input,
    policy: &Policy,
    engine: &mut Engine,
    writer: &mut Writer,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let path = &input.path;
    let told = |error: io::Error| Failure::new(Exit::Internal, format!("{}: {error}", path.display()));
    let mut source: Box<dyn Read> = if input.is_stdin() {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(told)?)
    };
    let timestamp = now_millis();
    let began = Instant::now();
    engine.restart();
    let mut buffer = Vec::with_capacity(CHUNK);
    let mut end = End::More;
    let mut row = 0;
    let mut begins = true;
    loop {
        match engine.next_piece(&buffer, end) {
            Piece::Done if end == End::Final => return Ok(()),
            Piece::Done | Piece::Incomplete => {
                let start = engine.position();
                buffer.drain(..start);
                engine.consumed(start);
                if buffer.len() > policy.max_record + CHUNK {
                    return Err(Failure::new(
                        Exit::Internal,
                        format!(
                            "{}: record {row} is longer than max_record: is a quote or bracket left open?",
                            path.display()
                        ),
                    ));
                }
                let read = source
                    .by_ref()
                    .take(CHUNK as u64)
                    .read_to_end(&mut buffer)
                    .map_err(told)?;
                if read == 0 {
                    end = End::Final;
                }
                if begins {
                    plain_text(path, &buffer)?;
                    begins = false;
                }
                progress.read(read);
            }
            Piece::Rejected(range, Reason::Columns | Reason::UnknownField)
                if engine.wants_header() && header_is_read(policy) =>
            {
                return Err(Failure::new(
                    Exit::Config,
                    format!("{}: {}", path.display(), wrong_header(policy, &buffer[range])),
                ));
            }
            piece => {
                let payload = Payload {
                    id: input.name.as_bytes(),
                    timestamp,
                    bytes: Some(&buffer),
                };
                let counted = !matches!(piece, Piece::Skipped(_));
                engine
                    .row(&payload, &piece, row, began.elapsed(), |output| {
                        writer.write(&output)
                    })
                    .map_err(|stop| match stop {
                        Stop::Seal(error) => Failure::new(Exit::Internal, format!("sealing failed: {error}")),
                        Stop::Output(error) => error,
                    })?;
                row += u64::from(counted);
                progress.record();
            }
        }
    }
}

/// Whether the first row says which columns there are.
fn header_is_read(policy: &Policy) -> bool {
    matches!(&policy.format, Format::Csv(csv) if matches!(csv.header, Header::Check | Header::Name))
}

/// Which column of a header row is not the policy's; what stands there instead may be a value.
fn wrong_header(policy: &Policy, bytes: &[u8]) -> String {
    let cure = "correct [input] columns, or header = \"none\" for a file that has no header row";
    let Format::Csv(Csv { dialect, header, .. }) = &policy.format else {
        return cure.to_owned();
    };
    if *header == Header::Name {
        return "the header row does not name the columns of [input] columns: one that may be missing goes into [input] optional, another one needs a line under [fields] or [input] unlisted".to_owned();
    }
    let dialect = *dialect;
    let row = match csv::next_row(dialect, bytes, 0, End::Final) {
        csv::Step::Row { row, .. } => &bytes[row],
        _ => bytes,
    };
    let (mut cells, mut scratch) = (Vec::new(), Vec::new());
    if csv::split(dialect, row, &mut cells).is_err() {
        return format!("the header row is not readable: {cure}");
    }
    let names = || policy.fields.iter().map(|field| field.name.as_str());
    for (at, (name, cell)) in names().zip(&cells).enumerate() {
        let found = csv::value(dialect, row, *cell, &mut scratch);
        if found != name.as_bytes() {
            let known = names().find(|known| known.as_bytes() == found);
            let found = known.map_or_else(String::new, |known| format!(" but \"{known}\""));
            return format!(
                "column {} of the header row is not \"{name}\"{found}: {cure}",
                at + 1
            );
        }
    }
    let (have, want) = (cells.len(), policy.fields.len());
    format!("the header row has {have} columns, [input] columns names {want}: {cure}")
}

fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
