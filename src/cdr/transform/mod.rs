//! One record in; its public form and its restricted part out, or a reason.
//!
//! Invariant: the public buffer holds only bytes of kept fields, coarsened
//! values, tokens, labels, derived values and the record id. It is complete or,
//! on a reason, of no use: callers write it only after `Ok`, which the egress
//! guard has the last word on.

mod csv;
mod derived;
#[cfg(test)]
mod derived_tests;
mod json;
pub mod keyed;
#[cfg(test)]
mod layout_tests;
#[cfg(test)]
mod mapped_tests;
#[cfg(test)]
mod nested_tests;
#[cfg(test)]
mod previous_tests;
mod pseudonyms;
pub mod subscribers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::cdr::guard::Guard;
use crate::cdr::header::HeaderMap;
use crate::cdr::identifier::Kind;
use crate::cdr::policy::{Action, Format, Policy};
use crate::cdr::rating::Rating;
use crate::cdr::time::EventClock;
use crate::cdr::transform::csv::CsvScratch;
use crate::cdr::transform::json::JsonScratch;
use crate::cdr::transform::keyed::Keyed;
use crate::cdr::transform::pseudonyms::{Identity, Pseudonyms, What};
use crate::cdr::{Reason, Refusal};
use crate::number::Label;
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{EpochGap, EpochIndex, Keyring, Withheld};

/// What one accepted record became. The caller owns it and uses it again.
#[derive(Default)]
pub struct Outputs {
    /// The public record's value.
    pub public: Vec<u8>,
    /// The public record's Kafka key; empty for none.
    pub key: Vec<u8>,
    /// The restricted record's plaintext, to be sealed (`docs/formats.md`).
    pub restricted: Vec<u8>,
}

/// What is known of a record besides its bytes.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// `<topic>/<partition>/<offset>[/<row>]`.
    pub record_id: &'a [u8],
    /// The raw record's Kafka timestamp, milliseconds since 1970.
    pub timestamp: i64,
    /// What the header row above the record says, for a policy that asks it.
    pub header: Option<&'a HeaderMap>,
}

/// Transforms records under one policy; one per lane, for its caches.
pub struct Transformer {
    policy: Arc<Policy>,
    clock: EventClock,
    pseudonyms: Pseudonyms,
    guard: Guard,
    csv: CsvScratch,
    json: JsonScratch,
}

/// One record on its way through the steps of its format.
struct Step<'a> {
    policy: &'a Policy,
    record: &'a [u8],
    origin: Origin<'a>,
    clock: &'a mut EventClock,
    pseudonyms: &'a mut Pseudonyms,
    guard: &'a mut Guard,
    out: &'a mut Outputs,
}

impl Transformer {
    /// A transformer for one lane.
    pub fn new(policy: Arc<Policy>, keyring: Arc<Keyring>, domain: &str) -> Self {
        let keyed = Arc::new(Keyed::new(&policy, keyring, domain));
        Self::sharing(policy, keyed)
    }

    /// A transformer for one of several lanes that share what is keyed for the same policy.
    pub fn sharing(policy: Arc<Policy>, keyed: Arc<Keyed>) -> Self {
        Self {
            clock: policy.clock.clone(),
            pseudonyms: Pseudonyms::new(&policy, keyed),
            guard: Guard::default(),
            csv: CsvScratch::new(&policy),
            json: JsonScratch::default(),
            policy,
        }
    }

    /// Takes a reloaded keyring, keyed for the same policy, between two records.
    pub fn rekey(&mut self, keyed: Arc<Keyed>) {
        self.pseudonyms.rekey(keyed);
    }

    /// What is keyed of the keyring in force.
    pub fn keyed(&self) -> &Arc<Keyed> {
        self.pseudonyms.keyed()
    }

    /// Takes a reloaded deck and lists, between two records.
    pub fn rerate(&mut self, rating: Arc<Rating>) {
        self.pseudonyms.rerate(rating);
    }

