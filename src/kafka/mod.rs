//! Kafka: the only room that names rdkafka, and the only one with `unsafe` but for two calls in `main.rs`.
//!
//! It knows no CDR. Contract, read before any method:
//!
//! - An *offset* is always the next message to be read, never the last one read.
//! - A [`Source`] and a [`Sink`] belong to one lane, on one thread; nothing here is shared between lanes.
//! - A rebalance is only *recorded* by librdkafka's callback. [`Source::poll`] hands it out, the lane commits
//!   or aborts, then [`Source::complete`] lets go or takes over; librdkafka waits for that call.
//! - Messages in a [`Batch`] come before the rebalance handed out with it.
//! - Errors are sorted once, as an [`ErrorClass`]: same call again, abort and begin anew, wait, or stop.
//! - What spoils one partition is a [`Fault`] of the batch: librdkafka would read on behind it, so seek first.
//! - Control records occupy offsets: "caught up" is never inferred from them.

pub mod append;
mod batch;
mod client;
pub mod cluster;
mod conf;
pub mod embedded;
mod error;
mod events;
mod group;
mod log;
mod partition_list;
mod partitioner;
mod properties;
pub mod reader;
mod settings;
mod sink;
mod source;
mod try_out;

pub use batch::{Batch, Fault, Message};
pub use error::{ErrorClass, KafkaError};
pub use events::{Loss, Rebalance};
pub use group::GroupMetadata;
pub use partition_list::{OFFSET_BEGINNING, TopicPartition};
pub use partitioner::partition_for_key;
pub use settings::{Kafka, KafkaSettings, PropertyValue};
pub use sink::{Outgoing, ProduceError, Sink, SinkMode};
pub use source::Source;
