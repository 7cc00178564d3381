//! The transform of one CSV row: fields in input order, then each field's
//! derived values, then the record id, so that input positions hold.

use crate::cdr::csv::{self, Dialect, Field};
use crate::cdr::policy::{self, Action, Format, Policy, Pseudonymise, Scope};
use crate::cdr::transform::Step;
use crate::cdr::transform::pseudonyms::Identity;
use crate::cdr::{Reason, Refusal};
use crate::pseudonym::keyring::EpochIndex;
use crate::seal::fields::{FieldHead, FieldKind};

/// Buffers kept from row to row, and what the policy comes to for CSV.
pub(super) struct CsvScratch {
    parts: Vec<Part>,
    /// Fields with an identity, in the policy's order.
    identified: Vec<usize>,
    /// Fields whose bytes are kept, and fields whose value is taken out: for the guard.
    kept: Vec<usize>,
    taken_out: Vec<usize>,
    /// Whether a token or a label can stand in a row without quotes.
    bare_tokens: bool,
    cells: Vec<Field>,
    /// By field; blank where the field has none.
    identities: Vec<Identity>,
    unquoted: Vec<u8>,
    written: Vec<u8>,
}

/// One step through a row's fields.
enum Part {
    /// Kept fields side by side: their bytes and the delimiters between them stay as they are.
    Kept { first: usize, last: usize },
    /// A field that is blanked or replaced.
    Changed { at: usize, sealed: Sealed },
}

/// Whether the field's value goes to the restricted record.
enum Sealed {
    No,
    Under(FieldHead),
    /// The name is too long to be written: no value can be sealed.
    Never,
}

impl CsvScratch {
    pub(super) fn new(policy: &Policy) -> Self {
        let identified = |(at, field): (usize, &policy::Field)| {
            matches!(field.action, Action::Pseudonymise(_)).then_some(at)
        };
        let those = |wanted: fn(&Action) -> bool| {
            let fields = policy.fields.iter().enumerate();
            fields
                .filter_map(|(at, field)| wanted(&field.action).then_some(at))
                .collect()
        };
        Self {
            kept: those(|action| matches!(action, Action::Keep)),
            taken_out: those(|action| !matches!(action, Action::Keep | Action::Coarsen { .. })),
            parts: parts(&policy.fields),
            identified: policy.fields.iter().enumerate().filter_map(identified).collect(),
            bare_tokens: match &policy.format {
                Format::Csv { dialect, .. } => is_bare(*dialect),
                Format::Json { .. } => false,
            },
            cells: Vec::new(),
            identities: vec![Identity::Empty; policy.fields.len()],
            unquoted: Vec::new(),
            written: Vec::new(),
        }
    }

    pub(super) fn record(&mut self, mut step: Step<'_>, dialect: Dialect) -> Result<EpochIndex, Refusal> {
        csv::split(dialect, step.record, &mut self.cells).map_err(|_| Reason::Format)?;
        if self.cells.len() != step.policy.fields.len() {
            return Err(Reason::Columns.into());
        }
        self.begin(&mut step, dialect)?;
        self.identify(&mut step, dialect)?;
        self.fields(&mut step, dialect)?;
        self.appended(&mut step, dialect)?;
        self.guard(&mut step, dialect)?;
        Ok(step.pseudonyms.epoch())
    }

    /// By the first segment's start where the record has one, else by its own.
    fn begin(&mut self, step: &mut Step<'_>, dialect: Dialect) -> Result<(), Refusal> {
        if let Some(first) = step.policy.first_time_field {
            let start = csv::value(dialect, step.record, self.cells[first], &mut self.unquoted);
            if !start.trim_ascii().is_empty() {
                return step.begin(first, start);
            }
        }
        let own = step.policy.time_field;
        let start = csv::value(dialect, step.record, self.cells[own], &mut self.unquoted);
        step.begin(own, start)
    }

    fn identify(&mut self, step: &mut Step<'_>, dialect: Dialect) -> Result<(), Refusal> {
        for &at in &self.identified {
            if let Action::Pseudonymise(how) = &step.policy.fields[at].action {
                let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
                self.identities[at] = step
                    .pseudonyms
                    .read(how, value)
                    .map_err(|reason| Refusal::at(reason, at))?;
            }
        }
        Ok(())
    }

    fn fields(&mut self, step: &mut Step<'_>, dialect: Dialect) -> Result<(), Refusal> {
        for part in 0..self.parts.len() {
            if part > 0 {
                step.out.public.push(dialect.delimiter);
            }
            match self.parts[part] {
                Part::Kept { first, last } => {
                    let bytes = self.cells[first].range().start..self.cells[last].range().end;
                    step.out.public.extend_from_slice(&step.record[bytes]);
                }
                Part::Changed { at, .. } => {
                    self.changed(step, dialect, at)?;
                    self.seal(step, dialect, part)?;
                }
            }
        }
        Ok(())
    }

