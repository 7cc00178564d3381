//! Columns whose value is itself a row: their fields are cells like any other, spans of the whole row.
//!
//! What is written has the column's own quotes, and as many of the named fields as the value had: kept
//! ones byte for byte, nothing beside them that was not looked at.

use memchr::memchr2;

use crate::cdr::csv::{self, Dialect, Field, Quoting};
use crate::cdr::policy::{Action, Csv, Layout, Nested};
use crate::cdr::transform::Step;
use crate::cdr::transform::csv::CsvScratch;
use crate::cdr::{Reason, Refusal};

/// The columns with fields inside of the row at hand.
#[derive(Default)]
pub(super) struct Inside {
    /// By [`Nested`]: the column, and how many of the named fields its value has.
    columns: Vec<(Field, usize)>,
    /// Fields behind the last one that is named: which column's, their place in it from 0.
    others: Vec<(usize, usize, Field)>,
    split: Vec<Field>,
}

impl Inside {
    pub(super) fn restart(&mut self, columns: usize) {
        self.columns.clear();
        self.columns.resize(columns, (Field::ABSENT, 0));
        self.others.clear();
    }

    /// Splits one column into `cells`, those of its fields.
    pub(super) fn open(
        &mut self,
        row: &[u8],
        nested: &Nested,
        which: usize,
        column: Field,
        cells: &mut [Field],
    ) -> Result<(), Reason> {
        csv::split_within(nested.delimiter, row, column, &mut self.split).map_err(|_| Reason::Format)?;
        let named = cells.len().min(self.split.len());
        let (inside, others) = self.split.split_at(named);
        cells[..named].copy_from_slice(inside);
        self.columns[which] = (column, named);
        let others = others.iter().enumerate();
        self.others
            .extend(others.map(|(at, &field)| (which, named + at, field)));
        Ok(())
    }

    pub(super) fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    pub(super) fn others(&self) -> impl Iterator<Item = (usize, usize, Field)> {
        self.others.iter().copied()
    }
}

impl CsvScratch {
    /// Writes one such column; `place` is that of its plan and part.
    pub(super) fn nested(
        &mut self,
        step: &mut Step<'_>,
        csv: &Csv,
        place: [usize; 2],
        which: usize,
    ) -> Result<(), Refusal> {
        let Layout::Shapes { nested, .. } = &csv.layout else {
            return Ok(());
        };
        let Nested {
            delimiter, fields, ..
        } = &nested[which];
        let (column, named) = self.inside.columns[which];
        let quote = csv.dialect.quote.filter(|_| column.quoting() == Quoting::Quoted);
        step.out.public.extend(quote);
        for (inside, at) in fields.clone().take(named).enumerate() {
            if inside > 0 {
                step.out.public.push(*delimiter);
            }
            if let Action::Keep = step.policy.fields[at].action {
                let kept = self.cells[at].range();
                step.out.public.extend_from_slice(&step.record[kept]);
                continue;
            }
            let start = step.out.public.len();
            self.changed(step, csv.dialect, at)?;
            if !stands_inside(&step.out.public[start..], csv.dialect, *delimiter) {
                return Err(Refusal::at(Reason::Format, at));
            }
            self.seal(step, csv.dialect, place, inside)?;
        }
        step.out.public.extend(quote);
        Ok(())
    }
}

/// Whether a written value stays one field of its column, and the column one of its row.
fn stands_inside(value: &[u8], dialect: Dialect, delimiter: u8) -> bool {
    let quote = dialect.quote.unwrap_or(delimiter);
    let escape = dialect.escape.unwrap_or(delimiter);
    memchr::memchr3(delimiter, quote, escape, value).is_none()
        && memchr::memchr(dialect.delimiter, value).is_none()
        && memchr2(b'\r', b'\n', value).is_none()
}
