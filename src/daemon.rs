//! The daemon: wires the rooms, watches signals and the keyring, drains, stops.
//!
//! Order of a start: self-test, brokers, topics, register, HTTP, lanes. Order of a stop:
//! not ready, lanes drain within a deadline, HTTP last, so that an operator sees it.

mod decks;
mod keyring;
mod manager;
mod register;
mod topics;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use crate::admin;
use crate::cdr::rating::Rating;
use crate::cdr::transform::keyed::Keyed;
use crate::cdr::{Reason, Skip};
use crate::config::{BrokerKind, Config, Guarantee};
use crate::kafka::cluster::{self, ClusterView, Probe};
use crate::kafka::{ErrorClass, Kafka, KafkaError};
use crate::lane::{self, LaneError, LanePlan};
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{Epoch, Keyring, Status};
use crate::pseudonym::mac;
use crate::register::live::RegisterError;
use crate::telemetry::{EpochFacts, EpochStatus, KeyringFacts, Now, Setup, Telemetry, Totals, UnixMillis};

use self::keyring::{Keyer, KeyringWatch};
pub use self::register::{due, raw_partitions, untold};
pub use self::topics::topic_problems;
use self::topics::{sized_for, topic};

/// How often the brokers are asked for metadata, for `/readyz`.
const BROKER_PROBE: Duration = Duration::from_secs(5);

/// The closed lists of label values.
const REASONS: [&str; Reason::ALL.len()] = {
    let mut words = [""; Reason::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Reason::ALL[at].as_str();
        at += 1;
    }
    words
};
const SKIPS: [&str; Skip::ALL.len()] = {
    let mut words = [""; Skip::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Skip::ALL[at].as_str();
        at += 1;
    }
    words
};

