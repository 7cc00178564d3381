//! What a header row says: which column holds which of the policy's fields.
//!
//! A column that the policy does not name is never passed on: the rows under
//! such a header are refused, or the column is sealed or left out.

use crate::cdr::Reason;
use crate::cdr::csv::{self, Dialect, Field};
use crate::cdr::policy::{self, Unlisted};

/// The most columns of a header row: names are compared with each other, and a message full of them must not
/// hold up a lane.
const MOST_COLUMNS: usize = 4_096;

/// The columns under the header row read last.
#[derive(Debug, Default)]
pub struct HeaderMap {
    /// That row as it came: the payloads of one source repeat it. Empty behind one that was refused.
    row: Vec<u8>,
    /// By field.
    columns: Vec<Option<usize>>,
    /// Columns that are no field, with the name their values are sealed under.
    unlisted: Vec<(usize, String)>,
    cells: Vec<Field>,
    scratch: Vec<u8>,
}

impl HeaderMap {
    /// Reads a header row.
    ///
    /// # Errors
    ///
    /// Why no row under it can be read.
    pub fn read(
        &mut self,
        dialect: Dialect,
        row: &[u8],
        fields: &[policy::Field],
        optional: &[bool],
        unlisted: Unlisted,
    ) -> Result<(), Reason> {
        if !self.row.is_empty() && self.row == row {
            return Ok(());
        }
        self.row.clear();
        self.unlisted.clear();
        self.columns.clear();
        self.columns.resize(fields.len(), None);
        csv::split(dialect, row, &mut self.cells).map_err(|_| Reason::Format)?;
        if self.cells.len() > MOST_COLUMNS {
            return Err(Reason::Columns);
        }
        for (column, cell) in self.cells.iter().enumerate() {
            let name = csv::value(dialect, row, *cell, &mut self.scratch).trim_ascii();
            match fields.iter().position(|field| field.name.as_bytes() == name) {
                Some(field) if self.columns[field].is_some() => return Err(Reason::Columns),
                Some(field) => self.columns[field] = Some(column),
                None if unlisted == Unlisted::Reject => return Err(Reason::UnknownField),
                None => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    let taken = name.is_empty() || self.unlisted.iter().any(|(_, other)| *other == name);
                    let name = if taken {
                        format!("column_{}", column + 1)
                    } else {
                        name
                    };
                    self.unlisted.push((column, name));
                }
            }
        }
        let missing = |(column, optional): (&Option<usize>, &bool)| column.is_none() && !optional;
        if self.columns.iter().zip(optional).any(missing) {
            return Err(Reason::Columns);
        }
        self.row.extend_from_slice(row);
        Ok(())
    }

    /// How many columns a row has.
    pub fn width(&self) -> usize {
        self.cells.len()
    }

    /// By field: its column.
    pub fn columns(&self) -> &[Option<usize>] {
        &self.columns
    }

    /// Columns that are no field, with their names. Names are content, too: for what is sealed, never for a message.
    pub fn unlisted(&self) -> &[(usize, String)] {
        &self.unlisted
    }
}
