//! How the rows of a CSV source hold the policy's fields, and which rows are none.

use std::ops::{Range, RangeInclusive};

use crate::cdr::csv::{self, Dialect, Field};
use crate::cdr::policy::Unlisted;

/// Where in a row its fields stand.
#[derive(Debug)]
pub enum Layout {
    /// Column n is field n, in every row.
    Plain,
    /// Rows of one or several shapes: the first whose condition a row meets is its own.
    Shapes {
        /// In the policy's order.
        shapes: Vec<Shape>,
        /// Columns with fields inside; what [`Column::Nested`] counts.
        nested: Vec<Nested>,
        /// What happens to columns behind the shape's, and to what stands behind the last field inside a column.
        unlisted: Unlisted,
    },
    /// The header row says which column is which field.
    Named {
        /// By field: whether a header row may lack it.
        optional: Vec<bool>,
        /// What happens to columns that are no field.
        unlisted: Unlisted,
    },
}

/// The columns of one record type.
#[derive(Debug)]
pub struct Shape {
    /// Which rows are of this type; `None`: all.
    pub when: Option<When>,
    /// What its columns hold, in their order.
    pub columns: Vec<Column>,
    /// The fewest columns of such a row: those behind may be missing.
    pub least: usize,
}

/// What one column holds.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// The field with this index.
    Field(usize),
    /// Fields: the index of a [`Nested`].
    Nested(usize),
}

/// A column whose value is itself a row: as many of its fields, from the first one on, as the value has.
#[derive(Debug)]
pub struct Nested {
    /// The column's name.
    pub name: String,
    /// Stands between the fields inside.
    pub delimiter: u8,
    /// The indices of these fields.
    pub fields: Range<usize>,
}

/// A condition on one column.
#[derive(Debug)]
pub struct When {
    /// The column's place, from 0.
    pub column: usize,
    /// What may stand there.
    pub values: Vec<Vec<u8>>,
}

/// Rows that are no records: version lines, titles, types of columns.
#[derive(Debug)]
pub enum Marker {
    /// A row that begins with these bytes.
    Prefix(Vec<u8>),
    /// A row with one of some values in a column.
    Column(When),
    /// The same, in the column that the header row says holds this field.
    Field {
        /// The field's index.
        field: usize,
        /// What may stand there.
        values: Vec<Vec<u8>>,
    },
}

impl Layout {
    /// The fewest and the most columns of a row, where the policy alone says so.
    pub fn columns(&self, fields: usize) -> RangeInclusive<usize> {
        match self {
            Self::Plain => fields..=fields,
            Self::Named { .. } => 1..=usize::MAX,
            Self::Shapes { shapes, unlisted, .. } => {
                let least = shapes.iter().map(|shape| shape.least).min().unwrap_or(0);
                let most = shapes.iter().map(|shape| shape.columns.len()).max().unwrap_or(0);
                match unlisted {
                    Unlisted::Reject => least..=most,
                    Unlisted::Restrict | Unlisted::Drop => least..=usize::MAX,
                }
            }
        }
    }

    /// What happens to columns that are no field.
    pub fn unlisted(&self) -> Unlisted {
        match self {
            Self::Plain => Unlisted::Reject,
            Self::Shapes { unlisted, .. } | Self::Named { unlisted, .. } => *unlisted,
        }
    }
}

impl When {
    /// Whether the row, already split, meets it.
    pub fn holds(&self, dialect: Dialect, row: &[u8], cells: &[Field], scratch: &mut Vec<u8>) -> bool {
        let Some(cell) = cells.get(self.column) else {
            return false;
        };
        let value = csv::value(dialect, row, *cell, scratch).trim_ascii();
        self.values.iter().any(|known| known == value)
    }
}
