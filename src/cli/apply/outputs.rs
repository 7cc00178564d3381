//! What `apply` writes: three files that are only there when all is done.
//!
//! Invariant: a file under its own name is complete. Until the end each is
//! `<name>.part`; devices, pipes and stdout are written as they are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64;

use crate::cdr::csv;
use crate::cdr::policy::{Format, Header, Policy};
use crate::cdr::{Reason, Skip};
use crate::cli::apply::{Args, Failure};
use crate::cli::outputs::{is_special, same_file, synced};
use crate::cli::{Exit, complain};
use crate::config::Config;
use crate::engine::Output;
use crate::telemetry::Totals;

/// Other names of stdout: opening them would begin a redirected file anew.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// How far it is, for whoever asks in between: a signal, the last line.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub totals: Totals,
    /// The files have their names: an interruption has nothing to tell.
    pub complete: bool,
}

/// The one copy of [`Standing`] that the work and its interruption share.
pub(super) type Shared = Arc<Mutex<Standing>>;

/// A panic elsewhere does not make the numbers wrong.
pub(super) fn standing(shared: &Shared) -> MutexGuard<'_, Standing> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One output as typed.
pub(super) struct Named<'a> {
    option: &'static str,
    path: &'a Path,
}

impl Named<'_> {
    /// The three of a command line.
    pub(super) fn all(args: &Args) -> [Named<'_>; 3] {
        [
            ("--public", &args.public),
            ("--restricted", &args.restricted),
            ("--rejected", &args.rejected),
        ]
        .map(|(option, path)| Named { option, path })
    }

    fn is_stdout(&self) -> bool {
        STDOUT.iter().any(|name| self.path == Path::new(name))
    }

    /// Where it is written until it is complete.
    fn part(&self) -> Option<PathBuf> {
        let direct = self.is_stdout() || is_special(self.path);
        (!direct).then(|| {
            let mut name = target(self.path).into_os_string();
            name.push(".part");
            name.into()
        })
    }

    /// Every path that writing this one touches.
    fn touched(&self) -> impl Iterator<Item = PathBuf> {
        let itself = (!self.is_stdout()).then(|| self.path.to_path_buf());
        itself.into_iter().chain(self.part())
    }
}

