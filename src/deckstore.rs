//! Reads the rate deck, the lists and the maps a policy names into what derived fields are looked up in.
//!
//! Invariant: a file is taken whole or not at all, so a fault in one line
//! leaves the former deck in use; no message shows a number; of the lists
//! nothing but keyed hashes stays in memory.

mod deck;
mod maps;
mod numbers;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::cdr::policy::Policy;
use crate::cdr::rating::{Content, FileName, ListName, Lists, NamedFile, Rating, RatingFiles};
use crate::number::{Canonicaliser, NumberSettingsError};
use crate::pseudonym::list::ListKey;
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
    let mut parts = Parts::new(fresh_key(files)?);
    let mut faults = Vec::new();
    for named in &files.named {
        let taken = Text::read(files, named).and_then(|file| parts.take(policy, named.file, &file));
        faults.extend(taken.err().into_iter().flatten());
    }
    if faults.is_empty() {
        Ok((parts.finish(policy)?, before))
    } else {
        Err(faults)
    }
}

/// What the policy's deck, which was read, lacks of a former one: its rows there.
///
/// # Errors
///
/// Faults of the former deck, or that the policy names none.
pub fn lacking(policy: &Policy, former: &Path) -> Result<Vec<Fault>, Vec<Fault>> {
    let told = |message: String| vec![Fault::whole(former, message)];
    let Some(deck) = &policy.rating.deck else {
        return Err(told("the policy names no deck to compare it with".to_owned()));
    };
    let text = Text::open(former).map_err(|error| told(format!("it cannot be read: {error}")))?;
    deck::lacking(&text, &policy.rating_files, deck)
}

/// What was read so far.
struct Parts {
    rating: Rating,
    lists: Lists,
    emergency: Option<Vec<String>>,
    voicemail: Option<Vec<String>>,
}

impl Parts {
    fn new(key: ListKey) -> Self {
        Self {
            rating: Rating::default(),
            lists: Lists {
                key,
                own: None,
                payers: None,
                ports: None,
            },
            emergency: None,
            voicemail: None,
        }
    }

    fn take(&mut self, policy: &Policy, name: FileName, file: &Text) -> Result<(), Vec<Fault>> {
        let rows = match name {
            FileName::List(list) => self.list(policy, list, file)?,
            FileName::Map(at) => {
                let map = maps::read(file, &policy.rating_files.maps[at])?;
                let rows = map.rows();
                self.rating.maps.push(map);
                rows
            }
        };
        self.rating.contents.push(Content {
            file: name,
            label: policy.rating_files.label(name),
            rows,
            hash: sha256(file.text.as_bytes()),
        });
        Ok(())
    }

    fn list(&mut self, policy: &Policy, list: ListName, file: &Text) -> Result<usize, Vec<Fault>> {
        Ok(match list {
            ListName::Deck => {
                let (deck, warnings) = deck::read(file, &policy.rating_files)?;
                self.rating.warnings = warnings;
                self.rating.deck.insert(deck).rows()
            }
            ListName::Own => {
                let set = numbers::set(file, &mut reader(policy)?, &self.lists.key)?;
                self.lists.own.insert(set).count()
            }
            ListName::Payers => {
                let set = numbers::set(file, &mut reader(policy)?, &self.lists.key)?;
                self.lists.payers.insert(set).count()
            }
            ListName::Ports => {
                let words = numbers::words(file, &mut reader(policy)?, &self.lists.key)?;
                self.lists.ports.insert(words).count()
            }
            ListName::Emergency => self.emergency.insert(labelled(policy, list, file)?).len(),
            ListName::Voicemail => self.voicemail.insert(labelled(policy, list, file)?).len(),
        })
    }

    fn finish(mut self, policy: &Policy) -> Result<Rating, Vec<Fault>> {
        let lists = self.lists;
        let any = lists.own.is_some() || lists.payers.is_some() || lists.ports.is_some();
        self.rating.lists = any.then_some(lists);
        let labels = self.emergency.is_some() || self.voicemail.is_some();
        if let Some(numbers) = policy.numbers.as_ref().filter(|_| labels) {
            let listed = numbers.relisted(self.emergency.as_deref(), self.voicemail.as_deref());
            let fault = |error: NumberSettingsError| {
                vec![Fault::whole(&policy.rating_files.source.path, error.to_string())]
            };
            self.rating.listed = Some(listed.map_err(fault)?);
        }
        Ok(self.rating)
    }
}

/// A list of numbers that are labels, each checked where it stands.
fn labelled(policy: &Policy, name: ListName, file: &Text) -> Result<Vec<String>, Vec<Fault>> {
    let entries = numbers::dialled(file)?;
    let wrong = |(at, entry): &(usize, String)| {
        let one = [entry.clone()];
        let (emergency, voicemail) = match name {
            ListName::Voicemail => (None, Some(&one[..])),
            _ => (Some(&one[..]), None),
        };
        let refused = policy.numbers.as_ref()?.relisted(emergency, voicemail).err();
        refused.map(|_| {
            file.fault(
                *at,
                "write what is dialled: digits, with + * # or , if they are part of it",
            )
        })
    };
    let faults: Vec<Fault> = entries.iter().filter_map(wrong).collect();
    if faults.is_empty() {
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
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
    fn read(files: &RatingFiles, named: &NamedFile) -> Result<Self, Vec<Fault>> {
        Self::open(&named.path).map_err(|error| {
            let setting = match named.file {
                FileName::List(list) => format!("[numbers] {}", list.as_str()),
                FileName::Map(at) => format!("[maps.{}] file", files.maps[at].name),
            };
            let message = format!("{setting}: {} cannot be read: {error}", named.path.display());
            vec![files.source.fault(named.span.clone(), message)]
        })
    }

    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            text: Zeroizing::new(fs::read_to_string(path)?),
        })
    }

    /// A fault at a byte of the text.
    fn fault(&self, at: usize, message: impl Into<String>) -> Fault {
        Fault::at(&self.path, &self.text, at..at, message)
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        memchr::memchr_iter(b'\n', &self.text.as_bytes()[..at]).count() + 1
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
