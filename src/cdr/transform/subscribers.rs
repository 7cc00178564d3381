//! Tokens of a field's values outside of any record: for customer master data.
//!
//! Invariant: a value gets the token it has in the public topic, because the
//! same code reads and keys it; what has no lasting token there gets none here.

use std::sync::Arc;

use thiserror::Error;

use crate::cdr::policy::{Action, Policy, Pseudonymise, Scope};
use crate::cdr::transform::keyed::Keyed;
use crate::cdr::transform::pseudonyms::{Identity, Pseudonyms};
use crate::pseudonym::keyring::{Beside, EpochIndex, Keyring};

/// Reads values as one field of the policy has them, and writes their tokens under any epoch.
pub struct Subscribers {
    policy: Arc<Policy>,
    pseudonyms: Pseudonyms,
    field: usize,
    value: Identity,
    served: Identity,
}

/// Why a field's tokens cannot be computed in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unpredictable {
    /// It is kept, restricted, coarsened or dropped.
    #[error("is not pseudonymised: it has no tokens")]
    NoToken,
    /// Scope record.
    #[error(
        "has scope \"record\": a value has another token in every record, so no list of customers can hold them"
    )]
    Record,
}

/// Why one value has no token that a join could find. Shows no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unmapped {
    /// Nothing but blanks and quotes.
    #[error("blank")]
    Blank,
    /// Out comes a label: withheld, an emergency or short number, a dialplan word ...
    #[error("identifies nobody (the public topic has a label here, no token)")]
    Label,
    /// Records with such a value are rejected.
    #[error("not readable as this field's kind (records with it are rejected: number)")]
    Unreadable,
    /// The pair has no served party that is somebody.
    #[error("its served party is blank, nobody or not readable: such a pair has no lasting token")]
    NobodyServed,
    /// The epoch has no key.
    #[error("the epoch's key is destroyed")]
    Destroyed,
}

impl Subscribers {
    /// For the policy's field of this index.
    ///
    /// # Errors
    ///
    /// [`Unpredictable`]: the field has no tokens that last.
    pub fn new(
        policy: Arc<Policy>,
        keyring: Arc<Keyring>,
        domain: &str,
        field: usize,
    ) -> Result<Self, Unpredictable> {
        let how = pseudonymised(&policy, field).ok_or(Unpredictable::NoToken)?;
        if how.scope == Scope::Record {
            return Err(Unpredictable::Record);
        }
        Ok(Self {
            pseudonyms: Pseudonyms::new(&policy, Arc::new(Keyed::new(&policy, keyring, domain))),
            policy,
            field,
            value: Identity::Empty,
            served: Identity::Empty,
        })
    }

    /// Index of the served party's field, where the scope is pairwise.
    pub fn served_by(&self) -> Option<usize> {
        match self.how(self.field).scope {
            Scope::Pairwise { with } => Some(with),
            Scope::Domain | Scope::Record => None,
        }
    }

    /// Reads one value; `served` is the served party's, not looked at but for scope pairwise.
    ///
    /// # Errors
    ///
    /// [`Unmapped`]; nothing can be written then.
    pub fn read(&mut self, value: &[u8], served: &[u8]) -> Result<(), Unmapped> {
        self.pseudonyms.restart();
        self.value = self.identity(self.field, value)?;
        self.served = match self.served_by() {
            None => Identity::Empty,
            Some(with) => self.identity(with, served).map_err(|_| Unmapped::NobodyServed)?,
        };
        Ok(())
    }

    /// Appends the token of the value last read, under this epoch.
    ///
    /// # Errors
    ///
    /// [`Unmapped::Destroyed`].
    pub fn write(&mut self, epoch: EpochIndex, out: &mut Vec<u8>) -> Result<(), Unmapped> {
        let begins = self.pseudonyms.keyring().epoch(epoch).activate_at();
        self.pseudonyms
            .enter(epoch, Beside::default(), begins.as_millis());
        // No record id: only scope record, which has no tokens here, takes one.
        self.pseudonyms
            .write(self.how(self.field), self.value, self.served, b"", out)
            .map_err(|_| Unmapped::Destroyed)
    }

    fn identity(&mut self, field: usize, value: &[u8]) -> Result<Identity, Unmapped> {
        let how = pseudonymised(&self.policy, field).expect("checked when made; the policy checks `with`");
        match self.pseudonyms.read(how, value) {
            Ok(Identity::Empty) => Err(Unmapped::Blank),
            Ok(Identity::Label { .. }) => Err(Unmapped::Label),
            Ok(identity @ Identity::Value { .. }) => Ok(identity),
            Err(_) => Err(Unmapped::Unreadable),
        }
    }

    fn how(&self, field: usize) -> &Pseudonymise {
        pseudonymised(&self.policy, field).expect("checked when made; the policy checks `with`")
    }
}

fn pseudonymised(policy: &Policy, field: usize) -> Option<&Pseudonymise> {
    match &policy.fields.get(field)?.action {
        Action::Pseudonymise(how) => Some(how),
        Action::Keep | Action::Restrict | Action::Coarsen { .. } | Action::Drop => None,
    }
}
