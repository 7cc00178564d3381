//! The register: two keys under one name never both write, whatever starts, dies, is compacted, deleted or comes back.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use cdrveil::pseudonym::epoch::EventTime;
use cdrveil::pseudonym::keyring::{KeyEntry, Keyring, Status};
use cdrveil::pseudonym::mac::EpochKey;
use cdrveil::register::live::{self, Claimed, Place, Register, RegisterError, TOPIC_SETTINGS};
use support::deployment::{Daemon, Deployment, KEYS};
use support::kafka::{Broker, Input, Isolation, Rec, shared, unique};

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
        a_deleted_register_stops_the_start_until_it_is_rebuilt,
        another_domain_in_the_same_group_is_refused,
        an_unfit_register_topic_is_refused,
        a_reload_that_contradicts_the_register_is_refused,
        an_entry_that_cannot_be_read_is_named_by_its_offset,
    ]
}

fn a_second_instance_with_another_key_stops_before_its_first_record() {
    let broker = shared();
    let deployment = deployment(broker);
    let first = deployment.start();
    first.await_ready(PATIENCE);
    deployment.produce(broker, 1, [call(0)]);
    deployment.await_public(broker, 1, PATIENCE);
    assert_eq!(
        first.metric("cdrveil_register_epochs{state=\"agreed\"}"),
        Some(1.0)
    );

    let before = broker.read_all(&deployment.register, Isolation::Uncommitted);
    let elsewhere = second(&deployment, broker, 1);
    let check = deployment.verb(&["check", "--config", "second.toml"]);
    assert_eq!(check.status.code(), Some(1));
    let (status, log) = end(deployment.start_as("second.toml", &[]));
    assert_eq!(status, Some(78), "{log}");
    for said in [String::from_utf8(check.stderr).unwrap(), log] {
        let parts = ["key \"2026-11\"", KEYS[0].1, KEYS[1].1, "instance \"0\" at 2"];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    assert_eq!(
        broker.read_all(&elsewhere, Isolation::Uncommitted),
        Vec::<Rec>::new()
    );
    assert_eq!(
        broker.read_all(&deployment.register, Isolation::Uncommitted),
        before,
        "it claimed nothing"
    );

    // The right bytes: it agrees, and claims nothing anew.
    fs::rename(deployment.path("2026-11.key"), deployment.path("other.key")).unwrap();
    fs::rename(
        deployment.path("second-2026-11.key"),
        deployment.path("2026-11.key"),
    )
    .unwrap();
    fs::rename(
        deployment.path("other.key"),
        deployment.path("second-2026-11.key"),
    )
    .unwrap();
    deployment.edit("second-keyring.toml", KEYS[1].1, KEYS[0].1);
    let agreeing = deployment.start_as("second.toml", &[]);
    agreeing.await_ready(PATIENCE);
    assert_eq!(
        broker.read_all(&deployment.register, Isolation::Uncommitted),
        before
    );
    assert!(agreeing.stop().0.success());
    let shown = deployment.verb(&["keys", "register", "--config", "second.toml"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("2026-11") && shown.contains("claimed") && shown.contains(KEYS[0].1),
        "{shown}"
    );
}

fn of_instances_that_start_at_once_one_key_writes() {
    let broker = shared();
    for _ in 0..3 {
        let deployment = deployment(broker);
        let elsewhere = second(&deployment, broker, 1);
        deployment.produce(broker, 1, [call(0)]);
        let mut daemons = [deployment.start(), deployment.start_as("second.toml", &[])];
        let deadline = Instant::now() + PATIENCE;
        let loser = loop {
            assert!(
                Instant::now() < deadline,
                "{}\n{}",
                daemons[0].log(),
                daemons[1].log()
            );
            if let Some(loser) = daemons.iter_mut().position(Daemon::ended) {
                break loser;
            }
            thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(
            daemons[loser].wait(PATIENCE).code(),
            Some(78),
            "{}",
            daemons[loser].log()
        );
        daemons[1 - loser].await_ready(PATIENCE);
        let outputs = [&deployment.public, &elsewhere];
        let written = |topic: &str| broker.read_all(topic, Isolation::Committed).len();
        while written(outputs[1 - loser]) == 0 {
            assert!(Instant::now() < deadline, "{}", daemons[1 - loser].log());
        }
        assert_eq!(written(outputs[loser]), 0);
    }
}

fn of_claimers_that_start_at_once_one_key_wins_every_time() {
    const TRIES: usize = 200;
    // A try is mostly waiting for the broker.
    const SIDE_BY_SIDE: usize = 8;
    let broker = shared();
    let topic = unique("register");
    broker.create_topic(&topic, 1, TOPIC_SETTINGS);
    let winners: Vec<u8> = thread::scope(|scope| {
        let topic = &topic;
        let several = |first: usize| (first..TRIES).step_by(SIDE_BY_SIDE);
        let of_one = move |first| several(first).map(|number| race(broker, topic, number)).collect();
        let workers: Vec<_> = (0..SIDE_BY_SIDE)
            .map(|first| scope.spawn(move || -> Vec<u8> { of_one(first) }))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(winners.len(), TRIES);
    assert!(
        [0, 1].iter().all(|key| winners.contains(key)),
        "there was no race: {winners:?}"
    );
}

/// Three claimers of one epoch at once, in a domain of their own; the key that won.
fn race(broker: &Broker, topic: &str, number: usize) -> u8 {
    let place = place(broker, topic, &format!("try-{number}"));
    // Three keys, or two of which one has two instances.
    let keys: [u8; 3] = if number.is_multiple_of(2) {
        [0, 1, 2]
    } else {
        [0, 1, 0]
    };
    let start = Barrier::new(keys.len());
    let admitted = thread::scope(|scope| {
        let (place, start) = (&place, &start);
        let claimers = keys.map(|key| scope.spawn(move || start_at_once(place, start, &key_of(key))));
        claimers.map(|claimer| claimer.join().unwrap())
    });
    let used: Vec<u8> = (0..3).filter(|at| admitted[*at]).map(|at| keys[at]).collect();
    assert!(
        !used.is_empty() && used.iter().all(|key| *key == used[0]),
        "try {number}: {used:?}"
    );
    assert_eq!(holder(&place), kcv(used[0]), "try {number}");
    used[0]
}

/// One start: opens, waits for the others, claims; whether the key may be used.
fn start_at_once(place: &Place, start: &Barrier, keyring: &Keyring) -> bool {
    let mut register = Register::open(place.clone(), ASK).unwrap();
    start.wait();
    match register.admit(keyring, EventTime::from_millis(i64::MAX), ASK) {
        Ok(()) => true,
        Err(RegisterError::Refused { contradictions, .. }) => {
            assert_eq!(contradictions.len(), 1);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn a_broker_that_dies_between_claim_and_read_loses_no_claim() {
    let broker = Broker::start();
    let topic = unique("register");
    broker.create_topic(&topic, 1, TOPIC_SETTINGS);
    let place = place(&broker, &topic, "billing");
    let open = || Register::open(place.clone(), ASK).unwrap();
    let (mut first, mut second) = (open(), open());
    let (ours, theirs) = (key_of(0), key_of(1));
    let due = EventTime::from_millis(i64::MAX);
    assert_eq!(first.claim_all(&ours, due, ASK).unwrap(), Claimed::Some);
    broker.kill();
    assert!(
        matches!(
            first.read_back(&ours, Duration::from_secs(2)),
            Err(RegisterError::Kafka { .. })
        ),
        "without a broker nothing is decided"
    );
    broker.restart();
    // The other one read before the claim: it claims too, and loses.
    assert_eq!(second.claim_all(&theirs, due, ASK).unwrap(), Claimed::Some);
    assert!(matches!(
        second.read_back(&theirs, ASK),
        Err(RegisterError::Refused { .. })
    ));
    first.read_back(&ours, ASK).unwrap();
    assert_eq!(holder(&place), kcv(0));
    let mut late = open();
    assert!(matches!(
        late.admit(&theirs, due, ASK),
        Err(RegisterError::Refused { .. })
    ));
    late.admit(&ours, due, ASK).unwrap();
    assert_eq!(late.table().claims().count(), 1, "what lost is withdrawn");
}

fn claims_hold_after_compaction() {
    // A broker whose cleaner does not rest.
    let broker = shared();
    let deployment = deployment(broker);
    let often = [
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.0001"),
        ("delete.retention.ms", "0"),
        ("max.compaction.lag.ms", "100"),
    ];
    broker.create_topic(&deployment.register, 1, &[TOPIC_SETTINGS, &often].concat());
    let place = place(broker, &deployment.register, "billing");
    let due = EventTime::from_millis(i64::MAX);
    let [ours, theirs] = [0, 1].map(|key| whole(&[("2026-11", "2026-11-01T00:00:00Z", key)]));
    let open = || Register::open(place.clone(), ASK).unwrap();
    // All three read before the first claim. One loses and withdraws, one loses and dies before it can, and the
    // last says what the first said.
    let mut all = [open(), open(), open(), open()];
    for (register, keyring) in all.iter_mut().zip([&ours, &theirs, &theirs, &ours]) {
        assert_eq!(register.claim_all(keyring, due, ASK).unwrap(), Claimed::Some);
    }
    assert!(all[1].read_back(&theirs, ASK).is_err());
    let offsets = || -> Vec<i64> {
        let records = broker.read_all(&deployment.register, Isolation::Uncommitted);
        let ours = |record: &&Rec| record.key.as_ref().unwrap().starts_with(b"billing/");
        records.iter().filter(ours).map(|record| record.offset).collect()
    };
    assert_eq!(offsets(), [0, 1, 2, 3, 4], "four claims and a withdrawal");
    let deadline = Instant::now() + Duration::from_secs(120);
    while offsets() != [0, 2, 3] {
        assert!(Instant::now() < deadline, "not compacted: {:?}", offsets());
        // A segment rolls with the next record: another domain's.
        let filler = Input {
            key: Some(b"other/2026-11/00000000/filler".to_vec()),
            value: Some(b"x".to_vec()),
            ..Input::default()
        };
        broker.produce_all(&deployment.register, [filler]);
        thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(
        open().table().holder(&"2026-11".parse().unwrap()).unwrap().offset,
        0
    );
    second(&deployment, broker, 1);
    let (status, log) = end(deployment.start_as("second.toml", &[]));
    assert_eq!(status, Some(78), "{log}");
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
}

fn a_destroyed_key_is_given_up_at_once_and_does_not_come_back() {
    let broker = shared();
    let deployment = deployment(broker);
    deployment.keyring(&[
        ("2026-10", "2026-10-01T00:00:00Z", 1),
        ("2026-11", "2026-11-01T00:00:00Z", 0),
        ("2099-01", "2099-01-01T00:00:00Z", 2),
    ]);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let pending = "cdrveil_register_epochs{state=\"pending\"}";
    assert_eq!(
        daemon.metric(pending),
        Some(1.0),
        "what begins later is claimed later"
    );
    let late = |id: usize| format!("{id},+447700900001,1792000000").into_bytes();
    deployment.produce(broker, 1, [call(0), late(1)]);
    deployment.await_public(broker, 2, PATIENCE);

    let place = place(broker, &deployment.register, "billing");
    let october = "2026-10".parse().unwrap();
    live::destroy(&place, october, KEYS[1].1.parse().ok(), ASK).unwrap();
    daemon.await_readyz(503, PATIENCE);
    assert_eq!(
        daemon.metric("cdrveil_register_epochs{state=\"refused\"}"),
        Some(1.0)
    );
    daemon.await_log("key \\\"2026-10\\\" is destroyed by the register", PATIENCE);
    deployment.produce(broker, 1, [late(2), call(3)]);
    deployment.await_public(broker, 3, PATIENCE);
    let (_, page) = daemon.get("/readyz?verbose");
    assert!(page.contains("2026-10") && page.contains("destroyed"), "{page}");
    let too_old = "cdrveil_records_rejected_total{reason=\"epoch-too-old\"}";
    assert_eq!(daemon.metric(too_old), Some(1.0));
    assert!(daemon.stop().0.success());

    // The file is still there, as if it came back from a backup.
    let (status, log) = end(deployment.start());
    assert_eq!(status, Some(78), "{log}");
    assert!(
        log.contains("key \"2026-10\" is destroyed by the register"),
        "{log}"
    );
    let rebuild = deployment.verb(&[
        "keys",
        "register",
        "--config",
        "cdrveil.toml",
        "--rebuild",
        "--yes",
    ]);
    assert_eq!(rebuild.status.code(), Some(78), "not even so");

    let tombstone = "status = \"destroyed\"\nkcv = \"";
    let text = fs::read_to_string(deployment.path("keyring.toml")).unwrap();
    let text = text.replace("material = { file = \"2026-10.key\" }\nkcv = \"", tombstone);
    fs::write(deployment.path("keyring.toml"), text).unwrap();
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    assert_eq!(
        daemon.metric("cdrveil_register_epochs{state=\"refused\"}"),
        Some(0.0)
    );
}

fn keys_destroy_tells_the_register_and_a_backup_does_not_undo_it() {
    let broker = shared();
    let deployment = deployment(broker);
    deployment.keyring(&[
        ("2026-10", "2026-10-01T00:00:00Z", 1),
        ("2026-11", "2026-11-01T00:00:00Z", 0),
    ]);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    assert!(daemon.stop().0.success());
    let backup = ["keyring.toml", "2026-10.key"].map(|name| {
        let file = deployment.path(name);
        (fs::read(&file).unwrap(), file)
    });

    let mut words = vec!["keys", "destroy", "2026-10", "--keyring", "keyring.toml"];
    words.extend(["--config", "cdrveil.toml", "--yes", "--force"]);
    // Twice: told again, the register says the same.
    for file in ["overwritten and removed", "told on"] {
        let destroyed = deployment.verb(&words);
        let said = String::from_utf8([destroyed.stdout, destroyed.stderr].concat()).unwrap();
        assert_eq!(destroyed.status.code(), Some(0), "{said}");
        assert!(said.contains(file) && said.contains("told on"), "{said}");
        assert!(!said.contains("tell the register"), "{said}");
    }
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    assert!(daemon.stop().0.success());

    for (bytes, file) in &backup {
        fs::write(file, bytes).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o400)).unwrap();
    }
    let (status, log) = end(deployment.start());
    assert_eq!(status, Some(78), "{log}");
    assert!(
        log.contains("key \"2026-10\" is destroyed by the register"),
        "{log}"
    );
}

fn a_deleted_register_stops_the_start_until_it_is_rebuilt() {
    let broker = shared();
    let deployment = deployment(broker);
    let check = |code: i32| {
        let output = deployment.verb(&["check", "--config", "cdrveil.toml"]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    assert!(check(0).contains("register   is made at the first start"));
    assert_eq!(broker.partitions(&deployment.register), 0, "check writes nothing");
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    deployment.produce(broker, 1, [call(0)]);
    deployment.await_public(broker, 1, PATIENCE);
    assert!(check(0).contains("register   ok  1 epoch of this keyring claimed"));
    assert!(daemon.stop().0.success());
    broker.delete_topic(&deployment.register);

    let lost = |said: &str| {
        let parts = ["does not exist", &deployment.group, "keys register --rebuild"];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    let (status, log) = end(deployment.start());
    assert_eq!(status, Some(78), "{log}");
    lost(&log);
    lost(&check(1));
    assert_eq!(broker.partitions(&deployment.register), 0);

    let rebuild = |more: &[&str]| {
        let verb = ["keys", "register", "--config", "cdrveil.toml", "--rebuild"];
        deployment.verb(&[&verb, more].concat())
    };
    let unasked = rebuild(&[]);
    let said = String::from_utf8(unasked.stderr).unwrap();
    assert_eq!(unasked.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("claim       2026-11 kcv {}", KEYS[0].1)),
        "{said}"
    );
    // The topic is there now, and empty: that is no better.
    let (status, log) = end(deployment.start());
    assert_eq!(status, Some(78), "{log}");
    assert!(log.contains("holds nothing of domain \"billing\""), "{log}");
    let done = rebuild(&["--yes"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    assert!(
        String::from_utf8(rebuild(&["--yes"]).stdout)
            .unwrap()
            .contains("nothing to do")
    );

    // And under a running daemon: it goes on with what it knows, and is not ready.
    broker.delete_topic(&deployment.register);
    daemon.await_readyz(503, PATIENCE);
    deployment.produce(broker, 1, [call(1)]);
    deployment.await_public(broker, 2, PATIENCE);
    assert!(rebuild(&["--yes"]).status.success());
    daemon.await_ready(PATIENCE);
}

fn another_domain_in_the_same_group_is_refused() {
    let broker = shared();
    let deployment = deployment(broker);
    let first = deployment.start();
    first.await_ready(PATIENCE);
    deployment.produce(broker, 1, [call(0)]);
    deployment.await_public(broker, 1, PATIENCE);
    deployment.config_as("second.toml", "1", "lanes = 1", "");
    deployment.edit("second.toml", "domain = \"billing\"", "domain = \"fraud\"");
    let (status, log) = end(deployment.start_as("second.toml", &[]));
    assert_eq!(status, Some(78), "{log}");
    let parts = [
        "domain is \"fraud\" here",
        "\"billing\" by the register",
        &deployment.group,
    ];
    assert!(parts.iter().all(|part| log.contains(part)), "{log}");
    // With a group and outputs of its own it is another deployment.
    deployment.edit("second.toml", &deployment.group, &unique("group"));
    deployment.edit("second.toml", &deployment.public, &broker.topic("public", 1));
    let other = deployment.start_as("second.toml", &[]);
    other.await_ready(PATIENCE);
    assert_eq!(
        broker
            .read_all(&deployment.register, Isolation::Uncommitted)
            .len(),
        2
    );
}

fn an_unfit_register_topic_is_refused() {
    let broker = shared();
    for (partitions, settings, said) in [
        (
            2,
            &[("cleanup.policy", "compact"), ("retention.ms", "-1")][..],
            "has 2 partitions",
        ),
        (1, &[("retention.ms", "-1")], "has cleanup.policy=delete"),
        (
            1,
            &[("cleanup.policy", "compact,delete"), ("retention.ms", "-1")],
            "has cleanup.policy=compact,delete",
        ),
        (1, &[("cleanup.policy", "compact")], "has retention.ms=604800000"),
    ] {
        let deployment = deployment(broker);
        broker.create_topic(&deployment.register, partitions, settings);
        let (status, log) = end(deployment.start());
        assert_eq!(status, Some(78), "{log}");
        assert!(
            log.contains(said) && log.contains(&deployment.register),
            "{said}: {log}"
        );
    }
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

fn an_entry_that_cannot_be_read_is_named_by_its_offset() {
    let broker = shared();
    let deployment = deployment(broker);
    broker.create_topic(&deployment.register, 1, TOPIC_SETTINGS);
    let entry = |key: &str| Input {
        key: Some(key.as_bytes().to_vec()),
        value: Some(b"{\"version\":2,\"marked\":\"447700900001\"}".to_vec()),
        ..Input::default()
    };
    broker.produce_all(
        &deployment.register,
        [entry("fraud/x"), entry("billing/2026-11/00000000/new")],
    );
    let (status, log) = end(deployment.start());
    assert_eq!(status, Some(78), "{log}");
    assert!(log.contains("the entry at offset 1 cannot be read"), "{log}");
    assert!(!log.contains("447700900001") && !log.contains("marked"), "{log}");
    let rebuild = [
        "keys",
        "register",
        "--config",
        "cdrveil.toml",
        "--rebuild",
        "--yes",
    ];
    assert!(deployment.verb(&rebuild).status.success());
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
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
