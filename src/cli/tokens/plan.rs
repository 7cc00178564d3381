//! What was asked, checked against policy, keyring and the file's header row.
//!
//! Invariant: a plan exists only for a field whose tokens last and for epochs
//! that have a key, so every row of it either gets all its tokens or is refused.

use std::ops::Range;
use std::sync::Arc;

use crate::cdr::csv::{self, CsvError, Dialect, Field};
use crate::cdr::policy::{self, Action, Policy, Scope};
use crate::cdr::transform::subscribers::{Subscribers, Unmapped};
use crate::config::Config;
use crate::pseudonym::keyring::{EpochIndex, Keyring, Status};

/// What was typed.
pub(super) struct Asked<'a> {
    pub(super) column: &'a str,
    pub(super) field: Option<&'a str>,
    pub(super) with: Option<&'a str>,
    pub(super) epochs: Option<&'a str>,
    pub(super) dialect: Dialect,
}

/// What it means for this file.
pub(super) struct Plan {
    dialect: Dialect,
    columns: usize,
    column: usize,
    subscribers: Subscribers,
    /// Scope pairwise: the served party, whose number must not stay beside the token either.
    served: Option<Served>,
    epochs: Vec<EpochIndex>,
    cells: Vec<Field>,
    unquoted: Vec<u8>,
    served_unquoted: Vec<u8>,
    written: Vec<u8>,
}

struct Served {
    column: usize,
    /// Its own tokens, where its field has any that last.
    subscribers: Option<Subscribers>,
}

