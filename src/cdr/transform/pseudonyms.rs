//! The identifiers of one record: read first, all of them, then written as
//! tokens. In two passes, because a pair's token needs its served party.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use crate::cdr::Reason;
use crate::cdr::identifier::{self, Kind};
use crate::cdr::policy::{Derived, Policy, Pseudonymise, Scope};
use crate::cdr::rating::Rating;
use crate::cdr::transform::derived::{Derivations, Looked};
use crate::cdr::transform::keyed::{KEYED, Keyed};
use crate::number::{Canonicaliser, Class, E164, Label, Reading};
use crate::pseudonym::keyring::{Beside, EpochIndex, Keyring};
use crate::pseudonym::token::write_token;

/// Identifiers of the record at hand, and the keys to replace them.
pub(super) struct Pseudonyms {
    keyed: Arc<Keyed>,
    numbers: Option<Canonicaliser>,
    /// Canonical bytes of this record's identifiers, one after another.
    canonical: Vec<u8>,
    derivations: Derivations,
    epoch: EpochIndex,
    beside: Beside,
}

/// What an identifier turned out to be. Small: every record copies several.
#[derive(Clone, Copy)]
pub(super) enum Identity {
    /// Blank in, blank out.
    Empty,
    /// A class that identifies nobody.
    Label { label: Label, looked: Looked },
    /// To be replaced by a token.
    Value {
        mac: u32,
        at: Canonical,
        what: What,
        looked: Looked,
    },
}

/// Where the canonical bytes of an identifier stand.
#[derive(Clone, Copy)]
pub(super) struct Canonical {
    start: u32,
    end: u32,
}

impl Canonical {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What the canonical bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The digits of an E.164 number.
    Number,
    Other,
}

impl Pseudonyms {
    pub(super) fn new(policy: &Policy, keyed: Arc<Keyed>) -> Self {
        let mut numbers = policy.numbers.clone().map(Canonicaliser::new);
        if let Some(numbers) = &mut numbers {
            numbers.relist(policy.rating.listed.as_ref());
        }
        Self {
            keyed,
            numbers,
            canonical: Vec::new(),
            derivations: Derivations::new(Arc::clone(&policy.rating)),
            epoch: EpochIndex(0),
            beside: Beside::default(),
        }
    }

    pub(super) fn rekey(&mut self, keyed: Arc<Keyed>) {
        self.keyed = keyed;
    }

    pub(super) fn rerate(&mut self, rating: Arc<Rating>) {
        if let Some(numbers) = &mut self.numbers {
            numbers.relist(rating.listed.as_ref());
        }
        self.derivations = Derivations::new(rating);
    }

    pub(super) fn rating(&self) -> &Arc<Rating> {
        self.derivations.rating()
    }

    pub(super) fn keyed(&self) -> &Arc<Keyed> {
        &self.keyed
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        self.keyed.keyring()
    }

    pub(super) fn restart(&mut self) {
        self.canonical.clear();
        self.derivations.restart();
    }

    /// The epoch of the call that began then, in milliseconds since 1970, and what stands beside its tokens.
    pub(super) fn enter(&mut self, epoch: EpochIndex, beside: Beside, millis: i64) {
        self.epoch = epoch;
        self.beside = beside;
        self.derivations.enter(millis);
    }

    pub(super) fn epoch(&self) -> EpochIndex {
        self.epoch
    }

    pub(super) fn beside(&self) -> Beside {
        self.beside
    }

    /// The canonical bytes of an identity of this record.
    #[inline]
    pub(super) fn canonical(&self, at: Canonical) -> &[u8] {
        &self.canonical[at.range()]
    }

    /// The number that an identity is.
    pub(super) fn number(&self, identity: Identity) -> Option<E164> {
        match identity {
            Identity::Value {
                at,
                what: What::Number,
                ..
            } => E164::again(self.canonical(at)),
            _ => None,
        }
    }

    /// Reads one identifier. A blank one stays blank, for every kind.
    pub(super) fn read(&mut self, how: &Pseudonymise, value: &[u8]) -> Result<Identity, Reason> {
        if value.trim_ascii().is_empty() {
            return Ok(Identity::Empty);
        }
        if how.kind == Kind::Phone {
            return self.read_number(how, value);
        }
        let start = self.canonical.len();
        if identifier::canonical(how.kind, value, &mut self.canonical) {
            Ok(Identity::Value {
                mac: how.mac as u32,
                at: written(&self.canonical, start),
                what: What::Other,
                looked: Looked::NOT,
            })
        } else {
            Err(Reason::Number)
        }
    }

