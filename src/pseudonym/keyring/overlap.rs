//! The overlap: for how long after an epoch's beginning the tokens of the epoch before stand beside its own.
//!
//! Invariant: what stands beside follows from the call's time and the keyring alone, so that late, replayed and
//! concurrent records agree. The record's own epoch never depends on it.

use std::fmt;
use std::time::Duration;

use super::{Epoch, EpochIndex, Keyring, Status};
use crate::pseudonym::epoch::EventTime;

/// What the security team lets stand beside the tokens of a record's own epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overlap {
    /// For how long after an epoch's beginning public records carry the tokens of the epoch before; `None`: never,
    /// and they have no such columns.
    pub public: Option<Duration>,
    /// Whether sealed records carry the tokens of both epochs, whenever the call was.
    pub sealed: bool,
}

impl Overlap {
    /// Which outputs it gives columns or fields.
    pub fn carriers(self) -> Carriers {
        Carriers {
            public: self.public.is_some(),
            sealed: self.sealed,
        }
    }
}

/// In words, for people: `overlap 168h, seal_previous`.
impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.public, self.sealed) {
            (None, false) => f.write_str("none"),
            (None, true) => f.write_str("seal_previous"),
            (Some(length), sealed) => {
                write!(f, "overlap {}", InUnits(length))?;
                f.write_str(if sealed { ", seal_previous" } else { "" })
            }
        }
    }
}

/// As the file may say it: `168h`, `90m`, `1500ms`.
struct InUnits(Duration);

impl fmt::Display for InUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (of_one, unit) = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(of_one, _)| millis.is_multiple_of(*of_one))
            .unwrap_or((1, "ms"));
        write!(f, "{}{unit}", millis / of_one)
    }
}

/// The outputs that carry tokens of the epoch before. This is their shape, so it stays for as long as a daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carriers {
    /// Public records have a column or member for each.
    pub public: bool,
    /// Sealed records have fields for both.
    pub sealed: bool,
}

impl Carriers {
    /// Whether any output does.
    pub fn any(self) -> bool {
        self.public || self.sealed
    }
}

/// The epoch whose tokens stand beside a record's own, by output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beside {
    /// In the public record.
    pub public: Option<EpochIndex>,
    /// In the sealed one.
    pub sealed: Option<EpochIndex>,
}

/// The epoch before has a key that may not be used now: the record is to be rejected as if its own were missing.
/// Written without, it would not be the record that comes of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld;

impl Keyring {
    /// This keyring with another overlap.
    #[must_use]
    pub fn overlapping(self, overlap: Overlap) -> Self {
        Self { overlap, ..self }
    }

    /// Its overlap.
    pub fn overlap(&self) -> Overlap {
        self.overlap
    }

    /// What stands beside the tokens of a call of this time, whose own epoch is known already. Nothing, where there
    /// is no epoch before, where its key is destroyed, and where it is compromised: of such a key no new token is
    /// made.
    ///
    /// # Errors
    ///
    /// [`Withheld`].
    #[inline]
    pub fn beside(&self, epoch: EpochIndex, time: EventTime) -> Result<Beside, Withheld> {
        if self.overlap.carriers().any() {
            beside(&self.epochs, self.overlap, epoch, time)
        } else {
            Ok(Beside::default())
        }
    }

    /// Epochs not over at `now` whose every call has the tokens of the epoch before beside its own: from the first
    /// of them on, rotation separates nothing.
    pub fn overlapped(&self, now: EventTime) -> impl Iterator<Item = &Epoch> {
        let length = self.overlap.public;
        let pairs = self.epochs.windows(2).map(|pair| (&pair[0], &pair[1]));
        let wholly = move |(before, epoch): &(&Epoch, &Epoch)| {
            let ends = epoch.ends_at.filter(|end| *end > now);
            let covered = length
                .zip(ends)
                .is_some_and(|(length, ends)| after(epoch.activate_at, length) >= ends);
            covered && before.status == Status::Enabled && epoch.status != Status::Destroyed
        };
        pairs.filter(wholly).map(|(_, epoch)| epoch)
    }
}

