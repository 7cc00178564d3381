//! `cdrveil explain`: the policy as a table, and what it does to given records.
//!
//! Shown are names, actions and what would be public: kept values as they are, and no
//! value that is pseudonymised, restricted, coarsened or dropped.

use std::borrow::Cow;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cdr::Reason;
use crate::cdr::csv::{self, Dialect};
use crate::cdr::json::{Member, Paths, Scanner, Spelling};
use crate::cdr::policy::{Action, Csv, Field, Format, Layout, Policy, Scope, Unlisted};
use crate::cli::{ConfigArg, Exit, complain, complain_of, output_failed};
use crate::config::{self, Config};
use crate::engine::{Engine, Output, Payload, Stop};

#[derive(clap::Args)]
#[command(
    after_help = "Without FILE, and with nothing piped in, only the policy is shown.\n\
    Records come from a file or stdin, so that no number stands in a command line. Values that the policy\n\
    keeps are shown, as they will be public; those it pseudonymises, restricts, coarsens or drops are not."
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Records to explain; "-" for stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Exit {
    let config = match Config::load(&args.config.config, &config::environment()) {
        Ok(config) => config,
        Err(faults) => {
            complain_of(&faults);
            return Exit::Config;
        }
    };
    let mut out = io::stdout().lock();
    let explained = table(&config, &mut out).map_err(Failure::Output).and_then(|()| {
        match input(args).map_err(Failure::Other)? {
            Some((name, bytes)) => records(&config, &name, &bytes, &mut out),
            None => Ok(()),
        }
    });
    match explained {
        Ok(()) => Exit::Ok,
        Err(Failure::Output(error)) => output_failed(&error),
        Err(Failure::Other(message)) => {
            complain(message);
            Exit::Internal
        }
    }
}

/// Why it ended early.
enum Failure {
    Output(io::Error),
    Other(String),
}

fn input(args: &Args) -> Result<Option<(String, Vec<u8>)>, String> {
    let mut bytes = Vec::new();
    match &args.file {
        Some(path) if path != Path::new("-") => {
            let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Ok(Some((name, bytes)))
        }
        None if io::stdin().is_terminal() => Ok(None),
        _ => {
            io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| format!("stdin: {error}"))?;
            Ok((!bytes.is_empty()).then(|| ("stdin".to_owned(), bytes)))
        }
    }
}

fn table(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let policy = &*config.policy;
    let width = policy
        .fields
        .iter()
        .map(|field| field.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    writeln!(
        out,
        "{:width$}  {:28}  {:16}  in the public record",
        "field", "action", "raw value sealed"
    )?;
    for (at, field) in policy.fields.iter().enumerate() {
        let sealed = if field.action.restricts() { "yes" } else { "no" };
        let mut notes = vec![public_part(policy, field)];
        if policy.first_time_field == Some(at) {
            notes.push("decides the epoch where it is not blank".to_owned());
        }
        if policy.time.fields().contains(&at) {
            notes.push("start of the call: chooses the epoch".to_owned());
        }
        if policy.key == Some(at) {
            notes.push("the public record's Kafka key".to_owned());
        }
        writeln!(
            out,
            "{:width$}  {:28}  {:16}  {}",
            field.name,
            action(policy, &field.action),
            sealed,
            notes.join("; ")
        )?;
    }
    match &policy.format {
        Format::Csv(csv) => match &csv.layout {
            Layout::Plain => writeln!(
                out,
                "any other number of columns than {}: the record is rejected (columns)",
                policy.fields.len()
            )?,
            layout => writeln!(out, "any other column: {}", unlisted(layout.unlisted()))?,
        },
        Format::Json { unlisted: what, .. } => writeln!(out, "any other member: {}", unlisted(*what))?,
    }
    let appended = policy.appended();
    if !appended.is_empty() {
        writeln!(out, "appended: {}", appended.join(", "))?;
    }
    let overlap = config.keyring.keyring.overlap();
    if overlap.public.is_some() {
        writeln!(
            out,
            "_prev: the token under the key of the epoch before, for calls soon after an epoch begins ({overlap}); blank otherwise"
        )?;
    }
    if overlap.sealed {
        writeln!(
            out,
            "sealed besides: each token as <field>_token, and under the key of the epoch before as <field>_prev"
        )?;
    }
    Ok(())
}

fn unlisted(what: Unlisted) -> &'static str {
    match what {
        Unlisted::Reject => "the record is rejected",
        Unlisted::Restrict => "sealed",
        Unlisted::Drop => "left out",
    }
}

