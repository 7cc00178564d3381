//! What the cluster says about topics, before the first record: partitions, and settings that matter.
//!
//! Uses the crate's own client: no hot path. Every call blocks; inside tokio, `spawn_blocking` is its place.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigEntry, ConfigResource, NewTopic, OwnedResourceSpecifier,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::error::{ErrorClass, Flag, KafkaError};
use super::log;
use super::properties::{self, Side};
use super::settings::Kafka;

/// How long one question waits before it is asked again.
const ASK: Duration = Duration::from_secs(5);

/// Topics as the cluster describes them, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// One per topic asked for.
    pub topics: Vec<TopicView>,
    /// What could not be found out, in words for a log line; empty if everything could.
    pub warnings: Vec<String>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub presence: Presence,
    /// Settings; all `None` where they may not be described.
    pub config: TopicConfig,
}

/// Whether a topic is there and may be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// With so many partitions.
    Partitions(i32),
    /// No such topic (or none that we may know of).
    Missing,
    /// It is there or not: we may not know.
    Denied,
}

/// The settings of a topic that decide whether it can serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicConfig {
    /// `cleanup.policy`: `delete`, `compact` or `compact,delete`.
    pub cleanup_policy: Option<String>,
    /// `max.message.bytes`: the largest batch, in bytes.
    pub max_message_bytes: Option<i64>,
    /// `retention.ms`: milliseconds, -1 for ever.
    pub retention_ms: Option<i64>,
    /// `message.timestamp.before.max.ms`: how much older than the broker's clock a record may be.
    pub timestamp_before_max_ms: Option<i64>,
    /// `message.timestamp.after.max.ms`: how much newer.
    pub timestamp_after_max_ms: Option<i64>,
    /// `min.insync.replicas`.
    pub min_insync_replicas: Option<i64>,
}

/// A topic to be made.
#[derive(Debug, Clone)]
pub struct TopicOrder<'a> {
    /// Its name.
    pub name: &'a str,
    /// Partitions.
    pub partitions: i32,
    /// Settings by Kafka's names.
    pub config: &'a [(&'a str, &'a str)],
}

/// Asks whether these topics are there, until a broker answers or `timeout` is over. Settings stay unknown.
///
/// # Errors
///
/// [`ErrorClass::Unavailable`]: no broker answered in time; the message is the last one librdkafka had.
/// [`ErrorClass::Fatal`]: contradictory properties.
pub fn find(kafka: &Kafka, topics: &[&str], timeout: Duration) -> Result<Vec<TopicView>, KafkaError> {
    let deadline = Instant::now() + timeout;
    let consumer = consumer(kafka, &[])?;
    let view = |&name: &&str| {
        Ok(TopicView {
            name: name.to_owned(),
            presence: presence(&consumer, name, deadline)?,
            config: TopicConfig::default(),
        })
    };
    topics.iter().map(view).collect()
}

/// [`find`], and what the topics' settings are. A description that is denied, or not known to the broker (the
/// embedded one takes 5 s to say so), is a warning only.
///
/// # Errors
///
/// As [`find`].
pub fn describe(kafka: &Kafka, topics: &[&str], timeout: Duration) -> Result<ClusterView, KafkaError> {
    let mut topics = find(kafka, topics, timeout)?;
    let warning = describe_configs(kafka, &mut topics).err();
    Ok(ClusterView {
        topics,
        warnings: warning.into_iter().collect(),
    })
}

/// Asks, again and again, whether any broker answers; keeps its connections.
pub struct Probe(BaseConsumer<Quiet>);

impl Probe {
    /// Asks nobody yet.
    ///
    /// # Errors
    ///
    /// [`ErrorClass::Fatal`]: contradictory properties.
    pub fn new(kafka: &Kafka) -> Result<Self, KafkaError> {
        consumer(kafka, &[]).map(Self)
    }

    /// One question, no retry beyond `timeout`.
    ///
    /// # Errors
    ///
    /// As librdkafka puts it.
    pub fn ask(&self, timeout: Duration) -> Result<(), KafkaError> {
        let answer = self.0.client().fetch_metadata(Some(PROBE), timeout);
        answer.map(|_| ()).map_err(|error| sorted(&error))
    }
}

/// A topic that is asked for only to hear any answer: asking for all of them costs a large cluster much.
const PROBE: &str = "__consumer_offsets";

