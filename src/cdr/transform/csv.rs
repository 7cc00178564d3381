//! The transform of one CSV row: fields in input order, then each field's
//! derived values, then the record id, then tokens of the epoch before, so that
//! input positions hold, and theirs too.
//!
//! Where the layout is not plain, cells are first brought to their fields: a
//! field that the row lacks is blank, and stands in its place all the same.

mod nested;
mod previous;
mod several;

use std::ops::Range;

use crate::cdr::csv::{self, Dialect, Field, Quoting};
use crate::cdr::header::HeaderMap;
use crate::cdr::policy::{
    self, Action, CallTime, Column, Csv, Format, Layout, Nested, Policy, Pseudonymise, Scope, Unlisted,
};
use crate::cdr::transform::Step;
use crate::cdr::transform::csv::nested::Inside;
use crate::cdr::transform::csv::previous::Again;
use crate::cdr::transform::pseudonyms::Identity;
use crate::cdr::{Reason, Refusal};
use crate::pseudonym::keyring::EpochIndex;
use crate::seal::fields::{self, FieldHead, FieldKind};

/// Buffers kept from row to row, and what the policy comes to for CSV.
pub(super) struct CsvScratch {
    /// By shape of row; one, where there are no record types.
    plans: Vec<Plan>,
    /// Fields with an identity, in the policy's order.
    identified: Vec<usize>,
    /// Fields whose bytes are kept, the call's time aside, and fields whose value is taken out: for the guard.
    kept: Vec<usize>,
    taken_out: Vec<usize>,
    /// Whether a token or a label can stand in a row without quotes.
    bare_tokens: bool,
    /// By field.
    cells: Vec<Field>,
    /// By column, where that is another order.
    row: Vec<Field>,
    inside: Inside,
    /// By field; blank where the field has none, or several.
    identities: Vec<Identity>,
    /// Of fields with separators: the field, what one element is, and where it stands in the value.
    elements: Vec<(usize, Identity, Range<usize>)>,
    unquoted: Vec<u8>,
    written: Vec<u8>,
    name: String,
}

/// What is written of one shape of row.
struct Plan {
    parts: Vec<Part>,
    /// Fields with derived values.
    derived: Vec<usize>,
    /// Tokens that are written under the epoch before as well.
    again: Vec<Again>,
}

