//! The register as one domain reads it, and what it says of a keyring.
//!
//! Invariant: the answer depends on the entries in their order alone, so instances that have read to the same
//! offset agree. Of an epoch's claims the one with the lowest offset holds; those that say the same agree with it.

use std::collections::BTreeMap;
use std::fmt;

use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::{Epoch, Status};
use crate::pseudonym::mac::Kcv;
use crate::register::entry::{self, Claim, Destruction, Entry, Made};

/// What this program makes of key and value: the part of a claim that is neither key nor window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Construction {
    /// How pseudonyms are made.
    pub algorithm: &'static str,
    /// How numbers are brought to their canonical form.
    pub numbers: &'static str,
}

/// A claim and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Offset in the topic: the lowest one holds.
    pub offset: i64,
    /// The record's key, under which it can be withdrawn.
    pub key: String,
    /// What it says.
    pub claim: Claim,
}

/// All entries of one domain.
#[derive(Debug, Clone, Default)]
pub struct Table {
    domain: String,
    group: String,
    /// Claims of other domains by our consumer group, in the order of their offsets.
    foreign: Vec<(String, Held)>,
    /// By epoch, in the order of their offsets.
    claims: BTreeMap<EpochId, Vec<Held>>,
    destroyed: BTreeMap<EpochId, Destruction>,
    /// Offset by key.
    unreadable: BTreeMap<Vec<u8>, i64>,
}

