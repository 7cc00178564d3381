//! A keyring with its MACs, keyed for the kinds of one policy: made once for each keyring, shared by all lanes.
//!
//! Invariant: lanes key nothing. 400 epochs take milliseconds; a lane that took them between two records would hold up
//! all of its partitions, at every reload.

use std::sync::Arc;

use crate::cdr::policy::Policy;
use crate::number::KeyedKind;
use crate::pseudonym::keyring::{FieldMacs, Keyring};

/// What a policy may turn numbers into that are no subscriber's; keyed behind the policy's own kinds.
pub(super) const KEYED: [KeyedKind; 6] = [
    KeyedKind::Short,
    KeyedKind::Alpha,
    KeyedKind::Masked,
    KeyedKind::Feature,
    KeyedKind::Other,
    KeyedKind::Extension,
];

/// A keyring, ready to be used by a transform.
#[derive(Debug)]
pub struct Keyed {
    keyring: Arc<Keyring>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) macs: FieldMacs,
}

impl Keyed {
    /// Keys every kind that records of this policy may need, under every epoch.
    pub fn new(policy: &Policy, keyring: Arc<Keyring>, domain: &str) -> Self {
        // The kinds that a policy's numbers may turn into come behind its own.
        let mut kinds = policy.kinds.clone();
        kinds.extend(KEYED.iter().map(|kind| kind.as_str()));
        Self {
            macs: FieldMacs::new(&keyring, domain, &kinds),
            kinds,
            keyring,
        }
    }

    /// The keyring.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }
}
