//! `cdrveil keys destroy`: a key's end, with a certificate of it.
//!
//! Invariant: no key is destroyed that calls may still need, unless told to; a run that was cut short is finished by
//! the next one.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::keys::{KeyringPath, PATIENCE, event_time, or_dash, refuse};
use crate::config::Deployment;
use crate::keystore::destruction::{
    Candidate, Content, Kept, Wiped, candidate, content, editable, mark, unname, wipe,
};
use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::{Epoch, Status};
use crate::register::live::Place;
use crate::settings::Fault;
use crate::{config, register};

#[derive(Debug, Args)]
pub(super) struct DestroyArgs {
    /// The epoch whose key goes
    #[arg(value_name = "ID")]
    id: EpochId,
    #[command(flatten)]
    path: KeyringPath,
    /// Wipe this copy of the key too, such as one from a backup
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The daemon's configuration: its register is told, so that no instance takes the key again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not ask for the id again
    #[arg(long)]
    yes: bool,
    /// Also a key in use, not begun, or within its [epochs] late_window: its calls will be rejected
    #[arg(long)]
    force: bool,
    /// Print the certificate as JSON
    #[arg(long)]
    json: bool,
}

/// The three streams of a verb that asks.
pub(super) struct Terminal<'a> {
    pub stdin: &'a mut dyn BufRead,
    pub stdout: &'a mut dyn Write,
    pub stderr: &'a mut dyn Write,
}

/// The keyring was read, the key may go: the rest is doing it.
pub(super) fn destroy(args: &DestroyArgs, now: Timestamp, terminal: &mut Terminal<'_>) -> io::Result<Exit> {
    let keyring = args.path.keyring.as_path();
    let found = match candidate(keyring, args.id) {
        Ok(found) => found,
        Err(faults) => return refuse(terminal.stderr, &faults),
    };
    let Some(condemned) = found else {
        let (file, id) = (keyring.display(), args.id);
        writeln!(
            terminal.stderr,
            "{file}: there is no key \"{id}\": `cdrveil keys list` shows those there are"
        )?;
        return Ok(Exit::Usage);
    };
    let files = match files(args, &condemned) {
        Ok(files) => files,
        Err(problem) => return said(terminal, Exit::Config, &problem),
    };
    if let Some(needed) = needed(&condemned, event_time(now)).filter(|_| !args.force) {
        let cure = "wait, or --force and lose them";
        return said(
            terminal,
            Exit::Found,
            &format!("{}: {needed}: {cure}", keyring.display()),
        );
    }
    if let Err(fault) = editable(keyring, args.id) {
        return refuse(terminal.stderr, &[fault]);
    }
    // A fault in it is told before anything is done.
    let place = args.config.as_deref().map(register_of);
    let place = match place.transpose() {
        Ok(place) => place,
        Err(faults) => return refuse(terminal.stderr, &faults),
    };
    if !args.yes && !confirmed(&condemned, terminal)? {
        return said(terminal, Exit::Usage, "that is not the id: nothing was done");
    }
    match carry_out(args, &condemned, files, place.as_ref()) {
        Ok(done) => {
            certify(args, &condemned, &done, now, terminal.stdout)?;
            what_is_left(&condemned, &done, terminal.stderr)?;
            Ok(Exit::Ok)
        }
        Err(problem) => {
            let again =
                format!("{problem}\nnot finished: put that right and run it again, it goes on from there");
            said(terminal, Exit::Internal, &again)
        }
    }
}

/// The files to wipe, each of them gone already or seen to hold this very key.
fn files(args: &DestroyArgs, condemned: &Candidate) -> Result<Vec<PathBuf>, String> {
    let named = match &condemned.kept {
        Kept::File(file) => Some(file.clone()),
        Kept::Elsewhere | Kept::Derived(_) => None,
        // The place where `keys new` puts it: a tombstone may be older than its file here.
        Kept::Nowhere => Some(beside(&args.path.keyring, args.id)).filter(|file| holds(file, condemned)),
    };
    let mut files: Vec<PathBuf> = named.into_iter().collect();
    files.extend(args.file.iter().cloned());
    for file in &files {
        let begun = condemned.epoch.status() == Status::Destroyed;
        let name = file.display();
        match (content(file), condemned.epoch.kcv()) {
            (Content::Key(found), Some(kcv)) if found != kcv => {
                return Err(format!(
                    "{name} holds another key: its kcv is {found}, that of \"{}\" {kcv}; nothing was done",
                    args.id
                ));
            }
            (Content::Key(_), None) => {
                return Err(format!(
                    "\"{}\" has no kcv, so {name} may be any key: write it down first; nothing was done",
                    args.id
                ));
            }
            // Half overwritten by a run that was cut short, or never read by a daemon anyway.
            (Content::Other(_), _) if begun && !args.file.contains(file) => {}
            (Content::Other(problem), _) => {
                return Err(format!(
                    "{name} {problem}: if it is to go, delete it and run this again; nothing was done"
                ));
            }
            (Content::Key(_) | Content::Gone, _) => {}
        }
    }
    Ok(files)
}

