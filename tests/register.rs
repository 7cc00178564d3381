//! The register: two keys under one name never both write, whatever starts, dies, is compacted, deleted or comes back.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "register/claims.rs"]
mod claims;
#[path = "register/destruction.rs"]
mod destruction;
mod support;
#[path = "register/topic.rs"]
mod topic;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cdrveil::pseudonym::epoch::EventTime;
use cdrveil::pseudonym::keyring::{KeyEntry, Keyring, Status};
use cdrveil::pseudonym::mac::EpochKey;
use cdrveil::register::live::{Place, Register};
use claims::{
    a_broker_that_dies_between_claim_and_read_loses_no_claim,
    a_second_instance_with_another_key_stops_before_its_first_record,
    another_domain_in_the_same_group_is_refused, claims_hold_after_compaction,
    of_claimers_that_start_at_once_one_key_wins_every_time, of_instances_that_start_at_once_one_key_writes,
};
use destruction::{
    a_destroyed_key_is_given_up_at_once_and_does_not_come_back,
    a_tombstone_made_by_hand_is_told_once_it_is_meant,
    keys_destroy_tells_the_register_and_a_backup_does_not_undo_it,
    keys_list_shows_the_register_beside_the_file, the_last_key_is_destroyed_and_the_register_told,
};
use support::deployment::{Daemon, Deployment, KEYS};
use support::kafka::{Broker, shared, unique};
use topic::{
    a_deleted_register_stops_the_start_until_it_is_rebuilt,
    an_entry_that_cannot_be_read_is_named_by_its_offset, an_unfit_register_topic_is_refused,
};

const PATIENCE: Duration = Duration::from_secs(60);
const ASK: Duration = Duration::from_secs(10);

/// Calls of one caller at the given second, all in the epoch "2026-11".
const POLICY: &str = "[input]\nformat = \"csv\"\ncolumns = [\"id\", \"caller\", \"start\"]\nmax_future = \"1s\"\n\
    time = { field = \"start\", format = \"unix\" }\n[numbers]\ncountry = \"GB\"\n[fields]\nid = \"keep\"\n\
    start = \"keep\"\ncaller = { action = \"pseudonymise\", kind = \"phone\" }\n";

fn main() {
    tests![
        a_second_instance_with_another_key_stops_before_its_first_record,
        of_instances_that_start_at_once_one_key_writes,
        of_claimers_that_start_at_once_one_key_wins_every_time,
        a_broker_that_dies_between_claim_and_read_loses_no_claim,
        claims_hold_after_compaction,
        a_destroyed_key_is_given_up_at_once_and_does_not_come_back,
        keys_destroy_tells_the_register_and_a_backup_does_not_undo_it,
        the_last_key_is_destroyed_and_the_register_told,
        a_tombstone_made_by_hand_is_told_once_it_is_meant,
        keys_list_shows_the_register_beside_the_file,
        a_deleted_register_stops_the_start_until_it_is_rebuilt,
        another_domain_in_the_same_group_is_refused,
        an_unfit_register_topic_is_refused,
        a_reload_that_contradicts_the_register_is_refused,
        an_entry_that_cannot_be_read_is_named_by_its_offset,
    ]
}

