//! Reads the rate deck and the lists a policy names into what derived fields are looked up in.
//!
//! Invariant: a file is taken whole or not at all, so a fault in one line
//! leaves the former deck in use; no message shows a number; of the lists
//! nothing but keyed hashes stays in memory.

mod deck;
mod numbers;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::cdr::policy::Policy;
use crate::cdr::rating::{Content, ListName, Lists, NamedFile, Rating, RatingFiles};
use crate::number::Canonicaliser;
use crate::number::deck::Deck;
use crate::pseudonym::list::{ListKey, NumberSet, NumberWords};
use crate::pseudonym::mac::sha256;
use crate::settings::Fault;

/// What tells that a file was changed or replaced, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<Option<[i64; 5]>>);

/// Looks at the files by path: a rename into place is seen, and so is an edit.
pub fn stamp(files: &RatingFiles) -> Stamp {
    let look = |named: &NamedFile| {
        let data = fs::metadata(&named.path).ok()?;
        Some([
            data.dev() as i64,
            data.ino() as i64,
            data.size() as i64,
            data.mtime(),
            data.mtime_nsec(),
        ])
    };
    Stamp(files.named.iter().map(look).collect())
}

/// Reads and checks every file the policy names; with what [`stamp`] gave before the first was read.
///
/// # Errors
///
/// Faults with their places, at most a few of each file.
pub fn load(policy: &Policy) -> Result<(Rating, Stamp), Vec<Fault>> {
    let files = &policy.rating_files;
    let before = stamp(files);
    let mut faults = Vec::new();
    let mut rating = Rating::default();
    let mut lists = Lists {
        key: fresh_key(files)?,
        own: None,
        payers: None,
        ports: None,
    };
    for named in &files.named {
        let Some(file) = note(&mut faults, Text::read(files, named)) else {
            continue;
        };
        let rows = match named.list {
            ListName::Deck => {
                let deck = deck::read(&file, files);
                rating.deck = note_all(&mut faults, deck);
                rating.deck.as_ref().map_or(0, Deck::rows)
            }
            ListName::Own | ListName::Payers => {
                let set = reader(policy).and_then(|mut reader| numbers::set(&file, &mut reader, &lists.key));
                let set = note_all(&mut faults, set);
                let rows = set.as_ref().map_or(0, NumberSet::count);
                match named.list {
                    ListName::Own => lists.own = set,
                    _ => lists.payers = set,
                }
                rows
            }
            ListName::Ports => {
                let words =
                    reader(policy).and_then(|mut reader| numbers::words(&file, &mut reader, &lists.key));
                lists.ports = note_all(&mut faults, words);
                lists.ports.as_ref().map_or(0, NumberWords::count)
            }
        };
        rating.contents.push(Content {
            list: named.list,
            rows,
            hash: sha256(file.text.as_bytes()),
        });
    }
    if faults.is_empty() {
        let any = lists.own.is_some() || lists.payers.is_some() || lists.ports.is_some();
        rating.lists = any.then_some(lists);
        Ok((rating, before))
    } else {
        Err(faults)
    }
}

/// One file's text; wiped, because it may be a list of numbers.
struct Text {
    path: std::path::PathBuf,
    text: Zeroizing<String>,
}

impl Text {
    fn read(files: &RatingFiles, named: &NamedFile) -> Result<Self, Fault> {
        let text = fs::read_to_string(&named.path).map_err(|error| {
            let message = format!(
                "[numbers] {}: {} cannot be read: {error}",
                named.list.as_str(),
                named.path.display()
            );
            files.source.fault(named.span.clone(), message)
        })?;
        Ok(Self {
            path: named.path.clone(),
            text: Zeroizing::new(text),
        })
    }

    /// A fault at a byte of the text.
    fn fault(&self, at: usize, message: impl Into<String>) -> Fault {
        Fault::at(&self.path, &self.text, at..at, message)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Numbers in lists are spelt as the source's are.
fn reader(policy: &Policy) -> Result<Canonicaliser, Vec<Fault>> {
    // Files are named under [numbers], and there the policy is refused without a country.
    let missing = || {
        vec![Fault::whole(
            &policy.rating_files.source.path,
            "[numbers] is missing",
        )]
    };
    policy.numbers.clone().map(Canonicaliser::new).ok_or_else(missing)
}

fn fresh_key(files: &RatingFiles) -> Result<ListKey, Vec<Fault>> {
    let mut random = vec![0; 32];
    let fault = |message: String| vec![Fault::whole(&files.source.path, message)];
    getrandom::fill(&mut random)
        .map_err(|error| fault(format!("the operating system gives no random bytes: {error}")))?;
    ListKey::new(random).map_err(|error| fault(error.to_string()))
}

fn note<T>(faults: &mut Vec<Fault>, result: Result<T, Fault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn note_all<T>(faults: &mut Vec<Fault>, result: Result<T, Vec<Fault>>) -> Option<T> {
    result.map_err(|found| faults.extend(found)).ok()
}
