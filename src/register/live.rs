//! The register on its topic: read, claim, read back, withdraw, destroy. Everything here blocks.
//!
//! Invariant: a key is claimed, and the claim read back, before anybody is told that it may be used.

mod rebuild;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::{Config, Deployment};
use crate::kafka::append::{self, Entry};
use crate::kafka::cluster::{self, Presence, TopicOrder};
use crate::kafka::reader::{Follower, Record};
use crate::kafka::{ErrorClass, Kafka, KafkaError};
use crate::number::NUMBER_TABLE;
use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::{Epoch, Keyring, Status};
use crate::pseudonym::mac::{CONSTRUCTION, Kcv};
use crate::register::entry::{Claim, Made, claim_key, claim_value, destruction_key, destruction_value};
use crate::register::table::{Construction, Contradiction, Held, Standing, Table};

pub use self::rebuild::Plan;

/// What this version makes of key and value.
pub const MADE_BY: Construction = Construction {
    algorithm: CONSTRUCTION,
    numbers: NUMBER_TABLE,
};

/// The settings of the topic: nothing in it ever goes away but what was replaced.
pub const TOPIC_SETTINGS: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("retention.ms", "-1")];

/// How long a new topic waits for its leader.
const ELECTION: Duration = Duration::from_secs(10);

/// Which register, and who reads it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The brokers; its instance is who claims.
    pub kafka: Arc<Kafka>,
    /// `[topics] register`.
    pub topic: String,
    /// The pseudonymisation domain.
    pub domain: String,
}

impl Place {
    /// The register of a deployment.
    pub fn of(config: &Config) -> Self {
        Self {
            kafka: Arc::clone(&config.kafka),
            topic: config.topics.register.clone(),
            domain: config.domain.clone(),
        }
    }

    /// The same, of a deployment whose keyring and policy were not looked at.
    pub fn at(deployment: &Deployment) -> Self {
        Self {
            kafka: Arc::clone(&deployment.kafka),
            topic: deployment.topics.register.clone(),
            domain: deployment.domain.clone(),
        }
    }

    fn made(&self) -> Made {
        Made {
            instance: self.kafka.instance().to_owned(),
            time: Timestamp::now(),
        }
    }

    fn failed(&self, error: KafkaError) -> RegisterError {
        let topic = self.topic.clone();
        if error.is_denied() {
            RegisterError::Denied { topic, error }
        } else {
            let brokers = self.kafka.brokers().to_owned();
            RegisterError::Kafka {
                topic,
                brokers,
                error,
            }
        }
    }

    fn append(&self, entries: &[Entry], patience: Duration) -> Result<(), RegisterError> {
        append::append(&self.kafka, &self.topic, entries, patience).map_err(|error| self.failed(error))
    }
}

/// Why a keyring was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Register and keyring contradict each other.
    #[error("{}", lines(.topic, .contradictions))]
    Refused {
        /// The register's topic.
        topic: String,
        /// In what.
        contradictions: Vec<Contradiction>,
    },
    /// Records were processed before, and the register knows nothing of it.
    #[error(
        "register \"{topic}\" {what}, but group \"{group}\" has processed records before: it was deleted, or they were processed by a version without one. Nothing is written until it is rebuilt: make sure that this instance's keyring is the right one, then `cdrveil keys register --rebuild --config FILE`"
    )]
    Lost {
        /// The register's topic.
        topic: String,
        /// What is wrong with it.
        what: String,
        /// The consumer group.
        group: String,
    },
    /// There is no such topic and it could not be made.
    #[error(
        "register topic \"{topic}\" does not exist and cannot be made ({error}): create it with one partition, cleanup.policy=compact and retention.ms=-1, or give the principal Create on it"
    )]
    NotMade {
        /// The register's topic.
        topic: String,
        /// Why not.
        error: KafkaError,
    },
    /// There is no such topic.
    #[error(
        "register topic \"{0}\" does not exist: the first start of a daemon makes it, or `cdrveil keys register --rebuild --config FILE`"
    )]
    Missing(String),
    /// This user may not.
    #[error("register \"{topic}\": {error}: give the principal Read, Write and Describe on it")]
    Denied {
        /// The register's topic.
        topic: String,
        /// What the brokers say.
        error: KafkaError,
    },
    /// The brokers.
    #[error("register \"{topic}\" at {brokers}: {error}")]
    Kafka {
        /// The register's topic.
        topic: String,
        /// Who was asked.
        brokers: String,
        /// What they say.
        error: KafkaError,
    },
}

