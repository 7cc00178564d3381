//! `[[input.nested]]`: columns whose value is itself a row of fields.
//!
//! Such a column has no action of its own. Its fields are called `column.field` and have one each, like any other.

use std::ops::Range;

use toml::Spanned;

use crate::cdr::csv::Dialect;
use crate::cdr::policy::check::Checker;
use crate::cdr::policy::csv::stands_in_outputs;
use crate::cdr::policy::settings::{InputSettings, NestedSettings};
use crate::cdr::policy::{Column, Header, Nested};

/// The fields inside a column, as typed; `None` where it is a field itself.
pub(super) fn inside<'a>(input: &'a InputSettings, column: &str) -> Option<&'a NestedSettings> {
    let all = input.nested.as_ref().map_or(&[][..], |nested| nested.get_ref());
    let mut all = all.iter().map(Spanned::get_ref);
    all.find(|nested| nested.column.get_ref() == column)
}

/// What the fields inside are called.
pub(super) fn names(nested: &NestedSettings) -> impl Iterator<Item = Spanned<String>> {
    let column = nested.column.get_ref();
    let inside = nested.columns.get_ref().iter();
    inside.map(move |name| Spanned::new(name.span(), format!("{column}.{}", name.get_ref())))
}

/// What a column of this name holds.
pub(super) fn column(name: &str, names: &[&str], nested: &[Nested]) -> Option<Column> {
    let inside = nested.iter().position(|nested| nested.name == name);
    match inside {
        Some(at) => Some(Column::Nested(at)),
        None => names.iter().position(|known| *known == name).map(Column::Field),
    }
}

impl Checker<'_> {
    pub(super) fn nested(
        &mut self,
        input: &InputSettings,
        header: Header,
        dialect: Dialect,
        names: &[&str],
    ) -> Vec<Nested> {
        let Some(all) = &input.nested else {
            return Vec::new();
        };
        let mut checked = Vec::new();
        for (at, nested) in all.get_ref().iter().enumerate() {
            let nested = nested.get_ref();
            let same = |other: &Spanned<NestedSettings>| other.get_ref().column == nested.column;
            if all.get_ref()[..at].iter().any(same) {
                self.fault(
                    nested.column.span(),
                    "[[input.nested]] names this column twice: put its fields into one list",
                );
            }
            let Some(fields) = self.fields_inside(nested, names) else {
                continue;
            };
            self.told_apart(input, nested, names, &fields, &checked);
            if let Some(delimiter) = self.inner_delimiter(nested, dialect) {
                checked.push(Nested {
                    name: nested.column.get_ref().clone(),
                    delimiter,
                    fields,
                });
            }
        }
        if header != Header::None && !checked.is_empty() {
            self.fault(
                all.span(),
                "[[input.nested]] goes with columns by their place: header = \"none\"",
            );
        }
        checked
    }

    /// Indices of the fields inside; they stand side by side among the names.
    fn fields_inside(&mut self, nested: &NestedSettings, names: &[&str]) -> Option<Range<usize>> {
        let Some(first) = self::names(nested).next() else {
            self.fault(
                nested.columns.span(),
                "[[input.nested]] columns: the name of each field inside, in order",
            );
            return None;
        };
        if let Some(start) = names.iter().position(|name| name == first.get_ref()) {
            return Some(start..start + nested.columns.get_ref().len());
        }
        // A column of the preset that this file leaves out is left out with its fields.
        if nested.column.span().start < self.source.text.len() {
            let column = nested.column.get_ref();
            self.fault(
                nested.column.span(),
                format!("[[input.nested]] column: \"{column}\" is not among [input] columns"),
            );
        }
        None
    }

    /// A field that two places of a row hold would be one of them only.
    fn told_apart(
        &mut self,
        input: &InputSettings,
        nested: &NestedSettings,
        names: &[&str],
        fields: &Range<usize>,
        others: &[Nested],
    ) {
        let records = input.record.as_ref().map_or(&[][..], |records| records.get_ref());
        let lists = records.iter().map(|record| &record.get_ref().columns);
        let lists = || input.columns.iter().chain(lists.clone());
        let column = |name: &Spanned<String>| {
            lists().any(|list| {
                list.get_ref()
                    .iter()
                    .any(|column| column.get_ref() == name.get_ref())
            })
        };
        let apart = |(at, name): (usize, Spanned<String>)| {
            names.get(fields.start + at) == Some(&name.get_ref().as_str()) && !column(&name)
        };
        let overlaps = |other: &Nested| other.fields.start < fields.end && fields.start < other.fields.end;
        if !self::names(nested).enumerate().all(apart) || others.iter().any(overlaps) {
            self.fault(
                nested.columns.span(),
                "[[input.nested]] columns: one of these names is given twice",
            );
        }
    }

    /// The byte between the fields inside, which none of the written ones may hold.
    fn inner_delimiter(&mut self, nested: &NestedSettings, dialect: Dialect) -> Option<u8> {
        let delimiter = self.byte(
            nested.delimiter.as_ref(),
            "nested delimiter",
            Some(dialect.delimiter),
        )?;
        let taken = dialect.quote == Some(delimiter)
            || dialect.escape == Some(delimiter)
            || dialect.quote.is_none() && dialect.delimiter == delimiter
            || stands_in_outputs(delimiter);
        if taken {
            let span = nested.delimiter.as_ref().unwrap_or(&nested.column).span();
            self.fault(span, "[[input.nested]] delimiter: a byte of its own, that stands in no token and is not the quote, the escape or, without quotes, the delimiter");
        }
        (!taken).then_some(delimiter)
    }
}

