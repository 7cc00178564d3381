//! Which edits of a running keyring are taken.
//!
//! Invariant: no edit changes the pseudonyms of records already written: what
//! has begun stays, ids are never used again, what is destroyed stays destroyed.
//! None changes the shape of what is written either: its readers run, too.

use thiserror::Error;

use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::{Epoch, Keyring, Overlap, Status};
use crate::pseudonym::mac::Kcv;

impl Keyring {
    /// Whether `next` may replace this keyring while records are written.
    ///
    /// `now` is the latest event time that may already have been used: the
    /// clock, plus how far ahead of it a call's time may lie.
    ///
    /// # Errors
    ///
    /// [`EditRefused`] when an epoch that has begun would be removed, moved or
    /// get another key, a new one would begin in the past, or a destroyed one
    /// would come back; and when the overlap is turned on or off.
    pub fn allows_edit(&self, next: &Self, now: EventTime) -> Result<(), EditRefused> {
        let refused = refusals(self.epochs(), next.epochs(), now).into_iter();
        match refused.chain(reshaped(self.overlap(), next.overlap())).next() {
            Some(refused) => Err(refused),
            None => Ok(()),
        }
    }
}

/// Every reason for which [`Keyring::allows_edit`] would refuse; of epochs without their keys by their check values.
pub fn refusals(running: &[Epoch], next: &[Epoch], now: EventTime) -> Vec<EditRefused> {
    let mut found = Vec::new();
    for old in running {
        match next.iter().find(|epoch| epoch.id() == old.id()) {
            Some(new) => found.extend(allows_change(old, new, now).err()),
            None if old.status() == Status::Destroyed => {
                found.push(EditRefused::TombstoneRemoved(*old.id()));
            }
            None if old.activate_at() <= now => found.push(EditRefused::Removed(*old.id())),
            None => {}
        }
    }
    let known = |id: EpochId| running.iter().any(|epoch| *epoch.id() == id);
    let inserted = next
        .iter()
        .filter(|new| new.activate_at() <= now && !known(*new.id()));
    found.extend(inserted.map(|new| EditRefused::InsertedInPast(*new.id(), new.activate_at(), now)));
    found
}

/// What other overlap would change the shape of records. Another length does not: the columns are there.
pub fn reshaped(running: Overlap, next: Overlap) -> Vec<EditRefused> {
    let (running, next) = (running.carriers(), next.carriers());
    let turned = |running: bool, next: bool| match (running, next) {
        (false, true) => Some("on"),
        (true, false) => Some("off"),
        _ => None,
    };
    let public = turned(running.public, next.public).map(EditRefused::Overlap);
    let sealed = turned(running.sealed, next.sealed).map(EditRefused::SealPrevious);
    public.into_iter().chain(sealed).collect()
}

fn allows_change(old: &Epoch, new: &Epoch, now: EventTime) -> Result<(), EditRefused> {
    if old.status() == Status::Destroyed && new.status() != Status::Destroyed {
        return Err(EditRefused::CameBack(*old.id()));
    }
    if let (Some(before), Some(after)) = (old.kcv(), new.kcv())
        && before != after
    {
        return Err(EditRefused::OtherKey(*old.id(), before, after));
    }
    // Equal check values are 32 bits only: the bytes themselves decide.
    if let (Some(before), Some(after)) = (old.key(), new.key())
        && !before.same_material(after)
    {
        return Err(EditRefused::OtherMaterial(*old.id()));
    }
    let moved = old.activate_at() != new.activate_at();
    if moved && (old.activate_at() <= now || new.activate_at() <= now) {
        return Err(EditRefused::Moved(
            *old.id(),
            old.activate_at(),
            new.activate_at(),
        ));
    }
    Ok(())
}

/// Why a keyring edit is not taken while records are written; says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditRefused {
    /// A window that has begun, or would have, was moved.
    #[error(
        "key \"{0}\": activate_at moved from {1} to {2}: records were already written by the old window; put {1} back"
    )]
    Moved(EpochId, EventTime, EventTime),
    /// A new key's window begins where calls may be written already; up to when they may.
    #[error(
        "key \"{0}\" is new and begins at {1}: calls that begin as late as {2} (now and [input] max_future) may be written under another key already; choose an activate_at after that"
    )]
    InsertedInPast(EpochId, EventTime, EventTime),
    /// An id names another key than before.
    #[error("key \"{0}\": kcv was {1} and is {2}: an id is never used again; give the new key a new id")]
    OtherKey(EpochId, Kcv, Kcv),
    /// Another key with the same check value.
    #[error("key \"{0}\": the material changed: an id is never used again; give the new key a new id")]
    OtherMaterial(EpochId),
    /// An epoch that has begun is gone.
    #[error(
        "key \"{0}\" has been in use and is gone: put the entry back, or set status = \"destroyed\" and keep it as a tombstone"
    )]
    Removed(EpochId),
    /// A destroyed epoch is gone.
    #[error(
        "key \"{0}\" is destroyed and its entry is gone: put the tombstone back, it keeps the id from being used again"
    )]
    TombstoneRemoved(EpochId),
    /// A destroyed epoch has a key again.
    #[error("key \"{0}\" is destroyed and cannot come back: set status = \"destroyed\" again")]
    CameBack(EpochId),
    /// Public records would get or lose columns.
    #[error(
        "[epochs] overlap is turned {0}: public records would have other columns while their readers run; put it back, or, when the readers know, stop all instances and start them with this file (docs/keys.md)"
    )]
    Overlap(&'static str),
    /// Sealed records would get or lose fields.
    #[error(
        "[epochs] seal_previous is turned {0}: sealed records would have other fields while their readers run; put it back, or, when the readers know, stop all instances and start them with this file (docs/keys.md)"
    )]
    SealPrevious(&'static str),
}

