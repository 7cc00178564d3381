//! cdrveil: pseudonymises call detail records (CDRs) on Kafka.
//!
//! Raw CDRs go in; out come pseudonymised records for billing, sealed
//! restricted fields, and sealed rejects with a reason. The program fails
//! closed: what it cannot read, place or key is rejected, sealed and counted.
//!
//! The map, from the door inwards (arrows run one way, held by
//! `tests/architecture.rs`):
//!
//! - [`cli`]: one file per verb
//! - [`daemon`]: wires the rooms; signals, reload, drain
//! - [`lane`]: the loop: poll, transform, write, commit
//! - [`engine`]: one payload in, sealed and pseudonymised outputs out
//! - [`register`]: what all instances agree every epoch to be
//! - [`deckstore`]: rate deck and lists from disk
//! - [`cdr`]: formats, policy, transform (pure)
//! - [`number`]: phone numbers in canonical form (pure)
//! - [`pseudonym`]: HMAC tokens, epochs, keyring (pure)
//! - [`seal`]: envelopes only recipients can open (pure)
//! - [`kafka`]: the only place that names rdkafka
//! - [`bytes`]: sixteen bytes at a time
//! - [`admin`]: HTTP for operators
//! - [`telemetry`]: every metric and status word, once

pub mod admin;
pub mod bytes;
pub mod cdr;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deckstore;
pub mod engine;
pub mod kafka;
pub mod keystore;
pub mod lane;
pub mod number;
pub mod pseudonym;
pub mod register;
pub mod seal;
pub mod secret;
pub mod settings;
pub mod telemetry;
