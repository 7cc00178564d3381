//! Tokens of the epoch before: behind the last column, and both epochs' for the restricted record.
//!
//! The columns are there in every row, and blank where nothing stands beside a record's own tokens. They hold
//! tokens and a policy's own separators only, so the egress guard looks at them no more than at other tokens.

use crate::cdr::csv::{self, Dialect};
use crate::cdr::policy::{Action, Carried, Policy, Pseudonymise};
use crate::cdr::transform::Step;
use crate::cdr::transform::csv::{CsvScratch, Sealed};
use crate::cdr::{Reason, Refusal};
use crate::pseudonym::keyring::EpochIndex;
use crate::seal::fields::{FieldHead, FieldKind};

/// One token that is written under the epoch before as well.
pub(super) struct Again {
    /// The field.
    at: usize,
    carried: Carried,
    /// Under which names the restricted record has it: of the record's own epoch, and of the one before.
    sealed: [Sealed; 2],
}

/// Those of one field.
pub(super) fn again(policy: &Policy, at: usize) -> impl Iterator<Item = Again> {
    let field = &policy.fields[at];
    let head = move |word: &str| {
        if !policy.previous.sealed {
            return Sealed::No;
        }
        let name = format!("{}_{word}", field.plain);
        FieldHead::new(FieldKind::Csv, &name).map_or(Sealed::Never, Sealed::Under)
    };
    Policy::carried(field).map(move |carried| Again {
        at,
        carried,
        sealed: [head(carried.own()), head(carried.previous())],
    })
}

impl CsvScratch {
    pub(super) fn previous(
        &mut self,
        step: &mut Step<'_>,
        dialect: Dialect,
        plan: usize,
    ) -> Result<(), Refusal> {
        let (carriers, beside) = (step.policy.previous, step.pseudonyms.beside());
        for place in 0..self.plans[plan].again.len() {
            let Again { at, carried, .. } = self.plans[plan].again[place];
            if carriers.public {
                step.out.public.push(dialect.delimiter);
                if let Some(epoch) = beside.public {
                    self.under(step, dialect, epoch, at, carried)?;
                    self.place(step, dialect, at)?;
                }
            }
            if carriers.sealed {
                let epochs = [Some(step.pseudonyms.epoch()), beside.sealed];
                for (which, epoch) in epochs.into_iter().enumerate() {
                    let Some(epoch) = epoch else { continue };
                    self.under(step, dialect, epoch, at, carried)?;
                    self.seal_token(step, [plan, place, which], at)?;
                }
            }
        }
        Ok(())
    }

    /// Writes a field's token of this epoch; nothing, where it has none.
    fn under(
        &mut self,
        step: &mut Step<'_>,
        dialect: Dialect,
        epoch: EpochIndex,
        at: usize,
        carried: Carried,
    ) -> Result<(), Refusal> {
        self.written.clear();
        let Action::Pseudonymise(how) = &step.policy.fields[at].action else {
            return Ok(());
        };
        let done = match carried {
            Carried::Payer => {
                step.pseudonyms
                    .payer(epoch, self.identities[at], &mut self.written);
                Ok(())
            }
            Carried::Value if how.separators.is_empty() => step.pseudonyms.token(
                epoch,
                how,
                self.identities[at],
                self.served(how),
                step.origin.record_id,
                &mut self.written,
            ),
            Carried::Value => self.several_under(step, dialect, epoch, how, at),
        };
        done.map_err(|reason| Refusal::at(reason, at))
    }

    /// The same of a value that holds several, between its separators; nothing, where none of them has a token.
    fn several_under(
        &mut self,
        step: &mut Step<'_>,
        dialect: Dialect,
        epoch: EpochIndex,
        how: &Pseudonymise,
        at: usize,
    ) -> Result<(), Reason> {
        let served = self.served(how);
        let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
        let (mut end, mut tokens) = (0, false);
        for (_, identity, range) in self.elements.iter().filter(|(field, ..)| *field == at) {
            self.written.extend_from_slice(&value[end..range.start]);
            let before = self.written.len();
            step.pseudonyms.token(
                epoch,
                how,
                *identity,
                served,
                step.origin.record_id,
                &mut self.written,
            )?;
            tokens |= self.written.len() > before;
            end = range.end;
        }
        self.written.extend_from_slice(&value[end..]);
        if !tokens {
            self.written.clear();
        }
        Ok(())
    }

    fn seal_token(
        &self,
        step: &mut Step<'_>,
        [plan, place, which]: [usize; 3],
        at: usize,
    ) -> Result<(), Refusal> {
        match &self.plans[plan].again[place].sealed[which] {
            _ if self.written.is_empty() => Ok(()),
            Sealed::Under(head) => head
                .write(&mut step.out.restricted, &self.written)
                .map_err(|_| Refusal::at(Reason::TooLarge, at)),
            Sealed::No | Sealed::Never => Err(Refusal::at(Reason::TooLarge, at)),
        }
    }
}
