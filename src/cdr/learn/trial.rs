//! A policy over a sample: what the daemon would do, counted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cdr::header::HeaderMap;
use crate::cdr::learn::Sample;
use crate::cdr::policy::Policy;
use crate::cdr::rows::{Cursor, Piece};
use crate::cdr::transform::{Origin, Outputs, Transformer};
use crate::cdr::{Reason, Refusal};
use crate::settings::{Fault, Source};

/// What became of a sample's records.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) records: u64,
    pub(super) accepted: u64,
    /// Header, comment and marker rows.
    pub(super) skipped: u64,
    /// By reason and the field's index.
    pub(super) refused: BTreeMap<(Reason, Option<usize>), u64>,
    /// The policy's names of fields, for telling.
    fields: Vec<String>,
}

impl Outcome {
    /// The reason and field that most records are refused for, among those that `known` does not hold.
    pub(super) fn worst(&self, known: &[(Reason, Option<usize>)]) -> Option<(Reason, Option<usize>)> {
        let open = self.refused.iter().filter(|(why, _)| !known.contains(why));
        open.max_by_key(|(_, count)| **count).map(|(why, _)| *why)
    }

    /// `12 number at field "dst"`, most first.
    pub(super) fn told(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.refused.iter().collect();
        lines.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let line = |((reason, field), count): (&(Reason, Option<usize>), &u64)| {
            let place = field.and_then(|at| self.fields.get(at));
            let place = place.map_or_else(String::new, |name| format!(" at field \"{name}\""));
            format!("{count} {}{place}", reason.as_str())
        };
        lines.into_iter().map(line).collect()
    }

    fn refuse(&mut self, refusal: Refusal) {
        *self.refused.entry((refusal.reason, refusal.field)).or_default() += 1;
    }
}

/// The policy of a text that was made here.
pub(super) fn load(text: &str) -> Result<Policy, Vec<Fault>> {
    Policy::load(&Source {
        path: PathBuf::from("draft"),
        text: text.to_owned(),
    })
}

/// Transforms up to `most` records.
pub(super) fn run(policy: &Arc<Policy>, sample: &Sample<'_>, most: u64) -> Outcome {
    let mut transformer = Transformer::new(Arc::clone(policy), Arc::clone(sample.keyring), "learn");
    let mut outputs = Outputs::default();
    let mut outcome = Outcome {
        fields: policy.fields.iter().map(|field| field.name.clone()).collect(),
        ..Outcome::default()
    };
    walk(policy, sample, most, |piece, header| match piece {
        Piece::Record(range) => {
            outcome.records += 1;
            let origin = Origin {
                record_id: b"sample/0",
                timestamp: sample.now,
                header: Some(header),
            };
            match transformer.record(&sample.bytes[range.clone()], origin, &mut outputs) {
                Ok(_) => outcome.accepted += 1,
                Err(refusal) => outcome.refuse(refusal),
            }
        }
        Piece::Rejected(_, reason) => {
            outcome.records += 1;
            outcome.refuse((*reason).into());
        }
        Piece::Skipped(_) => outcome.skipped += 1,
        Piece::Incomplete | Piece::Done => {}
    });
    outcome
}

/// Hands out the pieces of the sample, up to `most` records.
pub(super) fn walk(
    policy: &Policy,
    sample: &Sample<'_>,
    most: u64,
    mut each: impl FnMut(&Piece, &HeaderMap),
) {
    let mut cursor = Cursor::default();
    let mut records = 0;
    while records < most {
        let piece = cursor.next(policy, sample.bytes, sample.end);
        match piece {
            Piece::Done | Piece::Incomplete => return,
            Piece::Record(_) | Piece::Rejected(..) => records += 1,
            Piece::Skipped(_) => {}
        }
        each(&piece, cursor.header());
    }
}
