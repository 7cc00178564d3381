//! Makes the register say what one keyring says, after people have decided that this keyring is right: the topic was
//! deleted, records were processed by a version without a register, or a wrong instance came first.
//!
//! Invariant: a destruction is never taken back.

use std::time::Duration;

use super::{MADE_BY, Register, RegisterError, destruction, withdrawal};
use crate::kafka::append::Entry;
use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::{Epoch, Keyring};
use crate::register::table::{Contradiction, Held, Standing};

/// What a rebuild writes.
#[derive(Debug, Default)]
pub struct Plan {
    /// Epochs claimed.
    pub claimed: Vec<EpochId>,
    /// Epochs told to be destroyed.
    pub destroyed: Vec<EpochId>,
    /// Claims taken back.
    pub withdrawn: Vec<Held>,
    /// Entries taken back that cannot be read: offset and key.
    pub unreadable: Vec<(i64, Vec<u8>)>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.claimed.is_empty()
            && self.destroyed.is_empty()
            && self.withdrawn.is_empty()
            && self.unreadable.is_empty()
    }
}

impl Register {
    /// What [`rebuild`](Self::rebuild) would write.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Refused`]: a destroyed key is in the keyring. The brokers.
    pub fn plan(
        &mut self,
        keyring: &Keyring,
        due: EventTime,
        patience: Duration,
    ) -> Result<Plan, RegisterError> {
        self.read_again(patience)?;
        let standings = keyring
            .epochs()
            .iter()
            .map(|epoch| (epoch, self.table.standing(epoch, &MADE_BY)));
        let mut plan = Plan {
            destroyed: self.table.untold(keyring.epochs()),
            ..Plan::default()
        };
        for (epoch, standing) in standings {
            match standing {
                Standing::Against(contradiction @ Contradiction::Destroyed(_)) => {
                    return Err(RegisterError::Refused {
                        topic: self.place.topic.clone(),
                        contradictions: vec![contradiction],
                    });
                }
                Standing::Against(_) => plan.claimed.push(*epoch.id()),
                Standing::Unclaimed | Standing::Agreed => {}
            }
        }
        plan.claimed
            .extend(self.unclaimed(keyring, due).map(|epoch| *epoch.id()));
        let strangers = self.table.strangers(keyring.epochs());
        let stranger = |held: &&Held| strangers.iter().any(|claim| claim.epoch == held.claim.epoch);
        let replaced = |held: &&Held| plan.claimed.contains(&held.claim.epoch);
        let wrong = self
            .table
            .claims()
            .filter(|held| stranger(held) || replaced(held));
        plan.withdrawn = wrong.cloned().collect();
        if self.table.other_domain().is_some() {
            plan.withdrawn.extend(self.table.foreign().cloned());
        }
        plan.unreadable = self
            .table
            .unreadable()
            .map(|(offset, key)| (offset, key.to_vec()))
            .collect();
        Ok(plan)
    }

    /// Makes the register say what this keyring says: people have decided that it is right.
    ///
    /// # Errors
    ///
    /// The brokers: some of it may be written; plan again.
    pub fn rebuild(
        &mut self,
        keyring: &Keyring,
        plan: &Plan,
        patience: Duration,
    ) -> Result<(), RegisterError> {
        let of = |ids: &[EpochId], epoch: &&Epoch| ids.contains(epoch.id());
        let epochs = || keyring.epochs().iter();
        let mut entries: Vec<Entry> = epochs()
            .filter(|epoch| of(&plan.destroyed, epoch))
            .map(|epoch| destruction(&self.place, *epoch.id(), epoch.kcv()))
            .collect();
        entries.extend(
            epochs()
                .filter(|epoch| of(&plan.claimed, epoch))
                .filter_map(|epoch| self.claim(epoch)),
        );
        // The old ones last: there is no moment without a claim.
        entries.extend(plan.withdrawn.iter().map(|held| withdrawal(held.key.clone())));
        entries.extend(plan.unreadable.iter().filter_map(|(_, key)| {
            let key = String::from_utf8(key.clone()).ok()?;
            Some(withdrawal(key))
        }));
        self.place.append(&entries, patience)?;
        self.read_again(patience)?;
        self.decide(keyring, patience)
    }
}
