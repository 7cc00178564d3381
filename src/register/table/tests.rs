//! The decision: tables of cases, and any order of claims, withdrawals, crashes and compactions.

use proptest::prelude::*;

use super::*;
use crate::pseudonym::keyring::{KeyEntry, Keyring};
use crate::pseudonym::mac::EpochKey;
use crate::register::entry::tests::a_claim;
use crate::register::entry::{claim_key, claim_value, destruction_key, destruction_value};

const MADE_BY: Construction = Construction {
    algorithm: "a/1",
    numbers: "n/1",
};

fn entry(id: &str, from: i64, material: u8) -> KeyEntry {
    KeyEntry {
        id: id.parse().unwrap(),
        activate_at: EventTime::from_millis(from),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new(vec![material; 32]).ok(),
    }
}

fn keyring(entries: &[(&str, i64, u8)]) -> Keyring {
    let entries = entries
        .iter()
        .map(|&(id, from, material)| entry(id, from, material));
    Keyring::new(entries.collect()).unwrap()
}

/// The claim that an instance with this key makes.
fn claim(id: &str, from: i64, material: u8) -> Claim {
    let kcv = EpochKey::new(vec![material; 32]).unwrap().kcv();
    Claim {
        kcv,
        ..a_claim(id, u32::from(material), from)
    }
}

fn table(claims: &[Claim]) -> Table {
    let mut table = Table::new("billing", "g");
    for (at, claim) in claims.iter().enumerate() {
        let key = claim_key("billing", claim.epoch, claim.kcv, [at as u8; 8]);
        table.take(at as i64, key.as_bytes(), Some(&claim_value("billing", claim)));
    }
    table
}

fn said(table: &Table, keyring: &Keyring) -> Vec<String> {
    let found = table.contradictions(keyring.epochs(), &MADE_BY);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn the_lowest_offset_holds_and_every_difference_is_told() {
    let ours = keyring(&[("a", 10, 1), ("b", 20, 2)]);
    let a = || claim("a", 10, 1);
    let cases: [(&str, Vec<Claim>, &[&str]); 11] = [
        ("nothing", vec![], &[]),
        ("ours", vec![a()], &[]),
        ("ours twice", vec![a(), a()], &[]),
        ("another came later", vec![a(), claim("a", 10, 9)], &[]),
        (
            "another key came first",
            vec![claim("a", 10, 9), a()],
            &["key \"a\": kcv is b5996417 here, but "],
        ),
        (
            "another window",
            vec![claim("a", 11, 1)],
            &[
                "key \"a\": activate_at is 1970-01-01T00:00:00.01Z here, but 1970-01-01T00:00:00.011Z by the register",
            ],
        ),
        (
            "another construction",
            vec![Claim {
                algorithm: "a/2".to_owned(),
                ..a()
            }],
            &["key \"a\": pseudonyms are made by a/1 here, but by a/2"],
        ),
        (
            "another number table",
            vec![Claim {
                numbers: "n/2".to_owned(),
                ..a()
            }],
            &["key \"a\": numbers are read by n/1 here, but by n/2"],
        ),
        (
            "the end of a window was not known yet",
            vec![Claim {
                ends_at: Some(EventTime::from_millis(99)),
                ..a()
            }],
            &[],
        ),
        ("an epoch before all of ours", vec![claim("z", 5, 9)], &[]),
        (
            "an epoch in our time that we do not know",
            vec![a(), claim("z", 15, 9)],
            &["key \"z\" (kcv "],
        ),
    ];
    for (name, claims, expected) in cases {
        let found = said(&table(&claims), &ours);
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{name}: {found}");
        }
    }
}

#[test]
fn both_check_values_and_who_claimed_are_named() {
    let found = said(&table(&[claim("a", 10, 9)]), &keyring(&[("a", 10, 1)]));
    let (ours, theirs) = (
        claim("a", 10, 1).kcv.to_string(),
        claim("a", 10, 9).kcv.to_string(),
    );
    for part in [&*ours, &*theirs, "instance \"of-9\"", "1970-01-01T00:00:00Z"] {
        assert!(found[0].contains(part), "{part}: {}", found[0]);
    }
}

