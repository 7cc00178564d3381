//! A destroyed key is given up by everybody and does not come back, and `keys list` shows what the register says.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cdrveil::pseudonym::epoch::EventTime;
use cdrveil::register::live::{self, Register};
use serde_json::Value;

use crate::support::deployment::{Deployment, KEYS};
use crate::support::kafka::{Broker, shared};
use crate::{ASK, PATIENCE, await_metric, call, deployment, end, place, whole};

pub fn a_destroyed_key_is_given_up_at_once_and_does_not_come_back() {
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

pub fn keys_destroy_tells_the_register_and_a_backup_does_not_undo_it() {
    let broker = shared();
    let deployment = two_keys(broker);
    starts_and_stops(&deployment);
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
    starts_and_stops(&deployment);

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

/// A deployment with October's key and November's.
fn two_keys(broker: &Broker) -> Deployment {
    let deployment = deployment(broker);
    deployment.keyring(&[
        ("2026-10", "2026-10-01T00:00:00Z", 1),
        ("2026-11", "2026-11-01T00:00:00Z", 0),
    ]);
    deployment
}

fn starts_and_stops(deployment: &Deployment) {
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    assert!(daemon.stop().0.success());
}

/// Code, stdout and stderr of a verb.
fn verb(deployment: &Deployment, words: &str) -> (Option<i32>, String, String) {
    let words: Vec<&str> = words.split(' ').collect();
    let ran = deployment.verb(&words);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

pub fn the_last_key_is_destroyed_and_the_register_told() {
    let broker = shared();
    let deployment = deployment(broker);
    starts_and_stops(&deployment);
    let words = "keys destroy 2026-11 --keyring keyring.toml --config cdrveil.toml --yes --force";
    let (code, out, err) = verb(&deployment, words);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(&format!("told on {}", deployment.register)), "{out}");
    let place = place(broker, &deployment.register, "billing");
    let register = Register::open(place, ASK).unwrap();
    assert!(
        register
            .table()
            .destruction(&"2026-11".parse().unwrap())
            .is_some()
    );
}

/// A word in a file on one host is no reason to take a key from everybody for ever: it is said everywhere, and the
/// verb that asks does it.
pub fn a_tombstone_made_by_hand_is_told_once_it_is_meant() {
    let broker = shared();
    let deployment = two_keys(broker);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let (agreed, pending) = (
        "cdrveil_register_epochs{state=\"agreed\"}",
        "cdrveil_register_epochs{state=\"pending\"}",
    );
    assert_eq!(daemon.metric(agreed), Some(2.0));
    deployment.edit(
        "keyring.toml",
        "material = { file = \"2026-10.key\" }",
        "status = \"destroyed\"",
    );
    await_metric(&daemon, "cdrveil_keyring_reloads_total{outcome=\"applied\"}", 1.0);
    await_metric(&daemon, pending, 1.0);
    assert_eq!(daemon.metric(agreed), Some(1.0));
    let destroy = "cdrveil keys destroy 2026-10 --config FILE";
    daemon.await_log(destroy, PATIENCE);
    for words in ["keys register", "keys list"] {
        let (code, out, err) = verb(&deployment, &format!("{words} --config cdrveil.toml"));
        assert_eq!(code, Some(1), "{words}: {out}{err}");
        assert!(err.contains(destroy), "{words}: {err}");
    }
    let (code, _, err) = verb(
        &deployment,
        "keys destroy 2026-10 --keyring keyring.toml --config cdrveil.toml --yes",
    );
    assert_eq!(code, Some(0), "{err}");
    await_metric(&daemon, pending, 0.0);
    assert_eq!(daemon.metric(agreed), Some(2.0));
    let (code, out, err) = verb(&deployment, "keys list --config cdrveil.toml");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    daemon.await_readyz(200, PATIENCE);
}

pub fn keys_list_shows_the_register_beside_the_file() {
    let broker = shared();
    let deployment = deployment(broker);
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(72)).to_string();
    let november = ("2026-11", "2026-11-01T00:00:00Z", 0);
    deployment.keyring(&[november, ("later", &soon, 2)]);
    let list = |code: i32| -> (Vec<String>, String) {
        let (found, out, err) = verb(&deployment, "keys list --config cdrveil.toml");
        assert_eq!(found, Some(code), "{out}{err}");
        (out.lines().map(str::to_owned).collect(), err)
    };
    let (lines, err) = list(0);
    assert_eq!(err, "");
    assert!(lines[1].contains("no register yet") && lines[2].contains("no register yet"));
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let (lines, err) = list(0);
    assert_eq!(err, "");
    let claimed = format!("{0}  {0} claimed by instance \"0\" at 20", KEYS[0].1);
    assert!(lines[1].contains(&claimed), "{lines:?}");
    assert!(lines[2].contains("not claimed yet"), "{lines:?}");

    // Another instance has other bytes for the next epoch, and one more behind it.
    let place = place(broker, &deployment.register, "billing");
    let theirs = whole(&[november, ("later", &soon, 1), ("last", "2099-01-01T00:00:00Z", 2)]);
    let mut other = Register::open(place, ASK).unwrap();
    other
        .admit(&theirs, EventTime::from_millis(i64::MAX), ASK)
        .unwrap();
    let (lines, err) = list(1);
    assert!(lines[1].contains(&claimed), "{lines:?}");
    let disagrees = format!("DISAGREES: {} claimed by instance \"test\" at 20", KEYS[1].1);
    assert!(lines[2].contains(&disagrees), "{lines:?}");
    assert!(
        lines[3].starts_with("last ")
            && lines[3].contains(" from 2099-01-01T00:00:00Z claimed by ")
            && lines[3].ends_with("not in this keyring"),
        "{lines:?}"
    );
    for said in ["key \"later\": kcv is ", "key \"last\" (kcv "] {
        assert!(err.contains(said), "{err}");
    }
    let (code, out, _) = verb(&deployment, "keys list --json --config cdrveil.toml");
    assert_eq!(code, Some(1));
    let listed: Value = serde_json::from_str(&out).unwrap();
    let register = |at: usize| &listed["keys"][at]["register"];
    assert_eq!(register(0)["standing"], "agreed");
    assert_eq!(register(0)["kcv"], listed["keys"][0]["kcv"]);
    assert_eq!(register(0)["claimed_by"], "0");
    let at: jiff::Timestamp = register(0)["claimed_at"].as_str().unwrap().parse().unwrap();
    assert!(at < jiff::Timestamp::now());
    assert_eq!(register(1)["standing"], "disagrees");
    assert_eq!(register(1)["kcv"], KEYS[1].1);
    assert!(register(1)["problem"].as_str().unwrap().contains("wrong bytes"));
    let other = &listed["others"][0];
    assert_eq!(
        (&other["id"], &other["register"]["standing"]),
        (&"last".into(), &"not-in-keyring".into())
    );
    assert_eq!(listed["register"]["topic"], deployment.register);
}
