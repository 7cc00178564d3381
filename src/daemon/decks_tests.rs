//! Looks at files that change between them, without waiting for one.

use std::fs;
use std::path::Path;

use super::*;
use crate::number::deck::Deck;
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{KeyEntry, Status};
use crate::pseudonym::mac::EpochKey;
use crate::settings::Source;
use crate::telemetry::Setup;

const POLICY: &str = r#"[input]
format = "csv"
columns = ["called", "start", "cell"]
time = { field = "start", format = "unix" }
[numbers]
country = "GB"
deck = "deck.csv"
own = "own.txt"
[maps.zone]
file = "cells.csv"
[fields]
called = { action = "pseudonymise", kind = "phone", derive = ["zone", "onnet"] }
start = "keep"
cell = { action = "restrict", derive = ["zone"] }
"#;

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join(name)).unwrap();
}

fn watch(folder: &Path) -> Watch {
    write(folder, "deck.csv", "prefix,zone\n+44,ONE\n");
    write(folder, "own.txt", "07700900123\n");
    write(folder, "cells.csv", "C1,NORTH\nC2,NORTH\n");
    let source = Source {
        path: folder.join("policy.toml"),
        text: POLICY.to_owned(),
    };
    let mut policy = Policy::load(&source).unwrap();
    let (rating, seen) = deckstore::load(&policy).unwrap();
    policy.rating = Arc::new(rating);
    let entry = KeyEntry {
        id: "2026-11".parse().unwrap(),
        activate_at: EventTime::from_millis(0),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new(vec![7; 32]).ok(),
    };
    let setup = Setup {
        domain: "billing".to_owned(),
        guarantee: "exactly-once".to_owned(),
        lanes: 1,
        raw_topics: vec!["cdr.raw".to_owned()],
        rejection_reasons: &[],
        skip_reasons: &[],
    };
    let keyring = Arc::new(Keyring::new(vec![entry]).unwrap());
    let watch = Watch {
        current: Arc::new(ArcSwap::new(Arc::clone(&policy.rating))),
        keyring: Arc::new(ArcSwap::from_pointee(Keyed::new(&policy, keyring, "billing"))),
        policy: Arc::new(policy),
        domain: "billing".to_owned(),
        telemetry: Telemetry::new(setup, Now::read()),
        seen,
        changing: None,
    };
    let rating = watch.current.load_full();
    watch.telemetry.deck_loaded(watch.facts(&rating), 0, Now::read());
    watch
}

fn rows(watch: &Watch) -> usize {
    watch.current.load().deck.as_ref().map_or(0, Deck::rows)
}

#[test]
fn a_new_deck_is_taken_when_it_has_settled_or_at_once_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = watch(folder.path());
    watch.look(Asked::No);
    assert_eq!(rows(&watch), 1);
    write(folder.path(), "deck.csv", "prefix,zone\n+44,ONE\n+447,TWO\n");
    watch.look(Asked::No);
    assert_eq!(rows(&watch), 1, "it may still be written");
    watch.look(Asked::No);
    assert_eq!(rows(&watch), 2);
    write(
        folder.path(),
        "deck.csv",
        "prefix,zone\n+44,ONE\n+447,TWO\n+1,THREE\n",
    );
    watch.look(Asked::Yes);
    assert_eq!(rows(&watch), 3);
    let page = watch.telemetry.metrics(Now::read());
    assert!(
        page.contains("cdrveil_deck_reloads_total{outcome=\"applied\"} 2\n"),
        "{page}"
    );
    assert!(page.contains("cdrveil_deck_rows{list=\"deck\"} 3\n"), "{page}");
}

#[test]
fn a_smaller_deck_is_taken_and_its_lost_prefixes_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = watch(folder.path());
    let shown = |watch: &Watch| watch.telemetry.status(Now::read()).deck.lost_prefixes;
    write(
        folder.path(),
        "deck.csv",
        "prefix,zone\n+44,ONE\n+447,TWO\n+1,THREE\n",
    );
    watch.look(Asked::Yes);
    assert_eq!(shown(&watch), 0);
    // As many rows as before.
    write(
        folder.path(),
        "deck.csv",
        "prefix,zone\n+44,ONE\n+33,TWO\n+34,THREE\n",
    );
    watch.look(Asked::Yes);
    assert_eq!((shown(&watch), rows(&watch)), (2, 3));
    let page = watch.telemetry.metrics(Now::read());
    assert!(page.contains("cdrveil_deck_lost_prefixes 2\n"), "{page}");
    watch.look(Asked::Yes);
    assert_eq!(shown(&watch), 0);
}

#[test]
fn a_refused_deck_is_told_once_and_the_running_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = watch(folder.path());
    write(folder.path(), "own.txt", "07700900123\nnobody\n");
    for _ in 0..4 {
        watch.look(Asked::No);
    }
    assert_eq!(rows(&watch), 1);
    assert!(watch.current.load().lists.is_some());
    let page = watch.telemetry.metrics(Now::read());
    assert!(
        page.contains("cdrveil_deck_reloads_total{outcome=\"refused\"} 1\n"),
        "{page}"
    );
    assert!(page.contains("cdrveil_deck_last_reload_successful 0\n"), "{page}");
    let status = watch.telemetry.status(Now::read()).deck;
    let error = status.last_reload_error.unwrap();
    assert!(error.contains("own.txt:2:1: "), "{error}");
    assert_eq!(status.lists.len(), 3);
    write(folder.path(), "own.txt", "07700900124\n");
    watch.look(Asked::Yes);
    assert!(watch.telemetry.status(Now::read()).deck.last_reload_ok);
}

#[test]
fn a_map_is_reloaded_as_a_deck_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = watch(folder.path());
    let before = watch.facts(&watch.current.load());
    write(folder.path(), "cells.csv", "C1,NORTH\nC2,NORTH\nC3,SOUTH\n");
    watch.look(Asked::Yes);
    let error = watch
        .telemetry
        .status(Now::read())
        .deck
        .last_reload_error
        .unwrap();
    assert!(
        error.contains("cells.csv:3:1: the value stands for 1 of the 2 keys"),
        "{error}"
    );
    assert_eq!(watch.current.load().mapped(0, b"C2"), Some("NORTH"));
    write(
        folder.path(),
        "cells.csv",
        "C1,NORTH\nC2,SOUTH\nC3,SOUTH\nC4,NORTH\n",
    );
    watch.look(Asked::Yes);
    assert_eq!(watch.current.load().mapped(0, b"C2"), Some("SOUTH"));
    let page = watch.telemetry.metrics(Now::read());
    assert!(
        page.contains("cdrveil_deck_rows{list=\"maps.zone\"} 4\n"),
        "{page}"
    );
    let after = watch.facts(&watch.current.load());
    assert_eq!(after[2].list, "maps.zone");
    assert_ne!(after[2].fingerprint, before[2].fingerprint);
}

#[test]
fn a_lists_fingerprint_is_not_its_plain_hash_and_a_decks_is() {
    let folder = tempfile::tempdir().unwrap();
    let watch = watch(folder.path());
    let facts = watch.facts(&watch.current.load());
    let plain = |text: &str| {
        let hash = crate::pseudonym::mac::sha256(text.as_bytes());
        data_encoding::HEXLOWER.encode(&hash[..8])
    };
    assert_eq!(facts[0].fingerprint, plain("prefix,zone\n+44,ONE\n"));
    assert_ne!(facts[1].fingerprint, plain("07700900123\n"));
    assert_eq!(facts[1].fingerprint.len(), 16);
    assert_eq!(facts, watch.facts(&watch.current.load()));
}
