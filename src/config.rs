//! The operator's file, with everything it names: checked before anything starts.
//!
//! Precedence: flag, environment (`CDRVEIL_KAFKA__GROUP`), file, default.
//! Paths are relative to the file that names them. `ConfigSettings` is what
//! was typed, [`Config`] what it means.

mod deployment;
mod environment;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::admin::AdminSettings;
use crate::cdr::policy::{Misfit, Policy};
pub use crate::config::deployment::Deployment;
pub use crate::config::environment::environment;
use crate::deckstore::{self, Stamp};
use crate::engine::Destinations;

use crate::config::environment::{attributed, merge, named_files};
use crate::kafka::{Kafka, KafkaSettings, PropertyValue};
use crate::keystore::{self, LoadedKeyring};
use crate::seal::recipient::Recipients;
use crate::settings::{Fault, Source, Span};
use crate::telemetry::log::LogSettings;

/// `cdrveil.toml` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigSettings {
    domain: Spanned<String>,
    policy: Spanned<PathBuf>,
    keyring: Spanned<PathBuf>,
    kafka: Spanned<KafkaSettings>,
    topics: TopicSettings,
    #[serde(default)]
    delivery: DeliverySettings,
    seal: SealSettings,
    #[serde(default)]
    admin: AdminSettings,
    #[serde(default)]
    log: LogSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicSettings {
    raw: Spanned<Vec<Spanned<String>>>,
    public: Spanned<String>,
    restricted: Spanned<String>,
    rejected: Spanned<String>,
    register: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DeliverySettings {
    guarantee: Guarantee,
    commit_interval: Option<Spanned<Span>>,
    max_batch: Option<Spanned<i64>>,
    transaction_timeout: Option<Spanned<Span>>,
    lanes: Option<Spanned<i64>>,
    partition: Partitioning,
    drain_timeout: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealSettings {
    recipients: Spanned<Vec<Spanned<String>>>,
}

/// What a record's way through the daemon guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Outputs and consumed offsets are one Kafka transaction (KIP-98, KIP-447).
    #[default]
    ExactlyOnce,
    /// Offsets are committed only after every output was acknowledged.
    AtLeastOnce,
}

impl Guarantee {
    /// The word in the configuration and the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
        }
    }
}

/// Which partition of the public topic a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partitioning {
    /// The partition it came from, so that order holds.
    #[default]
    Input,
    /// murmur2 of its key, as Kafka's Java clients place it.
    Key,
}

/// What answers at the brokers' addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerKind {
    /// Kafka.
    Kafka,
    /// The embedded broker of the demo, which describes no topic settings.
    Embedded,
}

/// Names of the topics.
#[derive(Debug, Clone)]
pub struct Topics {
    /// Where raw records come from.
    pub raw: Vec<String>,
    /// Pseudonymised records.
    pub public: String,
    /// Sealed restricted fields.
    pub restricted: String,
    /// Sealed rejects.
    pub rejected: String,
    /// What all instances agree every epoch to be.
    pub register: String,
}

/// `[topics] register`, unless it is set.
const REGISTER: &str = "cdrveil.register";

/// Delivery settings, checked.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Exactly once, or at least once.
    pub guarantee: Guarantee,
    /// The longest a transaction stays open.
    pub commit_interval: Duration,
    /// The most records a transaction holds.
    pub max_batch: usize,
    /// How long the broker waits before it aborts a silent transaction.
    pub transaction_timeout: Duration,
    /// Threads, each with its own consumer and producer.
    pub lanes: usize,
    /// Where public records go.
    pub partition: Partitioning,
    /// How long a stop may take.
    pub drain_timeout: Duration,
}

/// Everything the daemon needs, checked.
#[derive(Debug)]
pub struct Config {
    /// The file itself.
    pub path: PathBuf,
    /// The pseudonymisation domain.
    pub domain: String,
    /// The privacy officer's policy.
    pub policy: Arc<Policy>,
    /// The files of its deck and lists as they were when read.
    pub deck_stamp: Stamp,
    /// The security team's file.
    pub keyring_path: PathBuf,
    /// The keyring as it was at the start.
    pub keyring: LoadedKeyring,
    /// Connection to the brokers.
    pub kafka: Arc<Kafka>,
    /// What they are; a file always means Kafka.
    pub brokers: BrokerKind,
    /// The topics.
    pub topics: Topics,
    /// Delivery.
    pub delivery: Delivery,
    /// Who may open restricted and rejected records.
    pub recipients: Recipients,
    /// The HTTP listener.
    pub admin: AdminSettings,
    /// Logging.
    pub log: LogSettings,
}

