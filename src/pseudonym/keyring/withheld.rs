//! A keyring in which some windows have no key, for as long as something outside it speaks against them.
//!
//! Invariant: taking a key away never lets another one cover its window.

use super::{Epoch, Keyring, Status};
use crate::pseudonym::epoch::{EpochId, EventTime};

impl Keyring {
    /// This keyring without the keys of some epochs, and with a window without a key for each stranger: records of
    /// those times are rejected, as if the keys were destroyed, and so are those that would carry their tokens.
    #[must_use]
    pub fn withholding(&self, withheld: impl Fn(&Epoch) -> bool, strangers: &[(EpochId, EventTime)]) -> Self {
        let keyless = |epoch: &Epoch| Epoch {
            status: Status::Destroyed,
            key: None,
            // A tombstone of the keyring's own is no news: there is nothing to wait for.
            withheld: epoch.status != Status::Destroyed,
            ..epoch.clone()
        };
        let own = self.epochs.iter().map(|epoch| {
            if withheld(epoch) {
                keyless(epoch)
            } else {
                epoch.clone()
            }
        });
        let strange = strangers.iter().map(|&(id, activate_at)| Epoch {
            id,
            activate_at,
            ends_at: None,
            status: Status::Destroyed,
            kcv: None,
            key: None,
            withheld: true,
        });
        let mut epochs: Vec<Epoch> = own.chain(strange).collect();
        // Stable: of two that begin together the stranger comes last, and the last one's window is the time's.
        epochs.sort_by_key(|epoch| epoch.activate_at);
        for at in 1..epochs.len() {
            epochs[at - 1].ends_at = Some(epochs[at].activate_at);
        }
        Self {
            epochs,
            overlap: self.overlap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EpochGap, EpochIndex, KeyEntry};
    use super::*;
    use crate::pseudonym::mac::EpochKey;

    #[test]
    fn no_other_key_covers_a_window_whose_key_is_withheld() {
        let entry = |id: &str, from: i64, material: u8| KeyEntry {
            id: id.parse().unwrap(),
            activate_at: EventTime::from_millis(from),
            status: Status::Enabled,
            kcv: None,
            key: EpochKey::new(vec![material; 32]).ok(),
        };
        let whole = Keyring::new(vec![entry("a", 10, 1), entry("b", 20, 2), entry("c", 30, 3)]).unwrap();
        let at = |keyring: &Keyring, millis| keyring.epoch_at(EventTime::from_millis(millis));
        let strange = |from| ("x".parse().unwrap(), EventTime::from_millis(from));

        let same = whole.withholding(|_| false, &[]);
        assert_eq!(same.fingerprint(), whole.fingerprint());
        assert_eq!(same.epoch(EpochIndex(2)).ends_at(), None);

        let less = whole.withholding(|epoch| epoch.id().as_str() == "b", &[strange(35)]);
        for (millis, expected) in [
            (9, Err(EpochGap::TooOld)),
            (19, Ok(EpochIndex(0))),
            (20, Err(EpochGap::Destroyed)),
            (29, Err(EpochGap::Destroyed)),
            (34, Ok(EpochIndex(2))),
            (35, Err(EpochGap::Destroyed)),
            (i64::MAX, Err(EpochGap::Destroyed)),
        ] {
            assert_eq!(at(&less, millis), expected, "{millis}");
        }
        assert!(less.epoch(EpochIndex(1)).key().is_none());
        assert_eq!(
            less.epoch(EpochIndex(2)).ends_at(),
            Some(EventTime::from_millis(35))
        );

        let together = whole.withholding(|_| false, &[strange(20)]);
        assert_eq!(at(&together, 25), Err(EpochGap::Destroyed));
    }
}
