//! Tokens of the epoch before: beside a nested member in its own object, appended for the record's own members, and
//! both epochs' for the restricted record.
//!
//! They are there with their member, and blank where nothing stands beside a record's own tokens. They hold tokens
//! only, so the egress guard looks at them no more than at other tokens.

use crate::cdr::policy::{Action, Carried, Policy, Pseudonymise, Scope};
use crate::cdr::transform::Step;
use crate::cdr::transform::json::{JsonScratch, Quotes, index};
use crate::cdr::transform::pseudonyms::Identity;
use crate::cdr::{Reason, Refusal};
use crate::pseudonym::keyring::EpochIndex;
use crate::seal::fields::{self, FieldKind};

impl JsonScratch {
    /// Those of a nested member, right behind its derived values.
    pub(super) fn previous_siblings(
        &mut self,
        step: &Step<'_>,
        how: &Pseudonymise,
        field: usize,
        at: usize,
        served: Identity,
    ) -> Result<(), Reason> {
        if !step.policy.previous.public {
            return Ok(());
        }
        let (member, identity) = (self.members[at], self.identities[at]);
        for carried in Policy::carried(&step.policy.fields[field]) {
            self.written.clear();
            if let Some(epoch) = step.pseudonyms.beside().public {
                self.under(step, epoch, how, [identity, served], carried)?;
            }
            self.keep_sibling(step, &member, carried.previous());
        }
        Ok(())
    }

    /// Those of the record's own members, in the policy's order; then what is sealed, in the record's.
    pub(super) fn previous(&mut self, step: &mut Step<'_>) -> Result<(), Refusal> {
        let policy = step.policy;
        if policy.previous.public {
            for (at, field) in policy.fields.iter().enumerate() {
                if let Action::Pseudonymise(how) = &field.action
                    && !field.nested
                {
                    self.append_previous(step, how, at)
                        .map_err(|reason| Refusal::at(reason, at))?;
                }
            }
        }
        if policy.previous.sealed {
            for place in 0..self.members.len() {
                if let Some(at) = index(&self.members[place])
                    && let Action::Pseudonymise(how) = &policy.fields[at].action
                {
                    self.seal_tokens(step, how, at, place)
                        .map_err(|reason| Refusal::at(reason, at))?;
                }
            }
        }
        Ok(())
    }

    fn append_previous(&mut self, step: &Step<'_>, how: &Pseudonymise, at: usize) -> Result<(), Reason> {
        let Some(place) = self.members.iter().position(|member| index(member) == Some(at)) else {
            return Ok(());
        };
        let identities = [self.identities[place], self.served(how)];
        for carried in Policy::carried(&step.policy.fields[at]) {
            self.written.clear();
            if let Some(epoch) = step.pseudonyms.beside().public {
                self.under(step, epoch, how, identities, carried)?;
            }
            self.keep_appended(step, at, carried.previous());
        }
        Ok(())
    }

    fn seal_tokens(
        &mut self,
        step: &mut Step<'_>,
        how: &Pseudonymise,
        at: usize,
        place: usize,
    ) -> Result<(), Reason> {
        let field = &step.policy.fields[at];
        let identities = [self.identities[place], self.served(how)];
        for carried in Policy::carried(field) {
            let own = (Some(step.pseudonyms.epoch()), carried.own());
            let previous = (step.pseudonyms.beside().sealed, carried.previous());
            for (epoch, word) in [own, previous] {
                let Some(epoch) = epoch else { continue };
                self.written.clear();
                self.under(step, epoch, how, identities, carried)?;
                if self.written.is_empty() {
                    continue;
                }
                self.name.clear();
                for part in [&field.plain, "_", word] {
                    self.name.push_str(part);
                }
                let text = self.keep_written(Quotes::Yes);
                let restricted = &mut step.out.restricted;
                fields::write_field(restricted, FieldKind::Json, &self.name, &self.arena[text])
                    .map_err(|_| Reason::TooLarge)?;
            }
        }
        Ok(())
    }

    /// Writes the token of this epoch; nothing, where there is none. The second identity is the served party's.
    fn under(
        &mut self,
        step: &Step<'_>,
        epoch: EpochIndex,
        how: &Pseudonymise,
        [identity, served]: [Identity; 2],
        carried: Carried,
    ) -> Result<(), Reason> {
        let (pseudonyms, out) = (&*step.pseudonyms, &mut self.written);
        match carried {
            Carried::Value => pseudonyms.token(epoch, how, identity, served, step.origin.record_id, out),
            Carried::Payer => {
                pseudonyms.payer(epoch, identity, out);
                Ok(())
            }
        }
    }

    /// The other party of the field's pair, where it has one.
    pub(super) fn served(&self, how: &Pseudonymise) -> Identity {
        match how.scope {
            Scope::Pairwise { with } => self.identity_of(with),
            Scope::Domain | Scope::Record => Identity::Empty,
        }
    }
}