#[test]
fn what_is_destroyed_stays_so_whatever_comes_later() {
    let (mut table, ours) = (table(&[claim("a", 10, 1)]), keyring(&[("a", 10, 1)]));
    let id = "a".parse().unwrap();
    let key = destruction_key("billing", id, None);
    let by = claim("a", 10, 7).made;
    table.take(
        5,
        key.as_bytes(),
        Some(&destruction_value("billing", id, None, &by)),
    );
    table.take(6, key.as_bytes(), None);
    let again = claim("a", 10, 1);
    let later = claim_key("billing", again.epoch, again.kcv, [9; 8]);
    table.take(7, later.as_bytes(), Some(&claim_value("billing", &again)));
    let found = said(&table, &ours);
    assert!(
        found.len() == 1 && found[0].starts_with("key \"a\" is destroyed by the register"),
        "{found:?}"
    );
    assert!(found[0].contains("instance \"of-7\""), "{}", found[0]);
    let tombstone = Keyring::new(vec![KeyEntry {
        status: Status::Destroyed,
        key: None,
        ..entry("a", 10, 1)
    }]);
    assert_eq!(said(&table, &tombstone.unwrap()), Vec::<String>::new());
}

#[test]
fn what_cannot_be_read_is_told_by_its_offset_until_it_is_taken_away() {
    let (mut table, ours) = (table(&[]), keyring(&[("a", 10, 1)]));
    table.take(3, b"billing/a/00000000/x", Some(b"\x00marked"));
    table.take(4, b"fraud/a/00000000/x", Some(b"\x00marked"));
    let found = said(&table, &ours);
    assert!(
        found.len() == 1 && found[0].starts_with("the entry at offset 3 cannot be read"),
        "{found:?}"
    );
    assert!(!found[0].contains("marked"));
    table.take(5, b"billing/a/00000000/x", None);
    assert!(said(&table, &ours).is_empty() && table.is_empty());
}

#[test]
fn one_group_writes_one_domain() {
    let ours = keyring(&[("a", 10, 1)]);
    let foreign = |table: &mut Table, offset, group: &str| {
        let claim = Claim {
            group: group.to_owned(),
            ..claim("a", 10, 9)
        };
        let key = claim_key("fraud", claim.epoch, claim.kcv, [7; 8]);
        table.take(offset, key.as_bytes(), Some(&claim_value("fraud", &claim)));
        key
    };
    let mut other = table(&[claim("a", 10, 1)]);
    foreign(&mut other, 5, "other");
    assert_eq!(said(&other, &ours), Vec::<String>::new(), "another group's");
    let mut later = table(&[claim("a", 10, 1)]);
    foreign(&mut later, 5, "g");
    assert_eq!(said(&later, &ours), Vec::<String>::new(), "ours came first");
    let mut first = table(&[]);
    let key = foreign(&mut first, 0, "g");
    let own = claim("a", 10, 1);
    let own_key = claim_key("billing", own.epoch, own.kcv, [1; 8]);
    first.take(1, own_key.as_bytes(), Some(&claim_value("billing", &own)));
    let found = said(&first, &ours);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("domain is \"billing\" here, but \"fraud\" by the register for group \"g\""),
        "{}",
        found[0]
    );
    first.take(2, key.as_bytes(), None);
    assert_eq!(said(&first, &ours), Vec::<String>::new());
}

#[test]
fn a_withdrawn_claim_leaves_the_next_one() {
    let mut table = table(&[claim("a", 10, 9), claim("a", 10, 1)]);
    let first = table.holder(&"a".parse().unwrap()).unwrap().key.clone();
    table.take(2, first.as_bytes(), None);
    assert_eq!(said(&table, &keyring(&[("a", 10, 1)])), Vec::<String>::new());
    assert_eq!(table.claims().count(), 1);
}

/// A record of a topic; `None` in place of a value is a tombstone.
type Log = Vec<(i64, String, Option<Vec<u8>>)>;

/// What an instance in the simulation does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Look,
    Claim,
    ReadBack,
    Withdraw,
    Over,
}

#[derive(Debug)]
struct Instance {
    keyring: Keyring,
    claim: Claim,
    key: String,
    next: Step,
    claimed: bool,
    /// Whether a lane got the key.
    admitted: bool,
}