fn beside(keyring: &Path, id: EpochId) -> PathBuf {
    keyring.with_file_name(format!("{id}.key"))
}

fn holds(file: &Path, condemned: &Candidate) -> bool {
    condemned
        .epoch
        .kcv()
        .is_some_and(|kcv| content(file) == Content::Key(kcv))
}

/// Who would still miss this key, if somebody would.
fn needed(condemned: &Candidate, now: EventTime) -> Option<String> {
    let epoch = &condemned.epoch;
    let (id, from) = (epoch.id(), epoch.activate_at());
    if epoch.status() == Status::Destroyed {
        return None;
    }
    if now < from {
        return Some(format!(
            "\"{id}\" begins at {from}: calls from then on would be rejected; a key that has not begun can be removed from the keyring instead"
        ));
    }
    let end = match epoch.ends_at() {
        Some(end) if end <= now => end,
        end => {
            let end = or_dash(end);
            return Some(format!(
                "\"{id}\" is in use until {end}: calls of its window would be rejected"
            ));
        }
    };
    let late = late_until(end, condemned.late_window);
    (now < late).then(|| {
        format!("late records of \"{id}\" may come until {late} ([epochs] late_window, with the overlap, after its end at {end}) and would be rejected, or lack its token")
    })
}

/// When an epoch's late records are over.
pub(super) fn late_until(end: EventTime, late_window: Duration) -> EventTime {
    let window = i64::try_from(late_window.as_millis()).unwrap_or(i64::MAX);
    EventTime::from_millis(end.as_millis().saturating_add(window))
}

fn confirmed(condemned: &Candidate, terminal: &mut Terminal<'_>) -> io::Result<bool> {
    let epoch = &condemned.epoch;
    let (id, kcv) = (epoch.id(), or_dash(epoch.kcv()));
    let (from, end) = (epoch.activate_at(), or_dash(epoch.ends_at()));
    let what = match &condemned.kept {
        // Saying more would be untrue.
        Kept::Derived(root) => format!(
            "cdrveil takes it no more, and its late or replayed records are rejected; whoever may use the root\n\
             \"{}\" can derive it again until the root is destroyed in its token.",
            root.name
        ),
        Kept::File(_) | Kept::Elsewhere | Kept::Nowhere => {
            "its tokens can never be made again, and its late or replayed records are rejected.".to_owned()
        }
    };
    write!(
        terminal.stderr,
        "This destroys the key \"{id}\" (kcv {kcv}, calls from {from} to {end}) for ever:\n{what}\n\
         Type the id to go on: "
    )?;
    terminal.stderr.flush()?;
    let mut typed = String::new();
    terminal.stdin.read_line(&mut typed)?;
    Ok(typed.trim() == id.as_str())
}

/// What was done.
struct Done {
    wiped: Vec<(PathBuf, Wiped)>,
    fingerprint: String,
    announced: Option<String>,
}

