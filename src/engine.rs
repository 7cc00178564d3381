//! One payload in, finished outputs out: cut, transformed and sealed.
//!
//! The lane and `cdrveil apply` both use it, so Kafka and files give the same
//! public bytes. It knows no Kafka and no files: outputs go to a callback.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::cdr::csv::End;
use crate::cdr::policy::Policy;
use crate::cdr::rating::Rating;
use crate::cdr::rows::{Cursor, Piece};
use crate::cdr::transform::keyed::Keyed;
use crate::cdr::transform::{Origin, Outputs, Transformer};
use crate::cdr::{Reason, Refusal, Skip};
use crate::pseudonym::epoch::EpochId;
use crate::pseudonym::keyring::Keyring;
use crate::seal::recipient::Recipients;
use crate::seal::sealer::{SealError, Sealer};

/// Names that are bound into what is sealed.
#[derive(Debug, Clone)]
pub struct Destinations {
    /// The pseudonymisation domain.
    pub domain: String,
    /// The restricted topic.
    pub restricted: String,
    /// The rejected topic.
    pub rejected: String,
}

/// What became of one piece of a payload.
pub enum Output<'a> {
    /// A record was pseudonymised.
    Accepted(Accepted<'a>),
    /// A record was refused; its bytes are sealed.
    Rejected {
        /// The record's id: the rejected record's Kafka key.
        record_id: &'a [u8],
        /// Why, and at which field.
        refusal: Refusal,
        /// The sealed raw bytes.
        sealed: &'a [u8],
    },
    /// A row that is no record.
    Skipped(Skip),
}

/// A pseudonymised record with its restricted part.
pub struct Accepted<'a> {
    /// The record's id: the restricted record's Kafka key.
    pub record_id: &'a [u8],
    /// The public record's Kafka key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The public record's value.
    pub public: &'a [u8],
    /// The sealed restricted fields, when the policy restricts any.
    pub restricted: Option<&'a [u8]>,
    /// Its epoch.
    pub epoch: EpochId,
}

/// A payload and where it comes from.
pub struct Payload<'a> {
    /// `<topic>/<partition>/<offset>`, or a file's base name.
    pub id: &'a [u8],
    /// The Kafka timestamp, milliseconds since 1970.
    pub timestamp: i64,
    /// The bytes; absent for a tombstone.
    pub bytes: Option<&'a [u8]>,
}

/// Why the engine, or whoever takes its outputs, had to stop.
#[derive(Debug)]
pub enum Stop<E> {
    /// Sealing failed: without it nothing may be written.
    Seal(SealError),
    /// The callback's own error.
    Output(E),
}

/// Turns payloads into outputs; one per lane.
pub struct Engine {
    transformer: Transformer,
    restricted: Option<Sealer>,
    rejected: Sealer,
    cursor: Cursor,
    work: Work,
}

