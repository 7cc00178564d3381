//! A draft policy from a sample of records: a preset that fits, or a proposal for every field.
//!
//! Invariant: nothing of the sample stands in what comes out but names of columns and members that look like
//! names, unless values were asked for. "Fits" means that the real transform accepts the records. What is not
//! recognised is restricted: a draft may seal too much, never show too much.

mod draft;
mod looks;
mod names;
mod presets;
mod profile;
mod propose;
mod start;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod tree;
mod trial;
mod tune;
mod values;
mod verdict;

use std::sync::Arc;

use thiserror::Error;

use crate::cdr::csv::End;
use crate::cdr::learn::draft::Draft;
use crate::pseudonym::keyring::Keyring;

/// Most records that are looked at.
pub const MOST_RECORDS: u64 = 100_000;
/// What is said of a preset whose records are written in another form.
pub const OTHER_FORM: &str = "another form";
/// Fewest of a hundred records that a preset must accept to be recognised.
const FITS: u64 = 90;

/// The bytes to learn from.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// The beginning of the file, or all of it.
    pub bytes: &'a [u8],
    /// Whether that is all of it.
    pub end: End,
    /// Now, milliseconds since 1970: calls do not begin in the future.
    pub now: i64,
    /// Keys to try policies with; nothing that is made under them is kept.
    pub keyring: &'a Arc<Keyring>,
}

/// What the user knows that no sample tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Country of national numbers, ISO 3166.
    pub country: Option<&'a str>,
    /// Zone of local times, IANA.
    pub zone: Option<&'a str>,
    /// Whether comments may show examples.
    pub examples: Examples,
}

/// Whether values of the sample may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Examples {
    /// None.
    #[default]
    Hidden,
    /// A few of every field, as comments.
    Shown,
}

/// How a preset did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Its name, with the variant of its columns or times that was tried.
    pub name: String,
    /// Records it met.
    pub records: u64,
    /// Records it accepted.
    pub accepted: u64,
    /// Why it was not taken, or that it fits.
    pub verdict: String,
}

/// What was learnt.
#[derive(Debug)]
pub struct Learnt {
    /// The presets, in alphabetical order.
    pub tried: Vec<Tried>,
    /// The preset that was recognised.
    pub preset: Option<&'static str>,
    /// The draft, TOML.
    pub policy: String,
    /// Records of the sample.
    pub records: u64,
    /// Records that the draft accepts.
    pub accepted: u64,
    /// What it rejects, by reason and field.
    pub rejected: Vec<String>,
}

/// Why there is no draft. Shows nothing of the sample.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}: {message}")]
pub struct LearnError {
    /// The line at which it shows.
    pub line: usize,
    /// What, and what to do.
    pub message: String,
}

impl LearnError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

/// Recognises a preset, or proposes a policy.
///
/// # Errors
///
/// No records, or none with a time: with the line and what to do.
pub fn learn(sample: &Sample<'_>, known: &Known<'_>) -> Result<Learnt, LearnError> {
    if sample.bytes.trim_ascii().is_empty() {
        return Err(LearnError::new(
            1,
            "nothing is in it: give a file with some records",
        ));
    }
    let (tried, found) = presets::recognise(sample, known);
    let (draft, preset) = match found {
        Some((draft, preset)) => (draft, Some(preset)),
        None => (propose::proposal(sample, known)?, None),
    };
    finished(sample, draft, tried, preset)
}

/// Tries the draft on every record once more, and says in its head what came of it.
fn finished(
    sample: &Sample<'_>,
    draft: Draft,
    tried: Vec<Tried>,
    preset: Option<&'static str>,
) -> Result<Learnt, LearnError> {
    let draft = tune::tuned(sample, draft);
    let Ok(policy) = trial::load(&draft.text()) else {
        return Err(LearnError::new(
            1,
            "no policy came of it: this is a bug of cdrveil, please report it with the first line, made anonymous",
        ));
    };
    let outcome = trial::run(&Arc::new(policy), sample, MOST_RECORDS);
    Ok(Learnt {
        tried,
        preset,
        policy: draft.with_head(&outcome),
        records: outcome.records,
        accepted: outcome.accepted,
        rejected: outcome.told(),
    })
}