impl Table {
    /// Of a domain and a consumer group, with nothing read yet.
    pub fn new(domain: &str, group: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            group: group.to_owned(),
            ..Self::default()
        }
    }

    /// Takes the next record. A key that comes again replaces what stood under it, as compaction does.
    pub fn take(&mut self, offset: i64, key: &[u8], value: Option<&[u8]>) {
        let entry = entry::read(&self.domain, key, value);
        if matches!(entry, Entry::Nothing) {
            return;
        }
        self.forget(key);
        let held = |claim: Box<Claim>| Held {
            offset,
            key: String::from_utf8_lossy(key).into_owned(),
            claim: *claim,
        };
        match entry {
            Entry::Claim(claim) => self.claims.entry(claim.epoch).or_default().push(held(claim)),
            Entry::Foreign(domain, claim) if claim.group == self.group => {
                self.foreign.push((domain, held(claim)));
            }
            // The first word stands: it is the oldest.
            Entry::Destroyed(gone) => drop(self.destroyed.entry(gone.epoch).or_insert(gone)),
            Entry::Unreadable => drop(self.unreadable.insert(key.to_vec(), offset)),
            // A destruction cannot be taken back.
            Entry::Withdrawn | Entry::Foreign(..) | Entry::Nothing => {}
        }
    }

    fn forget(&mut self, key: &[u8]) {
        self.unreadable.remove(key);
        self.foreign.retain(|(_, held)| held.key.as_bytes() != key);
        for held in self.claims.values_mut() {
            held.retain(|held| held.key.as_bytes() != key);
        }
        self.claims.retain(|_, held| !held.is_empty());
    }

    /// Whether nothing of this domain stands there.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.destroyed.is_empty() && self.unreadable.is_empty()
    }

    /// The claim that holds for an epoch.
    pub fn holder(&self, epoch: &EpochId) -> Option<&Held> {
        self.claims.get(epoch)?.first()
    }

    /// Whether, and by whom, an epoch was destroyed.
    pub fn destruction(&self, epoch: &EpochId) -> Option<&Destruction> {
        self.destroyed.get(epoch)
    }

    /// Every claim that was not withdrawn.
    pub fn claims(&self) -> impl Iterator<Item = &Held> {
        self.claims.values().flatten()
    }

    /// Every claim of another domain by our consumer group.
    pub fn foreign(&self) -> impl Iterator<Item = &Held> {
        self.foreign.iter().map(|(_, held)| held)
    }

    /// The other domain that our consumer group belongs to, by its first claim.
    pub fn other_domain(&self) -> Option<Contradiction> {
        let (domain, first) = self.foreign.first()?;
        let earlier = |held: &Held| held.claim.group == self.group && held.offset < first.offset;
        (!self.claims().any(earlier)).then(|| Contradiction::Domain {
            group: self.group.clone(),
            ours: self.domain.clone(),
            theirs: domain.clone(),
            made: first.claim.made.clone(),
        })
    }

    /// Offsets and keys of what cannot be read.
    pub fn unreadable(&self) -> impl Iterator<Item = (i64, &[u8])> {
        self.unreadable
            .iter()
            .map(|(key, offset)| (*offset, key.as_slice()))
    }

    /// Epochs the register knows.
    pub fn epochs(&self) -> impl Iterator<Item = &EpochId> {
        let gone = self.destroyed.keys().filter(|id| !self.claims.contains_key(id));
        self.claims.keys().chain(gone)
    }

    /// What the register says of one epoch.
    pub fn standing(&self, epoch: &Epoch, made_by: &Construction) -> Standing {
        if epoch.status() == Status::Destroyed {
            return Standing::Agreed;
        }
        if let Some(contradiction) = self.other_domain() {
            return Standing::Against(contradiction);
        }
        if let Some(gone) = self.destruction(epoch.id()) {
            return Standing::Against(Contradiction::Destroyed(gone.clone()));
        }
        let Some(held) = self.holder(epoch.id()) else {
            return Standing::Unclaimed;
        };
        difference(&held.claim, epoch, made_by).map_or(Standing::Agreed, |of| {
            Standing::Against(Contradiction::Differs(Box::new(held.claim.clone()), of))
        })
    }

    /// Claimed epochs that the keyring does not know, although another key of it covers their time.
    pub fn strangers(&self, keyring: &[Epoch]) -> Vec<&Claim> {
        let known = |id: &EpochId| keyring.iter().any(|epoch| epoch.id() == id);
        let first = keyring.first().map(Epoch::activate_at);
        let holders = self.claims.iter().filter(|(id, _)| !known(id));
        holders
            .filter_map(|(_, held)| held.first())
            .map(|held| &held.claim)
            .filter(|claim| first.is_some_and(|first| claim.activate_at > first))
            .collect()
    }

    /// Tombstones of the keyring of which the register was not told.
    pub fn untold(&self, keyring: &[Epoch]) -> Vec<EpochId> {
        let untold =
            |epoch: &&Epoch| epoch.status() == Status::Destroyed && self.destruction(epoch.id()).is_none();
        let epochs = keyring.iter().filter(untold);
        epochs.map(|epoch| *epoch.id()).collect()
    }

    /// Everything in which keyring and register contradict each other; empty when the keyring may be used.
    pub fn contradictions(&self, keyring: &[Epoch], made_by: &Construction) -> Vec<Contradiction> {
        if let Some(contradiction) = self.other_domain() {
            return vec![contradiction];
        }
        let unreadable = self
            .unreadable
            .values()
            .map(|offset| Contradiction::Unreadable(*offset));
        let epochs = keyring.iter();
        let against = epochs.filter_map(|epoch| match self.standing(epoch, made_by) {
            Standing::Against(contradiction) => Some(contradiction),
            Standing::Agreed | Standing::Unclaimed => None,
        });
        let strangers = self.strangers(keyring).into_iter().cloned();
        let strangers = strangers.map(|claim| Contradiction::Stranger(Box::new(claim)));
        unreadable.chain(against).chain(strangers).collect()
    }
}

/// In what a claim and an epoch differ that must not. When a window ends is not: a successor may be added.
fn difference(claim: &Claim, epoch: &Epoch, made_by: &Construction) -> Option<Difference> {
    let kcv = epoch.kcv()?;
    if claim.kcv != kcv {
        return Some(Difference::Key(kcv));
    }
    if claim.activate_at != epoch.activate_at() {
        return Some(Difference::Window(epoch.activate_at()));
    }
    if claim.algorithm != made_by.algorithm {
        return Some(Difference::Algorithm(made_by.algorithm));
    }
    (claim.numbers != made_by.numbers).then_some(Difference::Numbers(made_by.numbers))
}