    fn read_number(&mut self, how: &Pseudonymise, value: &[u8]) -> Result<Identity, Reason> {
        let numbers = self
            .numbers
            .as_mut()
            .expect("a policy with a phone field has [numbers]");
        let start = self.canonical.len();
        match numbers.read(value) {
            Reading::Empty => Ok(Identity::Empty),
            Reading::Label(label) => Ok(Identity::Label {
                label,
                looked: self.derivations.code(how, numbers.service_code()),
            }),
            Reading::Unreadable => Err(Reason::Number),
            Reading::Number(number) => {
                self.canonical.extend_from_slice(number.digits());
                Ok(Identity::Value {
                    mac: how.mac as u32,
                    at: written(&self.canonical, start),
                    what: What::Number,
                    looked: self.derivations.number(how, &number, value),
                })
            }
            Reading::Keyed { kind, value } => {
                self.canonical.extend_from_slice(value.as_bytes());
                let keyed = self.keyed.kinds.len() - KEYED.len();
                let at = KEYED.iter().position(|known| *known == kind);
                let mac = keyed + at.expect("KEYED lists every one");
                Ok(Identity::Value {
                    mac: mac as u32,
                    at: written(&self.canonical, start),
                    what: What::Other,
                    looked: self.derivations.code(how, numbers.service_code()),
                })
            }
        }
    }

    /// Appends what stands in place of the identifier: a token, a label, or nothing.
    ///
    /// `served` is the identity of the served party, for scope pairwise.
    pub(super) fn write(
        &self,
        how: &Pseudonymise,
        identity: Identity,
        served: Identity,
        record_id: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        if let Identity::Label { label, .. } = identity {
            out.extend_from_slice(label.as_str().as_bytes());
            return Ok(());
        }
        self.token(self.epoch, how, identity, served, record_id, out)
    }

    /// Appends the token of the identifier under an epoch; nothing, where it is none or identifies nobody.
    #[inline]
    pub(super) fn token(
        &self,
        epoch: EpochIndex,
        how: &Pseudonymise,
        identity: Identity,
        served: Identity,
        record_id: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let Identity::Value { mac, at, .. } = identity else {
            return Ok(());
        };
        let value = self.canonical(at);
        let key = self
            .keyed
            .macs
            .mac(epoch, mac as usize)
            .ok_or(Reason::EpochTooOld)?;
        let tag = match (how.scope, served) {
            (Scope::Domain, _) => key.domain(value),
            (Scope::Pairwise { .. }, Identity::Value { at, .. }) => key.pairwise(self.canonical(at), value),
            // A withheld or absent served party is nobody: no pair, so no join.
            (Scope::Pairwise { .. } | Scope::Record, _) => key.record(record_id, value),
        };
        write_token(out, self.keyring().epoch(epoch).id(), &tag);
        Ok(())
    }

    /// Appends one derived value; blank where the number has none.
    pub(super) fn derive(&mut self, identity: Identity, derived: Derived, out: &mut Vec<u8>) {
        let looked = match identity {
            Identity::Empty => return,
            Identity::Label { looked, .. } | Identity::Value { looked, .. } => looked,
        };
        match derived {
            Derived::Class => out.extend_from_slice(self.class(identity).as_bytes()),
            Derived::Country => {
                if let (Some(number), Some(numbers)) = (self.number(identity), &mut self.numbers) {
                    out.extend_from_slice(numbers.country(&number).as_bytes());
                }
            }
            Derived::Length => {
                if let Some(number) = self.number(identity) {
                    write!(out, "{}", number.len()).expect("writing to a Vec does not fail");
                }
            }
            Derived::Payer => self.payer(self.epoch, identity, out),
            Derived::Prefix | Derived::Zone | Derived::Destination | Derived::OnNet | Derived::Network => {
                self.derivations.write(derived, looked, out);
            }
        }
    }

    /// Appends what a map says of a value; nothing where it says nothing.
    pub(super) fn map(&self, map: usize, value: &[u8], out: &mut Vec<u8>) {
        let found = self.derivations.rating().mapped(map, value);
        out.extend_from_slice(found.unwrap_or_default().as_bytes());
    }

    /// The deck's word for it, else what the number or the label says by itself.
    fn class(&mut self, identity: Identity) -> &'static str {
        match identity {
            Identity::Empty => "",
            // Beside a helpline's or a deck's word, this is the one that may not be lost.
            Identity::Label {
                label: Label::Emergency,
                ..
            } => Class::Emergency.as_str(),
            Identity::Label { label, looked } => {
                let deck = self.derivations.class(looked);
                deck.map_or(label.class(), Class::as_str)
            }
            Identity::Value { mac, looked, .. } => {
                let number = self.number(identity);
                match (self.derivations.class(looked), number, &mut self.numbers) {
                    (Some(class), ..) => class.as_str(),
                    (None, Some(number), Some(numbers)) => numbers.class(&number).as_str(),
                    (None, ..) => self.keyed.kinds[mac as usize],
                }
            }
        }
    }

    /// Appends the token that the number would have as a caller's, in scope `domain`, where its calls are paid by
    /// the called party.
    pub(super) fn payer(&self, epoch: EpochIndex, identity: Identity, out: &mut Vec<u8>) {
        let Identity::Value { mac, at, looked, .. } = identity else {
            return;
        };
        // The number's own token was written under the same key already.
        if self.derivations.is_payer(looked)
            && let Some(key) = self.keyed.macs.mac(epoch, mac as usize)
        {
            let tag = key.domain(self.canonical(at));
            write_token(out, self.keyring().epoch(epoch).id(), &tag);
        }
    }
}

/// What was written from `start` on. A record has 8 MiB at most.
fn written(canonical: &[u8], start: usize) -> Canonical {
    Canonical {
        start: start as u32,
        end: canonical.len() as u32,
    }
}