fn action(policy: &Policy, action: &Action) -> String {
    match action {
        Action::Keep => "keep".to_owned(),
        Action::Restrict => "restrict".to_owned(),
        Action::Drop => "drop".to_owned(),
        Action::Coarsen { .. } => "coarsen".to_owned(),
        Action::Pseudonymise(how) => {
            let scope = match how.scope {
                Scope::Domain => "domain".to_owned(),
                Scope::Record => "record".to_owned(),
                Scope::Pairwise { with } => format!("pairwise {}", policy.fields[with].name),
            };
            format!("pseudonymise {} {scope}", how.kind.as_str())
        }
    }
}

fn public_part(policy: &Policy, field: &Field) -> String {
    let value = match &field.action {
        Action::Keep => "as it is",
        Action::Restrict | Action::Drop => "blank or absent",
        Action::Coarsen { .. } => "the coarser value",
        action if action.is_several() => "tokens or labels, with their separators",
        Action::Pseudonymise(_) => "a token or a label",
    };
    match policy.derived_words(field).join(", ") {
        none if none.is_empty() => value.to_owned(),
        derived => format!("{value}, and its {derived}"),
    }
}

/// What a reason means to the one who reads the policy; in `docs/formats.md` for those who read records.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Format => "not readable in the input's format",
        Reason::Columns => "not the columns of the policy",
        Reason::UnknownField => "a member or column that the policy does not name",
        Reason::Time => "no start time that [input] time can read",
        Reason::EpochTooOld => "the call began before the keyring's first usable key",
        Reason::EpochTooNew => "the call begins more than [input] max_future from now",
        Reason::Number => "no value of this field's kind, as [numbers] or the action has it",
        Reason::TooLarge => "larger than [input] max_record",
        Reason::Leak => {
            "its public value would show a number, IMSI, IMEI or account that the policy takes out"
        }
        Reason::Poison => "it cannot be written",
    }
}

fn records(config: &Config, name: &str, bytes: &[u8], out: &mut impl Write) -> Result<(), Failure> {
    let keyring = Arc::clone(&config.keyring.keyring);
    let mut engine = Engine::new(
        Arc::clone(&config.policy),
        Arc::clone(&keyring),
        &config.destinations(),
        &config.recipients,
    )
    .map_err(|error| Failure::Other(error.to_string()))?;
    let timestamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    let payload = Payload {
        id: name.as_bytes(),
        timestamp,
        bytes: Some(bytes),
    };
    let told = engine.payload(&payload, Duration::ZERO, |output| match output {
        Output::Skipped(why) => writeln!(out, "\nskipped: a {} row", why.as_str()),
        Output::Rejected {
            record_id, refusal, ..
        } => {
            let field = refusal.field.map_or_else(String::new, |at| {
                format!(" at field \"{}\"", config.policy.fields[at].name)
            });
            writeln!(
                out,
                "\n{}: rejected ({}){field}: {}; its bytes are sealed",
                String::from_utf8_lossy(record_id),
                refusal.reason.as_str(),
                why(refusal.reason)
            )
        }
        Output::Accepted(accepted) => {
            writeln!(
                out,
                "\n{}: accepted, epoch {}",
                String::from_utf8_lossy(accepted.record_id),
                accepted.epoch
            )?;
            public(&config.policy, accepted.public, out)
        }
    });
    told.map_err(|stop| match stop {
        Stop::Seal(error) => Failure::Other(format!("sealing failed: {error}")),
        Stop::Output(error) => Failure::Output(error),
    })
}

/// A value with what it cannot say itself: what is not there, and what a label stands for.
fn shown<'a>(policy: &Policy, at: usize, value: &'a str) -> Cow<'a, str> {
    match (policy.fields.get(at).map(|field| &field.action), value) {
        (Some(Action::Restrict), "") => "(blank: sealed)".into(),
        (Some(Action::Drop), "") => "(blank)".into(),
        (Some(Action::Pseudonymise(_)), label) if label.starts_with('_') => {
            format!("{label} (a label: this value identifies nobody)").into()
        }
        _ => value.into(),
    }
}