    fn changed(&mut self, step: &mut Step<'_>, dialect: Dialect, at: usize) -> Result<(), Refusal> {
        let policy = step.policy;
        match &policy.fields[at].action {
            Action::Keep | Action::Restrict | Action::Drop => Ok(()),
            Action::Coarsen { how, .. } => {
                let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
                self.written.clear();
                if !value.trim_ascii().is_empty() && !how.apply(value, &mut self.written) {
                    return Err(Refusal::at(Reason::Number, at));
                }
                step.guard.look(at, &self.written);
                self.place(step, dialect, at)
            }
            Action::Pseudonymise(how) => self.pseudonym(step, dialect, how, at),
        }
    }

    fn seal(&mut self, step: &mut Step<'_>, dialect: Dialect, part: usize) -> Result<(), Refusal> {
        let Part::Changed { at, sealed } = &self.parts[part] else {
            return Ok(());
        };
        if matches!(sealed, Sealed::No) {
            return Ok(());
        }
        let value = csv::value(dialect, step.record, self.cells[*at], &mut self.unquoted);
        match sealed {
            _ if value.is_empty() => Ok(()),
            Sealed::Under(head) => head
                .write(&mut step.out.restricted, value)
                .map_err(|_| Refusal::at(Reason::TooLarge, *at)),
            Sealed::No | Sealed::Never => Err(Refusal::at(Reason::TooLarge, *at)),
        }
    }

    fn pseudonym(
        &mut self,
        step: &mut Step<'_>,
        dialect: Dialect,
        how: &Pseudonymise,
        at: usize,
    ) -> Result<(), Refusal> {
        let served = match how.scope {
            Scope::Pairwise { with } => self.identities[with],
            Scope::Domain | Scope::Record => Identity::Empty,
        };
        let identity = self.identities[at];
        let out = if self.bare_tokens {
            &mut step.out.public
        } else {
            self.written.clear();
            &mut self.written
        };
        let start = out.len();
        step.pseudonyms
            .write(how, identity, served, step.origin.record_id, out)
            .map_err(|reason| Refusal::at(reason, at))?;
        if step.policy.key == Some(at) {
            step.out.key.extend_from_slice(&out[start..]);
        }
        if self.bare_tokens {
            Ok(())
        } else {
            self.place(step, dialect, at)
        }
    }

    /// What was written for one field goes out, in quotes where it must be.
    fn place(&mut self, step: &mut Step<'_>, dialect: Dialect, at: usize) -> Result<(), Refusal> {
        csv::write_value(&mut step.out.public, dialect, &self.written)
            .map_err(|_| Refusal::at(Reason::Format, at))
    }

    fn appended(&mut self, step: &mut Step<'_>, dialect: Dialect) -> Result<(), Refusal> {
        for (at, field) in step.policy.fields.iter().enumerate() {
            let Action::Pseudonymise(how) = &field.action else {
                continue;
            };
            for &derived in &how.derive {
                step.out.public.push(dialect.delimiter);
                self.written.clear();
                step.pseudonyms
                    .derive(self.identities[at], derived, &mut self.written);
                step.guard.look(at, &self.written);
                self.place(step, dialect, at)?;
            }
        }
        if step.policy.record_id.is_some() {
            step.out.public.push(dialect.delimiter);
            csv::write_value(&mut step.out.public, dialect, step.origin.record_id)
                .map_err(|_| Reason::Format)?;
        }
        Ok(())
    }

    fn guard(&mut self, step: &mut Step<'_>, dialect: Dialect) -> Result<(), Refusal> {
        for &at in &self.kept {
            step.guard.look(at, &step.record[self.cells[at].range()]);
        }
        if !step.guard.is_suspicious() {
            return Ok(());
        }
        let policy = step.policy;
        for &at in &self.taken_out {
            let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
            step.taken_out(&policy.fields[at].action, self.identities[at], value);
        }
        step.release()
    }
}

/// Runs of kept fields put together: one copy rather than one each.
fn parts(fields: &[policy::Field]) -> Vec<Part> {
    let mut parts = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        let kept = matches!(field.action, Action::Keep);
        match parts.last_mut() {
            Some(Part::Kept { last, .. }) if kept => *last = at,
            _ if kept => parts.push(Part::Kept { first: at, last: at }),
            _ => parts.push(Part::Changed {
                at,
                sealed: sealed(field),
            }),
        }
    }
    parts
}

fn sealed(field: &policy::Field) -> Sealed {
    if !field.action.restricts() {
        return Sealed::No;
    }
    FieldHead::new(FieldKind::Csv, &field.name).map_or(Sealed::Never, Sealed::Under)
}

/// Whether the dialect gives no meaning to any byte of tokens and labels.
fn is_bare(dialect: Dialect) -> bool {
    let written = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    ![Some(dialect.delimiter), dialect.quote, dialect.comment]
        .into_iter()
        .flatten()
        .any(written)
}
