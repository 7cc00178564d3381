//! Invoices from the public topic equal those from raw records, by a rating engine that nobody here wrote.
//!
//! 20,000 generated calls go to CGRateS twice: as they are, and as `cdrveil apply` writes them, joined to their
//! accounts by `cdrveil tokens`. Every call's price and every account's total must be the same.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion
#![allow(clippy::print_stdout)] // what a run showed

mod calls;
mod engine;
mod tariff;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;

use cdrveil::seal::opener::Opener;
use fastrand::Rng;
use libtest_mimic::{Arguments, Trial};

use calls::{Call, EPOCHS, OWN, PAYERS, ZONE, account, calls};
use engine::{Engine, Event, Priced};
use tariff::Destinations;

const CALLS: usize = 20_000;
const SEED: u64 = 20_260_401;

fn main() {
    let mut arguments = Arguments::from_args();
    // In CI a run that leaves this out proves nothing: without Go it fails there.
    let ignored = !engine::go_is_there() && std::env::var_os("CI").is_none();
    if ignored {
        println!("Go is missing, so CGRateS cannot be built: install Go 1.24 or newer to run this test");
    }
    arguments.test_threads = Some(1); // each starts engines of its own
    let trial = |name: &str, test: fn()| {
        let test = move || {
            test();
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(ignored)
    };
    let trials = vec![trial(
        "invoices_from_the_public_topic_are_equal_to_the_cent",
        invoices_from_the_public_topic_are_equal_to_the_cent,
    )];
    libtest_mimic::run(&arguments, trials).exit();
}

fn invoices_from_the_public_topic_are_equal_to_the_cent() {
    let mut rng = Rng::with_seed(SEED);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let calls = calls(CALLS, &mut rng);
    deployment(folder, &calls, &mut rng);
    let public = pseudonymised(folder);
    for kind in [
        "~ONNET",
        "~SHOW",
        "~LOTTERY",
        "~MOBILE-C",
        "~MAILBOX",
        "~HELPLINE",
        "~FREEPHONE",
        "_withheld",
        ",correction,",
        " 07:59:",
        " 18:59:",
        "2025-03-30 01:",
        "2025-03-30 02:",
        "2025-10-26 01:",
        "2025-03-31 23:59:",
        "2025-11-01 00:00:",
        ",2025-03.",
        ",2025-04.",
        ",2025-10.",
        ",2025-11.",
    ] {
        let count = public.matches(kind).count();
        assert!(count > 20, "{kind} stands in {count} records only");
    }
    let accounts = accounts_by_token(folder);

    let rejected: BTreeSet<&str> = calls
        .iter()
        .filter(|call| call.junk)
        .map(|call| &*call.id)
        .collect();
    let events = public_events(&public, &accounts, paying);
    assert_eq!(
        events.len(),
        calls.iter().filter(|call| !call.junk).count(),
        "only what cannot be read is rejected"
    );
    let paid_by_called = events.iter().filter(|event| event.reversed).count();
    println!("{paid_by_called} calls are the called party's to pay");
    let reversed = |call: &&Call| call.reversed && !call.junk;
    assert_eq!(paid_by_called, calls.iter().filter(reversed).count());
    assert!(paid_by_called > CALLS / 100);
    let raw = rated(folder, Destinations::Raw, &raw_events(&calls));
    let priced = rated(folder, Destinations::Public, &events);
    assert_eq!(raw.len(), CALLS - rejected.len());
    compare(&raw, &priced);

    // That the comparison can fail: charged to the caller, some calls have another account; by the prefix alone,
    // some have another price.
    let to_caller = public_events(&public, &accounts, |charge, _| charge);
    let wrong: BTreeSet<&str> = to_caller
        .iter()
        .filter(|event| raw[&event.id].account != event.account)
        .map(|event| &*event.id)
        .collect();
    println!("charged to the caller {} calls have another account", wrong.len());
    assert!(wrong.len() > CALLS / 100);
    let bare = |event: &Event| Event {
        destination: event.destination.split('~').next().unwrap().to_owned(),
        ..event.clone()
    };
    let bare: Vec<Event> = events.iter().map(bare).collect();
    fs::rename(folder.join("Public"), folder.join("before")).unwrap();
    let bare = rated(folder, Destinations::Public, &bare);
    let wrong = raw.iter().filter(|(id, priced)| bare[*id] != **priced).count();
    println!("by the prefix alone {wrong} calls have another price");
    assert!(wrong > CALLS / 100);
}

/// Both sides, call by call and account by account.
fn compare(raw: &BTreeMap<String, Priced>, public: &BTreeMap<String, Priced>) {
    let wrong: Vec<_> = raw
        .iter()
        .filter(|(id, priced)| public.get(*id) != Some(*priced))
        .collect();
    for (id, priced) in wrong.iter().take(10) {
        println!("{id}: raw {priced:?}, public {:?}", public.get(*id));
    }
    assert_eq!(
        (wrong.len(), public.len()),
        (0, raw.len()),
        "calls with another price"
    );
    let invoices = totals(raw);
    assert_eq!(totals(public), invoices);
    let sum: i64 = invoices.values().sum();
    let refused = raw.values().filter(|priced| !priced.refused.is_empty()).count();
    println!(
        "{} calls, {} accounts, {}.{:04} in all, {refused} that no plan prices",
        raw.len(),
        invoices.len(),
        sum / 10_000,
        sum % 10_000
    );
    assert!(refused * 100 < raw.len() * 20 && sum > 0);
}

fn totals(priced: &BTreeMap<String, Priced>) -> BTreeMap<&str, i64> {
    let mut totals = BTreeMap::new();
    for call in priced.values().filter(|call| call.refused.is_empty()) {
        *totals.entry(call.account.as_str()).or_default() += call.cost;
    }
    totals
}

fn rated(folder: &Path, destinations: Destinations, events: &[Event]) -> BTreeMap<String, Priced> {
    let folder = folder.join(format!("{destinations:?}"));
    tariff::write(&folder, destinations);
    let mut engine = Engine::start(&folder, ZONE);
    let duplicates = engine.rate(events);
    let corrections = events.iter().filter(|event| event.correction).count();
    let priced = engine.priced();
    assert_eq!(
        priced.len() + duplicates + corrections,
        events.len(),
        "every event is accounted for"
    );
    assert!(
        duplicates > 100 && corrections > 100,
        "{duplicates} {corrections}"
    );
    priced
}

/// What a billing system without cdrveil would rate: the truth of every call that can be read.
fn raw_events(calls: &[Call]) -> Vec<Event> {
    let event = |call: &Call| Event {
        id: call.id.clone(),
        correction: call.correction,
        reversed: call.reversed,
        account: account(call.account),
        destination: call.called.clone(),
        start: call.start.clone(),
        seconds: call.seconds.to_string(),
    };
    calls.iter().filter(|call| !call.junk).map(event).collect()
}

/// Whose token stands for the account, of the network's charge number and of a called party that pays.
fn paying<'a>(charge: &'a str, payer: &'a str) -> &'a str {
    if payer.is_empty() { charge } else { payer }
}

/// What it rates with cdrveil: the public records, and the accounts of their tokens.
fn public_events(
    public: &str,
    accounts: &HashMap<String, String>,
    paying: for<'a> fn(&'a str, &'a str) -> &'a str,
) -> Vec<Event> {
    let event = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [
            id,
            kind,
            _caller,
            charge,
            _called,
            start,
            seconds,
            destination,
            _onnet,
            payer,
            _record_id,
        ] = fields[..]
        else {
            panic!("{line}");
        };
        Event {
            id: id.to_owned(),
            correction: kind == "correction",
            reversed: !payer.is_empty(),
            account: accounts[paying(charge, payer)].clone(),
            destination: destination.to_owned(),
            start: start.to_owned(),
            seconds: seconds.to_owned(),
        }
    };
    public.lines().map(event).collect()
}

