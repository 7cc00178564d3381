//! A lane: one thread, one consumer, one producer; poll, transform, write, commit.
//!
//! Invariant (exactly-once): outputs and the offsets they come from are one
//! Kafka transaction. Whatever is not committed is read again: every error that
//! is not plainly "call again" ends in `recovery`, which fences the old
//! producer and goes back to the offsets the broker has (KIP-447; librdkafka
//! has no KIP-890, so an abort alone is not trusted).

mod assignment;
mod commit;
mod poison;
mod progress;
mod recovery;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::cdr::Reason;
use crate::cdr::policy::Policy;
use crate::cdr::rating::Rating;
use crate::cdr::transform::keyed::Keyed;
use crate::config::{Delivery, Guarantee, Topics};
use crate::engine::{Destinations, Engine, Payload, Stop, write_record_id};
use crate::kafka::{Batch, Kafka, KafkaError, Message, Rebalance, Sink, SinkMode, Source, TopicPartition};
use crate::lane::assignment::Unreadable;
use crate::lane::poison::{Poison, Sentence};
use crate::lane::progress::{Arrival, Progress};
use crate::lane::recovery::Fences;
use crate::lane::writer::Writer;
use crate::seal::recipient::Recipients;
use crate::seal::sealer::SealError;
use crate::telemetry::{LaneCounts, LaneState, Now, Telemetry};

/// How long one poll may block: the rhythm of heartbeats, keyring swaps and stops.
const POLL: Duration = Duration::from_millis(100);

/// After about so much work within a batch, the clock is looked at: 64 messages, or 256 KiB of them.
const WORK_BETWEEN_LOOKS: usize = 256 * 1024;
/// What a message counts for, beside its bytes.
const WORK_OF_A_MESSAGE: usize = WORK_BETWEEN_LOOKS / 64;

/// Indices of the output topics in the sink.
const PUBLIC: usize = 0;
const RESTRICTED: usize = 1;
const REJECTED: usize = 2;

/// What every lane of the daemon is built from.
pub struct LanePlan {
    /// Connection to the brokers.
    pub kafka: Arc<Kafka>,
    /// The four topics.
    pub topics: Topics,
    /// Guarantee, intervals, sizes.
    pub delivery: Delivery,
    /// The privacy officer's policy.
    pub policy: Arc<Policy>,
    /// Who may open what is sealed.
    pub recipients: Recipients,
    /// Names bound into what is sealed.
    pub destinations: Destinations,
    /// Partitions of the public topic, for placement by key.
    pub public_partitions: i32,
    /// The keyring in force; swapped by a reload.
    pub keyring: Arc<ArcSwap<Keyed>>,
    /// The rate deck and lists in force; swapped by a reload.
    pub rating: Arc<ArcSwap<Rating>>,
    /// Set once, when the daemon stops.
    pub stop: Arc<AtomicBool>,
    /// Metrics and status.
    pub telemetry: Telemetry,
}

/// Why a lane had to stop by itself. Nothing uncommitted was lost: it is read again.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Kafka refused something that no retry mends.
    #[error("{0}")]
    Kafka(KafkaError),
    /// Another live process bears our name.
    #[error(
        "another live instance uses transactional id \"{id}\" or its group member id: give every instance its own [kafka] instance ({error})"
    )]
    Fenced {
        /// The transactional id.
        id: String,
        /// What Kafka said.
        error: KafkaError,
    },
    /// The brokers take no transaction as long as ours may be.
    #[error(
        "the brokers refuse delivery.transaction_timeout = {timeout:?}: lower it, or raise their transaction.max.timeout.ms ({error})"
    )]
    TransactionTimeout {
        /// Ours.
        timeout: Duration,
        /// What Kafka said.
        error: KafkaError,
    },
    /// Sealing failed, and nothing may be written without it.
    #[error("sealing failed: {0}")]
    Seal(SealError),
    /// The rejected topic itself refuses a record.
    #[error(
        "the rejected topic refuses the record at {topic}/{partition}/{offset}: raise its max.message.bytes above the raw topic's ({error})"
    )]
    Unrejectable {
        /// Raw topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// What Kafka said.
        error: KafkaError,
    },
    /// A partition began again below what was read of it.
    #[error(
        "{topic}/{partition} has begun again: offset {offset} came where {next} was next. The topic was made anew or cut short, and only people can tell which; nothing of it was written. Stop every instance, set the group's offset of this partition (kafka-consumer-groups --reset-offsets: --to-earliest if it was made anew, --to-offset with the first new record's if it was cut), start again"
    )]
    BegunAgain {
        /// Raw topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset that came.
        offset: i64,
        /// Offset that was next.
        next: i64,
    },
    /// What the broker has of a partition cannot be read, however often it is asked for.
    #[error(
        "{topic}/{partition} cannot be read at offset {offset}, after {tries} tries: mend that replica of the partition, or move its leader; everything before it is committed ({error})"
    )]
    Unreadable {
        /// Raw topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset of the batch.
        offset: i64,
        /// How often it was fetched.
        tries: u32,
        /// What is wrong with it.
        error: KafkaError,
    },
}

