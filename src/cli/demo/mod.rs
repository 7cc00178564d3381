//! `cdrveil demo`: the whole program on an embedded broker, with generated calls.
//!
//! Needs nothing: it makes its own keys and recipient in a temporary folder,
//! runs the real daemon, and leaves nothing behind. The embedded broker only
//! acts transactions, so the demo runs at-least-once.

mod calls;
mod feed;
mod layout;
mod pace;
mod viewer;

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use tokio::sync::{mpsc, oneshot};

use crate::cli::run::exit_of;
use crate::cli::{Exit, complain, complain_of};
use crate::config::{BrokerKind, Config};
use crate::daemon::{self, DaemonError};
use crate::kafka::embedded::Embedded;
use crate::kafka::{Kafka, KafkaError, Sink, SinkMode};
use crate::pseudonym::mac::EpochKey;
use crate::seal::opener::Opener;
use crate::telemetry::Totals;
use crate::telemetry::log::{self, LogLevel};

use feed::generate;
use layout::terminal_width;
use viewer::Viewer;

/// The policy of the demo is the documented one.
const POLICY: &str = include_str!("../../../config/policy.toml");
const TOPICS: [&str; 4] = ["cdr.raw", "cdr.billing", "cdr.restricted", "cdr.rejected"];
const PARTITIONS: i32 = 4;
/// The embedded broker keeps 5 MiB a partition: faster than this, readers would miss records.
const MOST: u32 = 20_000;

#[derive(clap::Args)]
#[command(
    after_help = "Needs no Kafka, no Java and no set-up; all connections are to this machine.\n\
    Stops by itself with --seconds, else at ctrl-c.\n\
    While it runs, look at http://127.0.0.1:9464/ in a browser, or at cdrveil top in another terminal."
)]
pub(super) struct Args {
    /// Stop by itself after so many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Calls per second
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    rate: u32,
    /// Where the page, /metrics and /api/v1/status listen (port 0: any free one)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    /// Only make the calls, onto cdr.raw of these brokers, for a daemon that runs by itself
    #[arg(long, value_name = "BROKERS", conflicts_with = "listen")]
    produce_to: Option<String>,
    /// Log level: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log_level: LogLevel,
}

pub(super) fn run(args: &Args) -> Exit {
    log::init(log::LogSettings {
        level: args.log_level,
        ..log::LogSettings::default()
    });
    if let Some(brokers) = &args.produce_to {
        return feed::run(brokers, args.rate, args.seconds);
    }
    match demo(args) {
        Ok(totals) => {
            complain(format!("demo ended: {totals}"));
            Exit::Ok
        }
        Err(Failure::Daemon(error)) => {
            complain(&error);
            if matches!(error, DaemonError::Admin { .. }) {
                complain("--listen 127.0.0.1:0 takes any free port");
            }
            exit_of(&error)
        }
        Err(Failure::Other(message)) => {
            complain(message);
            Exit::Internal
        }
    }
}

