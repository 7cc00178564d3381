//! Shows some records from all sides: raw, public, and opened restricted or
//! rejected; and counts all of them, for the live rate.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::cli::demo::layout::wrapped;
use crate::cli::demo::pace::Pace;
use crate::cli::open::{Line, rejected_line, restricted_line};
use crate::engine::write_record_id;
use crate::kafka::{Batch, Kafka, KafkaError, Message, Source};
use crate::seal::opener::Opener;

/// Topics as the viewer subscribes to them.
pub(super) const RAW: usize = 0;
pub(super) const PUBLIC: usize = 1;
pub(super) const RESTRICTED: usize = 2;
pub(super) const REJECTED: usize = 3;

/// How often a record is shown, and the rate.
const SHOW: Duration = Duration::from_millis(1_500);
const RATE: Duration = Duration::from_secs(1);
/// Every so many raw records of a partition one is kept to be shown; broken ones come at another rhythm.
const SAMPLE: i64 = 41;

/// What is known of one record so far.
#[derive(Default)]
struct Sides {
    raw: Option<String>,
    public: Option<String>,
    opened: Option<Line>,
}

/// Reads all four topics.
pub(super) struct Viewer {
    source: Source,
    batch: Batch,
    topics: [String; 4],
    opener: Opener,
    samples: BTreeMap<String, Sides>,
    counts: [u64; 4],
    pace: Pace,
    began: Instant,
    shown: Instant,
    rated: Instant,
    turn: usize,
    /// Of the terminal, if stdout is one.
    width: Option<usize>,
}

impl Viewer {
    pub(super) fn new(
        brokers: &str,
        topics: [String; 4],
        opener: Opener,
        width: Option<usize>,
    ) -> Result<Self, KafkaError> {
        let kafka = Kafka::plain(brokers, "cdrveil-demo-viewer", "viewer");
        Ok(Self {
            source: Source::connect(&kafka, &topics, None)?,
            batch: Batch::new(),
            topics,
            opener,
            samples: BTreeMap::new(),
            counts: [0; 4],
            pace: Pace::default(),
            began: Instant::now(),
            shown: Instant::now(),
            rated: Instant::now(),
            turn: 0,
            width,
        })
    }

    /// Reads for a moment and shows what is due.
    pub(super) fn turn(&mut self, out: &mut impl Write) -> io::Result<()> {
        let quiet = self.counts == [0; 4];
        match self.source.poll(&mut self.batch, Duration::from_millis(50)) {
            Ok(event) => {
                let batch = std::mem::take(&mut self.batch);
                batch.iter().for_each(|message| self.message(&message));
                self.batch = batch;
                if let Some(event) = event {
                    self.source.complete(&event).map_err(io::Error::other)?;
                }
            }
            Err(error) => tracing::debug!(%error, "the viewer waits"),
        }
        if quiet {
            self.rated = Instant::now();
        }
        if self.shown.elapsed() >= SHOW {
            self.show(out)?;
        }
        if self.rated.elapsed() >= RATE {
            self.rate(out)?;
        }
        Ok(())
    }

    pub(super) fn close(self) {
        self.source.close(Duration::from_secs(1));
    }