/// Buffers kept from record to record.
#[derive(Default)]
struct Work {
    outputs: Outputs,
    record_id: Vec<u8>,
    sealed: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Engine {
    /// An engine on its own.
    ///
    /// # Errors
    ///
    /// Names too long to be bound into what is sealed.
    pub fn new(
        policy: Arc<Policy>,
        keyring: Arc<Keyring>,
        destinations: &Destinations,
        recipients: &Recipients,
    ) -> Result<Self, SealError> {
        let keyed = Keyed::new(&policy, keyring, &destinations.domain);
        Self::sharing(policy, Arc::new(keyed), destinations, recipients)
    }

    /// An engine for one of several lanes that share what is keyed for the same policy.
    ///
    /// # Errors
    ///
    /// As [`Engine::new`].
    pub fn sharing(
        policy: Arc<Policy>,
        keyed: Arc<Keyed>,
        destinations: &Destinations,
        recipients: &Recipients,
    ) -> Result<Self, SealError> {
        let sealer = |topic: &str| Sealer::new(&destinations.domain, topic, recipients.clone());
        Ok(Self {
            restricted: policy
                .has_restricted()
                .then(|| sealer(&destinations.restricted))
                .transpose()?,
            rejected: sealer(&destinations.rejected)?,
            transformer: Transformer::sharing(policy, keyed),
            cursor: Cursor::default(),
            work: Work::default(),
        })
    }

    /// Takes a reloaded keyring, between two payloads.
    pub fn rekey(&mut self, keyed: Arc<Keyed>) {
        self.transformer.rekey(keyed);
    }

    /// What is keyed of the keyring in force.
    pub fn keyed(&self) -> &Arc<Keyed> {
        self.transformer.keyed()
    }

    /// Takes a reloaded deck and lists, between two payloads.
    pub fn rerate(&mut self, rating: Arc<Rating>) {
        self.transformer.rerate(rating);
    }

    /// The deck and lists in force.
    pub fn rating(&self) -> &Arc<Rating> {
        self.transformer.rating()
    }

    /// Transforms and seals every record of one payload.
    ///
    /// `now` is monotonic time since any fixed instant; sealing sessions age by it.
    ///
    /// # Errors
    ///
    /// Sealing failed, or `output` said so; what was handed out before stays handed out.
    pub fn payload<E>(
        &mut self,
        payload: &Payload<'_>,
        now: Duration,
        mut output: impl FnMut(Output<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let Some(bytes) = payload.bytes else {
            return output(Output::Skipped(Skip::Tombstone)).map_err(Stop::Output);
        };
        self.cursor.restart();
        let mut held: Option<Piece> = None;
        let mut rows = 0;
        let mut skipped = false;
        loop {
            match self.next_piece(bytes, End::Final) {
                Piece::Done | Piece::Incomplete => break,
                Piece::Skipped(why) => {
                    skipped = true;
                    output(Output::Skipped(why)).map_err(Stop::Output)?;
                }
                piece => {
                    // Only a second row shows that the first one needs a number.
                    if let Some(first) = held.replace(piece) {
                        self.piece(payload, bytes, &first, Some(rows), now, &mut output)?;
                        rows += 1;
                    }
                }
            }
        }
        match held {
            Some(last) => self.piece(
                payload,
                bytes,
                &last,
                (rows > 0).then_some(rows),
                now,
                &mut output,
            ),
            None if skipped => Ok(()),
            // Not one row: refused whole rather than dropped.
            None => self.piece(
                payload,
                bytes,
                &Piece::Rejected(0..bytes.len(), Reason::Format),
                None,
                now,
                &mut output,
            ),
        }
    }

    /// Refuses a whole payload, unread: the broker would not take what it becomes.
    ///
    /// # Errors
    ///
    /// As [`Engine::payload`].
    pub fn refuse<E>(
        &mut self,
        payload: &Payload<'_>,
        reason: Reason,
        now: Duration,
        mut output: impl FnMut(Output<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let bytes = payload.bytes.unwrap_or_default();
        self.piece(
            payload,
            bytes,
            &Piece::Rejected(0..bytes.len(), reason),
            None,
            now,
            &mut output,
        )
    }

    /// The next piece of a file that is read in chunks; what the buffer holds up to
    /// [`position`](Self::position) is done with.
    pub fn next_piece(&mut self, buffer: &[u8], end: End) -> Piece {
        self.cursor.next(self.transformer.policy(), buffer, end)
    }

    /// Where the next piece begins.
    pub fn position(&self) -> usize {
        self.cursor.position()
    }

    /// Whether no header row was read yet that names the policy's columns, where one must.
    pub fn wants_header(&self) -> bool {
        self.cursor.wants_header()
    }

    /// Tells that the first `bytes` of the buffer are gone.
    pub fn consumed(&mut self, bytes: usize) {
        self.cursor.consumed(bytes);
    }

    /// Starts on another file.
    pub fn restart(&mut self) {
        self.cursor.restart();
    }

    /// Transforms and seals one record of a file, numbered by the caller: the piece found last.
    ///
    /// # Errors
    ///
    /// As [`Engine::payload`].
    pub fn row<E>(
        &mut self,
        payload: &Payload<'_>,
        piece: &Piece,
        row: u64,
        now: Duration,
        mut output: impl FnMut(Output<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let bytes = payload.bytes.unwrap_or_default();
        match piece {
            Piece::Skipped(why) => output(Output::Skipped(*why)).map_err(Stop::Output),
            piece => self.piece(payload, bytes, piece, Some(row), now, &mut output),
        }
    }

    fn piece<E>(
        &mut self,
        payload: &Payload<'_>,
        bytes: &[u8],
        piece: &Piece,
        row: Option<u64>,
        now: Duration,
        output: &mut impl FnMut(Output<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        self.name(payload.id, row);
        match piece {
            Piece::Record(range) => self.record(payload, &bytes[range.clone()], now, output),
            Piece::Rejected(range, reason) => self.reject(bytes, range, (*reason).into(), now, output),
            Piece::Skipped(_) | Piece::Incomplete | Piece::Done => Ok(()),
        }
    }

    fn name(&mut self, id: &[u8], row: Option<u64>) {
        self.work.record_id.clear();
        self.work.record_id.extend_from_slice(id);
        if let Some(row) = row {
            self.work.record_id.push(b'/');
            self.work
                .record_id
                .extend_from_slice(itoa::Buffer::new().format(row).as_bytes());
        }
    }

    fn record<E>(
        &mut self,
        payload: &Payload<'_>,
        record: &[u8],
        now: Duration,
        output: &mut impl FnMut(Output<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let work = &mut self.work;
        let origin = Origin {
            record_id: &work.record_id,
            timestamp: payload.timestamp,
            header: Some(self.cursor.header()),
        };
        let transformer = &mut self.transformer;
        let outcome = without_panic(|| transformer.record(record, origin, &mut work.outputs));
        let epoch = match outcome {
            Ok(epoch) => *self.transformer.keyring().epoch(epoch).id(),
            Err(refusal) => return self.reject(record, &(0..record.len()), refusal, now, output),
        };
        work.sealed.clear();
        if let Some(sealer) = &mut self.restricted {
            sealer
                .seal(
                    now,
                    epoch.as_str(),
                    &work.record_id,
                    &work.outputs.restricted,
                    &mut work.sealed,
                )
                .map_err(Stop::Seal)?;
        }
        output(Output::Accepted(Accepted {
            record_id: &work.record_id,
            key: (!work.outputs.key.is_empty()).then_some(work.outputs.key.as_slice()),
            public: &work.outputs.public,
            restricted: self.restricted.is_some().then_some(work.sealed.as_slice()),
            epoch,
        }))
        .map_err(Stop::Output)
    }

    fn reject<E>(
        &mut self,
        bytes: &[u8],
        range: &Range<usize>,
        refusal: Refusal,
        now: Duration,
        output: &mut impl FnMut(Output<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let work = &mut self.work;
        rejected_plaintext(refusal.reason, &bytes[range.clone()], &mut work.plaintext);
        work.sealed.clear();
        // A reject may come before its epoch is known, so none is bound.
        self.rejected
            .seal(now, "", &work.record_id, &work.plaintext, &mut work.sealed)
            .map_err(Stop::Seal)?;
        output(Output::Rejected {
            record_id: &work.record_id,
            refusal,
            sealed: &work.sealed,
        })
        .map_err(Stop::Output)
    }
}

/// A transform that panics is a bug of ours, and read again the record would meet it again: it is refused, and the
/// daemon goes on. Every buffer is emptied before the next record, so nothing of this one is left.
fn without_panic<T>(transform: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(transform)).unwrap_or_else(|_| Err(Reason::Poison.into()))
}

/// One length byte, the reason, the raw bytes: so the reason is authentic too.
fn rejected_plaintext(reason: Reason, raw: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let word = reason.as_str();
    out.push(word.len() as u8);
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(raw);
}

/// Writes `<topic>/<partition>/<offset>`.
pub fn write_record_id(topic: &str, partition: i32, offset: i64, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(topic.as_bytes());
    let mut digits = itoa::Buffer::new();
    out.push(b'/');
    out.extend_from_slice(digits.format(partition).as_bytes());
    out.push(b'/');
    out.extend_from_slice(digits.format(offset).as_bytes());
}

#[cfg(test)]
mod tests;