/// Why the daemon could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The cryptography gives wrong answers on this machine.
    #[error("self-test failed: {0}; nothing was started")]
    SelfTest(String),
    /// No broker within the start timeout.
    #[error("no broker answered within {waited:?} at {brokers}: {error}")]
    Unavailable {
        /// Where.
        brokers: String,
        /// How long.
        waited: Duration,
        /// What was last heard.
        error: KafkaError,
    },
    /// Topics that are missing or unfit; one line each.
    #[error("{}", .0.join("\n"))]
    Topics(Vec<String>),
    /// The register speaks against the keyring, or cannot serve; one line each.
    #[error("{0}")]
    Register(RegisterError),
    /// The HTTP listener.
    #[error("[admin] listen {address}: {error}")]
    Admin {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The brokers refuse a setting of ours.
    #[error("{0}")]
    Refused(LaneError),
    /// A lane stopped by itself.
    #[error("{0}")]
    Lane(LaneError),
    /// A lane died.
    #[error("a lane stopped unexpectedly: this is a bug; nothing uncommitted was lost")]
    Panicked,
    /// A task that ends only with the daemon ended before it.
    #[error("{0} ended: {1}; this is a bug; nothing uncommitted was lost")]
    Helper(&'static str, String),
    /// Lanes did not finish in time.
    #[error("lanes did not stop within {0:?}; what they had open is aborted by the broker and read again")]
    Drain(Duration),
    /// Threads or signals.
    #[error("the operating system refused: {0}")]
    System(io::Error),
}

impl DaemonError {
    fn of_lane(error: LaneError) -> Self {
        match error {
            LaneError::TransactionTimeout { .. } => Self::Refused(error),
            _ => Self::Lane(error),
        }
    }
}

/// What a running daemon is told from outside.
pub enum Order {
    /// Re-read the keyring, the rate deck and the lists now.
    Reload,
}

/// Runs until `shutdown` resolves or a lane fails; the totals of a clean stop.
///
/// `listening` is told the address the HTTP listener got.
///
/// # Errors
///
/// What made the start impossible, or a lane stop.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()>,
    orders: mpsc::Receiver<Order>,
    listening: impl FnOnce(SocketAddr),
) -> Result<Totals, DaemonError> {
    mac::self_test().map_err(|error| DaemonError::SelfTest(error.to_string()))?;
    let telemetry = Telemetry::new(setup(&config), Now::read());
    telemetry.keyring_loaded(facts(&config.keyring.keyring), Now::read());
    let decks = decks::facts(&config.policy.rating, &config.keyring.keyring, &config.domain);
    telemetry.deck_loaded(decks, 0, Now::read());
    tokio::pin!(shutdown);
    let view = tokio::select! {
        view = await_brokers(&config) => view?,
        () = &mut shutdown => {
            tracing::info!("stopping: no broker had answered yet");
            return Ok(telemetry.totals());
        }
    };
    let (problems, warnings) = topic_problems(&config, &view);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if !problems.is_empty() {
        return Err(DaemonError::Topics(problems));
    }
    let guard = tokio::select! {
        guard = register::enter(&config, &view) => guard?,
        () = &mut shutdown => {
            tracing::info!("stopping: the register had not answered yet");
            return Ok(telemetry.totals());
        }
    };
    let (stop_http, stopped) = oneshot::channel::<()>();
    let http = admin::serve(config.admin.listen, telemetry.clone(), async move {
        let _ = stopped.await;
    });
    let mut http = http.await.map_err(|error| DaemonError::Admin {
        address: config.admin.listen,
        error,
    })?;
    let address = http.address();
    listening(address);
    let keyer = Keyer {
        policy: Arc::clone(&config.policy),
        domain: config.domain.clone(),
    };
    let keyring = guard.served(&config.keyring.keyring);
    let keyring = Arc::new(ArcSwap::new(keyer.keyed(keyring).await));
    let rating = Arc::new(ArcSwap::new(Arc::clone(&config.policy.rating)));
    let stop = Arc::new(AtomicBool::new(false));
    log_start(&config, address);
    let swapped = Swapped {
        keyring: Arc::clone(&keyring),
        rating: Arc::clone(&rating),
    };
    let lanes = Lanes::start(&config, &view, &swapped, &stop, &telemetry).map_err(DaemonError::System)?;
    manager::started();
    let [orders, deck_orders] = decks::shared(orders, &stop);
    let watch = decks::Watch {
        policy: Arc::clone(&config.policy),
        domain: config.domain.clone(),
        current: rating,
        keyring: Arc::clone(&keyring),
        telemetry: telemetry.clone(),
        seen: config.deck_stamp.clone(),
        changing: None,
    };
    let files = !config.policy.rating_files.named.is_empty();
    let mut redeck = files.then(|| tokio::spawn(decks::run(watch, deck_orders)));
    let (told, news) = mpsc::channel(1);
    let mut follow = tokio::spawn(guard.clone().follow(told));
    // Held on to, the start's keyring would keep keys in memory that a later one has destroyed.
    let loaded = config.keyring;
    let watch = KeyringWatch {
        path: config.keyring_path.clone(),
        keyring: loaded.keyring,
        lanes: keyring,
        keyer,
        guard,
        telemetry: telemetry.clone(),
        max_future: config.policy.max_future,
    };
    let mut reload = tokio::spawn(watch.run(loaded.content_hash, orders, news));
    let mut probe = tokio::spawn(watch_brokers(Arc::clone(&config.kafka), telemetry.clone()));
    let mut told_of = tokio::spawn(manager::watch(telemetry.clone()));
    let over = async {
        tokio::select! {
            () = &mut shutdown => Ok(()),
            // None of these ends by itself, and without them nobody would notice what goes wrong next.
            error = http.ended() => Err(DaemonError::Helper("the HTTP listener", error.to_string())),
            ended = &mut reload => Err(DaemonError::Helper("the watch over the keyring", died(ended))),
            ended = &mut follow => Err(DaemonError::Helper("the watch over the register", died(ended))),
            ended = end_of(&mut redeck) => Err(DaemonError::Helper("the watch over the rate deck", died(ended))),
            ended = &mut probe => Err(DaemonError::Helper("the watch over the brokers", died(ended))),
            ended = &mut told_of => Err(DaemonError::Helper("what the service manager is told", died(ended))),
        }
    };
    let outcome = lanes
        .until(over, config.delivery.drain_timeout, &stop, &telemetry)
        .await;
    reload.abort();
    follow.abort();
    if let Some(redeck) = redeck {
        redeck.abort();
    }
    probe.abort();
    told_of.abort();
    let _ = stop_http.send(());
    if let Err(error) = http.finished(Duration::from_secs(2)).await {
        tracing::warn!(%error, "the HTTP listener had failed");
    }
    let totals = telemetry.totals();
    outcome.map(|()| totals)
}