/// What ends a turn of the loop early.
enum Trouble {
    /// Abort, make the producer again, rewind.
    Recover(KafkaError),
    /// Stop the lane.
    Fatal(LaneError),
}

impl From<KafkaError> for Trouble {
    fn from(error: KafkaError) -> Self {
        Self::Recover(error)
    }
}

/// One lane, running.
struct Lane<'a> {
    plan: &'a LanePlan,
    index: usize,
    engine: Engine,
    source: Source,
    sink: Sink,
    batch: Batch,
    progress: Progress,
    counts: LaneCounts,
    poison: Poison,
    fences: Fences,
    /// Partitions given to us whose committed offsets are not known yet: until they are, librdkafka waits.
    offered: Option<Rebalance>,
    /// When it was last said that they are not known.
    unknown_told: Option<Instant>,
    /// Whether we have a place in the group, partitions or not.
    joined: bool,
    unreadable: Unreadable,
    /// Recoveries since the last commit.
    setbacks: u32,
    /// When the open transaction began, and how many messages it holds.
    open: Option<Open>,
    /// The offsets of a commit that was asked for and whose outcome is not known yet.
    sent: Vec<(TopicPartition, i64)>,
    started: Instant,
    /// Time since the start, as of the batch at hand: sealing sessions age by it.
    now: Duration,
    record_id: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Open {
    since: Instant,
    messages: usize,
    /// Bytes of the largest message, and which it is, from 0.
    largest: (usize, usize),
}

/// Runs a lane until the daemon stops.
///
/// # Errors
///
/// What no retry mends. A broker that is away is waited for.
pub fn run(plan: &LanePlan, index: usize) -> Result<(), LaneError> {
    plan.telemetry.lane_state(index, LaneState::Joining);
    let engine = Engine::sharing(
        Arc::clone(&plan.policy),
        plan.keyring.load_full(),
        &plan.destinations,
        &plan.recipients,
    )
    .map_err(LaneError::Seal)?;
    let sink = connect_sink(plan, index).map_err(LaneError::Kafka)?;
    let source = Source::connect(&plan.kafka, &plan.topics.raw, Some(&plan.kafka.member(index)))
        .map_err(LaneError::Kafka)?;
    let mut lane = Lane {
        plan,
        index,
        engine,
        source,
        sink,
        batch: Batch::new(),
        progress: Progress::default(),
        counts: LaneCounts::default(),
        poison: Poison::default(),
        fences: Fences::default(),
        offered: None,
        unknown_told: None,
        joined: false,
        unreadable: Unreadable::default(),
        setbacks: 0,
        open: None,
        sent: Vec::new(),
        started: Instant::now(),
        now: Duration::ZERO,
        record_id: Vec::new(),
    };
    let result = lane.work();
    if result.is_err() {
        lane.give_up();
    }
    plan.telemetry.lane_state(index, LaneState::Stopped);
    lane.source.close(Duration::from_secs(5));
    result
}

fn connect_sink(plan: &LanePlan, index: usize) -> Result<Sink, KafkaError> {
    let id = plan.kafka.transactional_id(index);
    let mode = match plan.delivery.guarantee {
        Guarantee::ExactlyOnce => SinkMode::Transactional {
            id: &id,
            transaction_timeout: plan.delivery.transaction_timeout,
        },
        Guarantee::AtLeastOnce => SinkMode::AtLeastOnce,
    };
    let topics = [
        plan.topics.public.as_str(),
        plan.topics.restricted.as_str(),
        plan.topics.rejected.as_str(),
    ];
    Sink::connect(&plan.kafka, mode, &topics)
}

