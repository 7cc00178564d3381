//! A sample's rows, cut where their values stand, each with the policy's field it belongs to.

use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

use cdrveil::cdr::csv::{self, Dialect, End};
use cdrveil::cdr::header::HeaderMap;
use cdrveil::cdr::json::{self, Paths, Scalar, Scanner};
use cdrveil::cdr::policy::{Column, Csv, Format, Header, Layout, Policy};
use cdrveil::cdr::rows::Piece;
use cdrveil::engine::{Engine, Output, Payload};

use crate::{RECORD_ID, TIMESTAMP};

/// What fuzzed payloads are made of.
pub struct Templates {
    /// Header rows, with their line breaks.
    pub prefix: Vec<u8>,
    /// How many outputs a payload has: skipped rows and the record.
    pub outputs: usize,
    pub rows: Vec<Template>,
}

/// One row that the engine accepts.
pub struct Template {
    pub text: Vec<u8>,
    pub slots: Vec<Slot>,
}

/// One value of it.
pub struct Slot {
    /// Where it stands, quotes included.
    pub range: Range<usize>,
    pub value: Vec<u8>,
    /// The policy's field; none for what is unlisted.
    pub field: Option<usize>,
    /// The member's name, of a JSON object's own.
    pub name: Vec<u8>,
    pub quoted: bool,
}

impl Templates {
    pub fn of(policy: &Policy, input: &str, engine: &mut Engine) -> Self {
        let ranges = records(input.as_bytes(), engine);
        let prefix = match &policy.format {
            Format::Csv(csv) if csv.header != Header::None => &input[..ranges[0].start],
            _ => "",
        };
        let mut outputs = 0;
        let mut rows = Vec::new();
        for range in ranges {
            let row = &input.as_bytes()[range];
            let whole = [prefix.as_bytes(), row, b"\n"].concat();
            let (accepted, count) = run(engine, &whole);
            if accepted {
                outputs = count;
                rows.push(Template {
                    slots: slots(policy, prefix.as_bytes(), row),
                    text: row.to_vec(),
                });
            }
        }
        assert!(!rows.is_empty(), "a sample has a row that is accepted");
        Self {
            prefix: prefix.as_bytes().to_vec(),
            outputs,
            rows,
        }
    }
}

fn records(input: &[u8], engine: &mut Engine) -> Vec<Range<usize>> {
    engine.restart();
    let mut ranges = Vec::new();
    loop {
        match engine.next_piece(input, End::Final) {
            Piece::Done | Piece::Incomplete => return ranges,
            Piece::Record(range) => ranges.push(range),
            Piece::Skipped(_) | Piece::Rejected(..) => {}
        }
    }
}

fn run(engine: &mut Engine, bytes: &[u8]) -> (bool, usize) {
    let payload = Payload {
        id: RECORD_ID,
        timestamp: TIMESTAMP,
        bytes: Some(bytes),
    };
    let (mut accepted, mut count) = (false, 0);
    let done = engine.payload(&payload, Duration::ZERO, |output| {
        accepted |= matches!(output, Output::Accepted(_));
        count += 1;
        Ok::<_, Infallible>(())
    });
    assert!(done.is_ok());
    (accepted, count)
}

fn slots(policy: &Policy, prefix: &[u8], row: &[u8]) -> Vec<Slot> {
    match &policy.format {
        Format::Csv(csv) => csv_slots(policy, csv, prefix, row),
        Format::Json { paths, .. } => json_slots(paths, row),
    }
}

fn csv_slots(policy: &Policy, csv: &Csv, prefix: &[u8], row: &[u8]) -> Vec<Slot> {
    let mut cells = Vec::new();
    csv::split(csv.dialect, row, &mut cells).unwrap();
    let fields = fields_of(policy, csv, prefix, row, cells.len());
    let mut scratch = Vec::new();
    let slot = |(cell, field): (&csv::Field, &Option<usize>)| Slot {
        range: cell.range(),
        value: csv::value(csv.dialect, row, *cell, &mut scratch).to_vec(),
        field: *field,
        name: Vec::new(),
        quoted: csv
            .dialect
            .quote
            .is_some_and(|quote| row.get(cell.range().start) == Some(&quote)),
    };
    cells.iter().zip(&fields).map(slot).collect()
}

/// By column the policy's field, of a row under these header rows.
pub fn fields_of(
    policy: &Policy,
    csv: &Csv,
    prefix: &[u8],
    row: &[u8],
    columns: usize,
) -> Vec<Option<usize>> {
    match &csv.layout {
        Layout::Plain => (0..columns)
            .map(|at| (at < policy.fields.len()).then_some(at))
            .collect(),
        Layout::Shapes { shapes, nested, .. } => {
            let mut cells = Vec::new();
            let split = csv::split(csv.dialect, row, &mut cells);
            let own = |when: &cdrveil::cdr::policy::When| {
                split.is_ok() && when.holds(csv.dialect, row, &cells, &mut Vec::new())
            };
            let shape = shapes.iter().find(|shape| shape.when.as_ref().is_none_or(own));
            let own = shape.map_or(&[][..], |shape| &shape.columns);
            let field = |at| match own.get(at)? {
                Column::Field(field) => Some(*field),
                // What is written over the whole column stands in its first field.
                Column::Nested(which) => Some(nested[*which].fields.start),
            };
            (0..columns).map(field).collect()
        }
        Layout::Named { optional, unlisted } => {
            let header = prefix
                .split(|byte| *byte == b'\n')
                .find(|line| names(policy, csv.dialect, line));
            let mut map = HeaderMap::default();
            map.read(csv.dialect, header.unwrap(), &policy.fields, optional, *unlisted)
                .unwrap();
            let field = |column: usize| map.columns().iter().position(|at| *at == Some(column));
            (0..columns).map(field).collect()
        }
    }
}

/// Whether a line names columns of the policy.
fn names(policy: &Policy, dialect: Dialect, line: &[u8]) -> bool {
    let mut cells = Vec::new();
    let mut scratch = Vec::new();
    csv::split(dialect, line, &mut cells).is_ok()
        && cells.len() > 1
        && policy
            .fields
            .iter()
            .any(|field| field.name.as_bytes() == csv::value(dialect, line, cells[0], &mut scratch))
}

fn json_slots(paths: &Paths, row: &[u8]) -> Vec<Slot> {
    let mut members = Vec::new();
    Scanner::new().scan(row, paths, &mut members).unwrap();
    let mut scratch = Vec::new();
    members
        .iter()
        .map(|member| {
            let token = &row[member.value()];
            let value = match json::scalar(token, &mut scratch) {
                Scalar::Text(value) | Scalar::Number(value) => value.to_vec(),
                Scalar::Container => token.to_vec(),
                Scalar::Bool | Scalar::Null => Vec::new(),
            };
            Slot {
                range: member.value(),
                value,
                field: member.path.map(json::PathId::index),
                name: row[member.name()].to_vec(),
                quoted: token.starts_with(b"\""),
            }
        })
        .collect()
}
