//! The register's topic: deleted, unfit, or with entries that cannot be read.

use cdrveil::register::live::TOPIC_SETTINGS;

use crate::support::deployment::KEYS;
use crate::support::kafka::{Input, shared};
use crate::{PATIENCE, call, deployment, end};

pub fn a_deleted_register_stops_the_start_until_it_is_rebuilt() {
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

pub fn an_unfit_register_topic_is_refused() {
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

pub fn an_entry_that_cannot_be_read_is_named_by_its_offset() {
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