impl Config {
    /// Reads and checks the file and all it names.
    ///
    /// # Errors
    ///
    /// Every fault found, each with its place.
    pub fn load(path: &Path, environment: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        checked(path, environment, |checker, settings| match settings {
            Ok(settings) => checker.config(path, settings),
            Err(fault) => {
                let files = named_files(checker.source, environment);
                Err(checker.others(fault, &files))
            }
        })
    }

    /// The names that are bound into what is sealed.
    pub fn destinations(&self) -> Destinations {
        Destinations {
            domain: self.domain.clone(),
            restricted: self.topics.restricted.clone(),
            rejected: self.topics.rejected.clone(),
        }
    }
}

/// Only the `[log]` section, for set-up before anything else can fail.
///
/// # Errors
///
/// Never fails on other sections; an unreadable file is told by [`Config::load`].
pub fn log_settings(path: &Path) -> LogSettings {
    #[derive(Default, Deserialize)]
    struct OnlyLog {
        #[serde(default)]
        log: LogSettings,
    }
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| toml::from_str::<OnlyLog>(&text).ok())
        .unwrap_or_default()
        .log
}

/// Reads a configuration, lays the environment over it and has it checked; faults name the variable they come from.
fn checked<T>(
    path: &Path,
    environment: &[(String, String)],
    check: impl FnOnce(Checker<'_>, Result<ConfigSettings, Fault>) -> Result<T, Vec<Fault>>,
) -> Result<T, Vec<Fault>> {
    let source = read(path)?;
    let checker = Checker {
        source: &source,
        faults: Vec::new(),
    };
    let attribute = |fault| attributed(fault, environment);
    check(checker, merge(&source, environment)).map_err(|faults| faults.into_iter().map(attribute).collect())
}

fn read(path: &Path) -> Result<Source, Vec<Fault>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Source {
            path: path.to_path_buf(),
            text,
        }),
        Err(error) => Err(vec![Fault::whole(path, format!("cannot be read: {error}"))]),
    }
}

