//! `cdrveil check`: everything that can be known before the start.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::cli::keys::check::overlapped;
use crate::cli::{ConfigArg, Exit, complain, complain_of, output_failed};
use crate::config::{self, Config};
use crate::daemon::{self, guarantee_note};
use crate::deckstore;
use crate::kafka::cluster::ClusterView;
use crate::keystore;
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::Keyring;
use crate::pseudonym::mac;
use crate::register::live::{self, Place, RegisterError};
use crate::settings::Fault;

#[derive(clap::Args)]
#[command(
    after_help = "Exit: 0 all well, 1 something on the cluster, 69 no broker answered, 78 a fault in the files."
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Look at the files only, not at the brokers
    #[arg(long)]
    offline: bool,
    /// Pass over keys in systemd credentials, which only the service has: for its ExecReload=
    #[arg(long, requires = "offline")]
    without_credentials: bool,
    /// Tell which prefixes of this deck, the one used so far, the policy's deck lacks
    #[arg(long, value_name = "OLD_DECK")]
    against: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Exit {
    let config = match Config::load(&args.config.config, &config::environment()) {
        Ok(config) => config,
        Err(mut faults) => {
            if args.without_credentials {
                faults.retain(|fault| !keystore::is_missing_credential(fault));
            }
            if faults.is_empty() {
                complain(
                    "no fault found; keys in credentials were passed over, as only the service has them",
                );
                return Exit::Ok;
            }
            complain_of(&faults);
            return Exit::Config;
        }
    };
    if let Err(error) = mac::self_test() {
        complain(format!("self-test failed: {error}"));
        return Exit::Internal;
    }
    let mut out = io::stdout().lock();
    if let Err(error) = report(&config, &mut out) {
        return output_failed(&error);
    }
    let lacking = match args
        .against
        .as_ref()
        .map(|former| deckstore::lacking(&config.policy, former))
    {
        None => Vec::new(),
        Some(Ok(lacking)) => lacking,
        Some(Err(faults)) => {
            complain_of(&faults);
            return Exit::Config;
        }
    };
    for warning in lacking {
        if let Err(error) = writeln!(out, "warning: {warning}") {
            return output_failed(&error);
        }
    }
    if args.offline {
        Exit::Ok
    } else {
        cluster(&config, &mut out)
    }
}