fn setup(config: &Config) -> Setup {
    Setup {
        domain: config.domain.clone(),
        guarantee: config.delivery.guarantee.as_str().to_owned(),
        lanes: config.delivery.lanes,
        raw_topics: config.topics.raw.clone(),
        rejection_reasons: &REASONS,
        skip_reasons: &SKIPS,
    }
}

fn log_start(config: &Config, address: SocketAddr) {
    tracing::info!(
        version = crate::telemetry::VERSION,
        domain = config.domain,
        guarantee = config.delivery.guarantee.as_str(),
        lanes = config.delivery.lanes,
        group = config.kafka.group(),
        instance = config.kafka.instance(),
        keyring = config.keyring.keyring.fingerprint(),
        overlap = %config.keyring.keyring.overlap(),
        numbers = crate::number::NUMBER_TABLE,
        admin = %address,
        "started"
    );
}

/// Waits for the brokers and what they say of our topics.
async fn await_brokers(config: &Config) -> Result<ClusterView, DaemonError> {
    let limit = config.kafka.start_timeout();
    let began = Instant::now();
    loop {
        manager::waiting(config.kafka.brokers());
        match describe(config, Duration::from_secs(5).min(limit)).await {
            Ok(view) => return Ok(view),
            Err(error) if began.elapsed() >= limit => {
                return Err(DaemonError::Unavailable {
                    brokers: config.kafka.brokers().to_owned(),
                    waited: limit,
                    error,
                });
            }
            Err(error) => {
                tracing::info!(brokers = config.kafka.brokers(), %error, "waiting for a broker");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
}

/// What the brokers say of the configured topics.
///
/// # Errors
///
/// No broker answered in time.
pub async fn describe(config: &Config, timeout: Duration) -> Result<ClusterView, KafkaError> {
    let kafka = Arc::clone(&config.kafka);
    let topics: Vec<String> = all_topics(config);
    let brokers = config.brokers;
    let described = tokio::task::spawn_blocking(move || {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        match brokers {
            BrokerKind::Kafka => cluster::describe(&kafka, &names, timeout),
            BrokerKind::Embedded => {
                let topics = cluster::find(&kafka, &names, timeout)?;
                Ok(ClusterView {
                    topics,
                    warnings: Vec::new(),
                })
            }
        }
    });
    described.await.unwrap_or_else(|_| Err(KafkaError::stalled()))
}

fn all_topics(config: &Config) -> Vec<String> {
    let topics = &config.topics;
    let outputs = [&topics.public, &topics.restricted, &topics.rejected];
    let register = (config.brokers == BrokerKind::Kafka).then_some(&topics.register);
    topics
        .raw
        .iter()
        .chain(outputs)
        .chain(register)
        .cloned()
        .collect()
}

/// What a reload changes under running lanes.
struct Swapped {
    keyring: Arc<ArcSwap<Keyed>>,
    rating: Arc<ArcSwap<Rating>>,
}

/// The lanes' threads, and the channel on which they report their end.
struct Lanes {
    threads: Vec<std::thread::JoinHandle<()>>,
    ended: mpsc::Receiver<Result<(), DaemonError>>,
}

impl Lanes {
    fn start(
        config: &Config,
        view: &ClusterView,
        swapped: &Swapped,
        stop: &Arc<AtomicBool>,
        telemetry: &Telemetry,
    ) -> io::Result<Self> {
        let plan = Arc::new(LanePlan {
            kafka: sized_for(config, view),
            topics: config.topics.clone(),
            delivery: config.delivery.clone(),
            policy: Arc::clone(&config.policy),
            recipients: config.recipients.clone(),
            destinations: config.destinations(),
            public_partitions: topic(view, &config.topics.public).map_or(1, |(partitions, _)| partitions),
            keyring: Arc::clone(&swapped.keyring),
            rating: Arc::clone(&swapped.rating),
            stop: Arc::clone(stop),
            telemetry: telemetry.clone(),
        });
        let (report, ended) = mpsc::channel(config.delivery.lanes);
        let threads = (0..config.delivery.lanes)
            .map(|index| {
                let (plan, report) = (Arc::clone(&plan), report.clone());
                std::thread::Builder::new()
                    .name(format!("lane-{index}"))
                    .spawn(move || {
                        let run = std::panic::AssertUnwindSafe(|| lane::run(&plan, index));
                        let result = match std::panic::catch_unwind(run) {
                            Ok(result) => result.map_err(DaemonError::of_lane),
                            Err(_) => Err(DaemonError::Panicked),
                        };
                        let _ = report.blocking_send(result);
                    })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { threads, ended })
    }

    /// Waits until all is over, or for a lane that fails; then drains all of them.
    async fn until(
        mut self,
        over: impl Future<Output = Result<(), DaemonError>>,
        drain: Duration,
        stop: &AtomicBool,
        telemetry: &Telemetry,
    ) -> Result<(), DaemonError> {
        let mut left = self.threads.len();
        let mut outcome = tokio::select! {
            over = over => over,
            Some(ended) = self.ended.recv() => { left -= 1; ended }
        };
        telemetry.drain();
        stop.store(true, Ordering::Relaxed);
        manager::stopping(drain);
        if let Err(error) = &outcome {
            tracing::error!(%error, "stopping");
        } else {
            tracing::info!("stopping: finishing what is open");
        }
        let deadline = tokio::time::Instant::now() + drain;
        while left > 0 {
            match tokio::time::timeout_at(deadline, self.ended.recv()).await {
                Ok(Some(ended)) => {
                    left -= 1;
                    outcome = outcome.and(ended);
                }
                Ok(None) => break,
                Err(_) => return outcome.and(Err(DaemonError::Drain(drain))),
            }
        }
        for thread in self.threads {
            let _ = thread.join();
        }
        outcome
    }
}

/// The end of a task; none ever comes of one that was not started.
async fn end_of(task: &mut Option<JoinHandle<()>>) -> Result<(), JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

fn died(ended: Result<(), JoinError>) -> String {
    ended.map_or_else(|error| error.to_string(), |()| "it returned".to_owned())
}

async fn watch_brokers(kafka: Arc<Kafka>, telemetry: Telemetry) {
    let mut kept: Option<Probe> = None;
    loop {
        let (client, held) = (Arc::clone(&kafka), kept.take());
        let asked = tokio::task::spawn_blocking(move || {
            let probe = held.map_or_else(|| Probe::new(&client), Ok)?;
            let answer = probe.ask(Duration::from_secs(3));
            Ok((probe, answer))
        });
        let answer = match asked.await.unwrap_or_else(|_| Err(KafkaError::stalled())) {
            Ok((probe, answer)) => {
                kept = Some(probe);
                answer
            }
            Err(error) => Err(error),
        };
        telemetry.brokers(answer.map_err(|error| format!("no answer from {}: {error}", kafka.brokers())));
        tokio::time::sleep(BROKER_PROBE).await;
    }
}

/// What may be shown of a keyring.
fn facts(keyring: &Keyring) -> KeyringFacts {
    KeyringFacts {
        fingerprint: keyring.fingerprint(),
        epochs: keyring.epochs().iter().map(epoch_facts).collect(),
    }
}

fn epoch_facts(epoch: &Epoch) -> EpochFacts {
    let shown = |time: EventTime| UnixMillis(time.as_millis());
    EpochFacts {
        id: epoch.id().to_string(),
        activate_at: shown(epoch.activate_at()),
        until: epoch.ends_at().map(shown),
        kcv: epoch.kcv().map(|kcv| kcv.to_string()).unwrap_or_default(),
        status: match epoch.status() {
            Status::Enabled => EpochStatus::Enabled,
            Status::Compromised => EpochStatus::Compromised,
            Status::Destroyed => EpochStatus::Destroyed,
        },
    }
}

/// Whether an error of the start is the brokers' absence (exit 69) rather than ours.
pub fn is_unavailable(error: &KafkaError) -> bool {
    matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Retriable)
}

/// What the guarantee needs of the cluster, in words for `check`.
pub fn guarantee_note(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::ExactlyOnce => {
            "outputs and offsets in one transaction; readers need isolation.level=read_committed"
        }
        Guarantee::AtLeastOnce => "a fault may repeat records; drop repeats by record_id",
    }
}

fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