/// The id of the member that holds this static name (`group.instance.id`) in the group: of all that joined under
/// it, the last. `None`: nobody holds it, or the group's protocol does not tell.
///
/// # Errors
///
/// The coordinator did not answer within `timeout`.
pub fn static_member(kafka: &Kafka, name: &str, timeout: Duration) -> Result<Option<String>, KafkaError> {
    let answer = consumer(kafka, &[])?
        .client()
        .fetch_group_list(Some(kafka.group()), timeout)
        .map_err(|error| sorted(&error))?;
    // The coordinator makes such ids: the name, a hyphen, a UUID.
    let bears = |id: &str| {
        id.strip_prefix(name)
            .is_some_and(|rest| rest.len() == 37 && rest.starts_with('-'))
    };
    let mut members = answer
        .groups()
        .iter()
        .flat_map(rdkafka::groups::GroupInfo::members);
    Ok(members
        .find(|member| bears(member.id()))
        .map(|member| member.id().to_owned()))
}

/// Makes topics with one replica: for the demo and for tests.
///
/// # Errors
///
/// The first refusal, such as a topic that is there already.
pub fn create_topics(kafka: &Kafka, orders: &[TopicOrder<'_>], timeout: Duration) -> Result<(), KafkaError> {
    make(kafka, orders, 1, timeout)
}

/// Makes a topic with as many replicas as the cluster gives by default, unless it is there already.
///
/// # Errors
///
/// As librdkafka puts it; [`KafkaError::is_denied`] where this user may not.
pub fn ensure_topic(kafka: &Kafka, order: &TopicOrder<'_>, timeout: Duration) -> Result<(), KafkaError> {
    match make(kafka, std::slice::from_ref(order), BROKERS_DEFAULT, timeout) {
        // Another instance was quicker.
        Err(error) if error.code() == Code::TopicAlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Whether the group has committed an offset of any of these topics: whether records were processed before.
///
/// # Errors
///
/// The coordinator did not answer within `timeout`, or denies it.
pub fn has_committed(kafka: &Kafka, topics: &[(&str, i32)], timeout: Duration) -> Result<bool, KafkaError> {
    if topics.is_empty() {
        return Ok(false);
    }
    let mut asked = TopicPartitionList::new();
    for (topic, partitions) in topics {
        asked.add_partition_range(topic, 0, partitions - 1);
    }
    let committed = consumer(kafka, &[])?
        .committed_offsets(asked, timeout)
        .map_err(|error| sorted(&error))?;
    let elements = committed.elements();
    if let Some(error) = elements.iter().find_map(|element| element.error().err()) {
        return Err(sorted(&error));
    }
    Ok(elements
        .iter()
        .any(|element| matches!(element.offset(), Offset::Offset(_))))
}

/// In the place of a number of replicas (KIP-464).
const BROKERS_DEFAULT: i32 = -1;

fn make(
    kafka: &Kafka,
    orders: &[TopicOrder<'_>],
    replicas: i32,
    timeout: Duration,
) -> Result<(), KafkaError> {
    let admin = admin(kafka)?;
    let topics: Vec<_> = orders
        .iter()
        .map(|order| {
            let topic = NewTopic::new(order.name, order.partitions, TopicReplication::Fixed(replicas));
            order
                .config
                .iter()
                .fold(topic, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(timeout))
        .request_timeout(Some(timeout));
    let outcomes = blocking(|| admin.create_topics(&topics, &options))?.map_err(|error| sorted(&error))?;
    for outcome in outcomes {
        if let Err((topic, code)) = outcome {
            return Err(KafkaError::new(
                code,
                Flag::None,
                format!("topic {topic}: {code}"),
            ));
        }
    }
    Ok(())
}

pub(super) fn presence(
    consumer: &BaseConsumer<Quiet>,
    name: &str,
    deadline: Instant,
) -> Result<Presence, KafkaError> {
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        match consumer.fetch_metadata(Some(name), remaining.min(ASK)) {
            Ok(metadata) => {
                let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                    return Ok(Presence::Missing);
                };
                match topic.error().map(Code::from) {
                    None => return Ok(Presence::Partitions(topic.partitions().len() as i32)),
                    Some(Code::TopicAuthorizationFailed) => return Ok(Presence::Denied),
                    Some(Code::UnknownTopicOrPartition | Code::InvalidTopic) => return Ok(Presence::Missing),
                    // A leader is being elected.
                    Some(code) if Instant::now() >= deadline => {
                        return Err(KafkaError::new(code, Flag::None, format!("topic {name}: {code}")));
                    }
                    Some(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
            Err(error) => {
                let error = sorted(&error);
                let again = matches!(error.class(), ErrorClass::Retriable | ErrorClass::Unavailable);
                if !again || Instant::now() >= deadline {
                    return Err(error.unavailable());
                }
            }
        }
    }
}

/// Best effort: what may not be described stays `None`, with the reason as a warning.
fn describe_configs(kafka: &Kafka, topics: &mut [TopicView]) -> Result<(), String> {
    let there: Vec<_> = topics
        .iter()
        .filter(|topic| matches!(topic.presence, Presence::Partitions(_)))
        .map(|topic| ResourceSpecifier::Topic(&topic.name))
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let told = |error: &dyn std::fmt::Display| format!("topic settings are not known: {error}");
    let admin = admin(kafka).map_err(|error| told(&error))?;
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let answer = blocking(|| admin.describe_configs(&there, &options)).map_err(|error| told(&error))?;
    let mut denied = None;
    for resource in answer.map_err(|error| told(&error))? {
        match resource {
            Ok(resource) => {
                let OwnedResourceSpecifier::Topic(name) = &resource.specifier else {
                    continue;
                };
                if let Some(topic) = topics.iter_mut().find(|topic| topic.name == *name) {
                    topic.config = TopicConfig::read(&resource);
                }
            }
            Err(code) => denied = Some(told(&code)),
        }
    }
    denied.map_or(Ok(()), Err)
}

impl TopicConfig {
    fn read(resource: &ConfigResource) -> Self {
        let text = |name: &str| {
            let found: Option<&ConfigEntry> = resource.get(name);
            found.and_then(|entry| entry.value.clone())
        };
        let number = |name: &str| text(name).and_then(|value| value.parse().ok());
        Self {
            cleanup_policy: text("cleanup.policy"),
            max_message_bytes: number("max.message.bytes"),
            retention_ms: number("retention.ms"),
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            min_insync_replicas: number("min.insync.replicas"),
        }
    }
}

/// The crate's clients log through our thinned-out door, too.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log::pass(level as i32, facility, line);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        log::pass(
            RDKafkaLogLevel::Error as i32,
            "ERROR",
            &format!("{error}: {reason}"),
        );
    }
}

impl ConsumerContext for Quiet {}

/// A reader outside any group, with every default of a source; `decided` wins.
pub(super) fn consumer(kafka: &Kafka, decided: &[(&str, &str)]) -> Result<BaseConsumer<Quiet>, KafkaError> {
    let mut all = properties::CONSUMER.to_vec();
    all.push(("group.id", kafka.group()));
    all.extend(decided);
    client(kafka, Side::Consumer, &all, Quiet)
}

fn admin(kafka: &Kafka) -> Result<AdminClient<Quiet>, KafkaError> {
    client(kafka, Side::Producer, &[], Quiet)
}

pub(super) fn client<C: ClientContext, T: FromClientConfigAndContext<C>>(
    kafka: &Kafka,
    side: Side,
    decided: &[(&str, &str)],
    context: C,
) -> Result<T, KafkaError> {
    let mut config = ClientConfig::new();
    for (name, value) in properties::BASE {
        config.set(*name, *value);
    }
    for (name, value) in decided {
        config.set(*name, *value);
    }
    for (name, value) in kafka.properties() {
        if properties::side_of(name) == Side::Both || properties::side_of(name) == side {
            config.set(name, value.expose());
        }
    }
    config.set("bootstrap.servers", kafka.brokers());
    config
        .create_with_context(context)
        .map_err(|error| KafkaError::fatal(error.to_string()))
}

/// Waits for one of the admin client's futures on a thread of its own, so that callers may be anywhere.
fn blocking<F, T>(make: impl FnOnce() -> F + Send) -> Result<T, KafkaError>
where
    F: Future<Output = T>,
    T: Send,
{
    let no_thread =
        |error: std::io::Error| KafkaError::fatal(format!("no thread for the admin client: {error}"));
    thread::scope(|scope| {
        let waiter = thread::Builder::new().spawn_scoped(scope, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            Ok(runtime.block_on(make()))
        });
        match waiter.map_err(no_thread)?.join() {
            Ok(outcome) => outcome.map_err(no_thread),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

pub(super) fn sorted(error: &rdkafka::error::KafkaError) -> KafkaError {
    let code = error.rdkafka_error_code().map(KafkaError::bare);
    code.unwrap_or_else(|| KafkaError::new(Code::Fail, Flag::None, error.to_string()))
}
