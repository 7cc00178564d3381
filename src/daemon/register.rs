//! The register and the daemon: no lane before the keyring is admitted, no key that the register speaks against.
//!
//! The embedded broker has none: the demo is one process with a keyring it made itself, so nobody can disagree,
//! and that broker compacts nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{DaemonError, now_millis};
use crate::config::{BrokerKind, Config};
use crate::kafka::KafkaError;
use crate::kafka::cluster::ClusterView;
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::Keyring;
use crate::register::live::{MADE_BY, Place, Register, RegisterError, ensure, view};
use crate::register::table::{Contradiction, Standing};
use crate::telemetry::RegisterFacts;

/// An epoch is claimed this long before a call may have its time: days before it begins it can still be moved, and
/// whoever has another key for it hears of it before midnight.
const AHEAD: Duration = Duration::from_secs(86_400);
/// How long one question to the brokers may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the question whether the topic is there may take: it is asked again soon.
const GLANCE: Duration = Duration::from_secs(1);
/// How often the register is looked at for what others have written. Looking takes no time, so that whoever locks
/// the register waits for a claim at most.
const FOLLOW: Duration = Duration::from_millis(200);

/// Up to which begin epochs are claimed.
pub fn due(max_future: Duration) -> EventTime {
    let ahead = AHEAD.saturating_add(max_future).as_millis();
    let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
    EventTime::from_millis(now_millis().saturating_add(ahead))
}

/// The raw topics with their partitions.
pub fn raw_partitions<'a>(config: &'a Config, view: &ClusterView) -> Vec<(&'a str, i32)> {
    let raw = config.topics.raw.iter();
    raw.filter_map(|name| Some((name.as_str(), super::topic(view, name)?.0)))
        .collect()
}