fn report(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let keyring = &config.keyring.keyring;
    writeln!(
        out,
        "config     ok  {} (domain \"{}\")",
        config.path.display(),
        config.domain
    )?;
    writeln!(
        out,
        "policy     ok  {}{}",
        count(config.policy.fields.len(), "field"),
        if config.policy.has_restricted() {
            ", restricted records are written"
        } else {
            ", nothing restricted"
        }
    )?;
    writeln!(
        out,
        "keyring    ok  {}, fingerprint {}",
        count(keyring.epochs().len(), "epoch"),
        keyring.fingerprint()
    )?;
    overlap(keyring, out)?;
    for root in &config.keyring.roots {
        let (name, source) = (&root.name, &root.source);
        writeln!(
            out,
            "root       ok  \"{name}\" at {source}, which derives the keys of {}",
            count(root.epochs, "epoch")
        )?;
    }
    let rating = &config.policy.rating;
    let prints = rating.fingerprints(keyring, &config.domain);
    for (content, print) in rating.contents.iter().zip(prints) {
        writeln!(
            out,
            "{:10} ok  {}, fingerprint {print}",
            content.label,
            count(content.rows, "row")
        )?;
    }
    writeln!(
        out,
        "recipients ok  {} for restricted and rejected records",
        count(config.recipients.count(), "public key")
    )?;
    writeln!(
        out,
        "delivery   {}: {}",
        config.delivery.guarantee.as_str(),
        guarantee_note(config.delivery.guarantee)
    )?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    if keyring.epoch_at(EventTime::from_millis(now)).is_err() {
        writeln!(
            out,
            "warning: no key is active now: records of calls that begin now would be rejected (epoch-too-old)"
        )?;
    }
    for warning in overlapped(keyring, EventTime::from_millis(now)) {
        writeln!(out, "warning: {}: {warning}", config.keyring_path.display())?;
    }
    let boundaries = boundaries(config);
    for warning in config
        .policy
        .warnings
        .iter()
        .chain(&rating.warnings)
        .chain(&boundaries)
        .chain(&config.keyring.warnings)
    {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// What the overlap costs, where there is one: whoever runs this may not be who turned it on.
fn overlap(keyring: &Keyring, out: &mut impl Write) -> io::Result<()> {
    let overlap = keyring.overlap();
    if overlap.public.is_some() {
        writeln!(
            out,
            "overlap    on  {overlap}: public records carry <field>_prev; who calls within it after a rotation is linked across it"
        )?;
    } else if overlap.sealed {
        writeln!(
            out,
            "overlap    on  {overlap}: sealed records carry the tokens of both epochs"
        )?;
    }
    Ok(())
}

/// Epochs that begin within a day of the calls' zone. The first one cuts nothing: there is no key before it.
fn boundaries(config: &Config) -> Vec<Fault> {
    let Some(zone) = &config.policy.zone else {
        return Vec::new();
    };
    let epochs = config.keyring.keyring.epochs().iter();
    let inside = epochs.zip(&config.keyring.starts).skip(1).filter_map(|(epoch, place)| {
        let instant = Timestamp::from_millisecond(epoch.activate_at().as_millis()).ok()?;
        let local = instant.to_zoned(zone.clone());
        let midnight = local.start_of_day().ok()?;
        let message = || {
            format!(
                "key \"{}\" begins at {} in {}, which is not midnight there: accounts get two tokens inside one day of the invoice (measured with months in UTC: 103 of 400 accounts in one month); midnight is {}",
                epoch.id(),
                local.strftime("%H:%M:%S"),
                zone.iana_name().unwrap_or("the zone of [input] time"),
                midnight.strftime("%Y-%m-%dT%H:%M:%S%:z"),
            )
        };
        (local != midnight).then(|| place.saying(message()))
    });
    inside.collect()
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn cluster(config: &Config, out: &mut impl Write) -> Exit {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Exit::Internal;
    };
    let limit = config.kafka.start_timeout().min(Duration::from_secs(10));
    let view = match runtime.block_on(daemon::describe(config, limit)) {
        Ok(view) => view,
        Err(error) => {
            complain(format!(
                "no broker answered within {limit:?} at {}: {error}; --offline looks at the files only",
                config.kafka.brokers()
            ));
            return Exit::Unavailable;
        }
    };
    let (problems, warnings) = daemon::topic_problems(config, &view);
    for warning in &warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    for problem in &problems {
        complain(problem);
    }
    if !problems.is_empty() {
        return Exit::Found;
    }
    let _ = writeln!(out, "topics     ok");
    register(config, &view, limit, out)
}

/// What the register says of the keyring; writes nothing to it.
fn register(config: &Config, view: &ClusterView, limit: Duration, out: &mut impl Write) -> Exit {
    let place = Place::of(config);
    let keyring = &config.keyring.keyring;
    let table = match live::view(&place, &daemon::raw_partitions(config, view), limit) {
        Ok(Some(table)) => table,
        Ok(None) => {
            let _ = writeln!(out, "register   is made at the first start");
            return Exit::Ok;
        }
        Err(error) => {
            complain(&error);
            return match error {
                RegisterError::Kafka { .. } => Exit::Unavailable,
                _ => Exit::Found,
            };
        }
    };
    for id in table.untold(keyring.epochs()) {
        let _ = writeln!(out, "warning: {}", daemon::untold(id.as_str()));
    }
    let contradictions = table.contradictions(keyring.epochs(), &live::MADE_BY);
    for contradiction in &contradictions {
        complain(format!("register \"{}\": {contradiction}", place.topic));
    }
    if contradictions.is_empty() {
        let held = keyring
            .epochs()
            .iter()
            .filter(|epoch| table.holder(epoch.id()).is_some());
        let _ = writeln!(
            out,
            "register   ok  {} of this keyring claimed",
            count(held.count(), "epoch")
        );
        Exit::Ok
    } else {
        Exit::Found
    }
}