fn carry_out(
    args: &DestroyArgs,
    condemned: &Candidate,
    files: Vec<PathBuf>,
    place: Option<&Place>,
) -> Result<Done, String> {
    let keyring = args.path.keyring.as_path();
    let shown = |fault: Fault| fault.to_string();
    mark(keyring, args.id).map_err(shown)?;
    let mut wiped = Vec::new();
    for file in files {
        let outcome = wipe(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        wiped.push((file, outcome));
    }
    unname(keyring, args.id).map_err(shown)?;
    let announced = place.map(|place| announce(place, &condemned.epoch)).transpose()?;
    let after =
        candidate(keyring, args.id).map_err(|faults| faults.into_iter().map(shown).collect::<String>())?;
    Ok(Done {
        wiped,
        fingerprint: after.map(|after| after.fingerprint).unwrap_or_default(),
        announced,
    })
}

/// Tells the fleet that an epoch is destroyed: a key that comes back from a backup is refused then.
fn announce(place: &Place, epoch: &Epoch) -> Result<String, String> {
    register::live::destroy(place, *epoch.id(), epoch.kcv(), PATIENCE).map_err(|error| error.to_string())?;
    Ok(format!("told on {}", place.topic))
}

/// Without the keyring, which has no usable key where the last one goes, and is refused while a run that was cut short
/// is not finished.
fn register_of(config: &Path) -> Result<Place, Vec<Fault>> {
    Deployment::load(config, &config::environment()).map(|deployment| Place::at(&deployment))
}

fn certify(
    args: &DestroyArgs,
    condemned: &Candidate,
    done: &Done,
    now: Timestamp,
    stdout: &mut dyn Write,
) -> io::Result<()> {
    let epoch = &condemned.epoch;
    let host = host();
    let word = |outcome| match outcome {
        Wiped::Now => "overwritten and removed",
        Wiped::WasGone => "was gone already",
    };
    if args.json {
        let files = done
            .wiped
            .iter()
            .map(|(file, outcome)| json!({ "file": file, "outcome": word(*outcome) }));
        let certificate = json!({
            "destroyed": args.id.as_str(),
            "kcv": epoch.kcv().map(|kcv| kcv.to_string()),
            "activate_at": epoch.activate_at().to_string(),
            "ends_at": epoch.ends_at().map(|end| end.to_string()),
            "time": now.to_string(),
            "host": host,
            "source": condemned.source,
            "source_is_elsewhere": matches!(condemned.kept, Kept::Elsewhere | Kept::Derived(_)),
            "can_be_derived_again": matches!(condemned.kept, Kept::Derived(_)),
            "files": files.collect::<Vec<_>>(),
            "keyring": args.path.keyring,
            "fingerprint_before": condemned.fingerprint,
            "fingerprint_after": done.fingerprint,
            "register": done.announced,
            "forced": args.force,
        });
        return writeln!(stdout, "{certificate:#}");
    }
    let mut line = |name: &str, value: String| writeln!(stdout, "{name:<12} {value}");
    line("destroyed", args.id.to_string())?;
    line("kcv", or_dash(epoch.kcv()))?;
    line("calls from", epoch.activate_at().to_string())?;
    line("calls until", or_dash(epoch.ends_at()))?;
    line("time", now.to_string())?;
    line("host", host)?;
    for (file, outcome) in &done.wiped {
        line("file", format!("{} {}", file.display(), word(*outcome)))?;
    }
    match &condemned.kept {
        Kept::Elsewhere => line(
            "source",
            format!("{} (not in reach of cdrveil)", condemned.source),
        )?,
        Kept::Derived(_) => line(
            "source",
            format!(
                "{} (not in reach of cdrveil: the key can be derived again until this root is destroyed)",
                condemned.source
            ),
        )?,
        Kept::File(_) | Kept::Nowhere => {}
    }
    line("keyring", args.path.keyring.display().to_string())?;
    line("before", condemned.fingerprint.clone())?;
    line("after", done.fingerprint.clone())?;
    line(
        "register",
        done.announced.clone().unwrap_or_else(|| "-".to_owned()),
    )?;
    line("forced", if args.force { "yes" } else { "no" }.to_owned())
}

/// What only people can do.
fn what_is_left(condemned: &Candidate, done: &Done, stderr: &mut dyn Write) -> io::Result<()> {
    writeln!(stderr, "still to do:")?;
    if done.announced.is_none() {
        writeln!(
            stderr,
            "  - tell the register, or an instance with a copy of the key takes it again: run this with --config"
        )?;
    }
    let source = &condemned.source;
    match &condemned.kept {
        Kept::Elsewhere => writeln!(
            stderr,
            "  - delete the key at its source ({source}), with every version kept there"
        )?,
        Kept::Derived(root) if root.needed_by.is_empty() => {
            return writeln!(
                stderr,
                "  - give this keyring to every other instance\n  \
                   - destroy the root ({source}) in every token that has it, and the tokens' backups: only then is\n    \
                     this key gone. No other key of this keyring needs it"
            );
        }
        Kept::Derived(root) => {
            return writeln!(
                stderr,
                "  - give this keyring to every other instance\n  \
                   - destroy the root ({source}) in every token that has it, and the tokens' backups: only then is\n    \
                     this key gone. Not before they are destroyed, too, that need it: {}",
                root.needed_by.join(", ")
            );
        }
        Kept::File(_) | Kept::Nowhere => {}
    }
    writeln!(
        stderr,
        "  - run this on every other host that has the file, or give it this keyring and run it there\n  \
           - delete the copies in backups, snapshots and password stores: only then is it gone"
    )
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "-" } else { name }.to_owned()
}

fn said(terminal: &mut Terminal<'_>, exit: Exit, problem: &str) -> io::Result<Exit> {
    writeln!(terminal.stderr, "{problem}")?;
    Ok(exit)
}
