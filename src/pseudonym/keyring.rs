//! The keyring: which key a call's time means.
//!
//! Invariant: windows cover everything from the first key on without gap or
//! overlap, so one time has one epoch; an edit cannot change an epoch that
//! records have been written under (`edit`).

mod overlap;
mod withheld;

use std::fmt::{self, Write};

use thiserror::Error;

use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::mac::{EpochKey, FieldMac, Kcv, sha256};
use crate::secret::{Secret, keep_from_swap, leaving_no_trace};

pub use self::overlap::{Beside, Carriers, Overlap, Withheld, after, beside};

/// What the security team says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// In use in its window.
    Enabled,
    /// Known to somebody it should not be: still used in its window, because
    /// joins and replays need it; the successor's window ends it.
    Compromised,
    /// The material is gone; the entry stays as a tombstone.
    Destroyed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Compromised => "compromised",
            Self::Destroyed => "destroyed",
        })
    }
}

/// Where a key stands at a moment, in the words of NIST SP 800-57 part 1, section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its window has not begun.
    PreActive,
    /// Calls of this moment use it.
    Active,
    /// Its window is over: late records and replays use it.
    Deactivated,
    /// Marked compromised.
    Compromised,
    /// Destroyed.
    Destroyed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PreActive => "pre-active",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Compromised => "compromised",
            Self::Destroyed => "destroyed",
        })
    }
}

/// One entry as it was read, before it is checked against the others.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// Name of the epoch.
    pub id: EpochId,
    /// First event time of its window.
    pub activate_at: EventTime,
    /// What the security team says of it.
    pub status: Status,
    /// The key check value written down for it; checked against the key.
    pub kcv: Option<Kcv>,
    /// The key; absent only when destroyed.
    pub key: Option<EpochKey>,
}

impl KeyEntry {
    fn mark(&self) -> Option<Secret<[u8; 32]>> {
        self.key.as_ref().map(EpochKey::mark)
    }
}

/// One epoch of a checked keyring.
#[derive(Debug, Clone)]
pub struct Epoch {
    id: EpochId,
    activate_at: EventTime,
    ends_at: Option<EventTime>,
    status: Status,
    kcv: Option<Kcv>,
    key: Option<EpochKey>,
    /// Something outside the keyring took its key away, perhaps for a while.
    withheld: bool,
}

impl Epoch {
    /// Its name.
    pub fn id(&self) -> &EpochId {
        &self.id
    }

    /// First event time of its window.
    pub fn activate_at(&self) -> EventTime {
        self.activate_at
    }

    /// First event time after its window: the next epoch's; the last epoch has none.
    pub fn ends_at(&self) -> Option<EventTime> {
        self.ends_at
    }

    /// What the security team says of it.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Its key check value; a destroyed key may have none left.
    pub fn kcv(&self) -> Option<Kcv> {
        self.kcv
    }

    pub(super) fn key(&self) -> Option<&EpochKey> {
        self.key.as_ref()
    }

    /// Where it stands at `now`.
    pub fn state(&self, now: EventTime) -> State {
        match self.status {
            Status::Destroyed => State::Destroyed,
            Status::Compromised => State::Compromised,
            Status::Enabled if now < self.activate_at => State::PreActive,
            Status::Enabled if self.ends_at.is_none_or(|end| now < end) => State::Active,
            Status::Enabled => State::Deactivated,
        }
    }
}

/// Place of an epoch in [`Keyring::epochs`]; means nothing for another keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochIndex(pub usize);

/// Why a time has no key: the record is rejected, no other key is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochGap {
    /// Before the first key's window.
    TooOld,
    /// Its key was destroyed.
    Destroyed,
}

/// Checked epochs in order of time.
#[derive(Debug, Clone)]
pub struct Keyring {
    epochs: Vec<Epoch>,
    overlap: Overlap,
}

impl Keyring {
    /// Orders the entries by time and checks them against each other. There is no overlap.
    ///
    /// # Errors
    ///
    /// The first fault found; see [`KeyringFault`].
    pub fn new(entries: Vec<KeyEntry>) -> Result<Self, KeyringError> {
        match faults(&entries).into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(Self {
                epochs: windows(entries),
                overlap: Overlap::default(),
            }),
        }
    }

    /// The epoch whose window holds this time.
    ///
    /// # Errors
    ///
    /// [`EpochGap`]: the record of this time has to be rejected.
    #[inline]
    pub fn epoch_at(&self, time: EventTime) -> Result<EpochIndex, EpochGap> {
        let after = self.epochs.partition_point(|epoch| epoch.activate_at <= time);
        let index = after.checked_sub(1).ok_or(EpochGap::TooOld)?;
        match self.epochs[index].status {
            Status::Destroyed => Err(EpochGap::Destroyed),
            Status::Enabled | Status::Compromised => Ok(EpochIndex(index)),
        }
    }

    /// All epochs, the earliest first.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The epoch at this place.
    pub fn epoch(&self, index: EpochIndex) -> &Epoch {
        &self.epochs[index.0]
    }

    /// 16 hex digits over ids, windows, key check values, statuses and the overlap, where there is one: equal on
    /// instances that agree. Tells nothing about the keys.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.epochs, self.overlap)
    }
}