/// What the register says of an epoch of a keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Both say the same.
    Agreed,
    /// Nobody has claimed it yet.
    Unclaimed,
    /// They contradict each other.
    Against(Contradiction),
}

/// A contradiction; says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contradiction {
    /// Another claim holds.
    Differs(Box<Claim>, Difference),
    /// Our consumer group writes another domain's pseudonyms.
    Domain {
        /// `[kafka] group`.
        group: String,
        /// `domain` here.
        ours: String,
        /// And by the register.
        theirs: String,
        /// Who claimed first.
        made: Made,
    },
    /// The register says that the key is destroyed.
    Destroyed(Destruction),
    /// The keyring lacks an epoch that others have.
    Stranger(Box<Claim>),
    /// An entry at this offset cannot be read: whether it contradicts, nobody can tell.
    Unreadable(i64),
}

/// In what an epoch differs from the claim that holds, with the keyring's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Another key.
    Key(Kcv),
    /// Another begin of the window.
    Window(EventTime),
    /// Another construction of pseudonyms.
    Algorithm(&'static str),
    /// Another canonical form of numbers.
    Numbers(&'static str),
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instance \"{}\" at {:.0}", self.instance, self.time)
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(claim, difference) => {
                let (id, by) = (claim.epoch, &claim.made);
                write!(f, "key \"{id}\": ")?;
                match difference {
                    Difference::Key(ours) => write!(
                        f,
                        "kcv is {ours} here, but {} by the register (claimed by {by}): these are the wrong bytes for this id; put the right ones in place, or give the new key a new id",
                        claim.kcv
                    ),
                    Difference::Window(ours) => write!(
                        f,
                        "activate_at is {ours} here, but {0} by the register (kcv {1}, claimed by {by}): put {0} back",
                        claim.activate_at, claim.kcv
                    ),
                    Difference::Algorithm(ours) => {
                        write!(
                            f,
                            "pseudonyms are made by {ours} here, but by {} by the register (claimed by {by}): {OTHER_VERSION}",
                            claim.algorithm
                        )
                    }
                    Difference::Numbers(ours) => {
                        write!(
                            f,
                            "numbers are read by {ours} here, but by {} by the register (claimed by {by}): {OTHER_VERSION}",
                            claim.numbers
                        )
                    }
                }
            }
            Self::Domain {
                group,
                ours,
                theirs,
                made,
            } => write!(
                f,
                "domain is \"{ours}\" here, but \"{theirs}\" by the register for group \"{group}\" (claimed by {made}): put \"{theirs}\" back, or give the new domain a group and outputs of its own"
            ),
            Self::Destroyed(gone) => {
                write!(f, "key \"{}\" is destroyed by the register", gone.epoch)?;
                if let Some(kcv) = gone.kcv {
                    write!(f, " (kcv {kcv})")?;
                }
                if let Some(by) = &gone.made {
                    write!(f, ", told by {by}")?;
                }
                f.write_str(": it cannot come back; delete its material and set status = \"destroyed\"")
            }
            Self::Stranger(claim) => write!(
                f,
                "key \"{}\" (kcv {}, from {}, claimed by {}) is in the register and not in this keyring, which has another key for that time: give this instance the keyring of the others",
                claim.epoch, claim.kcv, claim.activate_at, claim.made
            ),
            Self::Unreadable(offset) => write!(
                f,
                "the entry at offset {offset} cannot be read: it is damaged, or a newer version wrote it; use that version, or `cdrveil keys register --rebuild`"
            ),
        }
    }
}

const OTHER_VERSION: &str = "the same call would get other pseudonyms; run the version the others run, or stop all instances and accept it with `cdrveil keys register --rebuild`";

#[cfg(test)]
mod tests;
