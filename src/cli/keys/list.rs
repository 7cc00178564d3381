//! `cdrveil keys list`: every key with its state, window and source, and what the register says of it.
//!
//! Invariant: no key is shown; what the register could not tell is said in its column, and the file is listed all the
//! same.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::keys::destroy::late_until;
use crate::cli::keys::{KEYRING, PATIENCE, event_time, or_dash, refuse, write_table};
use crate::config::{self, Deployment};
use crate::daemon;
use crate::keystore::{load, look};
use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::{Epoch, Status};
use crate::register::entry::{Claim, Destruction};
use crate::register::live::{self, MADE_BY, Place, RegisterError};
use crate::register::table::{Standing, Table};
use crate::settings::Fault;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The keyring file [default: config/keyring.toml, or the one that --config names]
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// The daemon's configuration: what its register says stands beside each key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn list(
    args: &ListArgs,
    now: Timestamp,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<Exit> {
    let deployment = args
        .config
        .as_deref()
        .map(|file| Deployment::load(file, &config::environment()));
    let deployment = match deployment.transpose() {
        Ok(deployment) => deployment,
        Err(faults) => return refuse(stderr, &faults),
    };
    let named = deployment
        .as_ref()
        .map(|deployment| deployment.keyring_path.clone());
    let keyring = args.keyring.clone().or(named);
    let keyring = keyring.unwrap_or_else(|| PathBuf::from(KEYRING));
    let listed = match read(&keyring, stderr)? {
        Ok(listed) => listed,
        Err(faults) => return refuse(stderr, &faults),
    };
    let register = deployment.as_ref().map_or(Register::NotAsked, ask);
    if args.json {
        writeln!(stdout, "{:#}", as_json(&listed, &register, event_time(now)))?;
    } else {
        write_table(stdout, &rows(&listed, &register, event_time(now)))?;
    }
    let found = tell(&listed, &register, stderr)?;
    Ok(if found || listed.faults.iter().any(Option::is_some) {
        Exit::Found
    } else {
        register.exit()
    })
}

/// A keyring as it is listed: one that loads, or what can be told of one that does not.
struct Listed {
    epochs: Vec<Epoch>,
    sources: Vec<String>,
    /// What is wrong with each key, where something is.
    faults: Vec<Option<String>>,
    fingerprint: Option<String>,
    late_window: Duration,
}

fn read(keyring: &Path, stderr: &mut dyn Write) -> io::Result<Result<Listed, Vec<Fault>>> {
    if let Ok(loaded) = load(keyring) {
        for warning in &loaded.warnings {
            writeln!(stderr, "warning: {warning}")?;
        }
        return Ok(Ok(Listed {
            epochs: loaded.keyring.epochs().to_vec(),
            sources: loaded.sources,
            faults: Vec::new(),
            fingerprint: Some(loaded.keyring.fingerprint()),
            late_window: loaded.late_window,
        }));
    }
    // The list is for finding out: a key that cannot be read is part of it.
    Ok(look(keyring).map(|outline| Listed {
        epochs: outline.epochs,
        sources: outline.sources,
        faults: outline.faults,
        fingerprint: None,
        late_window: outline.late_window,
    }))
}

impl Listed {
    fn keys(&self) -> impl Iterator<Item = (&Epoch, &String, Option<&String>)> {
        let epochs = self.epochs.iter().zip(&self.sources).enumerate();
        epochs.map(|(at, (epoch, source))| (epoch, source, self.faults.get(at).and_then(Option::as_ref)))
    }

    /// Epochs that the register alone knows.
    fn others<'a>(&'a self, register: &'a Register) -> impl Iterator<Item = (&'a EpochId, View<'a>)> {
        let known = |id: &EpochId| self.epochs.iter().any(|epoch| epoch.id() == id);
        let table = register.table().into_iter();
        table.flat_map(move |table| {
            let others = table.epochs().filter(move |id| !known(id));
            others.map(|id| (id, View::of_other(table, id)))
        })
    }
}

/// What was heard from the register.
enum Register {
    /// No deployment was named.
    NotAsked,
    /// No instance has started yet.
    NotMade,
    Unheard(RegisterError),
    Read(Box<Table>, String),
}