/// Has the keyring admitted, before any lane gets it; waits for the brokers as a start does.
pub(super) async fn enter(config: &Config, view: &ClusterView) -> Result<Guard, DaemonError> {
    if config.brokers == BrokerKind::Embedded {
        return Ok(Guard::default());
    }
    let limit = config.kafka.start_timeout();
    let began = Instant::now();
    let raw = raw_partitions(config, view);
    let raw: Vec<(String, i32)> = raw
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    loop {
        let (place, raw) = (Place::of(config), raw.clone());
        let keyring = Arc::clone(&config.keyring.keyring);
        let due = due(config.policy.max_future);
        let attempt = tokio::task::spawn_blocking(move || attempt(&place, &raw, &keyring, due));
        let error = match attempt.await {
            Ok(Ok(register)) => return Ok(Guard::over(register)),
            Ok(Err(RegisterError::Kafka { error, .. })) => error,
            Ok(Err(error)) => return Err(DaemonError::Register(error)),
            Err(_) => KafkaError::stalled(),
        };
        if began.elapsed() >= limit {
            return Err(DaemonError::Unavailable {
                brokers: config.kafka.brokers().to_owned(),
                waited: limit,
                error,
            });
        }
        tracing::info!(topic = config.topics.register, %error, "waiting for the register");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn attempt(
    place: &Place,
    raw: &[(String, i32)],
    keyring: &Keyring,
    due: EventTime,
) -> Result<Register, RegisterError> {
    let raw: Vec<(&str, i32)> = raw.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    if view(place, &raw, PATIENCE)?.is_none() {
        ensure(place, PATIENCE)?;
        tracing::info!(topic = place.topic, "the register is made");
    }
    let mut register = Register::open(place.clone(), PATIENCE)?;
    register.admit(keyring, due, PATIENCE)?;
    warn_of_untold(&register, keyring);
    Ok(register)
}

fn warn_of_untold(register: &Register, keyring: &Keyring) {
    for id in register.table().untold(keyring.epochs()) {
        tracing::warn!("{}", untold(id.as_str()));
    }
}

/// What is said of a tombstone that the register does not know. The daemon does not tell it by itself: what takes a key
/// from all instances for ever is asked for by a person (`keys destroy`), not by an edit that one host has.
pub fn untold(id: &str) -> String {
    format!(
        "key \"{id}\" is destroyed in the keyring and the register does not know: where its file comes back it would be used again; `cdrveil keys destroy {id} --config FILE` tells it"
    )
}

/// The register of a running daemon, shared with the task that follows it; none on the embedded broker.
#[derive(Clone, Default)]
pub(super) struct Guard(Option<Arc<Mutex<Register>>>);

impl Guard {
    fn over(register: Register) -> Self {
        Self(Some(Arc::new(Mutex::new(register))))
    }

    /// The keyring that lanes may have.
    pub(super) fn served(&self, keyring: &Arc<Keyring>) -> Arc<Keyring> {
        match &self.0 {
            Some(register) => Arc::new(lock(register).served(keyring)),
            None => Arc::clone(keyring),
        }
    }

    /// Tombstones of a keyring that was just taken, of which the register does not know.
    pub(super) fn warn_of_untold(&self, keyring: &Keyring) {
        if let Some(register) = &self.0 {
            warn_of_untold(&lock(register), keyring);
        }
    }

    /// Claims, reads back, decides.
    pub(super) async fn admit(&self, keyring: &Arc<Keyring>, max_future: Duration) -> Result<(), Refusal> {
        let Some(register) = self.0.clone() else {
            return Ok(());
        };
        let keyring = Arc::clone(keyring);
        let admitted =
            tokio::task::spawn_blocking(move || lock(&register).admit(&keyring, due(max_future), PATIENCE));
        match admitted.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error @ RegisterError::Kafka { .. })) => Err(Refusal::NotYet(error.to_string())),
            Ok(Err(error)) => Err(Refusal::ByRegister(error.to_string().replace('\n', "; "))),
            Err(_) => Err(Refusal::NotYet("asking the register failed".to_owned())),
        }
    }

    /// What the register says of the keyring in use.
    pub(super) fn facts(&self, keyring: &Keyring) -> Option<RegisterFacts> {
        let register = lock(self.0.as_ref()?);
        let table = register.table();
        let mut facts = RegisterFacts::default();
        let untold = table.untold(keyring.epochs());
        for epoch in keyring.epochs() {
            let standing = table.standing(epoch, &MADE_BY);
            if standing != Standing::Agreed {
                facts.withheld.push(epoch.id().to_string());
            }
            match standing {
                Standing::Agreed if untold.contains(epoch.id()) => facts.pending += 1,
                Standing::Agreed => facts.agreed += 1,
                Standing::Unclaimed => facts.pending += 1,
                Standing::Against(_) => facts.refused += 1,
            }
        }
        facts.refused += table.strangers(keyring.epochs()).len();
        let contradictions = table.contradictions(keyring.epochs(), &MADE_BY);
        facts.faults = contradictions.iter().map(Contradiction::to_string).collect();
        facts.faults.extend(register.fault());
        Some(facts)
    }

    /// Whether something is due to be claimed, or the register to be read again.
    pub(super) async fn has_to_ask(&self, keyring: &Keyring, max_future: Duration) -> bool {
        let Some(register) = &self.0 else {
            return false;
        };
        let looked = Arc::clone(register);
        let _ = tokio::task::spawn_blocking(move || lock(&looked).look_after(GLANCE)).await;
        let register = lock(register);
        register.fault().is_some() || register.has_unclaimed(keyring, due(max_future))
    }

    /// Follows the register for ever; `changed` hears when there is something new in it.
    pub(super) async fn follow(self, changed: mpsc::Sender<()>) {
        let Some(register) = self.0 else {
            return std::future::pending().await;
        };
        loop {
            let reader = Arc::clone(&register);
            let followed = tokio::task::spawn_blocking(move || lock(&reader).follow());
            let new = match followed.await {
                Ok(Ok(new)) => new,
                // Brokers that are away are told elsewhere; what is wrong with the topic stands in the facts.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the register cannot be followed");
                    tokio::time::sleep(4 * FOLLOW).await;
                    true
                }
                Err(_) => return,
            };
            if new {
                // One waiting word is enough: it looks at all there is.
                let _ = changed.try_send(());
            }
            tokio::time::sleep(FOLLOW).await;
        }
    }
}

/// Why a keyring is not admitted.
#[derive(PartialEq, Eq)]
pub(super) enum Refusal {
    /// The file, or what it would change.
    For(String),
    /// The register speaks against it: what it says may change.
    ByRegister(String),
    /// The register could not be asked.
    NotYet(String),
}

impl Refusal {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::For(error) | Self::ByRegister(error) | Self::NotYet(error) => error,
        }
    }
}

/// What was last said of the register, so that nothing is said twice.
#[derive(Default)]
pub(super) struct Said(Vec<String>);

impl Said {
    pub(super) fn say(&mut self, faults: &[String]) {
        for fault in faults.iter().filter(|fault| !self.0.contains(fault)) {
            tracing::error!(error = fault, "register and keyring in use do not agree");
        }
        if faults.is_empty() && !self.0.is_empty() {
            tracing::info!("register and keyring agree again");
        }
        self.0 = faults.to_vec();
    }
}

fn lock(register: &Mutex<Register>) -> MutexGuard<'_, Register> {
    // What was read stays true if a thread died while it held the lock; what was being read is read again.
    register.lock().unwrap_or_else(PoisonError::into_inner)
}