enum Failure {
    Daemon(DaemonError),
    Other(String),
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Other(format!("embedded broker: {error}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

fn demo(args: &Args) -> Result<Totals, Failure> {
    announce();
    let folder = tempfile::Builder::new().prefix("cdrveil-demo-").tempdir()?;
    let broker = Embedded::start()?;
    for topic in TOPICS {
        broker.create_topic(topic, PARTITIONS)?;
    }
    let (identity, recipient) = Opener::new_identity();
    let opener =
        Opener::from_identity_file(identity.expose()).map_err(|error| Failure::Other(error.to_string()))?;
    write_files(folder.path(), &broker.brokers(), &recipient, args.listen)?;
    let mut config = Config::load(&folder.path().join("cdrveil.toml"), &[]).map_err(|faults| {
        complain_of(&faults);
        Failure::Other("the demo's own configuration is refused: this is a bug".to_owned())
    })?;
    config.brokers = BrokerKind::Embedded;
    let viewer = Viewer::new(
        &broker.brokers(),
        TOPICS.map(str::to_owned),
        opener,
        terminal_width(),
    )?;
    let generator = Sink::connect(
        &Kafka::plain(&broker.brokers(), "cdrveil-demo", "generator"),
        SinkMode::AtLeastOnce,
        &TOPICS[..1],
    )?;
    let stop = Arc::new(AtomicBool::new(false));
    let threads = [
        thread::spawn({
            let (stop, rate) = (Arc::clone(&stop), args.rate);
            move || generate(generator, PARTITIONS, rate, &stop)
        }),
        thread::spawn({
            let stop = Arc::clone(&stop);
            move || watch(viewer, &stop)
        }),
    ];
    let outcome = serve(config, args.seconds, &broker.brokers(), &stop);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let _ = thread.join();
    }
    outcome
}

/// The demo's own keys, policy and configuration, in the forms everybody writes.
fn write_files(folder: &Path, brokers: &str, recipient: &str, listen: SocketAddr) -> io::Result<()> {
    // A key a month, as if billing were long running and the security team in time.
    let month = Timestamp::now()
        .to_zoned(TimeZone::UTC)
        .first_of_month()
        .map_err(io::Error::other)?;
    let mut keyring = "version = 1\n".to_owned();
    for months in -1..=1 {
        let begins = month.checked_add(months.months()).map_err(io::Error::other)?;
        keyring += &write_key(folder, &begins)?;
    }
    fs::write(folder.join("keyring.toml"), keyring)?;
    fs::write(folder.join("policy.toml"), POLICY)?;
    let [raw, public, restricted, rejected] = TOPICS;
    fs::write(
        folder.join("cdrveil.toml"),
        format!(
            "domain = \"demo\"\npolicy = \"policy.toml\"\nkeyring = \"keyring.toml\"\n\
             [kafka]\nbrokers = [\"{brokers}\"]\ngroup = \"cdrveil-demo\"\ninstance = \"demo\"\n\
             [topics]\nraw = [\"{raw}\"]\npublic = \"{public}\"\nrestricted = \"{restricted}\"\nrejected = \"{rejected}\"\n\
             [delivery]\nguarantee = \"at-least-once\"\nlanes = 1\n\
             [seal]\nrecipients = [\"{recipient}\"]\n[admin]\nlisten = \"{listen}\"\n"
        ),
    )
}

/// A fresh key that begins with that day, and its block in the keyring.
fn write_key(folder: &Path, begins: &Zoned) -> io::Result<String> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let kcv = EpochKey::new(bytes).map_err(io::Error::other)?.kcv();
    let (id, begins) = (begins.strftime("%Y-%m"), begins.strftime("%Y-%m-%dT00:00:00Z"));
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(folder.join(format!("{id}.key")))?;
    writeln!(file, "{hex}")?;
    Ok(format!(
        "[[key]]\nid = \"{id}\"\nactivate_at = {begins}\nmaterial = {{ file = \"{id}.key\" }}\nkcv = \"{kcv}\"\n"
    ))
}

/// Runs the real daemon until the time is up or ctrl-c.
fn serve(config: Config, seconds: Option<u64>, brokers: &str, stop: &AtomicBool) -> Result<Totals, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let totals = runtime.block_on(async {
        let shutdown = async {
            let time = async {
                match seconds {
                    Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            stop.store(true, Ordering::Relaxed);
        };
        let columns: Vec<_> = config
            .policy
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        let (columns, appended) = (columns.join(","), config.policy.appended().join(","));
        let (_orders, ordered) = mpsc::channel(1);
        let (told, _) = oneshot::channel::<SocketAddr>();
        daemon::run(config, shutdown, ordered, |address| {
            introduce(address, brokers, &columns, &appended);
            let _ = told.send(address);
        })
        .await
        .map_err(Failure::Daemon)
    });
    runtime.shutdown_background();
    totals
}

#[allow(clippy::print_stdout)] // the demo's own greeting
fn announce() {
    println!("cdrveil demo: starting the embedded broker and the daemon ...");
}

#[allow(clippy::print_stdout)] // the same
fn introduce(address: SocketAddr, brokers: &str, columns: &str, appended: &str) {
    let [raw, public, restricted, rejected] = TOPICS;
    println!("  calls       generated -> {raw} -> the real daemon");
    println!("              -> {public}, {restricted}, {rejected}");
    println!("  page        http://{address}/   (or cdrveil top http://{address})");
    println!("  metrics     http://{address}/metrics");
    println!("  status      http://{address}/api/v1/status");
    println!("  topics      kcat -b {brokers} -C -t {public}   (in another terminal)");
    println!("  guarantee   at-least-once: the embedded broker only acts transactions;");
    println!("              on Kafka it is exactly-once");
    println!("  raw         {columns}");
    println!("  public      the same columns, then {appended}");
    println!();
    println!("Some of the calls from all sides (restricted fields and rejects lie sealed on");
    println!("their topics; they are opened here with the demo's own age identity). The first");
    println!("come when the daemon and this viewer have joined their groups: 3 to 5 seconds.");
    println!();
}

fn watch(mut viewer: Viewer, stop: &AtomicBool) {
    let mut out = io::stdout();
    while !stop.load(Ordering::Relaxed) {
        if viewer.turn(&mut out).is_err() {
            break;
        }
    }
    viewer.close();
}
