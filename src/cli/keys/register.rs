//! `cdrveil keys register`: what the register says, and how to make it say what this keyring says.

use std::io::{self, BufRead, Write};

use clap::Args;

use crate::cli::keys::{PATIENCE, or_dash, write_table};
use crate::cli::{ConfigArg, Exit, complain_of};
use crate::config::{self, Config};
use crate::daemon;
use crate::pseudonym::epoch::EpochId;
use crate::register::live::{self, MADE_BY, Place, Plan, Register, RegisterError};
use crate::register::table::{Held, Table};

#[derive(Debug, Args)]
pub(super) struct RegisterArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Write the keyring's claims and destructions anew, and take back what contradicts them
    #[arg(long)]
    rebuild: bool,
    /// Do not ask
    #[arg(long, requires = "rebuild")]
    yes: bool,
}

pub(super) fn register(
    args: &RegisterArgs,
    stdin: &mut dyn BufRead,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<Exit> {
    let config = match Config::load(&args.config.config, &config::environment()) {
        Ok(config) => config,
        Err(faults) => {
            complain_of(&faults);
            return Ok(Exit::Config);
        }
    };
    let done = if args.rebuild {
        rebuild(&config, (!args.yes).then_some(stdin), stdout, stderr)
    } else {
        show(&config, stdout, stderr)
    };
    done.or_else(|fault| match fault {
        Fault::Output(error) => Err(error),
        Fault::Register(error) => {
            writeln!(stderr, "cdrveil: {error}")?;
            Ok(match error {
                RegisterError::Kafka { .. } => Exit::Unavailable,
                _ => Exit::Config,
            })
        }
    })
}

enum Fault {
    Output(io::Error),
    Register(RegisterError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<RegisterError> for Fault {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

fn show(config: &Config, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<Exit, Fault> {
    let place = Place::of(config);
    let Some(table) = live::view(&place, &[], PATIENCE)? else {
        writeln!(stderr, "cdrveil: there is no register \"{}\" yet", place.topic)?;
        return Ok(Exit::Found);
    };
    write_table(stdout, &rows(&table))?;
    let contradictions = table.contradictions(config.keyring.keyring.epochs(), &MADE_BY);
    for contradiction in &contradictions {
        writeln!(stderr, "cdrveil: register \"{}\": {contradiction}", place.topic)?;
    }
    let untold = table.untold(config.keyring.keyring.epochs());
    for id in &untold {
        writeln!(stderr, "cdrveil: {}", daemon::untold(id.as_str()))?;
    }
    Ok(if contradictions.is_empty() && untold.is_empty() {
        Exit::Ok
    } else {
        Exit::Found
    })
}

fn rows(table: &Table) -> Vec<[String; 6]> {
    let titles = ["ID", "STATE", "FROM", "KCV", "BY", "AT"].map(str::to_owned);
    let row = |id: &EpochId| {
        let holder = table.holder(id).map(|held| &held.claim);
        let gone = table.destruction(id);
        let made = match gone {
            Some(gone) => gone.made.as_ref(),
            None => holder.map(|claim| &claim.made),
        };
        [
            id.to_string(),
            if gone.is_some() { "destroyed" } else { "claimed" }.to_owned(),
            or_dash(holder.map(|claim| claim.activate_at)),
            or_dash(holder.map(|claim| claim.kcv).or(gone.and_then(|gone| gone.kcv))),
            or_dash(made.map(|made| &made.instance)),
            or_dash(made.map(|made| format!("{:.0}", made.time))),
        ]
    };
    std::iter::once(titles).chain(table.epochs().map(row)).collect()
}

fn rebuild(
    config: &Config,
    asked: Option<&mut dyn BufRead>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<Exit, Fault> {
    let (place, keyring) = (Place::of(config), &config.keyring.keyring);
    live::ensure(&place, PATIENCE)?;
    let mut register = Register::open(place.clone(), PATIENCE)?;
    let plan = register.plan(keyring, daemon::due(config.policy.max_future), PATIENCE)?;
    if plan.is_empty() {
        writeln!(
            stdout,
            "register \"{}\" says what this keyring says: nothing to do",
            place.topic
        )?;
        return Ok(Exit::Ok);
    }
    tell(&plan, config, stderr)?;
    if let Some(stdin) = asked
        && !agreed(&place.domain, stdin, stderr)?
    {
        writeln!(stderr, "cdrveil: nothing was written")?;
        return Ok(Exit::Found);
    }
    register.rebuild(keyring, &plan, PATIENCE)?;
    writeln!(
        stdout,
        "register \"{}\" rebuilt: {} claimed, {} destroyed, {} taken back; keyring fingerprint {}",
        place.topic,
        plan.claimed.len(),
        plan.destroyed.len(),
        plan.withdrawn.len() + plan.unreadable.len(),
        keyring.fingerprint()
    )?;
    Ok(Exit::Ok)
}

fn tell(plan: &Plan, config: &Config, stderr: &mut dyn Write) -> io::Result<()> {
    let topic = &config.topics.register;
    writeln!(stderr, "register \"{topic}\", domain \"{}\":", config.domain)?;
    for held in &plan.withdrawn {
        let Held { key, claim, .. } = held;
        writeln!(
            stderr,
            "  take back   {key} from {}, claimed by {}",
            claim.activate_at, claim.made
        )?;
    }
    for (offset, _) in &plan.unreadable {
        writeln!(stderr, "  take back   the unreadable entry at offset {offset}")?;
    }
    let epochs = config.keyring.keyring.epochs().iter();
    for epoch in epochs {
        let (kcv, from) = (or_dash(epoch.kcv()), epoch.activate_at());
        if plan.claimed.contains(epoch.id()) {
            writeln!(stderr, "  claim       {} kcv {kcv} from {from}", epoch.id())?;
        }
        if plan.destroyed.contains(epoch.id()) {
            writeln!(
                stderr,
                "  destroy     {} kcv {kcv} from {from}: for ever",
                epoch.id()
            )?;
        }
    }
    Ok(())
}

/// A wrong keyring here is a wrong key for everybody: somebody has to mean it.
fn agreed(domain: &str, stdin: &mut dyn BufRead, stderr: &mut dyn Write) -> io::Result<bool> {
    write!(
        stderr,
        "Every instance has to have this keyring from now on. Type the domain to go on: "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(answer.trim() == domain)
}
