//! The values of a record's fields, as a policy finds them: for looking at, never for writing.

use crate::cdr::csv::{self, Field};
use crate::cdr::header::HeaderMap;
use crate::cdr::json::{self, Member, Scalar, Scanner};
use crate::cdr::policy::{Column, Format, Layout, Policy};

/// Takes records apart; keeps its memory from one to the next.
#[derive(Default)]
pub(super) struct Reader {
    cells: Vec<Field>,
    scratch: Vec<u8>,
    scanner: Scanner,
    members: Vec<Member>,
}

impl Reader {
    /// Every value of the record that a field of the policy names: the field's index and what it says.
    /// Members without a value (null, objects) are blank.
    pub(super) fn each(
        &mut self,
        policy: &Policy,
        header: &HeaderMap,
        record: &[u8],
        mut f: impl FnMut(usize, &[u8]),
    ) {
        match &policy.format {
            Format::Csv(csv) => {
                if csv::split(csv.dialect, record, &mut self.cells).is_err() {
                    return;
                }
                let own = match &csv.layout {
                    Layout::Shapes { shapes, .. } => shapes.iter().find(|shape| {
                        let when = shape.when.as_ref();
                        when.is_none_or(|when| {
                            when.holds(csv.dialect, record, &self.cells, &mut self.scratch)
                        })
                    }),
                    Layout::Plain | Layout::Named { .. } => None,
                };
                // A row of another length is rejected: its cells stand anywhere.
                let whole = match (&csv.layout, own) {
                    (Layout::Plain, _) => self.cells.len() == policy.fields.len(),
                    (Layout::Shapes { .. }, own) => own.is_some_and(|shape| self.cells.len() >= shape.least),
                    (Layout::Named { .. }, _) => self.cells.len() == header.width(),
                };
                if !whole {
                    return;
                }
                for (column, cell) in self.cells.iter().enumerate() {
                    let field = match &csv.layout {
                        Layout::Plain => Some(column),
                        Layout::Shapes { .. } => own.and_then(|shape| match shape.columns.get(column)? {
                            Column::Field(field) => Some(*field),
                            Column::Nested(_) => None, // too seldom filled to tell one source from another
                        }),
                        Layout::Named { .. } => {
                            header.columns().iter().position(|place| *place == Some(column))
                        }
                    };
                    if let Some(field) = field.filter(|field| *field < policy.fields.len()) {
                        f(field, csv::value(csv.dialect, record, *cell, &mut self.scratch));
                    }
                }
            }
            Format::Json { paths, .. } => {
                if self.scanner.scan(record, paths, &mut self.members).is_err() {
                    return;
                }
                for member in &self.members {
                    let Some(path) = member.path else { continue };
                    let token = &record[member.value()];
                    let value = match json::scalar(token, &mut self.scratch) {
                        Scalar::Text(text) => text,
                        Scalar::Number(_) | Scalar::Bool => token,
                        Scalar::Null | Scalar::Container => b"",
                    };
                    f(path.index(), value);
                }
            }
        }
    }
}