impl Lane<'_> {
    fn work(&mut self) -> Result<(), LaneError> {
        self.first_init()?;
        while !self.stopping() {
            match self.turn() {
                Ok(()) => {}
                Err(Trouble::Recover(error)) => self.recover(&error)?,
                Err(Trouble::Fatal(error)) => return Err(error),
            }
        }
        self.drain();
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Trouble> {
        self.plan.telemetry.beat(self.index, Now::read());
        self.take_over()?;
        let patience = self.patience();
        let event = match self.source.poll(&mut self.batch, patience) {
            Ok(event) => event,
            Err(error) => return self.consumer_error(error),
        };
        // After the wait: what comes in once a reload was told is keyed and priced by it.
        let keyed = self.plan.keyring.load();
        if !Arc::ptr_eq(&keyed, self.engine.keyed()) {
            self.engine.rekey(Arc::clone(&keyed));
        }
        let rating = self.plan.rating.load();
        if !Arc::ptr_eq(&rating, self.engine.rating()) {
            self.engine.rerate(Arc::clone(&rating));
        }
        let faults = self.batch.take_faults();
        let idle = self.batch.is_empty();
        let written = self.write_batch();
        if let Some(event) = event {
            match written {
                Ok(()) => self.rebalance(event)?,
                // librdkafka waits for an answer, whatever became of the batch.
                Err(_) => self.follow(event)?,
            }
        }
        written?;
        self.read_again(faults)?;
        if self.due() {
            self.commit()?;
        }
        if idle {
            self.report_lost();
        }
        self.report_lag();
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.plan.stop.load(Ordering::Relaxed)
    }

    /// How long the next poll may block: until the open transaction is due.
    fn patience(&self) -> Duration {
        self.open.map_or(POLL, |open| {
            self.plan
                .delivery
                .commit_interval
                .saturating_sub(open.since.elapsed())
                .min(POLL)
        })
    }

    fn due(&self) -> bool {
        self.open.is_some_and(|open| {
            open.since.elapsed() >= self.plan.delivery.commit_interval || open.messages >= self.limit()
        })
    }

    /// The most messages in a transaction; fewer while a poisonous one is looked for.
    fn limit(&self) -> usize {
        self.poison.limit().map_or(self.plan.delivery.max_batch, |limit| {
            limit.min(self.plan.delivery.max_batch)
        })
    }

    /// Transforms and writes what was polled, committing in between where the batch is larger than a transaction may
    /// be, or takes longer.
    fn write_batch(&mut self) -> Result<(), Trouble> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.plan.telemetry.lane_state(self.index, LaneState::Running);
        let mut batch = std::mem::take(&mut self.batch);
        let began = Instant::now();
        self.now = self.started.elapsed();
        let mut work = 0;
        let result = batch.iter().try_for_each(|message| {
            work += WORK_OF_A_MESSAGE + message.payload.map_or(0, <[u8]>::len);
            let look = work >= WORK_BETWEEN_LOOKS;
            if look {
                work = 0;
                self.plan.telemetry.beat(self.index, Now::read());
            }
            let full = self.open.is_some_and(|open| open.messages >= self.limit());
            if full || (look && self.due()) {
                self.commit()?;
            }
            self.message(&message)
        });
        self.counts.transformed(began.elapsed());
        batch.clear();
        self.batch = batch;
        result
    }

    fn message(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let place = TopicPartition {
            topic: message.topic,
            partition: message.partition,
        };
        // Noted first: if writing it fails, the search for a poisonous record must know of it.
        match self.progress.accept(place, message.offset) {
            Arrival::Next => {}
            Arrival::Gap { from } => self.gap(place, from, message.offset),
            Arrival::NotOurs => return Ok(()),
            Arrival::Below { next } => return Err(self.begun_again(place, message.offset, next)),
        }
        self.begin()?;
        if let Some(open) = &mut self.open {
            let size = message.payload.map_or(0, <[u8]>::len);
            if size > open.largest.0 {
                open.largest = (size, open.messages);
            }
            open.messages += 1;
        }
        let topic = &self.plan.topics.raw[message.topic];
        write_record_id(topic, message.partition, message.offset, &mut self.record_id);
        let payload = Payload {
            id: &self.record_id,
            timestamp: message.timestamp.unwrap_or_else(now_millis),
            bytes: message.payload,
        };
        self.counts.message(
            message.topic,
            message.partition,
            message.payload.map_or(0, <[u8]>::len),
            payload.timestamp,
        );
        let poisonous = self.poison.convicted(place, message.offset);
        let mut writer = Writer {
            plan: self.plan,
            lane: self.index,
            sink: &mut self.sink,
            counts: &mut self.counts,
            message,
            timestamp: payload.timestamp,
            convicted: poisonous.is_some(),
        };
        let payload = Payload {
            bytes: if poisonous == Some(Sentence::Named) {
                None
            } else {
                payload.bytes
            },
            ..payload
        };
        let now = self.now;
        let written = if poisonous.is_some() {
            self.engine
                .refuse(&payload, Reason::Poison, now, |output| writer.write(&output))
        } else {
            self.engine.payload(&payload, now, |output| writer.write(&output))
        };
        match written {
            Ok(()) => {}
            Err(Stop::Seal(error)) => return Err(Trouble::Fatal(LaneError::Seal(error))),
            Err(Stop::Output(trouble)) => return Err(trouble),
        }
        Ok(())
    }

    /// Lazily, on the first record: an idle lane costs the broker nothing.
    fn begin(&mut self) -> Result<(), Trouble> {
        if self.open.is_none() {
            if self.plan.delivery.guarantee == Guarantee::ExactlyOnce {
                self.sink.begin()?;
            }
            self.open = Some(Open {
                since: Instant::now(),
                messages: 0,
                largest: (0, 0),
            });
            self.plan.telemetry.began(self.index, Now::read());
        }
        Ok(())
    }
}

/// The time of a record that came without one.
fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