/// The files of a deployment, its calls and its customers.
fn deployment(folder: &Path, calls: &[Call], rng: &mut Rng) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("policy.toml", include_str!("policy.toml"));
    write(
        "cdrveil.toml",
        &format!(
            "domain = \"billing\"\npolicy = \"policy.toml\"\nkeyring = \"keyring.toml\"\n\
             [kafka]\nbrokers = [\"localhost:9092\"]\ngroup = \"g\"\n\
             [topics]\nraw = [\"r\"]\npublic = \"p\"\nrestricted = \"s\"\nrejected = \"x\"\n\
             [seal]\nrecipients = [\"{}\"]\n",
            Opener::new_identity().1
        ),
    );
    let mut keyring = "version = 1\n".to_owned();
    for (id, from) in EPOCHS {
        let block = cdrveil(
            folder,
            &format!("keys new --keyring k.toml --dir . --id {id} --activate-at {from}"),
        );
        keyring += block.trim_start_matches("version = 1\n");
    }
    write("keyring.toml", &keyring);
    let deck = |&(prefix, zone): &(&str, &str)| format!("{prefix},{zone}\n");
    let deck: String = tariff::DECK.iter().map(deck).collect();
    write("deck.csv", &format!("prefix,zone\n{deck}"));
    for (name, numbers) in [("own.csv", &OWN), ("payers.csv", &PAYERS)] {
        let numbers: Vec<String> = numbers.iter().map(|number| format!("+{number}")).collect();
        write(name, &format!("number\n{}\n", numbers.join("\n")));
    }
    let rows: String = calls.iter().map(|call| call.row.clone() + "\n").collect();
    write("calls.csv", &rows);
    write("customers.csv", &calls::customer_file(rng));
}

fn pseudonymised(folder: &Path) -> String {
    cdrveil(
        folder,
        "apply --config cdrveil.toml --public public.csv --restricted r.jsonl --rejected x.jsonl calls.csv",
    );
    let public = fs::read_to_string(folder.join("public.csv")).unwrap();
    // The deck's prefixes are public, and leave three digits open.
    let told = |block: &str| {
        let behind = public
            .match_indices(block)
            .map(|(at, _)| public.as_bytes()[at + block.len()]);
        behind.filter(u8::is_ascii_digit).count()
    };
    assert_eq!(
        [
            told("7700900"),
            told("2079460"),
            told("8081570"),
            told("14155550")
        ],
        [0; 4],
        "no number is public"
    );
    public
}

/// Account by token, as a billing system loads it: one column of tokens per epoch.
fn accounts_by_token(folder: &Path) -> HashMap<String, String> {
    let listed = cdrveil(
        folder,
        "tokens --config cdrveil.toml --column number customers.csv",
    );
    let mut lines = listed.lines();
    let header: Vec<String> = EPOCHS.iter().map(|(id, _)| format!("number_{id}")).collect();
    assert_eq!(
        lines.next().unwrap(),
        format!("account,{},since", header.join(","))
    );
    let mut accounts = HashMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        for token in &fields[1..=EPOCHS.len()] {
            assert!(
                accounts
                    .insert((*token).to_owned(), fields[0].to_owned())
                    .is_none()
            );
        }
    }
    assert_eq!(accounts.len(), calls::customers().len() * EPOCHS.len());
    accounts
}

/// Runs `cdrveil WORDS` in a folder; its stdout.
fn cdrveil(folder: &Path, words: &str) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_cdrveil"))
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{words}: {told}");
    String::from_utf8(ran.stdout).unwrap()
}