/// Why a row gets no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0} columns, but the header row has {1}")]
    Columns(usize, usize),
    #[error("{0}")]
    Unreadable(#[from] CsvError),
    #[error("{0}")]
    Unmapped(#[from] Unmapped),
    #[error("the same subscriber as line {0}: one token would have two accounts")]
    Duplicate(u64),
}

impl Plan {
    /// Checks everything that can be known from the header row.
    pub(super) fn new(asked: &Asked<'_>, config: &Config, header: &[u8]) -> Result<Self, String> {
        let policy = &config.policy;
        let field = field(policy, asked.field)?;
        let name = &policy.fields[field].name;
        let of = |field| {
            Subscribers::new(
                Arc::clone(policy),
                Arc::clone(&config.keyring.keyring),
                &config.domain,
                field,
            )
        };
        let subscribers = of(field).map_err(|why| format!("--field {name}: this field {why}"))?;
        let names = Names::read(asked.dialect, header)?;
        let column = names.place("--column", asked.column)?;
        let party = served_party(policy, name, &subscribers, asked.with)?;
        let served = match party {
            None => None,
            Some((with, party)) => Some(Served {
                column: names.place("--with", party)?,
                subscribers: of(with).ok().filter(|served| served.served_by().is_none()),
            }),
        };
        if served.as_ref().is_some_and(|served| served.column == column) {
            return Err("--column and --with are the same column: a pair has two".to_owned());
        }
        let plan = Self {
            dialect: asked.dialect,
            columns: names.0.len(),
            column,
            subscribers,
            served,
            epochs: epochs(&config.keyring.keyring, asked.epochs)?,
            cells: Vec::new(),
            unquoted: Vec::new(),
            served_unquoted: Vec::new(),
            written: Vec::new(),
        };
        plan.told_apart(&names, &config.keyring.keyring)?;
        Ok(plan)
    }

    /// Whether a made column would have the name of one that is there.
    fn told_apart(&self, names: &Names, keyring: &Keyring) -> Result<(), String> {
        let replaced = [
            Some(self.column),
            self.served.as_ref().map(|served| served.column),
        ];
        for column in replaced.into_iter().flatten() {
            for &epoch in &self.epochs {
                let name = made(&names.0[column], epoch, keyring);
                if names.0.contains(&name) {
                    return Err(format!(
                        "the file has a column \"{}\" already: rename it",
                        String::from_utf8_lossy(&name)
                    ));
                }
            }
        }
        Ok(())
    }

    /// Appends the header row of the output.
    pub(super) fn header(&self, header: &[u8], keyring: &Keyring, out: &mut Vec<u8>) -> Result<(), String> {
        let names = Names::read(self.dialect, header)?;
        for at in 0..self.columns {
            let written: Vec<Vec<u8>> = if at == self.column || self.served_tokens(at) {
                let name = |&epoch| made(&names.0[at], epoch, keyring);
                self.epochs.iter().map(name).collect()
            } else {
                vec![names.0[at].clone()]
            };
            for (nth, name) in written.iter().enumerate() {
                if at + nth > 0 {
                    out.push(self.dialect.delimiter);
                }
                csv::write_value(out, self.dialect, name).map_err(|error| error.to_string())?;
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn served_tokens(&self, column: usize) -> bool {
        let served = self.served.as_ref();
        served.is_some_and(|served| served.column == column && served.subscribers.is_some())
    }

    /// Reads one row's subscriber.
    pub(super) fn read(&mut self, row: &[u8]) -> Result<(), Refused> {
        csv::split(self.dialect, row, &mut self.cells)?;
        if self.cells.len() != self.columns {
            return Err(Refused::Columns(self.cells.len(), self.columns));
        }
        let value = csv::value(self.dialect, row, self.cells[self.column], &mut self.unquoted);
        let Some(served) = &mut self.served else {
            return Ok(self.subscribers.read(value, b"")?);
        };
        let party = self.cells[served.column];
        let party = csv::value(self.dialect, row, party, &mut self.served_unquoted);
        self.subscribers.read(value, party)?;
        if let Some(subscribers) = &mut served.subscribers {
            subscribers.read(party, b"")?;
        }
        Ok(())
    }

    /// The first token of the row last read: by it rows of one subscriber are found.
    pub(super) fn first_token(&mut self) -> Result<&[u8], Refused> {
        self.written.clear();
        self.subscribers.write(self.epochs[0], &mut self.written)?;
        Ok(&self.written)
    }

    /// Appends the output's row for the row last read; other columns are byte-identical.
    pub(super) fn write(&mut self, row: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        for at in 0..self.columns {
            if at > 0 {
                out.push(self.dialect.delimiter);
            }
            match &mut self.served {
                _ if at == self.column => {
                    tokens(&mut self.subscribers, &self.epochs, self.dialect.delimiter, out)?;
                }
                Some(served) if at == served.column => {
                    if let Some(subscribers) = &mut served.subscribers {
                        tokens(subscribers, &self.epochs, self.dialect.delimiter, out)?;
                    }
                }
                _ => out.extend_from_slice(&row[self.cells[at].range()]),
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

/// The name of a column of tokens.
fn made(column: &[u8], epoch: EpochIndex, keyring: &Keyring) -> Vec<u8> {
    let id = keyring.epoch(epoch).id();
    [column, b"_", id.as_bytes()].concat()
}

/// One column's tokens, bare: [`super::dialect`] allows no delimiter that could stand in one.
fn tokens(
    subscribers: &mut Subscribers,
    epochs: &[EpochIndex],
    delimiter: u8,
    out: &mut Vec<u8>,
) -> Result<(), Unmapped> {
    for (nth, &epoch) in epochs.iter().enumerate() {
        if nth > 0 {
            out.push(delimiter);
        }
        subscribers.write(epoch, out)?;
    }
    Ok(())
}

/// The header row's names. They may be shown: they are no values.
struct Names(Vec<Vec<u8>>);

impl Names {
    fn read(dialect: Dialect, header: &[u8]) -> Result<Self, String> {
        let (mut cells, mut scratch) = (Vec::new(), Vec::new());
        csv::split(dialect, header, &mut cells).map_err(|error| format!("the header row: {error}"))?;
        let name = |cell: &Field| {
            csv::value(dialect, header, *cell, &mut scratch)
                .trim_ascii()
                .to_vec()
        };
        Ok(Self(cells.iter().map(name).collect()))
    }

    /// Where the one column of that name is.
    fn place(&self, option: &str, name: &str) -> Result<usize, String> {
        let named = |(at, known): (usize, &Vec<u8>)| (known == name.as_bytes()).then_some(at);
        let mut places = self.0.iter().enumerate().filter_map(named);
        match (places.next(), places.next()) {
            (Some(at), None) => Ok(at),
            (Some(_), Some(_)) => Err(format!(
                "{option} {name}: the header row names it twice: rename one"
            )),
            (None, _) => Err(format!(
                "{option} {name}: the header row does not name it (the first row must be a header; its delimiter is --delimiter)"
            )),
        }
    }
}

/// The served party's field and the column named for it; none where the scope is domain.
fn served_party<'a>(
    policy: &Policy,
    name: &str,
    subscribers: &Subscribers,
    with: Option<&'a str>,
) -> Result<Option<(usize, &'a str)>, String> {
    match (subscribers.served_by(), with) {
        (None, None) => Ok(None),
        (Some(field), Some(column)) => Ok(Some((field, column))),
        (None, Some(_)) => Err(format!(
            "--with: field {name} has scope \"domain\", its tokens depend on no other party: leave --with out"
        )),
        (Some(field), None) => Err(format!(
            "field {name} has scope \"pairwise\": name the column of the served party ({}) by --with",
            policy.fields[field].name
        )),
    }
}

/// The policy's field whose tokens are wanted.
fn field(policy: &Policy, name: Option<&str>) -> Result<usize, String> {
    let lasting = |(at, field): (usize, &policy::Field)| match &field.action {
        Action::Pseudonymise(how) => (how.scope != Scope::Record).then_some(at),
        Action::Keep | Action::Restrict | Action::Coarsen { .. } | Action::Drop => None,
    };
    let fields: Vec<usize> = policy.fields.iter().enumerate().filter_map(lasting).collect();
    let listed = || {
        let names = fields.iter().map(|&at| policy.fields[at].name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    if let Some(name) = name {
        let place = policy.fields.iter().position(|field| field.name == name);
        return place.ok_or_else(|| {
            format!(
                "--field {name}: the policy has no such field (with tokens: {})",
                listed()
            )
        });
    }
    match (policy.key, &fields[..]) {
        (Some(key), _) => Ok(key),
        (None, [only]) => Ok(*only),
        (None, []) => Err("the policy has no field whose tokens last".to_owned()),
        (None, _) => Err(format!("name the policy's field by --field: {}", listed())),
    }
}

/// Epochs in order of time, each once: all that have a key, or those of `a,b,c..e`.
fn epochs(keyring: &Keyring, asked: Option<&str>) -> Result<Vec<EpochIndex>, String> {
    let all = keyring.epochs();
    let usable = |at: &usize| all[*at].status() != Status::Destroyed;
    let Some(asked) = asked else {
        let found: Vec<_> = (0..all.len()).filter(usable).map(EpochIndex).collect();
        return if found.is_empty() {
            Err("the keyring has no key that is not destroyed".to_owned())
        } else {
            Ok(found)
        };
    };
    let mut found = Vec::new();
    for part in asked.split(',').map(str::trim) {
        let range = epoch_range(keyring, part)?;
        if let Some(at) = range.clone().find(|at| !usable(at)) {
            return Err(format!(
                "--epochs: the key of {} is destroyed: its tokens cannot be computed any more",
                all[at].id()
            ));
        }
        found.extend(range.map(EpochIndex));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// `2026-11`, or `2026-11..2027-01` with both ends.
fn epoch_range(keyring: &Keyring, part: &str) -> Result<Range<usize>, String> {
    let place = |id: &str| {
        let known = keyring
            .epochs()
            .iter()
            .position(|epoch| epoch.id().as_str() == id);
        known.ok_or_else(|| format!("--epochs {id}: the keyring has no such epoch (see `cdrveil keys list`)"))
    };
    let (first, last) = match part.split_once("..") {
        Some((first, last)) => (place(first.trim())?, place(last.trim())?),
        None => (place(part)?, place(part)?),
    };
    if first > last {
        return Err(format!("--epochs {part}: the range ends before it begins"));
    }
    Ok(first..last + 1)
}