fn a_reload_that_contradicts_the_register_is_refused() {
    let broker = shared();
    let deployment = deployment(broker);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    // Another instance has the next key already, and other bytes for it.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2);
    let soon = soon.strftime("%Y-%m-%dT%H:00:00Z").to_string();
    let november = ("2026-11", "2026-11-01T00:00:00Z", 0);
    let theirs = whole(&[(november.0, november.1, 0), ("next", &soon, 1)]);
    let mut other = Register::open(place(broker, &deployment.register, "billing"), ASK).unwrap();
    other
        .admit(&theirs, EventTime::from_millis(i64::MAX), ASK)
        .unwrap();
    daemon.await_readyz(503, PATIENCE);
    daemon.await_log("key \\\"next\\\"", PATIENCE);

    let refused = "cdrveil_keyring_reloads_total{outcome=\"refused\"}";
    deployment.keyring(&[november, ("next", &soon, 2)]);
    await_metric(&daemon, refused, 1.0);
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("keyring refused")).unwrap();
    let theirs = theirs.epochs()[1].kcv().unwrap().to_string();
    assert!(
        line.contains("key \\\"next\\\": kcv is") && line.contains(&theirs),
        "{line}"
    );
    deployment.produce(broker, 1, [call(0)]);
    deployment.await_public(broker, 1, PATIENCE);

    fs::remove_file(deployment.path("next.key")).unwrap();
    deployment.keyring(&[november, ("next", &soon, 1)]);
    await_metric(&daemon, "cdrveil_keyring_reloads_total{outcome=\"applied\"}", 1.0);
    daemon.await_ready(PATIENCE);
    assert_eq!(
        daemon.metric("cdrveil_register_epochs{state=\"agreed\"}"),
        Some(2.0)
    );
    assert_eq!(daemon.metric(refused), Some(1.0), "told once");
}

fn deployment(broker: &Broker) -> Deployment {
    let deployment = Deployment::new(broker, 1);
    deployment.policy(POLICY);
    deployment
}

/// A configuration `second.toml` of another group with other outputs and, under the same id, another key; its
/// public topic.
fn second(deployment: &Deployment, broker: &Broker, key: usize) -> String {
    let elsewhere = broker.topic("public", 1);
    deployment.config_as("second.toml", "1", "lanes = 1", "");
    deployment.edit("second.toml", &deployment.public, &elsewhere);
    deployment.edit("second.toml", &deployment.group, &unique("group"));
    deployment.edit("second.toml", "\"keyring.toml\"", "\"second-keyring.toml\"");
    let file = deployment.path("second-2026-11.key");
    fs::write(&file, KEYS[key].0).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    fs::write(
        deployment.path("second-keyring.toml"),
        format!(
            "version = 1\n[[key]]\nid = \"2026-11\"\nactivate_at = 2026-11-01T00:00:00Z\n\
             material = {{ file = \"second-2026-11.key\" }}\nkcv = \"{}\"\n",
            KEYS[key].1
        ),
    )
    .unwrap();
    elsewhere
}

fn call(id: usize) -> Vec<u8> {
    format!("{id},+447700900001,1793870000").into_bytes()
}

/// Exit code and log of a daemon that ends by itself.
fn end(mut daemon: Daemon) -> (Option<i32>, String) {
    let status = daemon.wait(PATIENCE);
    (status.code(), daemon.log())
}

fn await_metric(daemon: &Daemon, series: &str, value: f64) {
    let deadline = Instant::now() + PATIENCE;
    while daemon.metric(series) != Some(value) {
        assert!(
            Instant::now() < deadline,
            "{series} is not {value}:\n{}",
            daemon.log()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn place(broker: &Broker, topic: &str, domain: &str) -> Place {
    Place {
        kafka: Arc::new(broker.kafka(&unique("group"))),
        topic: topic.to_owned(),
        domain: domain.to_owned(),
    }
}

/// A keyring of these keys of [`KEYS`].
fn whole(epochs: &[(&str, &str, usize)]) -> Keyring {
    let entry = |&(id, from, key): &(&str, &str, usize)| KeyEntry {
        id: id.parse().unwrap(),
        activate_at: EventTime::from_millis(from.parse::<jiff::Timestamp>().unwrap().as_millisecond()),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new(data_encoding::HEXLOWER.decode(KEYS[key].0.as_bytes()).unwrap()).ok(),
    };
    Keyring::new(epochs.iter().map(entry).collect()).unwrap()
}

fn key_of(key: u8) -> Keyring {
    whole(&[("2026-11", "2026-11-01T00:00:00Z", key.into())])
}

fn kcv(key: u8) -> String {
    key_of(key).epochs()[0].kcv().unwrap().to_string()
}

/// The check value of the claim that holds, as someone reads it who had no part in it.
fn holder(place: &Place) -> String {
    let register = Register::open(place.clone(), ASK).unwrap();
    let held = register.table().holder(&"2026-11".parse().unwrap());
    held.unwrap().claim.kcv.to_string()
}