    fn message(&mut self, message: &Message<'_>) {
        self.counts[message.topic] += 1;
        let Some(value) = message.payload else { return };
        match message.topic {
            RAW if message.offset % SAMPLE == 0 => {
                let mut id = Vec::new();
                write_record_id(&self.topics[RAW], message.partition, message.offset, &mut id);
                let raw = String::from_utf8_lossy(value).into_owned();
                self.sides(&String::from_utf8_lossy(&id)).raw = Some(raw);
            }
            PUBLIC => {
                let text = String::from_utf8_lossy(value);
                let id = text.rsplit(',').next().unwrap_or_default().to_owned();
                if sampled(&id) {
                    self.sides(&id).public = Some(text.into_owned());
                }
            }
            RESTRICTED | REJECTED => {
                let id = String::from_utf8_lossy(message.key.unwrap_or_default()).into_owned();
                if message.topic == REJECTED || sampled(&id) {
                    self.open(message.topic, &id, value);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, topic: usize, id: &str, sealed: &[u8]) {
        let Ok(opened) = self.opener.open(&self.topics[topic], id.as_bytes(), sealed, None) else {
            return;
        };
        let line = if topic == REJECTED {
            rejected_line(id.as_bytes(), &opened)
        } else {
            restricted_line(id.as_bytes(), &opened)
        };
        self.sides(id).opened = line;
    }

    fn sides(&mut self, id: &str) -> &mut Sides {
        // The oldest unfinished ones go: the demo may run for hours.
        if self.samples.len() > 512 {
            self.samples.pop_first();
        }
        self.samples.entry(id.to_owned()).or_default()
    }

    /// One record from all its sides; every third one is a rejected one.
    fn show(&mut self, out: &mut impl Write) -> io::Result<()> {
        let rejects = self.turn % 3 == 2;
        let wanted = |sides: &Sides| {
            let rejected = matches!(sides.opened, Some(Line::Rejected(_)));
            if rejects {
                rejected
            } else {
                sides.raw.is_some() && sides.public.is_some() && sides.opened.is_some()
            }
        };
        // Most drama numbers are in no range of their plan: one that has a class shows more.
        let classed = |sides: &Sides| {
            let public = sides.public.as_deref().unwrap_or_default();
            !public.contains(",unknown,")
        };
        let found = || self.samples.iter().rev().filter(|(_, sides)| wanted(sides));
        let best = found()
            .find(|(_, sides)| classed(sides))
            .or_else(|| found().next());
        let Some(id) = best.map(|(id, _)| id.clone()) else {
            return Ok(());
        };
        self.turn += 1;
        self.shown = Instant::now();
        let Some(sides) = self.samples.remove(&id) else {
            return Ok(());
        };
        self.samples.clear();
        match sides.opened {
            Some(Line::Rejected(rejected)) => {
                let raw = rejected.raw.unwrap_or_default();
                self.line(out, "raw       ", "31", &raw)?;
                self.line(out, "public    ", "32", "(nothing)")?;
                let sealed = format!("reason {}; sealed, opened here: {raw}", rejected.reason);
                self.line(out, "rejected  ", "33", &sealed)?;
            }
            Some(Line::Restricted(restricted)) => {
                self.line(out, "raw       ", "31", sides.raw.as_deref().unwrap_or_default())?;
                self.line(
                    out,
                    "public    ",
                    "32",
                    sides.public.as_deref().unwrap_or_default(),
                )?;
                let fields = restricted.fields_text().map_err(io::Error::other)?;
                self.line(out, "restricted", "33", &format!("sealed, opened here: {fields}"))?;
            }
            None => {}
        }
        writeln!(out)
    }

    fn line(&self, out: &mut impl Write, label: &str, colour: &str, text: &str) -> io::Result<()> {
        let text = wrapped(text, self.width, label.len() + 1);
        if self.width.is_some() {
            writeln!(out, "\x1b[{colour}m{label}\x1b[0m {text}")
        } else {
            writeln!(out, "{label} {text}")
        }
    }

    fn rate(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.rated = Instant::now();
        let counts = self.counts;
        // What waited while the groups were joined is no rate.
        if counts[PUBLIC] == 0 {
            return Ok(());
        }
        let Some(each) = self.pace.rates(self.began.elapsed(), counts) else {
            return Ok(());
        };
        let in_flight = counts[RAW].saturating_sub(counts[PUBLIC] + counts[REJECTED]);
        writeln!(
            out,
            "-- per second: raw {}, public {}, rejected {} | in flight {in_flight} | total {}",
            each[RAW], each[PUBLIC], each[REJECTED], counts[RAW]
        )
    }
}

/// Whether a record's offset is one that is shown.
fn sampled(id: &str) -> bool {
    id.rsplit('/')
        .next()
        .and_then(|offset| offset.parse::<i64>().ok())
        .is_some_and(|offset| offset % SAMPLE == 0)
}
