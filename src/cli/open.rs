//! `cdrveil open`: restricted and rejected records in clear, for those who hold an identity.
//!
//! Results are JSON lines on stdout; what does not open is told on stderr by
//! its place, and the exit code says that there was some.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::{Exit, complain};
use crate::kafka::reader::read_to_end;
use crate::kafka::{ErrorClass, Kafka};
use crate::seal::fields::{self, FieldKind};
use crate::seal::opener::{Opened, Opener};

/// How long a silent broker is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("source").required(true).args(["topic", "files"]),
    after_help = "From Kafka:  cdrveil open --identity ops.txt --brokers localhost:9092 --topic cdr.restricted\n\
    From files:  cdrveil open --identity ops.txt restricted.jsonl   (from `cdrveil apply`; \"-\": stdin)\n\
    Lines:       {\"record_id\":..,\"epoch\":..,\"fields\":{..}}  or  {\"record_id\":..,\"reason\":..,\"raw\":..}\n\
    Bytes that are no UTF-8 come as fields_base64 or raw_base64.\n\
    Exit: 0 all opened, 1 some did not."
)]
pub(super) struct Args {
    /// age identity file (as `age-keygen -o` writes it)
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Kafka brokers, host:port[,host:port]
    #[arg(long, value_name = "BROKERS", requires = "topic")]
    brokers: Option<String>,
    /// Restricted or rejected topic: committed records to the end
    #[arg(long, value_name = "TOPIC", requires = "brokers", conflicts_with = "files")]
    topic: Option<String>,
    /// librdkafka property for the connection (a secret: name=@file)
    #[arg(
        long = "property",
        short = 'X',
        value_name = "NAME=VALUE",
        requires = "brokers"
    )]
    properties: Vec<String>,
    /// Open records of this pseudonymisation domain only
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// JSON lines that `cdrveil apply` wrote
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Exit {
    let opener = fs::read_to_string(&args.identity).map_err(|error| error.to_string());
    let opener = opener.and_then(|text| Opener::from_identity_file(&text).map_err(|error| error.to_string()));
    let opener = match opener {
        Ok(opener) => opener,
        Err(error) => {
            complain(format!("{}: {error}", args.identity.display()));
            return Exit::Config;
        }
    };
    let mut desk = Desk {
        opener,
        domain: args.domain.clone(),
        out: BufWriter::new(io::stdout().lock()),
        unopened: 0,
    };
    let read = match &args.topic {
        Some(topic) => from_kafka(args, topic, &mut desk),
        None => from_files(&args.files, &mut desk),
    };
    let flushed = desk.out.flush();
    match read {
        Err(exit) => exit,
        Ok(()) if flushed.is_err() => Exit::Internal,
        Ok(()) if desk.unopened > 0 => {
            complain(format!("{} records did not open", desk.unopened));
            Exit::Found
        }
        Ok(()) => Exit::Ok,
    }
}

fn from_kafka(args: &Args, topic: &str, desk: &mut Desk<impl Write>) -> Result<(), Exit> {
    let kafka = connection(args).map_err(|error| {
        complain(error);
        Exit::Usage
    })?;
    let mut shown = Ok(());
    let read = read_to_end(&kafka, topic, PATIENCE, |record| {
        let place = format!("{topic}/{}/{}", record.partition(), record.offset());
        let rejected = record.header("cdrveil-reason").is_some();
        shown = if let (Some(key), Some(value)) = (record.key(), record.payload()) {
            desk.show(&place, topic, key, value, rejected)
        } else {
            desk.failed(&place, "it has no key or no value");
            Ok(())
        };
        if shown.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    shown.map_err(|error| broken_output(&error))?;
    read.map_err(|error| {
        complain(format!("{topic}: {error}"));
        let away = matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Retriable)
            && !error.names_a_topic();
        if away { Exit::Unavailable } else { Exit::Config }
    })
}

fn connection(args: &Args) -> Result<Kafka, String> {
    let brokers = args.brokers.as_deref().unwrap_or_default();
    args.properties.iter().try_fold(
        Kafka::plain(brokers, "cdrveil-open", "open"),
        |kafka, property| {
            let (name, value) = property
                .split_once('=')
                .ok_or("--property: write NAME=VALUE, or NAME=@FILE for a secret")?;
            let value = match value.strip_prefix('@') {
                Some(file) => fs::read_to_string(file)
                    .map_err(|error| format!("--property {name}: {file}: {error}"))?
                    .trim_end()
                    .to_owned(),
                None => value.to_owned(),
            };
            kafka.with(name, &value)
        },
    )
}

fn from_files(files: &[PathBuf], desk: &mut Desk<impl Write>) -> Result<(), Exit> {
    for file in files {
        let input: Box<dyn BufRead> = if file == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            match File::open(file) {
                Ok(file) => Box::new(BufReader::new(file)),
                Err(error) => {
                    complain(format!("{}: {error}", file.display()));
                    return Err(Exit::Internal);
                }
            }
        };
        lines(file, input, desk).map_err(|error| broken_output(&error))?;
    }
    Ok(())
}

