//! Of two keys under one name, and of two domains in one group, one writes: whatever starts at once, dies or is compacted.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cdrveil::pseudonym::epoch::EventTime;
use cdrveil::pseudonym::keyring::Keyring;
use cdrveil::register::live::{Claimed, Place, Register, RegisterError, TOPIC_SETTINGS};

use crate::support::deployment::{Daemon, KEYS};
use crate::support::kafka::{Broker, Input, Isolation, Rec, shared, unique};
use crate::{ASK, PATIENCE, call, deployment, end, holder, kcv, key_of, place, second, whole};

pub fn a_second_instance_with_another_key_stops_before_its_first_record() {
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

pub fn of_instances_that_start_at_once_one_key_writes() {
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

pub fn of_claimers_that_start_at_once_one_key_wins_every_time() {
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

pub fn a_broker_that_dies_between_claim_and_read_loses_no_claim() {
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

pub fn claims_hold_after_compaction() {
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

pub fn another_domain_in_the_same_group_is_refused() {
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