fn ask(deployment: &Deployment) -> Register {
    let place = Place::at(deployment);
    let patience = deployment.kafka.start_timeout().min(PATIENCE);
    match live::view(&place, &[], patience) {
        Ok(Some(table)) => Register::Read(Box::new(table), place.topic),
        Ok(None) => Register::NotMade,
        Err(error) => Register::Unheard(error),
    }
}

impl Register {
    fn table(&self) -> Option<&Table> {
        match self {
            Self::Read(table, _) => Some(table),
            Self::NotAsked | Self::NotMade | Self::Unheard(_) => None,
        }
    }

    fn cell(&self, epoch: &Epoch) -> String {
        match self {
            Self::NotAsked => "not asked".to_owned(),
            Self::NotMade => "no register yet".to_owned(),
            Self::Unheard(RegisterError::Kafka { .. }) => "no answer from the brokers".to_owned(),
            Self::Unheard(_) => "may not be read".to_owned(),
            Self::Read(table, _) => View::of(table, epoch).text(Some(epoch)),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotAsked | Self::NotMade | Self::Read(..) => Exit::Ok,
            Self::Unheard(RegisterError::Kafka { .. }) => Exit::Unavailable,
            Self::Unheard(_) => Exit::Config,
        }
    }
}

/// What the register says of one epoch.
struct View<'a> {
    word: Word,
    claim: Option<&'a Claim>,
    gone: Option<&'a Destruction>,
    problem: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Agreed,
    Unclaimed,
    Destroyed,
    /// Destroyed in the keyring alone.
    Untold,
    Disagrees,
    /// In the register alone.
    Other,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Unclaimed => "unclaimed",
            Self::Destroyed => "destroyed",
            Self::Untold => "untold",
            Self::Disagrees => "disagrees",
            Self::Other => "not-in-keyring",
        }
    }
}

impl<'a> View<'a> {
    fn of(table: &'a Table, epoch: &Epoch) -> Self {
        let (word, problem) = match table.standing(epoch, &MADE_BY) {
            Standing::Against(contradiction) => (Word::Disagrees, Some(contradiction.to_string())),
            Standing::Unclaimed => (Word::Unclaimed, None),
            Standing::Agreed if epoch.status() != Status::Destroyed => (Word::Agreed, None),
            Standing::Agreed if table.destruction(epoch.id()).is_some() => (Word::Destroyed, None),
            Standing::Agreed => (Word::Untold, Some(daemon::untold(epoch.id().as_str()))),
        };
        Self {
            word,
            problem,
            ..Self::of_other(table, epoch.id())
        }
    }

    fn of_other(table: &'a Table, id: &EpochId) -> Self {
        Self {
            word: Word::Other,
            claim: table.holder(id).map(|held| &held.claim),
            gone: table.destruction(id),
            problem: None,
        }
    }

    /// Beside `epoch`, which stands in the same line.
    fn text(&self, epoch: Option<&Epoch>) -> String {
        let said = match (self.gone, self.claim) {
            (Some(gone), _) => {
                let by = gone.made.as_ref();
                let by = by.map_or_else(String::new, |by| format!(" by {by}"));
                format!("{} destroyed{by}", or_dash(gone.kcv))
            }
            (None, Some(claim)) => {
                // The begin of its window only where it is not that of the line.
                let same = epoch.is_some_and(|epoch| epoch.activate_at() == claim.activate_at);
                let from = if same {
                    String::new()
                } else {
                    format!(" from {}", claim.activate_at)
                };
                format!("{}{from} claimed by {}", claim.kcv, claim.made)
            }
            (None, None) if self.word == Word::Disagrees => "this group is another domain's".to_owned(),
            (None, None) => "not claimed yet".to_owned(),
        };
        match self.word {
            Word::Disagrees => format!("DISAGREES: {said}"),
            Word::Untold => format!("NOT TOLD: {said}"),
            Word::Agreed | Word::Unclaimed | Word::Destroyed | Word::Other => said,
        }
    }