/// As [`Keyring::fingerprint`], of epochs that were only read: the same, as long as the key
/// check values written down are the keys'.
pub fn fingerprint(epochs: &[Epoch], overlap: Overlap) -> String {
    let line = |epoch: &Epoch| {
        let kcv = epoch.kcv.map_or_else(|| "-".to_owned(), |kcv| kcv.to_string());
        let start = epoch.activate_at.as_millis();
        format!("{} {start} {kcv} {}\n", epoch.id, epoch.status)
    };
    let mut text: String = epochs.iter().map(line).collect();
    if overlap.carriers().any() {
        let length = overlap.public.map_or(0, |length| length.as_millis());
        let _ = writeln!(text, "[epochs] {length} {}", overlap.sealed);
    }
    data_encoding::HEXLOWER.encode(&sha256(text.as_bytes())[..8])
}

/// A fault of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct KeyringError {
    /// Place of the entry among those given, from 0.
    pub entry: usize,
    /// What is wrong with it.
    pub fault: KeyringFault,
}

/// What is wrong with an entry; says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyringFault {
    /// There is no entry.
    #[error("no key: make one with `cdrveil keys new`")]
    Empty,
    /// Two entries have one id.
    #[error("id \"{0}\" is used twice: an id names one key for ever, choose another")]
    DuplicateId(EpochId),
    /// Two windows begin together.
    #[error("\"{0}\" begins at {2} as \"{1}\" does: one time must mean one key")]
    SameStart(EpochId, EpochId, EventTime),
    /// A key that is not destroyed has no material.
    #[error("\"{0}\" has no material: name it, or set status = \"destroyed\"")]
    NoMaterial(EpochId),
    /// The material is not the one whose check value was written down.
    #[error(
        "\"{0}\": kcv is {2} but {1} is written here: these are the wrong bytes for this id, put the right ones in place"
    )]
    KcvMismatch(EpochId, Kcv, Kcv),
    /// Two ids have one key.
    #[error(
        "\"{0}\" has the same material as \"{1}\": every epoch needs its own key, make one with `cdrveil keys new`"
    )]
    SameMaterial(EpochId, EpochId),
}

/// Every fault of the entries, in their order; empty when they make a keyring.
pub(crate) fn faults(entries: &[KeyEntry]) -> Vec<KeyringError> {
    if entries.is_empty() {
        return vec![KeyringError {
            entry: 0,
            fault: KeyringFault::Empty,
        }];
    }
    let mut found = Vec::new();
    // Made once for each key: every key is compared with every other.
    let marked = |entry| (entry, KeyEntry::mark(entry));
    let marked: Vec<_> = entries.iter().map(marked).collect();
    for (at, entry) in entries.iter().enumerate() {
        let faults = own_faults(entry)
            .into_iter()
            .chain(shared_faults(&marked[at], &marked[..at]));
        found.extend(faults.map(|fault| KeyringError { entry: at, fault }));
    }
    found
}

/// What is wrong with an entry on its own.
pub(crate) fn own_faults(entry: &KeyEntry) -> Option<KeyringFault> {
    match (&entry.key, entry.kcv) {
        (None, _) if entry.status != Status::Destroyed => Some(KeyringFault::NoMaterial(entry.id)),
        (Some(key), Some(stated)) if key.kcv() != stated => {
            Some(KeyringFault::KcvMismatch(entry.id, stated, key.kcv()))
        }
        _ => None,
    }
}

type Marked<'a> = (&'a KeyEntry, Option<Secret<[u8; 32]>>);

fn shared_faults((entry, mark): &Marked<'_>, earlier: &[Marked<'_>]) -> Vec<KeyringFault> {
    let mut found = Vec::new();
    for (other, same) in earlier {
        if other.id == entry.id {
            found.push(KeyringFault::DuplicateId(entry.id));
        }
        if other.activate_at == entry.activate_at {
            found.push(KeyringFault::SameStart(entry.id, other.id, entry.activate_at));
        }
        if let (Some(mark), Some(same)) = (mark, same)
            && mark.expose() == same.expose()
        {
            found.push(KeyringFault::SameMaterial(entry.id, other.id));
        }
    }
    found
}

/// The epochs of entries that need not make a keyring, by time: for lists, never for records.
pub fn outline(entries: Vec<KeyEntry>) -> Vec<Epoch> {
    windows(entries)
}

