//! `[input]` of a CSV source: its bytes, its columns, and rows that are no records.

use toml::Spanned;

use crate::cdr::csv::Dialect;
use crate::cdr::policy::check::Checker;
use crate::cdr::policy::settings::{ColumnSettings, InputSettings, MarkerSettings, Optional, RecordSettings};
use crate::cdr::policy::{
    CallTime, Column, Csv, Format, Header, Layout, Marker, Nested, Shape, Unlisted, When, nested,
};

impl Checker<'_> {
    pub(super) fn csv(
        &mut self,
        input: &InputSettings,
        names: &[&str],
        time: Option<&CallTime>,
    ) -> Option<Format> {
        if let Some(records) = &input.records {
            self.fault(records.span(), "[input] records is for JSON");
        }
        let dialect = self.dialect(input)?;
        let header = input
            .header
            .as_ref()
            .map_or(Header::None, |header| *header.get_ref());
        let nested = self.nested(input, header, dialect, names);
        let layout = self.layout(input, header, names, time, nested)?;
        let markers = self.markers(input, header, names);
        Some(Format::Csv(Csv {
            dialect,
            header,
            layout,
            markers,
        }))
    }

    fn dialect(&mut self, input: &InputSettings) -> Option<Dialect> {
        let delimiter = self.byte(input.delimiter.as_ref(), "delimiter", Some(b','))?;
        let quote = match &input.quote {
            Some(quote) if quote.get_ref().is_empty() => None,
            quote => self.byte(quote.as_ref(), "quote", Some(b'"')),
        };
        let comment = self.byte(input.comment.as_ref(), "comment", None);
        let escape = self.byte(input.escape.as_ref(), "escape", None);
        let dialect = Dialect {
            delimiter,
            quote,
            comment,
            escape,
        };
        if dialect.check().is_err() {
            self.fault(
                input.format.span(),
                "[input] delimiter, quote, comment and escape must differ",
            );
        }
        if quote.is_none() && escape.is_none() && stands_in_outputs(delimiter) {
            self.fault(
                input.format.span(),
                "[input] quote = \"\" with this delimiter leaves no spelling for tokens, labels or record ids: choose another delimiter or a quote",
            );
        }
        if let Some(setting) = input
            .escape
            .as_ref()
            .filter(|_| escape.is_some_and(stands_in_outputs))
        {
            self.fault(
                setting.span(),
                "[input] escape stands in tokens, labels and record ids: choose another one",
            );
        }
        Some(dialect)
    }

    fn layout(
        &mut self,
        input: &InputSettings,
        header: Header,
        names: &[&str],
        time: Option<&CallTime>,
        nested: Vec<Nested>,
    ) -> Option<Layout> {
        let unlisted = input
            .unlisted
            .as_ref()
            .map_or(Unlisted::Reject, |unlisted| *unlisted.get_ref());
        if header != Header::Name
            && let Some(optional) = &input.optional
        {
            self.fault(
                optional.span(),
                "[input] optional goes with header = \"name\"; without it only the last columns can be missing: min_columns = n",
            );
        }
        if let Some(records) = &input.record {
            let shapes = self.shapes(input, records.get_ref(), header, names, &nested);
            return Some(Layout::Shapes {
                shapes,
                nested,
                unlisted,
            });
        }
        let Some(columns) = &input.columns else {
            self.fault(
                input.format.span(),
                "[input] format = \"csv\" needs columns = [\"..\"]: the name of each column, in order",
            );
            return None;
        };
        if header == Header::Name {
            if let Some(least) = &input.min_columns {
                self.fault(
                    least.span(),
                    "[input] min_columns: with header = \"name\" say which columns may be missing: optional = [\"..\"]",
                );
            }
            let optional = self.optional(input, names, time?)?;
            return Some(Layout::Named { optional, unlisted });
        }
        if header == Header::Check && unlisted != Unlisted::Reject {
            self.fault(
                input.format.span(),
                "[input] header = \"check\" knows no other columns: take header = \"name\", or leave out unlisted",
            );
        }
        let least = self.least(input.min_columns.as_ref(), columns.get_ref().len());
        if least == columns.get_ref().len() && unlisted == Unlisted::Reject && nested.is_empty() {
            return Some(Layout::Plain);
        }
        let shape = Shape {
            when: None,
            columns: columns_of(columns.get_ref(), names, &nested),
            least,
        };
        Some(Layout::Shapes {
            shapes: vec![shape],
            nested,
            unlisted,
        })
    }

    fn optional(&mut self, input: &InputSettings, names: &[&str], time: &CallTime) -> Option<Vec<bool>> {
        let Some(setting) = &input.optional else {
            return Some(vec![false; names.len()]);
        };
        let mut optional = vec![false; names.len()];
        match setting.get_ref() {
            Optional::All(all) => {
                optional.fill(*all);
                // Without any of these a row of data would do as a header row.
                match time {
                    CallTime::FirstOf(fields) => optional[fields[fields.len() - 1]] = false,
                    CallTime::Field(_) | CallTime::Joined(_) => {
                        for &at in time.fields() {
                            optional[at] = false;
                        }
                    }
                }
            }
            Optional::Some(listed) => {
                for name in listed {
                    let at = self.named(
                        &Spanned::new(setting.span(), name.clone()),
                        names,
                        "[input] optional",
                    )?;
                    optional[at] = true;
                }
                if time.fields().iter().all(|&at| optional[at]) {
                    self.fault(
                        setting.span(),
                        "[input] optional: a field with the call's start time must be there: leave it out here",
                    );
                }
            }
        }
        Some(optional)
    }

    fn shapes(
        &mut self,
        input: &InputSettings,
        records: &[Spanned<RecordSettings>],
        header: Header,
        names: &[&str],
        nested: &[Nested],
    ) -> Vec<Shape> {
        let strays = [
            ("columns", input.columns.as_ref().map(Spanned::span)),
            ("min_columns", input.min_columns.as_ref().map(Spanned::span)),
            (
                "header",
                input
                    .header
                    .as_ref()
                    .filter(|_| header != Header::None)
                    .map(Spanned::span),
            ),
        ];
        for (setting, span) in strays {
            if let Some(span) = span {
                self.fault(
                    span,
                    format!("[input] {setting} means nothing beside [[input.record]]: each record type has columns of its own"),
                );
            }
        }
        let mut shapes = Vec::new();
        for record in records {
            let record = record.get_ref();
            let when = record.when.get_ref();
            let values: Vec<Vec<u8>> = when
                .value
                .iter()
                .chain(&when.values)
                .map(|value| value.as_bytes().to_vec())
                .collect();
            if values.is_empty() {
                self.fault(
                    record.when.span(),
                    "[input.record] when needs value = \"..\", or values = [\"..\"]",
                );
            }
            let Some(column) = when.column.get_ref().checked_sub(1) else {
                self.fault(when.column.span(), "[input.record] when: columns count from 1");
                continue;
            };
            let columns = record.columns.get_ref();
            shapes.push(Shape {
                when: Some(When { column, values }),
                columns: columns_of(columns, names, nested),
                least: self.least(record.min_columns.as_ref(), columns.len()),
            });
        }
        if records.is_empty() {
            self.fault(input.format.span(), "[input] record is an empty list");
        }
        shapes
    }

    fn least(&mut self, setting: Option<&Spanned<usize>>, columns: usize) -> usize {
        let Some(setting) = setting else { return columns };
        let least = *setting.get_ref();
        if least == 0 || least > columns {
            self.fault(
                setting.span(),
                format!("[input] min_columns: from 1 to the number of columns, {columns}"),
            );
        }
        least
    }

    fn markers(&mut self, input: &InputSettings, header: Header, names: &[&str]) -> Vec<Marker> {
        let markers = input
            .markers
            .as_ref()
            .map_or(&[][..], |markers| markers.get_ref());
        markers
            .iter()
            .filter_map(|marker| self.marker(marker, input, header, names))
            .collect()
    }

    fn marker(
        &mut self,
        marker: &Spanned<MarkerSettings>,
        input: &InputSettings,
        header: Header,
        names: &[&str],
    ) -> Option<Marker> {
        let settings = marker.get_ref();
        match (&settings.prefix, &settings.column, &settings.values) {
            (Some(prefix), None, None) if !prefix.get_ref().is_empty() => {
                Some(Marker::Prefix(prefix.get_ref().as_bytes().to_vec()))
            }
            (None, Some(column), Some(values)) if !values.get_ref().is_empty() => {
                let values = values
                    .get_ref()
                    .iter()
                    .map(|value| value.as_bytes().to_vec())
                    .collect();
                match column.get_ref() {
                    ColumnSettings::Name(name) if header == Header::Name => {
                        let name = Spanned::new(column.span(), name.clone());
                        let field = self.named(&name, names, "[input] markers")?;
                        Some(Marker::Field { field, values })
                    }
                    ColumnSettings::Name(name) => {
                        let columns = input
                            .columns
                            .as_ref()
                            .map_or(&[][..], |columns| columns.get_ref());
                        let Some(column) = columns.iter().position(|known| known.get_ref() == name) else {
                            self.fault(
                                column.span(),
                                format!("[input] markers: \"{name}\" is not among [input] columns; record types have columns of their own: give its place, from 1"),
                            );
                            return None;
                        };
                        Some(Marker::Column(When { column, values }))
                    }
                    ColumnSettings::Place(place) => {
                        let Some(column) = place.checked_sub(1) else {
                            self.fault(column.span(), "[input] markers: columns count from 1");
                            return None;
                        };
                        Some(Marker::Column(When { column, values }))
                    }
                }
            }
            _ => {
                self.fault(
                    marker.span(),
                    "[input] markers: { prefix = \"..\" }, or { column = 3, values = [\"..\"] } with the column's place, from 1, or its name",
                );
                None
            }
        }
    }
}

/// What the columns of one shape hold.
fn columns_of(columns: &[Spanned<String>], names: &[&str], nested: &[Nested]) -> Vec<Column> {
    columns
        .iter()
        .filter_map(|column| nested::column(column.get_ref(), names, nested))
        .collect()
}

/// Whether this program writes the byte into fields itself.
pub(super) fn stands_in_outputs(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._/".contains(&byte)
}