impl EditRefused {
    /// The epoch it is about, if it is about one.
    pub fn id(&self) -> Option<EpochId> {
        match self {
            Self::Moved(id, ..)
            | Self::InsertedInPast(id, ..)
            | Self::OtherKey(id, ..)
            | Self::OtherMaterial(id)
            | Self::Removed(id)
            | Self::TombstoneRemoved(id)
            | Self::CameBack(id) => Some(*id),
            Self::Overlap(_) | Self::SealPrevious(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pseudonym::keyring::KeyEntry;
    use crate::pseudonym::mac::EpochKey;

    /// Day of November 2026, 00:00Z.
    fn day(day: i64) -> EventTime {
        EventTime::from_millis(1_793_491_200_000 + (day - 1) * 86_400_000)
    }

    fn entry(id: &str, from: i64, material: u8) -> KeyEntry {
        KeyEntry {
            id: id.parse().unwrap(),
            activate_at: day(from),
            status: Status::Enabled,
            kcv: None,
            key: EpochKey::new(vec![material; 32]).ok(),
        }
    }

    fn tombstone(id: &str, from: i64) -> KeyEntry {
        KeyEntry {
            status: Status::Destroyed,
            key: None,
            ..entry(id, from, 0)
        }
    }

    type Edit = fn(&mut Vec<KeyEntry>);

    #[test]
    fn an_edit_is_taken_or_refused_with_what_to_do() {
        let before = || {
            vec![
                tombstone("gone", 1),
                entry("a", 5, 1),
                entry("b", 10, 2),
                entry("next", 20, 3),
            ]
        };
        let cases: [(&str, Edit, &str); 17] = [
            ("nothing", |_| {}, ""),
            ("a later key", |keys| keys.push(entry("z", 30, 9)), ""),
            (
                "a key between now and the next",
                |keys| keys.push(entry("z", 16, 9)),
                "",
            ),
            ("compromised", |keys| keys[1].status = Status::Compromised, ""),
            ("destroyed", |keys| keys[1] = tombstone("a", 5), ""),
            ("a key not yet begun is removed", |keys| drop(keys.pop()), ""),
            (
                "a key not yet begun is put off",
                |keys| keys[3].activate_at = day(25),
                "",
            ),
            (
                "a past start moved",
                |keys| keys[1].activate_at = day(6),
                "key \"a\": activate_at moved from 2026-11-05T00:00:00Z",
            ),
            (
                "a start moved into the past",
                |keys| keys[3].activate_at = day(12),
                "key \"next\": activate_at moved from",
            ),
            (
                "a past start moved into the future",
                |keys| keys[2].activate_at = day(18),
                "key \"b\": activate_at moved from",
            ),
            (
                "a new key in the past",
                |keys| keys.push(entry("z", 12, 9)),
                "key \"z\" is new and begins at 2026-11-12T00:00:00Z: calls that begin as late as 2026-11-15T00:00:00Z",
            ),
            (
                "a new key that begins now",
                |keys| keys.push(entry("z", 15, 9)),
                "key \"z\" is new and begins",
            ),
            (
                "another key under an old id",
                |keys| keys[1].key = EpochKey::new(vec![7; 32]).ok(),
                "key \"a\": kcv was",
            ),
            (
                "another key under an id not yet begun",
                |keys| keys[3].key = EpochKey::new(vec![7; 32]).ok(),
                "key \"next\": kcv was",
            ),
            (
                "a key in use removed",
                |keys| drop(keys.remove(2)),
                "key \"b\" has been in use and is gone",
            ),
            (
                "a tombstone removed",
                |keys| drop(keys.remove(0)),
                "key \"gone\" is destroyed and its entry is gone",
            ),
            (
                "a destroyed key back",
                |keys| keys[0] = entry("gone", 1, 8),
                "key \"gone\" is destroyed and cannot come back",
            ),
        ];
        let running = Keyring::new(before()).unwrap();
        for (name, edit, message) in cases {
            let mut keys = before();
            edit(&mut keys);
            let answer = running.allows_edit(&Keyring::new(keys).unwrap(), day(15));
            match answer {
                Ok(()) => assert_eq!(message, "", "{name}"),
                Err(refused) => {
                    assert!(
                        !message.is_empty() && refused.to_string().starts_with(message),
                        "{name}: {refused}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_overlap_is_not_turned_on_or_off_while_records_are_written() {
        let day = |days: u64| Some(Duration::from_secs(days * 86_400));
        let overlap = |public, sealed| Overlap { public, sealed };
        let keyring = |overlap| Keyring::new(vec![entry("a", 5, 1)]).unwrap().overlapping(overlap);
        for (before, after, message) in [
            (overlap(None, false), overlap(None, false), ""),
            (overlap(day(7), true), overlap(day(3), true), ""),
            (overlap(day(7), false), overlap(day(9), false), ""),
            (
                overlap(None, false),
                overlap(day(7), false),
                "[epochs] overlap is turned on",
            ),
            (
                overlap(day(7), false),
                overlap(None, false),
                "[epochs] overlap is turned off",
            ),
            (
                overlap(None, false),
                overlap(None, true),
                "[epochs] seal_previous is turned on",
            ),
            (
                overlap(day(7), true),
                overlap(day(7), false),
                "[epochs] seal_previous is turned off",
            ),
            (
                overlap(day(7), false),
                overlap(None, true),
                "[epochs] overlap is turned off",
            ),
        ] {
            let answer = keyring(before).allows_edit(&keyring(after), self::day(15));
            let told = answer.err().map_or(String::new(), |refused| refused.to_string());
            assert!(
                told.starts_with(message) && told.is_empty() == message.is_empty(),
                "{before}: {told}"
            );
        }
    }
}