fn windows(mut entries: Vec<KeyEntry>) -> Vec<Epoch> {
    entries.sort_by_key(|entry| entry.activate_at);
    let mut ends: Vec<_> = entries
        .iter()
        .skip(1)
        .map(|entry| Some(entry.activate_at))
        .collect();
    ends.push(None);
    let epochs = entries.into_iter().zip(ends);
    epochs
        .map(|(entry, ends_at)| Epoch {
            id: entry.id,
            activate_at: entry.activate_at,
            ends_at,
            status: entry.status,
            kcv: entry.key.as_ref().map(EpochKey::kcv).or(entry.kcv),
            key: entry.key.filter(|_| entry.status != Status::Destroyed),
            withheld: false,
        })
        .collect()
}

/// The keyed MACs of one domain: one per epoch and kind of identifier.
///
/// Computed once per keyring, and shared by the lanes: many epochs take milliseconds.
#[derive(Debug)]
pub struct FieldMacs {
    kinds: usize,
    /// Epoch by epoch, in each the kinds in the order given.
    macs: Vec<Option<FieldMac>>,
}

impl FieldMacs {
    /// Keys every kind under every epoch of the keyring.
    pub fn new(keyring: &Keyring, domain: &str, kinds: &[&str]) -> Self {
        // Never grown: what a Vec has grown out of is freed, and not wiped. Nor do the stack's bytes stay: whichever
        // thread this is, it may wait for a long time afterwards.
        let mut macs = Vec::with_capacity(keyring.epochs.len() * kinds.len());
        leaving_no_trace(|| {
            for epoch in &keyring.epochs {
                let mac = |kind: &&str| epoch.key().map(|key| FieldMac::new(key, domain, kind));
                macs.extend(kinds.iter().map(mac));
            }
        });
        keep_from_swap(&macs);
        Self {
            kinds: kinds.len(),
            macs,
        }
    }

