//! What a draft still rejects, and what would take it: spellings of numbers, copies of them in kept fields.
//!
//! A change stays only if more records are accepted by it, and its line says so.

use std::sync::Arc;

use crate::cdr::Reason;
use crate::cdr::learn::Sample;
use crate::cdr::learn::draft::{Draft, Line};
use crate::cdr::learn::trial::{self, Outcome};
use crate::cdr::policy::{Action, Policy};

/// Records that changes are tried on.
const TRIED_ON: u64 = 5_000;
/// Changes that are tried, at most.
const ROUNDS: usize = 40;

/// The draft with every change that helps.
pub(super) fn tuned(sample: &Sample<'_>, mut draft: Draft) -> Draft {
    let mut given_up = Vec::new();
    for _ in 0..ROUNDS {
        let Some((policy, outcome)) = tried(sample, &draft) else {
            return draft;
        };
        let Some(why) = outcome.worst(&given_up) else {
            return draft;
        };
        let better = match why {
            (Reason::Leak, Some(at)) => Some(without_leak(&draft, &policy, at)),
            (Reason::Number, Some(at)) => numbers(sample, &draft, &policy, &outcome, at),
            _ => None,
        };
        match better {
            Some(better) => draft = better,
            None => given_up.push(why),
        }
    }
    draft
}

fn tried(sample: &Sample<'_>, draft: &Draft) -> Option<(Arc<Policy>, Outcome)> {
    let policy = Arc::new(trial::load(&draft.text()).ok()?);
    let outcome = trial::run(&policy, sample, TRIED_ON);
    Some((policy, outcome))
}

fn without_leak(draft: &Draft, policy: &Policy, at: usize) -> Draft {
    let mut better = draft.clone();
    better.restrict(&policy.fields[at].name, "it repeats a number of its own record");
    better
}

/// The first setting of `[numbers]` by which more records are read; of the two for bare digits, the better.
fn numbers(
    sample: &Sample<'_>,
    draft: &Draft,
    policy: &Policy,
    outcome: &Outcome,
    at: usize,
) -> Option<Draft> {
    let field = &policy.fields[at];
    let is_phone = matches!(&field.action, Action::Pseudonymise(how) if how.kind.as_str() == "phone");
    if !is_phone {
        let mut better = draft.clone();
        better.restrict(&field.name, "values that are not of the kind it seemed to be");
        return Some(better);
    }
    let attempt = |text: &str, comment: &str| {
        let mut better = draft.clone();
        better.set_number(Line::with(text, comment));
        let (_, now) = tried(sample, &better)?;
        (now.accepted > outcome.accepted).then_some((now.accepted, better))
    };
    let bare = ["national", "international"].into_iter().filter_map(|meaning| {
        attempt(
            &format!("bare = \"{meaning}\""),
            &format!("A guess: digits without +, 00 or 0 are {meaning} numbers, because more records are read so. Make sure."),
        )
    });
    let bare = if draft.has_number("bare") {
        None
    } else {
        bare.max_by_key(|(accepted, _)| *accepted)
    };
    let found = bare
        .or_else(|| {
            let comment = "A guess: numbers dialled behind 000 are international ones.";
            if draft.has_number("idd") { None } else { attempt("idd = [\"000\"]", comment) }
        })
        .or_else(|| {
            let comment = "Values that are no numbers (signs, long digits) get a token of their own. Say \"reject\" to refuse such records.";
            if draft.has_number("other") { None } else { attempt("other = \"pseudonymise\"", comment) }
        });
    found.map(|(_, better)| better)
}