#[cfg(test)]
mod tests {
    use crate::cdr::policy::Policy;
    use crate::settings::Source;

    const POLICY: &str = "[input]\nformat = \"csv\"\ncolumns = [\"t\", \"v\"]\n\
        time = { field = \"t\", format = \"unix\" }\n\
        [[input.nested]]\ncolumn = \"v\"\ncolumns = [\"p\", \"q\"]\n\
        [fields]\nt = \"keep\"\n\"v.p\" = \"keep\"\n\"v.q\" = \"drop\"\n";

    #[test]
    fn faults_of_columns_with_fields_inside_are_told() {
        for (old, new, expected) in [
            ("", "", ""),
            (
                "column = \"v\"",
                "column = \"w\"",
                "6:10: [[input.nested]] column: \"w\" is not among [input] columns",
            ),
            ("\"v.q\" = ", "\"v\" = ", "7:17: column \"v.q\" has no line"),
            (
                "t = \"keep\"",
                "t = \"keep\"\nv = \"keep\"",
                "10:1: field \"v\" has fields inside ([[input.nested]])",
            ),
            (
                "[\"p\", \"q\"]",
                "[\"p\", \"q\", \"p\"]",
                "7:11: [[input.nested]] columns: one of these names is given twice",
            ),
            (
                "[\"t\", \"v\"]",
                "[\"t\", \"v\", \"v.p\"]",
                "7:11: [[input.nested]] columns: one of these names is given twice",
            ),
            (
                "[fields]",
                "[[input.nested]]\ncolumn = \"v\"\ncolumns = [\"r\"]\n[fields]",
                "9:10: [[input.nested]] names this column twice",
            ),
            (
                "[\"p\", \"q\"]",
                "[]",
                "7:11: [[input.nested]] columns: the name of each",
            ),
            (
                "[fields]",
                "delimiter = \"a\"\n[fields]",
                "8:13: [[input.nested]] delimiter: a byte of its own",
            ),
            (
                "[fields]",
                "delimiter = \"\\\"\"\n[fields]",
                "8:13: [[input.nested]] delimiter: a byte of its own",
            ),
            (
                "time",
                "quote = \"\"\ntime",
                "7:10: [[input.nested]] delimiter: a byte of its own",
            ),
            (
                "time",
                "header = \"skip\"\ntime",
                "6:1: [[input.nested]] goes with columns by their place",
            ),
        ] {
            let source = Source {
                path: "policy.toml".into(),
                text: POLICY.replacen(old, new, 1),
            };
            let faults = Policy::load(&source).err().unwrap_or_default();
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let found = told
                .iter()
                .any(|fault| fault.starts_with(&format!("policy.toml:{expected}")));
            assert!(
                found || (expected.is_empty() && told.is_empty()),
                "{new}: {told:?}"
            );
        }
    }
}