/// One line that `cdrveil apply` wrote.
#[derive(Deserialize)]
struct Line {
    topic: String,
    record_id: String,
    reason: Option<String>,
    sealed: String,
}

fn lines(file: &Path, input: impl BufRead, desk: &mut Desk<impl Write>) -> io::Result<()> {
    for (at, line) in input.lines().enumerate() {
        let place = format!("{}:{}", file.display(), at + 1);
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let Ok(line) = serde_json::from_str::<Line>(&line) else {
            desk.failed(&place, "it is no line of `cdrveil apply`");
            continue;
        };
        match BASE64.decode(line.sealed.as_bytes()) {
            Ok(sealed) => desk.show(
                &place,
                &line.topic,
                line.record_id.as_bytes(),
                &sealed,
                line.reason.is_some(),
            )?,
            Err(_) => desk.failed(&place, "its sealed value is no base64"),
        }
    }
    Ok(())
}

/// A closed pipe is the reader's choice, anything else a fault.
fn broken_output(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::Ok;
    }
    complain(error);
    Exit::Internal
}

/// Opens and shows, one record after another.
struct Desk<W> {
    opener: Opener,
    domain: Option<String>,
    out: W,
    unopened: u64,
}

impl<W: Write> Desk<W> {
    fn failed(&mut self, place: &str, why: &str) {
        self.unopened += 1;
        complain(format!("{place}: {why}"));
    }

    fn show(
        &mut self,
        place: &str,
        topic: &str,
        record_id: &[u8],
        sealed: &[u8],
        rejected: bool,
    ) -> io::Result<()> {
        let opened = match self.opener.open(topic, record_id, sealed, self.domain.as_deref()) {
            Ok(opened) => opened,
            Err(error) => {
                self.failed(place, &error.to_string());
                return Ok(());
            }
        };
        let line = if rejected {
            rejected_line(record_id, &opened)
        } else {
            restricted_line(record_id, &opened)
        };
        if let Some(line) = line {
            serde_json::to_writer(&mut self.out, &line)?;
            self.out.write_all(b"\n")
        } else {
            self.failed(place, "it opens, but its content has no known layout");
            Ok(())
        }
    }
}

/// `{"record_id":..,"epoch":..,"fields":{..}}`; a path that occurs more than once gives a list.
pub(super) fn restricted_line(record_id: &[u8], opened: &Opened) -> Option<Map<String, Value>> {
    let mut texts: BTreeMap<usize, (String, Vec<Value>)> = BTreeMap::new();
    let mut binary = Map::new();
    for (at, field) in fields::fields(&opened.plaintext).enumerate() {
        let field = field.ok()?;
        let value = match (field.kind, std::str::from_utf8(field.value)) {
            (FieldKind::Csv, Ok(text)) => Value::from(text),
            (FieldKind::Json, Ok(text)) => serde_json::from_str(text).ok()?,
            (_, Err(_)) => {
                binary.insert(field.name.to_owned(), BASE64.encode(field.value).into());
                continue;
            }
        };
        let known = texts
            .iter()
            .find(|(_, (name, _))| name == field.name)
            .map(|(at, _)| *at);
        texts
            .entry(known.unwrap_or(at))
            .or_insert_with(|| (field.name.to_owned(), Vec::new()))
            .1
            .push(value);
    }
    let fields: Map<String, Value> = texts
        .into_values()
        .map(|(name, mut values)| {
            (
                name,
                if values.len() == 1 {
                    values.remove(0)
                } else {
                    Value::from(values)
                },
            )
        })
        .collect();
    let mut line = Map::new();
    line.insert("record_id".into(), String::from_utf8_lossy(record_id).into());
    line.insert("epoch".into(), opened.epoch.clone().into());
    line.insert("fields".into(), fields.into());
    if !binary.is_empty() {
        line.insert("fields_base64".into(), binary.into());
    }
    Some(line)
}

/// `{"record_id":..,"reason":..,"raw":..}`: the sealed reason, not the header's.
pub(super) fn rejected_line(record_id: &[u8], opened: &Opened) -> Option<Map<String, Value>> {
    let (&length, rest) = opened.plaintext.split_first()?;
    let (reason, raw) = rest.split_at_checked(usize::from(length))?;
    let mut line = Map::new();
    line.insert("record_id".into(), String::from_utf8_lossy(record_id).into());
    line.insert("reason".into(), std::str::from_utf8(reason).ok()?.into());
    match std::str::from_utf8(raw) {
        Ok(text) => line.insert("raw".into(), text.into()),
        Err(_) => line.insert("raw_base64".into(), BASE64.encode(raw).into()),
    };
    Some(line)
}