/// As [`Keyring::beside`], of epochs that were only read.
///
/// # Errors
///
/// [`Withheld`].
pub fn beside(
    epochs: &[Epoch],
    overlap: Overlap,
    epoch: EpochIndex,
    time: EventTime,
) -> Result<Beside, Withheld> {
    let within = |length| time < after(epochs[epoch.0].activate_at, length);
    let wanted = Carriers {
        public: overlap.public.is_some_and(within),
        sealed: overlap.sealed,
    };
    let before = epoch.0.checked_sub(1).filter(|_| wanted.any());
    let Some(before) = before else {
        return Ok(Beside::default());
    };
    if epochs[before].withheld {
        return Err(Withheld);
    }
    let usable = epochs[before].status == Status::Enabled;
    let index = usable.then_some(EpochIndex(before));
    Ok(Beside {
        public: index.filter(|_| wanted.public),
        sealed: index.filter(|_| wanted.sealed),
    })
}

/// That much later.
pub fn after(start: EventTime, length: Duration) -> EventTime {
    let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    EventTime::from_millis(start.as_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::super::{EpochGap, KeyEntry};
    use super::*;
    use crate::pseudonym::mac::EpochKey;

    const LENGTH: Overlap = Overlap {
        public: Some(Duration::from_millis(5)),
        sealed: false,
    };

    fn entry(id: &str, from: i64, status: Status) -> KeyEntry {
        KeyEntry {
            id: id.parse().unwrap(),
            activate_at: EventTime::from_millis(from),
            status,
            kcv: None,
            key: EpochKey::new(vec![from as u8; 32]).ok(),
        }
    }

    /// From 10, 20, 30, 40 and 50; the third is compromised, the fourth destroyed.
    fn keyring(overlap: Overlap) -> Keyring {
        let entries = vec![
            entry("a", 10, Status::Enabled),
            entry("b", 20, Status::Enabled),
            entry("c", 30, Status::Compromised),
            entry("d", 40, Status::Destroyed),
            entry("e", 50, Status::Enabled),
        ];
        Keyring::new(entries).unwrap().overlapping(overlap)
    }

    fn ids_beside(keyring: &Keyring, millis: i64) -> Result<[Option<&str>; 2], &'static str> {
        let time = EventTime::from_millis(millis);
        let epoch = keyring.epoch_at(time).map_err(|gap| match gap {
            EpochGap::TooOld => "too old",
            EpochGap::Destroyed => "destroyed",
        })?;
        let beside = keyring.beside(epoch, time).map_err(|Withheld| "withheld")?;
        let id = |index: Option<EpochIndex>| index.map(|index| keyring.epoch(index).id().as_str());
        Ok([id(beside.public), id(beside.sealed)])
    }

    #[test]
    fn what_stands_beside_follows_from_the_call_s_time() {
        let both = Overlap {
            sealed: true,
            ..LENGTH
        };
        let sealed = Overlap { public: None, ..both };
        for (millis, of_length, of_both) in [
            (9, Err("too old"), Err("too old")),
            (10, Ok(None), Ok([None, None])),
            (20, Ok(Some("a")), Ok([Some("a"), Some("a")])),
            (24, Ok(Some("a")), Ok([Some("a"), Some("a")])),
            (25, Ok(None), Ok([None, Some("a")])),
            (29, Ok(None), Ok([None, Some("a")])),
            (30, Ok(Some("b")), Ok([Some("b"), Some("b")])),
            (40, Err("destroyed"), Err("destroyed")),
            (50, Ok(None), Ok([None, None])),
        ] {
            let only = |public: Option<&'static str>| [public, None];
            assert_eq!(
                ids_beside(&keyring(LENGTH), millis),
                of_length.map(only),
                "{millis}"
            );
            assert_eq!(ids_beside(&keyring(both), millis), of_both, "{millis}");
            let alone = of_both.map(|[_, sealed]| [None, sealed]);
            assert_eq!(ids_beside(&keyring(sealed), millis), alone, "{millis}");
            let none = of_both.map(|_| [None, None]);
            assert_eq!(ids_beside(&keyring(Overlap::default()), millis), none, "{millis}");
        }
    }

    #[test]
    fn no_new_token_is_made_of_a_compromised_key() {
        let entries = vec![
            entry("a", 10, Status::Compromised),
            entry("b", 20, Status::Enabled),
        ];
        let overlap = Overlap {
            sealed: true,
            ..LENGTH
        };
        let keyring = Keyring::new(entries).unwrap().overlapping(overlap);
        assert_eq!(ids_beside(&keyring, 20), Ok([None, None]));
    }

    #[test]
    fn a_withheld_epoch_before_rejects_what_would_show_it_and_nothing_else() {
        let strange = [("x".parse().unwrap(), EventTime::from_millis(15))];
        for (overlap, millis, expected) in [
            (LENGTH, 24, Err("withheld")),
            (LENGTH, 25, Ok([None, None])),
            (LENGTH, 30, Ok([Some("b"), None])),
            (LENGTH, 50, Ok([None, None])),
            (
                Overlap {
                    sealed: true,
                    public: None,
                },
                25,
                Err("withheld"),
            ),
            (Overlap::default(), 20, Ok([None, None])),
        ] {
            let less = keyring(overlap).withholding(|epoch| matches!(epoch.id().as_str(), "a" | "d"), &[]);
            assert_eq!(ids_beside(&less, millis), expected, "{overlap} {millis}");
            // The epoch that only the register knows is the one before, whatever it was.
            let strange = keyring(overlap).withholding(|_| false, &strange);
            assert_eq!(ids_beside(&strange, millis), expected, "{overlap} {millis}");
        }
    }

    #[test]
    fn an_overlap_as_long_as_an_epoch_is_told_until_that_is_over() {
        let ids = |overlap, now| -> Vec<String> {
            let keyring = keyring(overlap);
            let found = keyring.overlapped(EventTime::from_millis(now));
            found.map(|epoch| epoch.id().to_string()).collect()
        };
        let long = |millis| Overlap {
            public: Some(Duration::from_millis(millis)),
            sealed: false,
        };
        assert_eq!(ids(long(9), 0), [""; 0]);
        assert_eq!(ids(long(10), 0), ["b", "c"]);
        assert_eq!(ids(long(10), 30), ["c"]);
        assert_eq!(ids(Overlap::default(), 0), [""; 0]);
        assert_eq!(
            ids(
                Overlap {
                    public: Some(Duration::MAX),
                    sealed: true
                },
                0
            ),
            ["b", "c"]
        );
    }

    #[test]
    fn the_fingerprint_tells_overlaps_apart_and_knows_nothing_of_none() {
        let of = |overlap| keyring(overlap).fingerprint();
        let plain = keyring(Overlap::default());
        assert_eq!(
            plain.fingerprint(),
            super::super::fingerprint(plain.epochs(), Overlap::default())
        );
        let sealed = Overlap {
            sealed: true,
            public: None,
        };
        let longer = Overlap {
            public: Some(Duration::from_millis(6)),
            sealed: false,
        };
        let both = Overlap {
            sealed: true,
            ..LENGTH
        };
        let prints = [Overlap::default(), LENGTH, longer, sealed, both].map(of);
        for (at, print) in prints.iter().enumerate() {
            assert!(!prints[..at].contains(print), "{at}");
        }
        assert_eq!(
            keyring(LENGTH).withholding(|_| false, &[]).fingerprint(),
            prints[1]
        );
    }

    #[test]
    fn an_overlap_in_words() {
        for (millis, sealed, shown) in [
            (None, false, "none"),
            (None, true, "seal_previous"),
            (Some(604_800_000), false, "overlap 168h"),
            (Some(90 * 60_000), true, "overlap 90m, seal_previous"),
            (Some(1_500), false, "overlap 1500ms"),
            (Some(30_000), false, "overlap 30s"),
        ] {
            let public = millis.map(Duration::from_millis);
            assert_eq!(Overlap { public, sealed }.to_string(), shown);
        }
    }
}