struct Checker<'a> {
    source: &'a Source,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.faults.push(self.source.fault(span, message));
    }

    /// The faults of the two other files, where this one is not readable at all: one look shows everything.
    fn others(mut self, own: Fault, [policy, keyring]: &[PathBuf; 2]) -> Vec<Fault> {
        self.faults.push(own);
        // Whether they are the right files is not known: only what is there can be at fault.
        if let Ok(text) = std::fs::read_to_string(policy) {
            let path = policy.clone();
            let loaded = Policy::load(&Source { path, text });
            self.faults.extend(loaded.err().unwrap_or_default());
        }
        if keyring.exists() {
            self.faults
                .extend(keystore::load(keyring).err().unwrap_or_default());
        }
        self.faults
    }

    fn config(mut self, path: &Path, settings: ConfigSettings) -> Result<Config, Vec<Fault>> {
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let domain = self.domain(&settings.domain);
        let topics = self.topics(&settings.topics);
        let delivery = self.delivery(&settings.delivery);
        let recipients = self.recipients(&settings.seal);
        let kafka = self.kafka(&settings.kafka, &delivery);
        let policy = self.policy(&base, &settings.policy);
        let keyring_path = base.join(settings.keyring.get_ref());
        let keyring = self.keyring(&keyring_path, settings.keyring.span());
        let policy = policy.map(|(mut policy, stamp)| {
            if let Some(loaded) = &keyring {
                self.faults.extend(misfits(&mut policy, &keyring_path, loaded));
            }
            (policy, stamp)
        });
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let complete = "a configuration without faults is complete";
        let (policy, deck_stamp) = policy.expect(complete);
        Ok(Config {
            path: path.to_path_buf(),
            domain,
            policy: Arc::new(policy),
            deck_stamp,
            keyring_path,
            keyring: keyring.expect(complete),
            kafka: kafka.expect(complete),
            brokers: BrokerKind::Kafka,
            topics,
            delivery,
            recipients: recipients.expect(complete),
            admin: settings.admin,
            log: settings.log,
        })
    }

    fn domain(&mut self, domain: &Spanned<String>) -> String {
        let text = domain.get_ref();
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            self.fault(
                domain.span(),
                "domain is 1 to 64 printable ASCII characters without spaces: it is part of every pseudonym",
            );
        }
        text.clone()
    }

    fn topics(&mut self, settings: &TopicSettings) -> Topics {
        if settings.raw.get_ref().is_empty() {
            self.fault(
                settings.raw.span(),
                "[topics] raw is empty: name the topic to read",
            );
        }
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        if settings.register.is_none() {
            seen.insert(REGISTER, "register");
        }
        let raw = settings.raw.get_ref().iter().map(|topic| ("raw", topic));
        let outputs = [
            ("public", &settings.public),
            ("restricted", &settings.restricted),
            ("rejected", &settings.rejected),
        ];
        let register = settings.register.iter().map(|topic| ("register", topic));
        for (role, topic) in raw.chain(outputs).chain(register) {
            let name = topic.get_ref().as_str();
            if !legal_topic(name) {
                self.fault(
                    topic.span(),
                    format!("[topics] {role} is no topic name: 1 to 249 of a-z A-Z 0-9 . _ -"),
                );
            }
            if let Some(other) = seen.insert(name, role) {
                self.fault(topic.span(), format!("[topics] {role} is the {other} topic \"{name}\" again: each of raw, public, restricted, rejected and register is a topic of its own"));
            }
        }
        Topics {
            raw: settings
                .raw
                .get_ref()
                .iter()
                .map(|topic| topic.get_ref().clone())
                .collect(),
            public: settings.public.get_ref().clone(),
            restricted: settings.restricted.get_ref().clone(),
            rejected: settings.rejected.get_ref().clone(),
            register: settings
                .register
                .as_ref()
                .map_or_else(|| REGISTER.to_owned(), |topic| topic.get_ref().clone()),
        }
    }

    fn delivery(&mut self, settings: &DeliverySettings) -> Delivery {
        let transaction_timeout = self.between(
            settings.transaction_timeout.as_ref(),
            "transaction_timeout",
            (1_000, 15_000, 900_000),
        );
        // Half the transaction's time is left for the commit itself.
        let commit_interval = self.between(
            settings.commit_interval.as_ref(),
            "commit_interval",
            (1, 100, transaction_timeout.as_millis() as u64 / 2),
        );
        Delivery {
            guarantee: settings.guarantee,
            commit_interval,
            max_batch: self.count(settings.max_batch.as_ref(), "max_batch", (1, 100_000, 10_000_000)),
            transaction_timeout,
            lanes: self.count(settings.lanes.as_ref(), "lanes", (1, default_lanes(), 256)),
            partition: settings.partition,
            drain_timeout: settings
                .drain_timeout
                .map_or(Duration::from_secs(45), |span| span.0),
        }
    }

    /// A duration within (least, default, most) milliseconds.
    fn between(
        &mut self,
        setting: Option<&Spanned<Span>>,
        name: &str,
        (least, default, most): (u64, u64, u64),
    ) -> Duration {
        let Some(setting) = setting else {
            return Duration::from_millis(default);
        };
        let duration = setting.get_ref().0;
        if duration < Duration::from_millis(least) || duration > Duration::from_millis(most) {
            self.fault(
                setting.span(),
                format!("[delivery] {name} must be between {least}ms and {most}ms"),
            );
        }
        duration
    }

    /// A whole number within (least, default, most).
    fn count(
        &mut self,
        setting: Option<&Spanned<i64>>,
        name: &str,
        (least, default, most): (usize, usize, usize),
    ) -> usize {
        let Some(setting) = setting else { return default };
        match usize::try_from(*setting.get_ref()) {
            Ok(count) if (least..=most).contains(&count) => count,
            _ => {
                self.fault(
                    setting.span(),
                    format!("[delivery] {name} must be between {least} and {most}"),
                );
                default
            }
        }
    }

    fn kafka(&mut self, settings: &Spanned<KafkaSettings>, delivery: &Delivery) -> Option<Arc<Kafka>> {
        self.inline_secrets(settings.get_ref());
        let kafka = Kafka::check(settings.get_ref(), self.source)
            .map_err(|fault| self.faults.push(fault))
            .ok()?;
        if let Err(error) = kafka.try_out(delivery.transaction_timeout) {
            self.fault(settings.span(), format!("[kafka] {error}"));
        }
        Some(Arc::new(kafka))
    }

    fn recipients(&mut self, settings: &SealSettings) -> Option<Recipients> {
        let texts: Vec<String> = settings
            .recipients
            .get_ref()
            .iter()
            .map(|text| text.get_ref().clone())
            .collect();
        match Recipients::parse(&texts) {
            Ok(recipients) => Some(recipients),
            Err(errors) => {
                for error in errors {
                    let span = error
                        .index()
                        .and_then(|at| settings.recipients.get_ref().get(at))
                        .map_or(settings.recipients.span(), Spanned::span);
                    self.fault(span, format!("[seal] recipients: {error}"));
                }
                None
            }
        }
    }

    fn keyring(&mut self, path: &Path, named: Range<usize>) -> Option<LoadedKeyring> {
        if let Err(error) = std::fs::metadata(path) {
            let file = path.display();
            self.fault(
                named,
                format!("keyring {file} cannot be read: {error}; `cdrveil keys new --keyring {file} > {file}` begins one"),
            );
            return None;
        }
        keystore::load(path)
            .map_err(|faults| self.faults.extend(faults))
            .ok()
    }

    /// Passwords and private keys come from files of their own: this one lies in repositories and tickets.
    fn inline_secrets(&mut self, kafka: &KafkaSettings) {
        for (name, value) in &kafka.properties {
            let inline = matches!(value.get_ref(), PropertyValue::Inline(_));
            if inline && SECRETS.contains(&name.get_ref().as_str()) {
                self.fault(
                    value.span(),
                    format!(
                        "kafka.properties.\"{}\": a secret does not stand here: write it to a file that only the daemon reads, and {{ file = \"/run/secrets/..\" }}",
                        name.get_ref()
                    ),
                );
            }
        }
    }

    fn policy(&mut self, base: &Path, path: &Spanned<PathBuf>) -> Option<(Policy, Stamp)> {
        let file = base.join(path.get_ref());
        let source = match std::fs::read_to_string(&file) {
            Ok(text) => Source { path: file, text },
            Err(error) => {
                self.fault(
                    path.span(),
                    format!("policy {} cannot be read: {error}", file.display()),
                );
                return None;
            }
        };
        let policy = Policy::load(&source).and_then(|mut policy| {
            let (rating, stamp) = deckstore::load(&policy)?;
            policy.rating = Arc::new(rating);
            Ok((policy, stamp))
        });
        policy.map_err(|faults| self.faults.extend(faults)).ok()
    }
}

/// Tells the policy whether its records carry tokens of the epoch before; why they cannot, where the keyring says so.
fn misfits(policy: &mut Policy, keyring: &Path, loaded: &LoadedKeyring) -> Vec<Fault> {
    let carriers = loaded.keyring.overlap().carriers();
    let places = &loaded.overlap;
    let fault = |misfit| {
        let (place, told) = match misfit {
            Misfit::Public(told) => (&places.overlap, format!("[epochs] overlap: {told}")),
            Misfit::Sealed(told) => (&places.seal_previous, format!("[epochs] seal_previous: {told}")),
        };
        match place {
            Some(place) => place.saying(told),
            None => Fault::whole(keyring, told),
        }
    };
    let found = policy.carry(carriers).err().unwrap_or_default();
    found.into_iter().map(fault).collect()
}

/// librdkafka's properties whose value is a secret (CONFIGURATION.md).
const SECRETS: [&str; 8] = [
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "ssl_key",
];

/// Legal names, by Kafka's own rule (`Topic.validate`).
fn legal_topic(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}

/// A lane waits while its commit runs, so a machine wants one more than cores.
fn default_lanes() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get() + 1)
}

#[cfg(test)]
mod tests;