/// One step through a row's fields.
enum Part {
    /// Kept fields side by side: their bytes and the delimiters between them stay as they are.
    Kept { first: usize, last: usize },
    /// A field that is blanked or replaced.
    Changed { at: usize, sealed: Sealed },
    /// A column with fields inside.
    Nested {
        /// Which of the layout's.
        which: usize,
        fields: Range<usize>,
        /// By field.
        sealed: Vec<Sealed>,
    },
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
            matches!(&field.action, Action::Pseudonymise(how) if how.separators.is_empty()).then_some(at)
        };
        let those = |wanted: fn(&Action) -> bool| {
            let fields = policy.fields.iter().enumerate();
            fields.filter_map(move |(at, field)| wanted(&field.action).then_some(at))
        };
        Self {
            kept: those(|action| matches!(action, Action::Keep))
                .filter(|&at| !policy.is_read_as_time(at))
                .collect(),
            taken_out: those(|action| !matches!(action, Action::Keep | Action::Coarsen { .. })).collect(),
            plans: plans(policy),
            identified: policy.fields.iter().enumerate().filter_map(identified).collect(),
            bare_tokens: match &policy.format {
                Format::Csv(csv) => is_bare(csv.dialect),
                Format::Json { .. } => false,
            },
            cells: Vec::new(),
            row: Vec::new(),
            inside: Inside::default(),
            elements: Vec::new(),
            identities: vec![Identity::Empty; policy.fields.len()],
            unquoted: Vec::new(),
            written: Vec::new(),
            name: String::new(),
        }
    }

    pub(super) fn record(&mut self, mut step: Step<'_>, csv: &Csv) -> Result<EpochIndex, Refusal> {
        let dialect = csv.dialect;
        let plan = match &csv.layout {
            Layout::Plain => {
                if csv::split(dialect, step.record, &mut self.cells).is_err() {
                    return Err(misquoted(&csv.layout, &step, self.cells.len()));
                }
                if self.cells.len() != step.policy.fields.len() {
                    return Err(Reason::Columns.into());
                }
                0
            }
            layout => self.arrange(&step, dialect, layout)?,
        };
        self.begin(&mut step, dialect)?;
        self.identify(&mut step, dialect)?;
        self.fields(&mut step, csv, plan)?;
        if csv.layout.unlisted() == Unlisted::Restrict {
            self.unlisted(&mut step, csv, plan)?;
        }
        self.appended(&mut step, dialect, plan)?;
        self.guard(&mut step, csv, plan)?;
        Ok(step.pseudonyms.epoch())
    }

    /// Brings the cells of a row to their fields; the plan of its shape.
    fn arrange(&mut self, step: &Step<'_>, dialect: Dialect, layout: &Layout) -> Result<usize, Refusal> {
        if csv::split(dialect, step.record, &mut self.row).is_err() {
            return Err(misquoted(layout, step, self.row.len()));
        }
        self.cells.clear();
        self.cells.resize(step.policy.fields.len(), Field::ABSENT);
        match layout {
            Layout::Plain => Ok(0),
            Layout::Shapes {
                shapes,
                nested,
                unlisted,
            } => {
                let is_own = |shape: &policy::Shape, scratch: &mut Vec<u8>| {
                    let when = shape.when.as_ref();
                    when.is_none_or(|when| when.holds(dialect, step.record, &self.row, scratch))
                };
                let found = shapes.iter().position(|shape| is_own(shape, &mut self.unquoted));
                let plan = found.ok_or(Reason::Columns)?;
                let shape = &shapes[plan];
                let too_many = self.row.len() > shape.columns.len() && *unlisted == Unlisted::Reject;
                if self.row.len() < shape.least || too_many {
                    return Err(Reason::Columns.into());
                }
                self.inside.restart(nested.len());
                for (&column, &cell) in shape.columns.iter().zip(&self.row) {
                    match column {
                        Column::Field(field) => self.cells[field] = cell,
                        Column::Nested(which) => {
                            let cells = &mut self.cells[nested[which].fields.clone()];
                            self.inside
                                .open(step.record, &nested[which], which, cell, cells)?;
                        }
                    }
                }
                if *unlisted == Unlisted::Reject && self.inside.has_others() {
                    return Err(Reason::Columns.into());
                }
                Ok(plan)
            }
            Layout::Named { .. } => {
                let header = step.origin.header.ok_or(Reason::Columns)?;
                if self.row.len() != header.width() {
                    return Err(Reason::Columns.into());
                }
                for (cell, column) in self.cells.iter_mut().zip(header.columns()) {
                    *cell = column.map_or(Field::ABSENT, |column| self.row[column]);
                }
                Ok(0)
            }
        }
    }

    /// Columns that are no field, to the restricted record.
    fn unlisted(&mut self, step: &mut Step<'_>, csv: &Csv, plan: usize) -> Result<(), Refusal> {
        if let Layout::Shapes { shapes, nested, .. } = &csv.layout {
            for (which, place, field) in self.inside.others() {
                self.name.clear();
                self.name.push_str(&nested[which].name);
                self.name.push('.');
                self.name.push_str(itoa::Buffer::new().format(place + 1));
                restrict(step, &self.name, &step.record[field.range()])?;
            }
            for column in shapes[plan].columns.len()..self.row.len() {
                self.name.clear();
                self.name.push_str("column_");
                self.name.push_str(itoa::Buffer::new().format(column + 1));
                let value = csv::value(csv.dialect, step.record, self.row[column], &mut self.unquoted);
                restrict(step, &self.name, value)?;
            }
        }
        for (column, name) in step.origin.header.map_or(&[][..], HeaderMap::unlisted) {
            let value = csv::value(csv.dialect, step.record, self.row[*column], &mut self.unquoted);
            restrict(step, name, value)?;
        }
        Ok(())
    }

    /// By the first segment's start where the record has one, else by its own.
    fn begin(&mut self, step: &mut Step<'_>, dialect: Dialect) -> Result<(), Refusal> {
        let policy = step.policy;
        if let Some(first) = policy.first_time_field {
            let start = csv::value(dialect, step.record, self.cells[first], &mut self.unquoted);
            if !start.trim_ascii().is_empty() {
                return step.begin(start, first);
            }
        }
        let fields = policy.time.fields();
        if let CallTime::Joined(_) = policy.time {
            self.written.clear();
            for &at in fields {
                let part = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
                self.written.extend_from_slice(part.trim_ascii());
                self.written.push(b' ');
            }
            return step.begin(&self.written, fields[0]);
        }
        let (&last, others) = fields
            .split_last()
            .expect("a policy has a field with the start time");
        for &at in others {
            let start = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
            if !start.trim_ascii().is_empty() {
                return step.begin(start, at);
            }
        }
        let start = csv::value(dialect, step.record, self.cells[last], &mut self.unquoted);
        step.begin(start, last)
    }

    fn identify(&mut self, step: &mut Step<'_>, dialect: Dialect) -> Result<(), Refusal> {
        self.elements.clear();
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

    fn fields(&mut self, step: &mut Step<'_>, csv: &Csv, plan: usize) -> Result<(), Refusal> {
        let dialect = csv.dialect;
        for part in 0..self.plans[plan].parts.len() {
            if part > 0 {
                step.out.public.push(dialect.delimiter);
            }
            match self.plans[plan].parts[part] {
                Part::Kept { first, last } => {
                    let bytes = self.cells[first].range().start..self.cells[last].range().end;
                    step.out.public.extend_from_slice(&step.record[bytes]);
                }
                Part::Changed { at, .. } => {
                    self.changed(step, dialect, at)?;
                    self.seal(step, dialect, [plan, part], 0)?;
                }
                Part::Nested { which, .. } => self.nested(step, csv, [plan, part], which)?,
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
            Action::Pseudonymise(how) if how.separators.is_empty() => self.pseudonym(step, dialect, how, at),
            Action::Pseudonymise(how) => self.several(step, dialect, how, at),
        }
    }

    fn seal(
        &mut self,
        step: &mut Step<'_>,
        dialect: Dialect,
        [plan, part]: [usize; 2],
        inside: usize,
    ) -> Result<(), Refusal> {
        let (at, sealed) = match &self.plans[plan].parts[part] {
            Part::Kept { .. } => return Ok(()),
            Part::Changed { at, sealed } => (*at, sealed),
            Part::Nested { fields, sealed, .. } => (fields.start + inside, &sealed[inside]),
        };
        if matches!(sealed, Sealed::No) {
            return Ok(());
        }
        let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
        match sealed {
            _ if value.is_empty() => Ok(()),
            Sealed::Under(head) => head
                .write(&mut step.out.restricted, value)
                .map_err(|_| Refusal::at(Reason::TooLarge, at)),
            Sealed::No | Sealed::Never => Err(Refusal::at(Reason::TooLarge, at)),
        }
    }

    /// The other party of the field's pair, where it has one.
    fn served(&self, how: &Pseudonymise) -> Identity {
        match how.scope {
            Scope::Pairwise { with } => self.identities[with],
            Scope::Domain | Scope::Record => Identity::Empty,
        }
    }

    fn pseudonym(
        &mut self,
        step: &mut Step<'_>,
        dialect: Dialect,
        how: &Pseudonymise,
        at: usize,
    ) -> Result<(), Refusal> {
        let served = self.served(how);
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

    fn appended(&mut self, step: &mut Step<'_>, dialect: Dialect, plan: usize) -> Result<(), Refusal> {
        for place in 0..self.plans[plan].derived.len() {
            let at = self.plans[plan].derived[place];
            let field = &step.policy.fields[at];
            if let Action::Pseudonymise(how) = &field.action {
                for &derived in &how.derive {
                    self.written.clear();
                    step.pseudonyms
                        .derive(self.identities[at], derived, &mut self.written);
                    self.append(step, dialect, at)?;
                }
            }
            for &map in &field.maps {
                let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
                self.written.clear();
                step.pseudonyms.map(map, value, &mut self.written);
                self.append(step, dialect, at)?;
            }
        }
        if step.policy.record_id.is_some() {
            step.out.public.push(dialect.delimiter);
            csv::write_value(&mut step.out.public, dialect, step.origin.record_id)
                .map_err(|_| Reason::Format)?;
        }
        if self.plans[plan].again.is_empty() {
            return Ok(());
        }
        self.previous(step, dialect, plan)
    }

    /// What was derived of a field, behind the last column.
    fn append(&mut self, step: &mut Step<'_>, dialect: Dialect, at: usize) -> Result<(), Refusal> {
        step.out.public.push(dialect.delimiter);
        step.guard.look(at, &self.written);
        self.place(step, dialect, at)
    }

    fn guard(&mut self, step: &mut Step<'_>, csv: &Csv, plan: usize) -> Result<(), Refusal> {
        let dialect = csv.dialect;
        for &at in &self.kept {
            let cell = self.cells[at];
            step.guard.look(at, &step.record[cell.range()]);
            // Who reads the value sees no escapes, and they may stand between the digits of a number.
            if matches!(cell.quoting(), Quoting::QuotedEscaped | Quoting::PlainEscaped) {
                let value = csv::value(dialect, step.record, cell, &mut self.unquoted);
                step.guard.look(at, value);
            }
        }
        if !step.guard.is_suspicious() {
            return Ok(());
        }
        let policy = step.policy;
        for &at in &self.taken_out {
            let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
            step.taken_out(&policy.fields[at].action, self.identities[at], value);
        }
        self.elements(step, dialect);
        // Columns that are no field may hold a number as well.
        let behind = match &csv.layout {
            Layout::Shapes { shapes, .. } => shapes[plan].columns.len()..self.row.len(),
            Layout::Plain | Layout::Named { .. } => 0..0,
        };
        let named = step.origin.header.map_or(&[][..], HeaderMap::unlisted);
        for column in behind.chain(named.iter().map(|(column, _)| *column)) {
            let value = csv::value(dialect, step.record, self.row[column], &mut self.unquoted);
            step.guard.dropped(value);
        }
        for (_, _, field) in self.inside.others() {
            step.guard.dropped(&step.record[field.range()]);
        }
        step.release()
    }
}

/// A row whose quotes cannot be read from this column on, and the field it belongs to: where record types differ in
/// their columns nobody knows.
#[cold]
fn misquoted(layout: &Layout, step: &Step<'_>, column: usize) -> Refusal {
    let field = match layout {
        Layout::Plain => Some(column),
        Layout::Named { .. } => step
            .origin
            .header
            .and_then(|header| header.columns().iter().position(|&at| at == Some(column))),
        Layout::Shapes { shapes, .. } => match &shapes[..] {
            [only] => match only.columns.get(column) {
                Some(Column::Field(field)) => Some(*field),
                Some(Column::Nested(_)) | None => None,
            },
            _ => None,
        },
    };
    Refusal {
        reason: Reason::Format,
        field: field.filter(|&field| field < step.policy.fields.len()),
    }
}

/// What is written of each shape of row.
fn plans(policy: &Policy) -> Vec<Plan> {
    let all: Vec<Column> = (0..policy.fields.len()).map(Column::Field).collect();
    let plan = |columns: &[Column], nested: &[Nested], joined| {
        let fields = columns.iter().flat_map(|column| match *column {
            Column::Field(at) => at..at + 1,
            Column::Nested(which) => nested[which].fields.clone(),
        });
        let again = fields.clone().filter(|_| policy.previous.any());
        Plan {
            parts: parts(&policy.fields, columns, nested, joined),
            again: again.flat_map(|at| previous::again(policy, at)).collect(),
            derived: fields
                .filter(|&at| !policy.derived_words(&policy.fields[at]).is_empty())
                .collect(),
        }
    };
    match &policy.format {
        Format::Json { .. } => Vec::new(),
        Format::Csv(csv) => match &csv.layout {
            Layout::Plain => vec![plan(&all, &[], all.len())],
            Layout::Named { .. } => vec![plan(&all, &[], 0)],
            Layout::Shapes { shapes, nested, .. } => shapes
                .iter()
                .map(|shape| plan(&shape.columns, nested, shape.least))
                .collect(),
        },
    }
}

/// Runs of kept fields put together, one copy rather than one each: among the first `joined`, which every row
/// has side by side.
fn parts(fields: &[policy::Field], columns: &[Column], nested: &[Nested], joined: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for (place, &column) in columns.iter().enumerate() {
        let at = match column {
            Column::Field(at) => at,
            Column::Nested(which) => {
                let inside = nested[which].fields.clone();
                parts.push(Part::Nested {
                    which,
                    sealed: fields[inside.clone()].iter().map(sealed).collect(),
                    fields: inside,
                });
                continue;
            }
        };
        let field = &fields[at];
        let kept = matches!(field.action, Action::Keep);
        match parts.last_mut() {
            Some(Part::Kept { last, .. }) if kept && place < joined => *last = at,
            _ if kept => parts.push(Part::Kept { first: at, last: at }),
            _ => parts.push(Part::Changed {
                at,
                sealed: sealed(field),
            }),
        }
    }
    parts
}

/// A column's value under its name; nothing of a blank one.
fn restrict(step: &mut Step<'_>, name: &str, value: &[u8]) -> Result<(), Reason> {
    if value.is_empty() {
        return Ok(());
    }
    fields::write_field(&mut step.out.restricted, FieldKind::Csv, name, value).map_err(|_| Reason::TooLarge)
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
    ![
        Some(dialect.delimiter),
        dialect.quote,
        dialect.comment,
        dialect.escape,
    ]
    .into_iter()
    .flatten()
    .any(written)
}
