//! `cdrveil keys scope`: where tokens of an epoch are, for the report of a breach.
//!
//! Reads the public topic as any consumer may: committed records, from the first to the last. Tokens alone are made
//! with an epoch's key; sealed records are not, so the other topics are not looked at.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use memchr::memmem::Finder;
use serde_json::json;

use crate::cli::keys::{or_dash, refuse, write_table};
use crate::cli::{ConfigArg, Exit};
use crate::config::{self, Config};
use crate::kafka::ErrorClass;
use crate::kafka::reader::{Record, read_to_end};
use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::Epoch;

/// How long a silent broker is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Characters of a token behind its dot (`docs/formats.md`).
const TOKEN: usize = 26;

#[derive(Debug, Args)]
pub(super) struct ScopeArgs {
    /// The epoch whose tokens are looked for
    #[arg(value_name = "ID")]
    id: EpochId,
    #[command(flatten)]
    config: ConfigArg,
    /// Another topic of this cluster to search, such as a copy of the public one
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one partition holds of it.
#[derive(Debug, PartialEq)]
struct Part {
    records: u64,
    first: i64,
    last: i64,
    /// Kafka's times: those of the raw records.
    from: Option<EventTime>,
    until: Option<EventTime>,
}

pub(super) fn scope(args: &ScopeArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<Exit> {
    let config = match Config::load(&args.config.config, &config::environment()) {
        Ok(config) => config,
        Err(faults) => return refuse(stderr, &faults),
    };
    let topics = std::iter::once(&config.topics.public).chain(&args.topic);
    let mut found = Vec::new();
    for topic in topics {
        let mut parts = BTreeMap::new();
        let mark = Mark::of(args.id);
        let read = read_to_end(&config.kafka, topic, PATIENCE, |record| {
            if mark.is_in(record) {
                note(&mut parts, record);
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            writeln!(stderr, "{topic}: {error}")?;
            let away = matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Retriable);
            let away = away && !error.names_a_topic();
            return Ok(if away { Exit::Unavailable } else { Exit::Config });
        }
        found.extend(
            parts
                .into_iter()
                .map(|(partition, part)| (topic.as_str(), partition, part)),
        );
    }
    if args.json {
        writeln!(stdout, "{:#}", found_json(args.id, &config, &found))?;
    } else {
        write_table(stdout, &found_rows(&found))?;
        let records: u64 = found.iter().map(|(.., part)| part.records).sum();
        writeln!(stderr, "{records} records with tokens of \"{}\"", args.id)?;
    }
    Ok(Exit::Ok)
}

fn note(parts: &mut BTreeMap<i32, Part>, record: &Record<'_>) {
    let offset = record.offset();
    let part = parts.entry(record.partition()).or_insert(Part {
        records: 0,
        first: offset,
        last: offset,
        from: None,
        until: None,
    });
    part.records += 1;
    part.last = offset;
    if let Some(time) = record.timestamp().map(EventTime::from_millis) {
        part.from = Some(part.from.map_or(time, |from| from.min(time)));
        part.until = Some(part.until.map_or(time, |until| until.max(time)));
    }
}

/// How a token of the epoch begins.
struct Mark {
    finder: Finder<'static>,
    length: usize,
}

impl Mark {
    fn of(id: EpochId) -> Self {
        let start = format!("{id}.");
        Self {
            length: start.len(),
            finder: Finder::new(&start).into_owned(),
        }
    }

    fn is_in(&self, record: &Record<'_>) -> bool {
        let parts = [record.key(), record.payload()];
        parts.into_iter().flatten().any(|bytes| self.is_token_in(bytes))
    }

    /// Whether a whole token stands there, not a longer id's nor some other word with a dot.
    fn is_token_in(&self, bytes: &[u8]) -> bool {
        let base32 = |byte: &u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
        self.finder.find_iter(bytes).any(|at| {
            let before = at.checked_sub(1).map(|at| bytes[at]);
            let rest = &bytes[at + self.length..];
            let whole = rest
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .count()
                == TOKEN;
            let alone = before
                .is_none_or(|byte| !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            alone && whole && rest[..TOKEN].iter().all(base32)
        })
    }
}

fn found_rows(found: &[(&str, i32, Part)]) -> Vec<[String; 7]> {
    let titles = ["TOPIC", "PARTITION", "RECORDS", "FIRST", "LAST", "FROM", "UNTIL"].map(str::to_owned);
    let rows = found.iter().map(|(topic, partition, part)| {
        [
            (*topic).to_owned(),
            partition.to_string(),
            part.records.to_string(),
            part.first.to_string(),
            part.last.to_string(),
            or_dash(part.from),
            or_dash(part.until),
        ]
    });
    std::iter::once(titles).chain(rows).collect()
}

fn found_json(id: EpochId, config: &Config, found: &[(&str, i32, Part)]) -> serde_json::Value {
    let epoch = config
        .keyring
        .keyring
        .epochs()
        .iter()
        .find(|epoch| *epoch.id() == id);
    let time = |time: Option<EventTime>| time.map(|time| time.to_string());
    let parts = found.iter().map(|(topic, partition, part)| {
        json!({
            "topic": topic,
            "partition": partition,
            "records": part.records,
            "first_offset": part.first,
            "last_offset": part.last,
            "from": time(part.from),
            "until": time(part.until),
        })
    });
    json!({
        "epoch": id.as_str(),
        "calls_from": epoch.map(|epoch| epoch.activate_at().to_string()),
        "calls_until": time(epoch.and_then(Epoch::ends_at)),
        "records": found.iter().map(|(.., part)| part.records).sum::<u64>(),
        "partitions": parts.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_what_looks_like_one() {
        let mark = Mark::of("2026-11".parse().unwrap());
        for (text, there) in [
            ("c-1,2026-11.qrqzktkvbnqulweyqa722njdt4,42", true),
            ("2026-11.qrqzktkvbnqulweyqa722njdt4", true),
            ("2026-11.x,\"2026-11.qrqzktkvbnqulweyqa722njdt4\"", true),
            ("2026-11b.qrqzktkvbnqulweyqa722njdt4", false),
            ("a2026-11.qrqzktkvbnqulweyqa722njdt4", false),
            ("-2026-11.qrqzktkvbnqulweyqa722njdt4", false),
            ("2026-11.qrqzktkvbnqulweyqa722njdt", false),
            ("2026-11.qrqzktkvbnqulweyqa722njdt44", false),
            ("2026-11.qrqzktkvbnqulweyqa722njdt8", false),
            ("2026-11.", false),
            ("", false),
        ] {
            assert_eq!(mark.is_token_in(text.as_bytes()), there, "{text}");
        }
    }
}