fn lines(topic: &str, contradictions: &[Contradiction]) -> String {
    let line = |contradiction: &Contradiction| format!("register \"{topic}\": {contradiction}");
    contradictions.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What stands in the register; `None` when there is none yet and no record was processed without it either.
/// `raw`: the raw topics with their partitions, to ask for the group's offsets.
///
/// # Errors
///
/// [`RegisterError::Lost`]; the brokers.
pub fn view(place: &Place, raw: &[(&str, i32)], patience: Duration) -> Result<Option<Table>, RegisterError> {
    // Asked first: whoever commits has claimed before.
    let processed =
        cluster::has_committed(&place.kafka, raw, patience).map_err(|error| place.failed(error))?;
    let table = match presence(place, patience)? {
        Presence::Partitions(_) => Some(Register::open(place.clone(), patience)?.table),
        Presence::Missing | Presence::Denied => None,
    };
    let what = match &table {
        None => "does not exist".to_owned(),
        // Another domain's: that is what has to be told.
        Some(other) if other.other_domain().is_some() => return Ok(table),
        Some(table) if table.is_empty() => format!("holds nothing of domain \"{}\"", place.domain),
        Some(_) => return Ok(table),
    };
    if processed {
        return Err(RegisterError::Lost {
            topic: place.topic.clone(),
            what,
            group: place.kafka.group().to_owned(),
        });
    }
    Ok(table)
}

/// Makes the topic unless it is there.
///
/// # Errors
///
/// [`RegisterError::NotMade`]; the brokers.
pub fn ensure(place: &Place, patience: Duration) -> Result<(), RegisterError> {
    if matches!(presence(place, patience)?, Presence::Partitions(_)) {
        return Ok(());
    }
    let order = TopicOrder {
        name: &place.topic,
        partitions: 1,
        config: TOPIC_SETTINGS,
    };
    cluster::ensure_topic(&place.kafka, &order, patience).map_err(|error| match error.class() {
        ErrorClass::Retriable | ErrorClass::Unavailable => place.failed(error),
        _ => RegisterError::NotMade {
            topic: place.topic.clone(),
            error,
        },
    })?;
    let deadline = Instant::now() + ELECTION.max(patience);
    while !matches!(presence(place, patience)?, Presence::Partitions(_)) {
        if Instant::now() > deadline {
            return Err(place.failed(KafkaError::stalled()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn presence(place: &Place, patience: Duration) -> Result<Presence, RegisterError> {
    let found =
        cluster::find(&place.kafka, &[&place.topic], patience).map_err(|error| place.failed(error))?;
    Ok(found.first().map_or(Presence::Missing, |topic| topic.presence))
}

/// Writes that an epoch's key is destroyed; nobody can take that back. Waits until all replicas have it.
///
/// # Errors
///
/// The topic is not there, the brokers do not answer: it may be written or not, call again.
pub fn destroy(
    place: &Place,
    epoch: EpochId,
    kcv: Option<Kcv>,
    patience: Duration,
) -> Result<(), RegisterError> {
    if !matches!(presence(place, patience)?, Presence::Partitions(_)) {
        return Err(RegisterError::Missing(place.topic.clone()));
    }
    place.append(&[destruction(place, epoch, kcv)], patience)
}

fn destruction(place: &Place, epoch: EpochId, kcv: Option<Kcv>) -> Entry {
    Entry {
        key: destruction_key(&place.domain, epoch, kcv),
        value: Some(destruction_value(&place.domain, epoch, kcv, &place.made())),
    }
}

fn withdrawal(key: impl Into<String>) -> Entry {
    Entry {
        key: key.into(),
        value: None,
    }
}

/// An open register, read to its end and followed from there.
pub struct Register {
    place: Place,
    table: Table,
    follower: Follower,
    /// The next offset expected.
    next: i64,
    /// Keys of claims made here, and those of them that were not read back yet.
    own: BTreeSet<String>,
    awaited: BTreeSet<String>,
    /// It was read this moment.
    fresh: bool,
    /// The topic began again under us, or is gone.
    fault: Option<String>,
}

impl Register {
    /// Reads the topic to its end.
    ///
    /// # Errors
    ///
    /// The topic is not there; the brokers.
    pub fn open(place: Place, patience: Duration) -> Result<Self, RegisterError> {
        let mut read = Read::of(&place);
        let follower = Follower::at_end_of(&place.kafka, &place.topic, patience, |record| read.take(record))
            .map_err(|error| place.failed(error))?;
        Ok(Self {
            place,
            table: read.table,
            follower,
            next: read.next,
            own: BTreeSet::new(),
            awaited: BTreeSet::new(),
            fresh: true,
            fault: None,
        })
    }

    /// What stands in it, as far as it was read.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Claims what the register does not hold of this keyring up to `due`, reads back, and decides.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Refused`]: this keyring must not be used; claims that lost are withdrawn. Otherwise nothing
    /// is known: the same call again.
    pub fn admit(
        &mut self,
        keyring: &Keyring,
        due: EventTime,
        patience: Duration,
    ) -> Result<(), RegisterError> {
        match self.claim_all(keyring, due, patience)? {
            Claimed::Nothing => Ok(()),
            Claimed::Some => self.read_back(keyring, patience),
        }
    }

    /// The first half of [`admit`](Self::admit): nothing may be used yet.
    ///
    /// # Errors
    ///
    /// As [`admit`](Self::admit).
    pub fn claim_all(
        &mut self,
        keyring: &Keyring,
        due: EventTime,
        patience: Duration,
    ) -> Result<Claimed, RegisterError> {
        if !std::mem::take(&mut self.fresh) {
            self.read_again(patience)?;
        }
        self.decide(keyring, patience)?;
        let claims = self.claims(keyring, due);
        if claims.is_empty() {
            return Ok(Claimed::Nothing);
        }
        // Noted first: what is not acknowledged may be there all the same.
        self.own.extend(claims.iter().map(|entry| entry.key.clone()));
        self.place.append(&claims, patience)?;
        self.awaited = claims.into_iter().map(|entry| entry.key).collect();
        Ok(Claimed::Some)
    }

    /// The second half: reads to the end, at least behind the own claims, and decides.
    ///
    /// # Errors
    ///
    /// As [`admit`](Self::admit).
    pub fn read_back(&mut self, keyring: &Keyring, patience: Duration) -> Result<(), RegisterError> {
        let deadline = Instant::now() + patience;
        loop {
            self.read_again(patience)?;
            // A replica that lags (KIP-392) may end before our own claim: then there may be others that it lacks.
            if self.awaited.is_empty() {
                return self.decide(keyring, patience);
            }
            if Instant::now() > deadline {
                return Err(self.place.failed(KafkaError::stalled()));
            }
        }
    }

    /// Whether an epoch of this keyring waits to be claimed.
    pub fn has_unclaimed(&self, keyring: &Keyring, due: EventTime) -> bool {
        self.unclaimed(keyring, due).next().is_some()
    }

    /// The keyring that lanes may have now: without the keys that the register does not confirm, and without any
    /// for the time of epochs that only others know, if those were claimed before they began.
    pub fn served(&self, keyring: &Keyring) -> Keyring {
        let ahead = |claim: &&Claim| claim.made.time.as_millisecond() < claim.activate_at.as_millis();
        let strangers = self.table.strangers(keyring.epochs()).into_iter().filter(ahead);
        let strangers: Vec<_> = strangers.map(|claim| (claim.epoch, claim.activate_at)).collect();
        keyring.withholding(
            |epoch| self.table.standing(epoch, &MADE_BY) != Standing::Agreed,
            &strangers,
        )
    }

    /// Takes in what others have written since, without waiting. Whether there was anything.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Lost`]: the topic begins again. The brokers: the same call again.
    pub fn follow(&mut self) -> Result<bool, RegisterError> {
        let (mut changed, mut rewound) = (false, false);
        let (table, next) = (&mut self.table, &mut self.next);
        let followed = self.follower.go_on(|record| {
            rewound |= record.offset() < *next;
            *next = record.offset() + 1;
            table.take(
                record.offset(),
                record.key().unwrap_or_default(),
                record.payload(),
            );
            changed = true;
        });
        let followed = followed.map_err(|error| (error.names_a_topic(), self.place.failed(error)));
        let error = match followed {
            Ok(()) if rewound => self.lost(),
            Ok(()) => return Ok(changed),
            Err((false, error)) => return Err(error),
            Err((true, error)) => error,
        };
        self.fault = Some(error.to_string());
        Err(error)
    }

    /// Notices a topic that was deleted and not made anew.
    pub fn look_after(&mut self, patience: Duration) {
        if let Ok(false) = self.follower.is_there(&self.place.topic, patience) {
            self.fault = Some(RegisterError::Missing(self.place.topic.clone()).to_string());
        }
    }

    /// What is wrong with the topic itself, until it was read again from its start.
    pub fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    /// From the start to the end once more: only the broker's word says where the end is.
    fn read_again(&mut self, patience: Duration) -> Result<(), RegisterError> {
        let mut read = Read::of(&self.place);
        let awaited = &mut self.awaited;
        let follower = Follower::at_end_of(&self.place.kafka, &self.place.topic, patience, |record| {
            read.take(record);
            if let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) {
                awaited.remove(key);
            }
        });
        self.follower = follower.map_err(|error| self.place.failed(error))?;
        if read.table.is_empty() && !self.table.is_empty() {
            return Err(self.lost());
        }
        self.table = read.table;
        self.next = read.next;
        self.fault = None;
        Ok(())
    }

    fn lost(&self) -> RegisterError {
        RegisterError::Lost {
            topic: self.place.topic.clone(),
            what: "was deleted and made anew".to_owned(),
            group: self.place.kafka.group().to_owned(),
        }
    }

    fn decide(&mut self, keyring: &Keyring, patience: Duration) -> Result<(), RegisterError> {
        let contradictions = self.table.contradictions(keyring.epochs(), &MADE_BY);
        if contradictions.is_empty() {
            return Ok(());
        }
        self.withdraw_lost(patience);
        Err(RegisterError::Refused {
            topic: self.place.topic.clone(),
            contradictions,
        })
    }

    /// Takes back own claims that lost. One that stays does no harm: it never becomes the lowest.
    fn withdraw_lost(&mut self, patience: Duration) {
        let lost = |held: &&Held| {
            let holder = self.table.holder(&held.claim.epoch);
            let agrees = holder.is_some_and(|holder| holder.claim.agrees(&held.claim));
            self.own.contains(&held.key) && !(agrees && self.table.other_domain().is_none())
        };
        let lost = self.table.claims().filter(lost);
        let entries: Vec<Entry> = lost.map(|held| withdrawal(held.key.clone())).collect();
        if !entries.is_empty() {
            let _ = self.place.append(&entries, patience);
        }
    }

    /// The first usable epoch is always due: so a register that was in use is never empty.
    fn unclaimed<'a>(&self, keyring: &'a Keyring, due: EventTime) -> impl Iterator<Item = &'a Epoch> {
        let usable = |epoch: &&Epoch| epoch.status() != Status::Destroyed;
        let first = keyring.epochs().iter().find(usable).map(Epoch::activate_at);
        let due = first.map_or(due, |first| due.max(first));
        let begun = keyring
            .epochs()
            .iter()
            .filter(move |epoch| epoch.activate_at() <= due);
        begun.filter(|epoch| self.table.standing(epoch, &MADE_BY) == Standing::Unclaimed)
    }

    fn claims(&self, keyring: &Keyring, due: EventTime) -> Vec<Entry> {
        let unclaimed = self.unclaimed(keyring, due);
        unclaimed.filter_map(|epoch| self.claim(epoch)).collect()
    }

    fn claim(&self, epoch: &Epoch) -> Option<Entry> {
        let claim = Claim {
            epoch: *epoch.id(),
            kcv: epoch.kcv()?,
            activate_at: epoch.activate_at(),
            ends_at: epoch.ends_at(),
            algorithm: MADE_BY.algorithm.to_owned(),
            numbers: MADE_BY.numbers.to_owned(),
            group: self.place.kafka.group().to_owned(),
            made: self.place.made(),
        };
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        Some(Entry {
            key: claim_key(&self.place.domain, claim.epoch, claim.kcv, nonce),
            value: Some(claim_value(&self.place.domain, &claim)),
        })
    }
}

/// Whether there was anything to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// The register holds all of it: admitted.
    Nothing,
    /// Claims were appended: they have to be read back.
    Some,
}

/// What was read so far, and the next offset.
struct Read {
    table: Table,
    next: i64,
}

impl Read {
    fn of(place: &Place) -> Self {
        Self {
            table: Table::new(&place.domain, place.kafka.group()),
            next: 0,
        }
    }

    fn take(&mut self, record: &Record<'_>) {
        self.next = record.offset() + 1;
        self.table.take(
            record.offset(),
            record.key().unwrap_or_default(),
            record.payload(),
        );
    }
}
