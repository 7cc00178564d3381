//! What happens to raw topics: records deleted, topics made anew, disks that flip a bit, offsets that were set.

use std::fs;
use std::future::Future;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::kafka::Broker;

/// Deletes the records of partition 0 below an offset, as retention does.
pub fn delete_records(broker: &Broker, topic: &str, before: i64) {
    let list = position(topic, before);
    waited(admin(broker).delete_records(&list, &AdminOptions::new())).unwrap();
}

/// Deletes a topic, and waits until its name is free.
pub fn delete_topic(broker: &Broker, topic: &str) {
    for outcome in waited(admin(broker).delete_topics(&[topic], &AdminOptions::new())).unwrap() {
        outcome.unwrap();
    }
    while broker.partitions(topic) != 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sets the offset of partition 0 of a group that nobody is in.
pub fn set_offset(broker: &Broker, group: &str, topic: &str, offset: i64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", group)
        .create()
        .unwrap();
    consumer
        .commit(&position(topic, offset), CommitMode::Sync)
        .unwrap();
}

/// Flips a bit of what the broker's disk holds, from the first place of a text in partition 0 on.
pub fn flip_bit(broker: &Broker, topic: &str, text: &str) {
    let segment = broker.data().join(format!("{topic}-0/00000000000000000000.log"));
    let bytes = fs::read(&segment).unwrap();
    let found = bytes.windows(text.len()).position(|part| part == text.as_bytes());
    let at = found.expect("the record is on the disk");
    let file = fs::File::options().write(true).open(&segment).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[bytes[at] ^ 1], at as u64).unwrap();
}

fn position(topic: &str, offset: i64) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset))
        .unwrap();
    list
}

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .create()
        .unwrap()
}

fn waited<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}
