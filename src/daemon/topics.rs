//! Whether the topics, as the brokers describe them, can serve.
//!
//! A problem stops the start; a warning says what may be lost or refused later, and what to set.

use std::sync::Arc;

use crate::config::Config;
use crate::kafka::Kafka;
use crate::kafka::cluster::{ClusterView, Presence, TopicConfig};

/// What is wrong with the topics, and what is only doubtful.
pub fn topic_problems(config: &Config, view: &ClusterView) -> (Vec<String>, Vec<String>) {
    let mut problems = Vec::new();
    let mut warnings = view.warnings.clone();
    let topics = &config.topics;
    for topic in &view.topics {
        match topic.presence {
            // Made by the first instance, unless it should have been there: `register` tells.
            Presence::Missing if topic.name == topics.register => {}
            Presence::Missing => problems.push(format!(
                "topic \"{}\" does not exist: create it, with as many partitions as the raw topic",
                topic.name
            )),
            Presence::Denied => problems.push(format!(
                "topic \"{}\" may not be described: give the principal Describe on it",
                topic.name
            )),
            Presence::Partitions(_) => {}
        }
    }
    let raw = || topics.raw.iter().filter_map(|name| topic(view, name));
    let partitions = raw().map(|(partitions, _)| partitions).max().unwrap_or(0);
    let largest = raw().filter_map(|(_, config)| config.max_message_bytes).max();
    for name in [&topics.public, &topics.restricted, &topics.rejected] {
        let Some((count, settings)) = topic(view, name) else {
            continue;
        };
        if count < partitions {
            problems.push(format!("topic \"{name}\" has {count} partitions, the raw topic {partitions}: output partition = input partition, so give it as many"));
        }
        if settings
            .cleanup_policy
            .as_ref()
            .is_some_and(|policy| policy.contains("compact"))
        {
            problems.push(format!("topic \"{name}\" is compacted (cleanup.policy): records of one key would be lost; set cleanup.policy=delete"));
        }
        if let (Some(largest), Some(limit)) = (largest, settings.max_message_bytes)
            && *name == topics.rejected
            && limit < largest + REJECT_OVERHEAD
        {
            warnings.push(format!("topic \"{name}\" takes messages up to {limit} bytes, the raw topic up to {largest}: the largest rejects would be written without their bytes; raise its max.message.bytes to {}", largest + REJECT_OVERHEAD));
        }
        retention_warning(config, name, settings.retention_ms, &mut warnings);
        for (_, raw) in raw() {
            timestamp_warnings(name, settings, raw, &mut warnings);
        }
    }
    register_problems(view, &topics.register, &mut problems);
    (problems, warnings)
}

/// An entry that goes away takes what it said with it, and claims in two partitions have no order.
fn register_problems(view: &ClusterView, name: &str, problems: &mut Vec<String>) {
    let Some((partitions, settings)) = topic(view, name) else {
        return;
    };
    if partitions != 1 {
        problems.push(format!("register topic \"{name}\" has {partitions} partitions: claims are ordered in one alone; name another topic in [topics] register"));
    }
    if let Some(policy) = settings
        .cleanup_policy
        .as_ref()
        .filter(|policy| *policy != "compact")
    {
        problems.push(format!("register topic \"{name}\" has cleanup.policy={policy}: its entries would be deleted; set cleanup.policy=compact"));
    }
    if let Some(retention) = settings.retention_ms.filter(|retention| *retention >= 0) {
        problems.push(format!("register topic \"{name}\" has retention.ms={retention}: its entries are for ever; set retention.ms=-1"));
    }
}

/// Partitions and settings of a topic that is there.
pub(super) fn topic<'a>(view: &'a ClusterView, name: &str) -> Option<(i32, &'a TopicConfig)> {
    view.topics
        .iter()
        .find(|topic| topic.name == name)
        .and_then(|topic| match topic.presence {
            Presence::Partitions(count) => Some((count, &topic.config)),
            Presence::Missing | Presence::Denied => None,
        })
}

/// Envelope, key and headers around a sealed reject.
const REJECT_OVERHEAD: i64 = 65_536;

/// Retention counts from the raw record's timestamp, which every output keeps.
fn retention_warning(config: &Config, name: &str, retention: Option<i64>, warnings: &mut Vec<String>) {
    let Some(retention) = retention.filter(|retention| *retention >= 0) else {
        return;
    };
    let Some(oldest) = config.keyring.keyring.epochs().first() else {
        return;
    };
    let age = super::now_millis().saturating_sub(oldest.activate_at().as_millis());
    if age > retention {
        warnings.push(format!("topic \"{name}\" keeps records for {} hours, but the keyring accepts calls {} hours old: outputs keep the raw record's timestamp, so late records vanish at once; raise retention.ms", retention / 3_600_000, age / 3_600_000));
    }
}

/// Every output keeps the raw record's timestamp; where the output's topic refuses it, the record is rejected as poison.
fn timestamp_warnings(name: &str, output: &TopicConfig, raw: &TopicConfig, warnings: &mut Vec<String>) {
    for (key, limit, needed) in [
        (
            "message.timestamp.before.max.ms",
            output.timestamp_before_max_ms,
            raw.timestamp_before_max_ms,
        ),
        (
            "message.timestamp.after.max.ms",
            output.timestamp_after_max_ms,
            raw.timestamp_after_max_ms,
        ),
    ] {
        if let (Some(limit), Some(needed)) = (limit, needed)
            && limit < needed
        {
            warnings.push(format!("topic \"{name}\" has {key} = {limit}, the raw topic {needed}: outputs keep the raw record's timestamp, and those it refuses are rejected as poison, one by one; raise it to {needed}"));
        }
    }
}

/// A topic's `max.message.bytes` is held against whole batches: where an output takes less than a batch may have,
/// smaller ones are sent, or good records would be refused for their company.
pub(super) fn sized_for(config: &Config, view: &ClusterView) -> Arc<Kafka> {
    let outputs = &config.topics;
    let least = [&outputs.public, &outputs.restricted, &outputs.rejected]
        .into_iter()
        .filter_map(|name| topic(view, name)?.1.max_message_bytes)
        .min();
    match least {
        Some(bytes) if bytes < BATCH_BYTES => {
            let smaller = (*config.kafka)
                .clone()
                .with("batch.size", &bytes.max(1).to_string());
            smaller.map_or_else(|_| Arc::clone(&config.kafka), Arc::new)
        }
        _ => Arc::clone(&config.kafka),
    }
}

/// librdkafka's default `batch.size`.
const BATCH_BYTES: i64 = 1_000_000;