/// The file behind a link: renaming would put a file in the link's place.
fn target(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Refuses outputs that overwrite each other or an input.
pub(super) fn told_apart(outputs: &[Named<'_>], inputs: &[PathBuf]) -> Result<(), Failure> {
    let usage = |message: String| Err(Failure::new(Exit::Usage, message));
    for (at, output) in outputs.iter().enumerate() {
        let clash = |other: &&Named<'_>| {
            let both_stdout = other.is_stdout() && output.is_stdout();
            both_stdout
                || other
                    .touched()
                    .any(|one| output.touched().any(|two| same_file(&one, &two)))
        };
        if let Some(other) = outputs[..at].iter().find(clash) {
            return usage(format!(
                "{} and {} are the same file: name another",
                other.option, output.option
            ));
        }
        let is_input = |path: &PathBuf| inputs.iter().any(|input| same_file(input, path));
        if let Some(path) = output.touched().find(is_input) {
            return usage(format!(
                "{} {} is an input file: name another",
                output.option,
                path.display()
            ));
        }
    }
    Ok(())
}

/// One open output.
struct Target {
    option: &'static str,
    /// As it is called in messages: the unfinished file's name.
    shown: String,
    /// The unfinished and the finished name.
    names: Option<(PathBuf, PathBuf)>,
    file: BufWriter<File>,
}

impl Target {
    fn open(named: &Named<'_>) -> Result<Self, Failure> {
        let part = named.part();
        let shown = part.as_deref().unwrap_or(named.path).display().to_string();
        let opened = if named.is_stdout() {
            // Through the descriptor we have: a redirected file goes on where it stands.
            io::stdout().as_fd().try_clone_to_owned().map(File::from)
        } else {
            let mut options = File::options();
            options.write(true);
            if part.is_some() {
                options.create(true).truncate(true);
            }
            options.open(part.as_deref().unwrap_or(named.path))
        };
        let file = opened
            .map_err(|error| Failure::new(Exit::Internal, format!("{} {shown}: {error}", named.option)))?;
        Ok(Self {
            option: named.option,
            shown,
            names: part.map(|part| (part, target(named.path))),
            file: BufWriter::new(file),
        })
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::new(Exit::Internal, format!("{} {}: {error}", self.option, self.shown))
    }

    fn write(&mut self, parts: [&[u8]; 2]) -> Result<(), Failure> {
        let written = parts.into_iter().try_for_each(|part| self.file.write_all(part));
        written.map_err(|error| self.failed(&error))
    }

    /// On the disk, as far as it can be.
    fn settle(&mut self) -> Result<(), Failure> {
        let settled = self.file.flush().and_then(|()| synced(self.file.get_ref()));
        settled.map_err(|error| self.failed(&error))
    }

    fn rename(&self) -> Result<(), Failure> {
        let renamed = self
            .names
            .as_ref()
            .map_or(Ok(()), |(part, whole)| fs::rename(part, whole));
        renamed.map_err(|error| self.failed(&error))
    }
}

/// The three output files.
pub(super) struct Writer {
    public: Target,
    restricted: Target,
    rejected: Target,
    restricted_topic: String,
    rejected_topic: String,
    totals: Totals,
    shared: Shared,
    /// How often for which reason, and at which of the policy's fields.
    reasons: BTreeMap<(&'static str, Option<usize>), u64>,
    line: Vec<u8>,
}

impl Writer {
    /// Opens all three before anything is read.
    pub(super) fn create(args: &Args, config: &Config, shared: Shared) -> Result<Self, Failure> {
        let outputs = Named::all(args);
        let taken = |named: &&Named<'_>| !args.force && named.part().is_some() && named.path.exists();
        if let Some(named) = outputs.iter().find(taken) {
            return Err(Failure::new(
                Exit::Internal,
                format!(
                    "{} exists: name another file, or --force to replace it",
                    named.path.display()
                ),
            ));
        }
        let mut opened = Vec::new();
        for named in &outputs {
            match Target::open(named) {
                Ok(target) => opened.push(target),
                Err(failure) => {
                    discard(&opened);
                    return Err(failure);
                }
            }
        }
        let [public, restricted, rejected] = opened
            .try_into()
            .unwrap_or_else(|_| unreachable!("three outputs were opened"));
        let mut writer = Self {
            public,
            restricted,
            rejected,
            restricted_topic: config.topics.restricted.clone(),
            rejected_topic: config.topics.rejected.clone(),
            totals: Totals::default(),
            shared,
            reasons: BTreeMap::new(),
            line: Vec::new(),
        };
        writer.header(&config.policy)?;
        Ok(writer)
    }

    /// An input with a header row gives an output with one.
    fn header(&mut self, policy: &Policy) -> Result<(), Failure> {
        let Format::Csv {
            dialect,
            header: Header::Skip | Header::Check,
        } = policy.format
        else {
            return Ok(());
        };
        let names = policy
            .fields
            .iter()
            .map(|field| field.name.clone())
            .chain(policy.appended());
        for (at, name) in names.enumerate() {
            if at > 0 {
                self.line.push(dialect.delimiter);
            }
            csv::write_value(&mut self.line, dialect, name.as_bytes())
                .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        }
        self.public.write([&self.line, b"\n"])
    }

    /// Writes one output of the engine and counts it.
    pub(super) fn write(&mut self, output: &Output<'_>) -> Result<(), Failure> {
        self.totals.read += 1;
        match output {
            Output::Skipped(Skip::Header | Skip::Comment | Skip::Tombstone) => self.totals.skipped += 1,
            Output::Accepted(accepted) => {
                self.public.write([accepted.public, b"\n"])?;
                self.totals.public += 1;
                if let Some(sealed) = accepted.restricted {
                    let line = sealed_line(&self.restricted_topic, accepted.record_id, None, sealed);
                    self.restricted.write([line.as_bytes(), b"\n"])?;
                    self.totals.restricted += 1;
                }
            }
            Output::Rejected {
                record_id,
                refusal,
                sealed,
            } => {
                let line = sealed_line(&self.rejected_topic, record_id, Some(refusal.reason), sealed);
                self.rejected.write([line.as_bytes(), b"\n"])?;
                self.totals.rejected += 1;
                *self
                    .reasons
                    .entry((refusal.reason.as_str(), refusal.field))
                    .or_default() += 1;
            }
        }
        standing(&self.shared).totals = self.totals;
        Ok(())
    }

    /// How many were rejected for what.
    pub(super) fn tell_rejected(&self, policy: &Policy) {
        for ((reason, field), count) in &self.reasons {
            let field = field.map_or_else(String::new, |at| {
                format!(" at field \"{}\"", policy.fields[at].name)
            });
            complain(format!("rejected {count}: {reason}{field}"));
        }
    }

    /// Puts everything on the disk, then gives the files their names, the public one last.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        for target in [&mut self.public, &mut self.restricted, &mut self.rejected] {
            target.settle()?;
        }
        let mut standing = standing(&self.shared);
        for target in [&self.restricted, &self.rejected, &self.public] {
            target.rename()?;
        }
        standing.complete = true;
        Ok(())
    }

    /// After a fault: what was counted, and what becomes of the unfinished files.
    pub(super) fn abandon(mut self) {
        let targets = [&mut self.public, &mut self.restricted, &mut self.rejected];
        if self.totals.public + self.totals.rejected == 0 {
            discard(targets.map(|target| &*target));
            return;
        }
        for target in targets {
            // The fault was told already; a full disk stays full.
            let _ = target.file.flush();
        }
        complain(format!("not finished: {}; {}", self.totals, UNFINISHED));
    }
}

/// What is left of a run that did not come to its end.
pub(super) const UNFINISHED: &str = "what was written stands in the files ending in .part and is incomplete";

fn discard<'a>(targets: impl IntoIterator<Item = &'a Target>) {
    for (part, _) in targets.into_iter().filter_map(|target| target.names.as_ref()) {
        // Best effort: an empty file is left behind at worst.
        let _ = fs::remove_file(part);
    }
}

/// `{"topic":..,"record_id":..,"reason":..,"sealed":..}`
fn sealed_line(topic: &str, record_id: &[u8], reason: Option<Reason>, sealed: &[u8]) -> String {
    let mut line = serde_json::Map::new();
    line.insert("topic".into(), topic.into());
    line.insert("record_id".into(), String::from_utf8_lossy(record_id).into());
    if let Some(reason) = reason {
        line.insert("reason".into(), reason.as_str().into());
    }
    line.insert("sealed".into(), BASE64.encode(sealed).into());
    serde_json::Value::Object(line).to_string()
}