    /// The MAC of the `kind`-th kind given to [`FieldMacs::new`], under an epoch of the same keyring.
    ///
    /// `None` for a destroyed epoch and for places that do not exist: the
    /// record is to be rejected.
    #[inline]
    pub fn mac(&self, epoch: EpochIndex, kind: usize) -> Option<&FieldMac> {
        if kind >= self.kinds {
            return None;
        }
        self.macs.get(epoch.0 * self.kinds + kind)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> EventTime {
        EventTime::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn entry(id: &str, activate_at: &str, material: u8) -> KeyEntry {
        KeyEntry {
            id: id.parse().unwrap(),
            activate_at: time(activate_at),
            status: Status::Enabled,
            kcv: None,
            key: EpochKey::new(vec![material; 32]).ok(),
        }
    }

    fn october_to_december() -> Vec<KeyEntry> {
        vec![
            entry("2026-12", "2026-12-01T00:00:00Z", 12),
            entry("2026-10", "2026-10-01T00:00:00Z", 10),
            entry("2026-11", "2026-11-01T00:00:00+01:00", 11),
        ]
    }

    fn destroyed(mut entry: KeyEntry) -> KeyEntry {
        entry.status = Status::Destroyed;
        entry.key = None;
        entry
    }

    #[test]
    fn a_time_means_the_key_whose_window_holds_it() {
        let mut entries = october_to_december();
        entries[2].status = Status::Compromised;
        let keyring = Keyring::new(entries).unwrap();
        let ids: Vec<_> = keyring.epochs().iter().map(|epoch| epoch.id().as_str()).collect();
        assert_eq!(ids, ["2026-10", "2026-11", "2026-12"]);
        for (at, epoch) in [
            ("1970-01-01T00:00:00Z", Err(EpochGap::TooOld)),
            ("2026-09-30T23:59:59.999Z", Err(EpochGap::TooOld)),
            ("2026-10-01T00:00:00Z", Ok(0)),
            ("2026-10-31T22:59:59.999Z", Ok(0)),
            ("2026-10-31T23:00:00Z", Ok(1)),
            ("2026-11-30T23:59:59.999Z", Ok(1)),
            ("2026-12-01T00:00:00Z", Ok(2)),
            ("2999-01-01T00:00:00Z", Ok(2)),
        ] {
            assert_eq!(keyring.epoch_at(time(at)), epoch.map(EpochIndex), "{at}");
        }
        assert_eq!(
            keyring.epoch(EpochIndex(1)).ends_at(),
            Some(time("2026-12-01T00:00:00Z"))
        );
        assert_eq!(keyring.epoch(EpochIndex(2)).ends_at(), None);
    }

    #[test]
    fn a_destroyed_key_leaves_a_gap_that_no_other_key_fills() {
        let mut entries = october_to_december();
        entries[2] = destroyed(entries[2].clone());
        let keyring = Keyring::new(entries).unwrap();
        assert_eq!(
            keyring.epoch_at(time("2026-11-15T00:00:00Z")),
            Err(EpochGap::Destroyed)
        );
        let macs = FieldMacs::new(&keyring, "billing", &["phone", "imsi"]);
        assert!(macs.mac(EpochIndex(1), 0).is_none());
        assert!(macs.mac(EpochIndex(0), 1).is_some() && macs.mac(EpochIndex(2), 1).is_some());
        assert!(macs.mac(EpochIndex(0), 2).is_none() && macs.mac(EpochIndex(3), 0).is_none());
    }

    #[test]
    fn the_macs_are_those_of_epoch_and_kind() {
        let keyring = Keyring::new(october_to_december()).unwrap();
        let macs = FieldMacs::new(&keyring, "billing", &["phone", "imsi"]);
        for (epoch, material) in [(0, 10), (1, 11), (2, 12)] {
            for (kind, name) in ["phone", "imsi"].into_iter().enumerate() {
                let key = EpochKey::new(vec![material; 32]).unwrap();
                let expected = FieldMac::new(&key, "billing", name).domain(b"447700900123");
                let mac = macs.mac(EpochIndex(epoch), kind).unwrap();
                assert_eq!(mac.domain(b"447700900123"), expected);
            }
        }
    }

    #[test]
    fn every_fault_is_named() {
        let cases: [(_, &[(usize, &str)]); 6] = [
            (vec![], &[(0, "no key")]),
            (
                vec![
                    entry("a", "2026-10-01T00:00:00Z", 1),
                    entry("a", "2026-11-01T00:00:00Z", 2),
                ],
                &[(1, "id \"a\" is used twice")],
            ),
            (
                vec![
                    entry("a", "2026-10-01T00:00:00Z", 1),
                    entry("b", "2026-10-01T02:00:00+02:00", 2),
                ],
                &[(1, "\"b\" begins at 2026-10-01T00:00:00Z as \"a\" does")],
            ),
            (
                vec![
                    entry("a", "2026-10-01T00:00:00Z", 1),
                    entry("b", "2026-11-01T00:00:00Z", 1),
                ],
                &[(1, "\"b\" has the same material as \"a\"")],
            ),
            (
                vec![KeyEntry {
                    key: None,
                    ..entry("a", "2026-10-01T00:00:00Z", 1)
                }],
                &[(0, "\"a\" has no material")],
            ),
            (
                vec![
                    KeyEntry {
                        kcv: "00000000".parse().ok(),
                        ..entry("a", "2026-10-01T00:00:00Z", 1)
                    },
                    entry("a", "2026-10-01T00:00:00Z", 1),
                ],
                &[
                    (0, "\"a\": kcv is "),
                    (1, "id \"a\" is used twice"),
                    (1, "\"a\" begins at"),
                    (1, "\"a\" has the same material"),
                ],
            ),
        ];
        for (entries, expected) in cases {
            let found = faults(&entries);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (fault, (entry, message)) in found.iter().zip(expected) {
                assert_eq!(fault.entry, *entry);
                assert!(fault.to_string().starts_with(message), "{fault}");
            }
            assert_eq!(Keyring::new(entries).unwrap_err(), found[0]);
        }
    }

    #[test]
    fn states_are_those_of_sp_800_57() {
        let mut entries = october_to_december();
        let now = time("2026-11-15T00:00:00Z");
        let states = |entries: Vec<KeyEntry>| -> Vec<String> {
            let keyring = Keyring::new(entries).unwrap();
            keyring
                .epochs()
                .iter()
                .map(|epoch| epoch.state(now).to_string())
                .collect()
        };
        assert_eq!(states(entries.clone()), ["deactivated", "active", "pre-active"]);
        entries[0].status = Status::Compromised;
        entries[1] = destroyed(entries[1].clone());
        assert_eq!(states(entries), ["destroyed", "active", "compromised"]);
    }

    #[test]
    fn the_fingerprint_is_over_ids_windows_check_values_and_statuses() {
        let of = |entries: Vec<KeyEntry>| Keyring::new(entries).unwrap().fingerprint();
        let known = of(october_to_december());
        assert_eq!(known.len(), 16);
        let mut other_order = october_to_december();
        other_order.reverse();
        assert_eq!(of(other_order), known);
        let changes: [fn(&mut KeyEntry); 4] = [
            |entry| entry.id = "x".parse().unwrap(),
            |entry| entry.activate_at = time("2026-12-02T00:00:00Z"),
            |entry| entry.status = Status::Compromised,
            |entry| entry.key = EpochKey::new(vec![9; 32]).ok(),
        ];
        for change in changes {
            let mut entries = october_to_december();
            change(&mut entries[0]);
            assert_ne!(of(entries), known);
        }
    }
}
