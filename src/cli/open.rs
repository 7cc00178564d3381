//! `cdrveil open`: restricted and rejected records in clear, for those who hold an identity.
//!
//! Results are JSON lines on stdout; what does not open is told on stderr by
//! its place, and the exit code says that there was some.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::cdr::Reason;
use crate::cli::{Exit, complain, output_failed};
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
        Ok(()) if flushed.is_err() => flushed.map_or_else(|error| output_failed(&error), |()| Exit::Ok),
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
    shown.map_err(|error| output_failed(&error))?;
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
        lines(file, input, desk).map_err(|error| output_failed(&error))?;
    }
    Ok(())
}

/// One line that `cdrveil apply` wrote.
#[derive(Deserialize)]
struct SealedLine {
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
        let Ok(line) = serde_json::from_str::<SealedLine>(&line) else {
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
        let (line, layout) = if rejected {
            (rejected_line(record_id, &opened), "a rejected record")
        } else {
            (restricted_line(record_id, &opened), "restricted fields")
        };
        if let Some(line) = line {
            serde_json::to_writer(&mut self.out, &line)?;
            self.out.write_all(b"\n")
        } else {
            self.failed(
                place,
                &format!("it opens, but its content is no layout of {layout}"),
            );
            Ok(())
        }
    }
}

/// A record in clear, as the line that shows it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// `{"record_id":..,"epoch":..,"fields":{..}}`
    Restricted(Restricted),
    /// `{"record_id":..,"reason":..,"raw":..}`
    Rejected(Rejected),
}

/// The restricted fields of a record.
#[derive(Serialize)]
pub(super) struct Restricted {
    record_id: String,
    epoch: String,
    #[serde(serialize_with = "as_object")]
    fields: Vec<(String, Vec<Shown>)>,
    /// What is no UTF-8.
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields_base64: Map<String, Value>,
}

/// A rejected record, with the sealed reason, not the header's.
#[derive(Serialize)]
pub(super) struct Rejected {
    record_id: String,
    pub(super) reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

/// One value of a field.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    /// From CSV.
    Text(String),
    /// From JSON, as it stood there: reading `0.10000000000000000001` as a number would change it.
    Json(Box<RawValue>),
}

impl Restricted {
    /// The fields alone, as one JSON object.
    pub(super) fn fields_text(&self) -> serde_json::Result<String> {
        let mut text = Vec::new();
        as_object(&self.fields, &mut serde_json::Serializer::new(&mut text))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A path that occurs more than once gives a list.
fn as_object<S: Serializer>(fields: &[(String, Vec<Shown>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(fields.len()))?;
    for (name, values) in fields {
        match values.as_slice() {
            [value] => object.serialize_entry(name, value)?,
            values => object.serialize_entry(name, values)?,
        }
    }
    object.end()
}

/// The restricted fields in clear; `None` when the layout is none of ours.
pub(super) fn restricted_line(record_id: &[u8], opened: &Opened) -> Option<Line> {
    let mut line = Restricted {
        record_id: String::from_utf8_lossy(record_id).into(),
        epoch: opened.epoch.clone(),
        fields: Vec::new(),
        fields_base64: Map::new(),
    };
    for field in fields::fields(&opened.plaintext) {
        let field = field.ok()?;
        let value = match (field.kind, std::str::from_utf8(field.value)) {
            (FieldKind::Csv, Ok(text)) => Shown::Text(text.to_owned()),
            (FieldKind::Json, Ok(text)) => Shown::Json(json_text(text)?),
            (_, Err(_)) => {
                line.fields_base64
                    .insert(field.name.to_owned(), BASE64.encode(field.value).into());
                continue;
            }
        };
        match line.fields.iter_mut().find(|(name, _)| name == field.name) {
            Some((_, values)) => values.push(value),
            None => line.fields.push((field.name.to_owned(), vec![value])),
        }
    }
    Some(Line::Restricted(line))
}

/// The text of a JSON value on one line: breaks can only stand between its tokens.
fn json_text(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.replace(['\n', '\r'], " ")).ok()
}

/// The rejected record in clear; `None` when the layout, or the reason, is none of ours.
pub(super) fn rejected_line(record_id: &[u8], opened: &Opened) -> Option<Line> {
    let (&length, rest) = opened.plaintext.split_first()?;
    let (reason, raw) = rest.split_at_checked(usize::from(length))?;
    // A restricted record under a reject's name has no reason of the closed list.
    let reason = Reason::ALL
        .into_iter()
        .map(Reason::as_str)
        .find(|known| known.as_bytes() == reason)?;
    let text = std::str::from_utf8(raw).ok();
    Some(Line::Rejected(Rejected {
        record_id: String::from_utf8_lossy(record_id).into(),
        reason,
        raw: text.map(str::to_owned),
        raw_base64: text.is_none().then(|| BASE64.encode(raw)),
    }))
}