    fn json(&self) -> Value {
        let (claim, gone) = (self.claim, self.gone);
        let told = gone.and_then(|gone| gone.made.as_ref());
        let kcv = claim.map(|claim| claim.kcv).or(gone.and_then(|gone| gone.kcv));
        json!({
            "standing": self.word.as_str(),
            "kcv": kcv.map(|kcv| kcv.to_string()),
            "activate_at": claim.map(|claim| claim.activate_at.to_string()),
            "ends_at": claim.and_then(|claim| claim.ends_at).map(|end| end.to_string()),
            "claimed_at": claim.map(|claim| claim.made.time.to_string()),
            "claimed_by": claim.map(|claim| claim.made.instance.as_str()),
            "destroyed": gone.is_some(),
            "destroyed_at": told.map(|made| made.time.to_string()),
            "destroyed_by": told.map(|made| made.instance.as_str()),
            "problem": self.problem,
        })
    }
}

/// What register and keyring do not agree in; whether there is anything.
fn tell(listed: &Listed, register: &Register, stderr: &mut dyn Write) -> io::Result<bool> {
    let (table, topic) = match register {
        Register::NotAsked | Register::NotMade => return Ok(false),
        Register::Unheard(error) => {
            writeln!(stderr, "cdrveil: {error}")?;
            return Ok(false);
        }
        Register::Read(table, topic) => (table, topic),
    };
    let contradictions = table.contradictions(&listed.epochs, &MADE_BY);
    for contradiction in &contradictions {
        writeln!(stderr, "cdrveil: register \"{topic}\": {contradiction}")?;
    }
    let untold = table.untold(&listed.epochs);
    for id in &untold {
        writeln!(stderr, "cdrveil: {}", daemon::untold(id.as_str()))?;
    }
    Ok(!contradictions.is_empty() || !untold.is_empty())
}

fn as_json(listed: &Listed, register: &Register, now: EventTime) -> Value {
    let keys: Vec<_> = listed
        .keys()
        .map(|(epoch, source, fault)| {
            json!({
                "id": epoch.id().as_str(),
                "state": epoch.state(now).to_string(),
                "status": epoch.status().to_string(),
                "activate_at": epoch.activate_at().to_string(),
                "ends_at": epoch.ends_at().map(|end| end.to_string()),
                "late_until": epoch.ends_at().map(|end| late_until(end, listed.late_window).to_string()),
                "kcv": epoch.kcv().map(|kcv| kcv.to_string()),
                "source": source,
                "fault": fault,
                "register": register.table().map(|table| View::of(table, epoch).json()),
            })
        })
        .collect();
    let others = listed
        .others(register)
        .map(|(id, view)| json!({ "id": id.as_str(), "register": view.json() }));
    json!({
        "fingerprint": listed.fingerprint,
        "register": match register {
            Register::NotAsked => json!({ "asked": false }),
            Register::NotMade => json!({ "asked": true, "exists": false }),
            Register::Unheard(error) => json!({ "asked": true, "problem": error.to_string() }),
            Register::Read(_, topic) => json!({ "asked": true, "exists": true, "topic": topic }),
        },
        "keys": keys,
        "others": others.collect::<Vec<_>>(),
    })
}

fn rows(listed: &Listed, register: &Register, now: EventTime) -> Vec<[String; 7]> {
    let titles = ["ID", "STATE", "FROM", "UNTIL", "KCV", "REGISTER", "SOURCE"].map(str::to_owned);
    let keys = listed.keys().map(|(epoch, source, fault)| {
        [
            epoch.id().to_string(),
            epoch.state(now).to_string(),
            epoch.activate_at().to_string(),
            or_dash(epoch.ends_at()),
            or_dash(epoch.kcv()),
            register.cell(epoch),
            fault.map_or_else(
                || source.clone(),
                |fault| format!("{source}  NOT USABLE: {fault}"),
            ),
        ]
    });
    let others = listed.others(register).map(|(id, view)| {
        let text = view.text(None);
        let nothing = || "-".to_owned();
        [
            id.to_string(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            text,
            "not in this keyring".to_owned(),
        ]
    });
    std::iter::once(titles).chain(keys).chain(others).collect()
}