    /// The deck and lists in force.
    pub fn rating(&self) -> &Arc<Rating> {
        self.pseudonyms.rating()
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The keyring in force.
    pub fn keyring(&self) -> &Arc<Keyring> {
        self.pseudonyms.keyring()
    }

    /// Transforms one record into `out`; `Ok` is its epoch.
    ///
    /// # Errors
    ///
    /// The reason it is rejected.
    pub fn record(
        &mut self,
        record: &[u8],
        origin: Origin<'_>,
        out: &mut Outputs,
    ) -> Result<EpochIndex, Refusal> {
        out.public.clear();
        out.key.clear();
        out.restricted.clear();
        self.pseudonyms.restart();
        self.guard.restart();
        if record.len() > self.policy.max_record {
            return Err(Reason::TooLarge.into());
        }
        let policy = &*self.policy;
        let step = Step {
            policy,
            record,
            origin,
            clock: &mut self.clock,
            pseudonyms: &mut self.pseudonyms,
            guard: &mut self.guard,
            out,
        };
        match &policy.format {
            Format::Csv(csv) => self.csv.record(step, csv),
            Format::Json { paths, unlisted, .. } => self.json.record(step, paths, *unlisted),
        }
    }
}

impl Step<'_> {
    /// Enters the epoch of the call that began at this text, that of a field.
    fn begin(&mut self, start: &[u8], field: usize) -> Result<(), Refusal> {
        let refused = |reason| Refusal::at(reason, field);
        let millis = self.clock.read(start).ok_or(refused(Reason::Time))?;
        let latest = self
            .origin
            .timestamp
            .saturating_add(self.policy.max_future.as_millis() as i64);
        if millis > latest {
            return Err(refused(Reason::EpochTooNew));
        }
        let (time, keyring) = (EventTime::from_millis(millis), self.pseudonyms.keyring());
        let epoch = match keyring.epoch_at(time) {
            Ok(epoch) => epoch,
            Err(EpochGap::TooOld | EpochGap::Destroyed) => return Err(refused(Reason::EpochTooOld)),
        };
        let beside = keyring.beside(epoch, time);
        let beside = beside.map_err(|Withheld| refused(Reason::EpochTooOld))?;
        self.pseudonyms.enter(epoch, beside, millis);
        Ok(())
    }

    /// Tells the guard what a field of this action held.
    fn taken_out(&mut self, action: &Action, identity: Identity, raw: &[u8]) {
        match action {
            Action::Keep | Action::Coarsen { .. } => {}
            Action::Restrict => self.guard.restricted(raw),
            Action::Drop => self.guard.dropped(raw),
            Action::Pseudonymise(how) => match (identity, how.kind) {
                (
                    Identity::Value {
                        what: What::Number, ..
                    },
                    _,
                ) => {
                    if let Some(number) = self.pseudonyms.number(identity) {
                        self.guard.number(&number, raw);
                    }
                }
                // Nobody's; and what is left of a masked number, another masked copy shows as well. A call's id is
                // no subscriber's, and switches make it of the time. Addresses of one network share most of their
                // digits.
                (
                    Identity::Empty
                    | Identity::Label {
                        label: Label::Withheld | Label::Masked,
                        ..
                    },
                    _,
                )
                | (Identity::Value { .. }, Kind::Call | Kind::Ip) => {}
                (Identity::Value { .. }, Kind::Phone) | (Identity::Label { .. }, _) => {
                    self.guard.wrapped(raw);
                }
                (Identity::Value { at, .. }, Kind::Imsi | Kind::Imei | Kind::Account | Kind::Text) => {
                    self.guard.identifier(self.pseudonyms.canonical(at));
                }
            },
        }
    }

    /// The guard's last word.
    fn release(&mut self) -> Result<(), Refusal> {
        match self.guard.leak() {
            Some(field) => Err(Refusal::at(Reason::Leak, field)),
            None => Ok(()),
        }
    }
}