impl Instance {
    fn new(number: u8, material: u8) -> Self {
        let claim = claim("a", 10, material);
        Self {
            key: claim_key("billing", claim.epoch, claim.kcv, [number; 8]),
            keyring: keyring(&[("a", 10, material)]),
            claim,
            next: Step::Look,
            claimed: false,
            admitted: false,
        }
    }

    /// One step of the protocol as `live` runs it.
    fn step(&mut self, log: &mut Log, next: &mut i64) {
        let table = read(log);
        let mut append = |key: &str, value| {
            log.push((*next, key.to_owned(), value));
            *next += 1;
        };
        let standing = table.standing(&self.keyring.epochs()[0], &MADE_BY);
        self.next = match (self.next, standing) {
            // Others look as well before this claim stands there.
            (Step::Look, Standing::Unclaimed) => Step::Claim,
            (Step::Claim, _) => {
                append(&self.key, Some(claim_value("billing", &self.claim)));
                self.claimed = true;
                Step::ReadBack
            }
            (Step::Look | Step::ReadBack, Standing::Agreed) => {
                self.admitted = true;
                Step::Over
            }
            (Step::Look | Step::ReadBack, Standing::Against(_)) if self.claimed => Step::Withdraw,
            (Step::Withdraw, _) => {
                append(&self.key, None);
                Step::Over
            }
            _ => Step::Over,
        };
    }
}

fn read(log: &Log) -> Table {
    let mut table = Table::new("billing", "g");
    for (offset, key, value) in log {
        table.take(*offset, key.as_bytes(), value.as_deref());
    }
    table
}

/// The log cleaner: of each key only the last record stays, a tombstone perhaps not even that.
fn compact(log: &mut Log, tombstones_too: bool) {
    let whole = log.clone();
    log.retain(|(offset, key, value)| {
        let last = whole
            .iter()
            .rfind(|(_, other, _)| other == key)
            .map(|(at, ..)| *at);
        last == Some(*offset) && !(tombstones_too && value.is_none())
    });
}

#[test]
fn a_claim_that_is_written_twice_would_lose_to_one_between_after_compaction() {
    let holder = |nonces: [u8; 3]| {
        let claims = [1, 2, 1].map(|material| claim("a", 10, material));
        let written = claims.iter().zip(nonces).enumerate();
        let mut log: Log = written
            .map(|(at, (claim, nonce))| {
                let key = claim_key("billing", claim.epoch, claim.kcv, [nonce; 8]);
                (at as i64, key, Some(claim_value("billing", claim)))
            })
            .collect();
        compact(&mut log, false);
        read(&log).holder(&"a".parse().unwrap()).unwrap().claim.kcv
    };
    assert_eq!(holder([1, 2, 3]), claim("a", 10, 1).kcv);
    assert_eq!(
        holder([1, 2, 1]),
        claim("a", 10, 2).kcv,
        "so no key is written twice"
    );
}

/// Instances with one of two keys, stepped in any order; some die on the way, and the topic is compacted.
fn schedule() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, u8)>)> {
    let instances = prop::collection::vec(1..=2_u8, 2..6);
    (instances, prop::collection::vec((0..6_usize, 0..12_u8), 1..60))
}

proptest! {
    #[test]
    fn in_any_order_only_one_key_is_ever_used((materials, steps) in schedule()) {
        let mut instances: Vec<Instance> = materials
            .iter()
            .enumerate()
            .map(|(number, material)| Instance::new(number as u8, *material))
            .collect();
        let (mut log, mut next) = (Log::new(), 0);
        for (who, what) in steps {
            let instance = &mut instances[who % materials.len()];
            match what {
                0 => instance.next = Step::Over, // killed
                1 => compact(&mut log, false),
                2 => compact(&mut log, true),
                _ if instance.next != Step::Over => instance.step(&mut log, &mut next),
                _ => {}
            }
            let used: Vec<Kcv> = instances
                .iter()
                .filter(|instance| instance.admitted)
                .map(|instance| instance.claim.kcv)
                .collect();
            prop_assert!(used.iter().all(|kcv| *kcv == used[0]), "two keys in use");
            if let Some(kcv) = used.first() {
                let table = read(&log);
                let held = table.holder(&"a".parse().unwrap());
                prop_assert_eq!(held.map(|held| held.claim.kcv), Some(*kcv), "what is used holds for ever");
            }
        }
    }
}