/// One field of a public record: its name, what the policy does to it, what came of it.
struct Part {
    name: String,
    how: String,
    value: String,
}

/// The public record, field by field.
fn public(policy: &Policy, record: &[u8], out: &mut impl Write) -> io::Result<()> {
    let parts = match &policy.format {
        Format::Csv(csv) if has_own_columns(csv) => {
            return writeln!(out, "  {}", String::from_utf8_lossy(record));
        }
        Format::Csv(csv) => csv_parts(policy, csv.dialect, record)?,
        Format::Json { paths, .. } => {
            writeln!(out, "  {}", String::from_utf8_lossy(record))?;
            json_parts(policy, paths, record)?
        }
    };
    let width = |of: fn(&Part) -> &str| parts.iter().map(|part| of(part).chars().count()).max();
    let name_width = width(|part| &part.name).unwrap_or(0);
    let how_width = width(|part| &part.how).unwrap_or(0);
    for Part { name, how, value } in &parts {
        writeln!(out, "  {name:name_width$}  {how:how_width$}  {value}")?;
    }
    Ok(())
}

/// The columns of a record type are not the policy's, all of them, in order; nor are those with fields inside.
fn has_own_columns(csv: &Csv) -> bool {
    matches!(&csv.layout, Layout::Shapes { shapes, nested, .. } if shapes.len() > 1 || !nested.is_empty())
}

fn csv_parts(policy: &Policy, dialect: Dialect, record: &[u8]) -> io::Result<Vec<Part>> {
    let (mut cells, mut scratch) = (Vec::new(), Vec::new());
    csv::split(dialect, record, &mut cells).map_err(io::Error::other)?;
    let fields = policy
        .fields
        .iter()
        .map(|field| (field.name.clone(), action(policy, &field.action)));
    let appended = policy
        .appended()
        .into_iter()
        .map(|name| (name, "appended".to_owned()));
    let named = fields.chain(appended).zip(&cells).enumerate();
    Ok(named
        .map(|(at, ((name, how), cell))| {
            let value = String::from_utf8_lossy(csv::value(dialect, record, *cell, &mut scratch));
            let value = shown(policy, at, &value).into_owned();
            Part { name, how, value }
        })
        .collect())
}

fn json_parts(policy: &Policy, paths: &Paths, record: &[u8]) -> io::Result<Vec<Part>> {
    let mut members = Vec::new();
    Scanner::new()
        .scan(record, paths, &mut members)
        .map_err(io::Error::other)?;
    let text = |member: &Member| String::from_utf8_lossy(&record[member.value()]).into_owned();
    let mut parts = Vec::new();
    for (at, field) in policy.fields.iter().enumerate() {
        let here = members
            .iter()
            .filter(|member| member.path.is_some_and(|path| path.index() == at));
        let values: Vec<String> = here.map(text).collect();
        let value = match (&field.action, values.is_empty()) {
            (Action::Restrict, true) => "(absent: sealed where it was there)".to_owned(),
            (Action::Drop, true) => "(absent)".to_owned(),
            (_, true) => "(the record has none)".to_owned(),
            (_, false) => {
                let label = |value: &String| shown(policy, at, value.trim_matches('"')).into_owned();
                let told = |value: &String| {
                    if value.starts_with("\"_") {
                        label(value)
                    } else {
                        value.clone()
                    }
                };
                values.iter().map(told).collect::<Vec<_>>().join(", ")
            }
        };
        parts.push(Part {
            name: field.name.clone(),
            how: action(policy, &field.action),
            value,
        });
    }
    // What no path names was appended by us: derived values and the record id.
    let mut spelling = Spelling::default();
    parts.extend(
        members
            .iter()
            .filter(|member| member.path.is_none())
            .map(|member| Part {
                name: spelling.of(record, member).to_owned(),
                how: "appended".to_owned(),
                value: text(member),
            }),
    );
    Ok(parts)
}
