//! The overlap on a real broker: billing with running state carries on over a rotation, and nothing turns the columns
//! on or off under the readers of a running daemon.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::deployment::{Daemon, Deployment, KEYS, totals};
use support::kafka::{Broker, Input, Isolation, Rec, shared, unique};
use support::oracle::{Epoch, Scope};

const PATIENCE: Duration = Duration::from_secs(60);

const POLICY: &str = "[input]\nformat = \"csv\"\ncolumns = [\"id\", \"caller\", \"called\", \"start\", \"seconds\"]\n\
    time = { field = \"start\", format = \"unix\" }\n[numbers]\ncountry = \"GB\"\n[output]\nkey = \"caller\"\n[fields]\n\
    id = \"keep\"\nstart = \"keep\"\nseconds = \"keep\"\ncaller = { action = \"pseudonymise\", kind = \"phone\" }\n\
    called = { action = \"pseudonymise\", kind = \"phone\", scope = \"pairwise\", with = \"caller\" }\n";

/// 2026-11-01T00:00:00Z, the boundary.
const BOUNDARY: i64 = 1_793_491_200;
const DAY: i64 = 86_400;
const OCTOBER: (&str, &str, usize) = ("2026-10", "2026-10-01T00:00:00Z", 1);
const NOVEMBER: (&str, &str, usize) = ("2026-11", "2026-11-01T00:00:00Z", 0);

fn main() {
    tests![
        a_consumer_carries_its_sums_over_the_boundary_by_the_previous_tokens_alone,
        an_overlap_is_not_turned_on_or_off_under_a_running_daemon,
    ]
}

const SUBSCRIBERS: usize = 40;
/// Who makes no call within the overlap: nobody may join what they did before and after.
const SILENT: usize = 7;

fn number(subscriber: usize) -> String {
    format!("447700900{subscriber:03}")
}

/// One call as the switch writes it.
struct Call {
    id: usize,
    subscriber: usize,
    start: i64,
    seconds: u64,
}

impl Call {
    /// In one of the spellings that stand side by side in real files.
    fn row(&self) -> String {
        let Self {
            id,
            subscriber,
            start,
            seconds,
        } = self;
        let caller = match id % 3 {
            0 => format!("07700 900{subscriber:03}"),
            1 => format!("+447700900{subscriber:03}"),
            _ => format!("00447700900{subscriber:03}"),
        };
        format!("{id},{caller},07700900{:03},{start},{seconds}", 500 + id % 400)
    }

    /// Whole cents, so that sums are exact.
    fn cents(&self) -> u64 {
        3 + self.seconds.div_ceil(60) * 7
    }
}

/// Three weeks before and after the boundary, in the order in which they began; then those that came late.
fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    let mut call = |subscriber: usize, start: i64| {
        let id = calls.len();
        let seconds = 1 + (id as u64 * 7_919) % 1_800;
        calls.push(Call {
            id,
            subscriber,
            start,
            seconds,
        });
    };
    for day in -20..20 {
        for subscriber in 0..SUBSCRIBERS {
            let of_day = BOUNDARY + day * DAY + (subscriber as i64 * 1_777) % DAY;
            let in_overlap = (0..7).contains(&day);
            // Few calls: most subscribers have one or two within the overlap.
            if (day + subscriber as i64).rem_euclid(4) == 0 && !(in_overlap && subscriber == SILENT) {
                call(subscriber, of_day);
            }
        }
    }
    // The boundary's own instants, and the overlap's.
    for (subscriber, start) in [(0, -1), (0, 0), (1, 7 * DAY - 1), (1, 7 * DAY)] {
        call(subscriber, BOUNDARY + start);
    }
    // Late: of the former epoch, when everybody has gone over; and of the overlap, when that is over.
    for subscriber in [2, 3, SILENT] {
        call(subscriber, BOUNDARY - 2 * DAY);
    }
    for subscriber in [2, 4] {
        call(subscriber, BOUNDARY + 3 * DAY);
    }
    calls
}

/// A billing system that knows tokens only: an account is made when a token is first seen, and found again by it.
#[derive(Default)]
struct Accounts {
    by_token: HashMap<String, usize>,
    /// An account joined to another one has its number.
    joined: Vec<usize>,
    cents: Vec<u64>,
}

impl Accounts {
    fn take(&mut self, token: &str, previous: &str, cents: u64) {
        let account = self.account(token);
        self.cents[account] += cents;
        if !previous.is_empty() {
            let before = self.account(previous);
            let account = self.account(token);
            if before != account {
                self.cents[before] += std::mem::take(&mut self.cents[account]);
                self.joined[account] = before;
            }
        }
    }

    fn account(&mut self, token: &str) -> usize {
        let next = self.cents.len();
        let mut at = *self.by_token.entry(token.to_owned()).or_insert(next);
        if at == next {
            self.cents.push(0);
            self.joined.push(next);
        }
        while self.joined[at] != at {
            at = self.joined[at];
        }
        at
    }

    /// How many there are.
    fn count(&self) -> usize {
        let own = |(at, joined): (usize, &usize)| at == *joined;
        self.joined.iter().enumerate().filter(|found| own(*found)).count()
    }
}

fn a_consumer_carries_its_sums_over_the_boundary_by_the_previous_tokens_alone() {
    let broker = shared();
    let mut deployment = Deployment::new(broker, 2);
    deployment.policy(POLICY);
    deployment.keyring(&[OCTOBER, NOVEMBER]);
    deployment.edit(
        "keyring.toml",
        "version = 1\n",
        "version = 1\n[epochs]\noverlap = \"7d\"\n",
    );
    let made = calls();
    let now = jiff::Timestamp::now().as_millisecond();
    let inputs = made.iter().map(|call| Input {
        partition: (call.subscriber % 2) as i32,
        value: Some(call.row().into_bytes()),
        timestamp: Some(now.max(call.start * 1_000)),
        ..Input::default()
    });
    broker.produce_all(&deployment.raw, inputs);
    let public = run_over(broker, &deployment, made.len());

    let mut accounts = Accounts::default();
    // In the order in which a consumer reads them.
    for record in &public {
        let cells = cells_of(record);
        let call = &made[cells[0].parse::<usize>().unwrap()];
        let within = (BOUNDARY..BOUNDARY + 7 * DAY).contains(&call.start);
        let [own, before] = [NOVEMBER, OCTOBER].map(|epoch| token(epoch, call));
        let (own, before) = if call.start < BOUNDARY {
            (before, "")
        } else {
            (own, before.as_str())
        };
        let before = if within { before } else { "" };
        assert_eq!(
            [cells[1].as_str(), &cells[6]],
            [own.as_str(), before],
            "call {}",
            call.id
        );
        assert_eq!(
            record.key.as_deref(),
            Some(own.as_bytes()),
            "the record's key is its own epoch's"
        );
        let pair = cells[7].strip_prefix("2026-10.").map(str::len);
        assert_eq!(pair, within.then_some(26), "call {}", call.id);
        // All that billing does, and all that it sees.
        accounts.take(&cells[1], &cells[6], call.cents());
    }
    let mut owed: BTreeMap<usize, [u64; 2]> = BTreeMap::new();
    for call in &made {
        owed.entry(call.subscriber).or_default()[usize::from(call.start >= BOUNDARY)] += call.cents();
    }
    assert_eq!(accounts.count(), SUBSCRIBERS + 1);
    for (subscriber, [before, after]) in owed {
        let call = Call {
            id: 0,
            subscriber,
            start: 0,
            seconds: 0,
        };
        let [in_october, in_november] =
            [OCTOBER, NOVEMBER].map(|epoch| accounts.account(&token(epoch, &call)));
        if subscriber == SILENT {
            assert_ne!(in_october, in_november, "who did not call is not linked");
            assert_eq!(
                [accounts.cents[in_october], accounts.cents[in_november]],
                [before, after]
            );
        } else {
            assert_eq!(in_october, in_november, "{subscriber}");
            assert_eq!(
                accounts.cents[in_october],
                before + after,
                "{subscriber}: to the cent"
            );
        }
    }

    // A replay by another group to other topics gives the same bytes, `apply` the same but for the record's id.
    deployment.group = unique("replay");
    deployment.public = broker.topic("replayed", 2);
    deployment.restricted = broker.topic("replayed-restricted", 2);
    deployment.rejected = broker.topic("replayed-rejected", 2);
    deployment.config("");
    let again = run_over(broker, &deployment, made.len());
    let bytes = |records: &[Rec]| -> BTreeMap<usize, _> {
        let both = |record: &Rec| (call_id(record), (record.key.clone(), record.value.clone()));
        records.iter().map(both).collect()
    };
    assert_eq!(bytes(&again), bytes(&public));
    let rows: Vec<String> = made.iter().map(Call::row).collect();
    std::fs::write(deployment.path("calls.csv"), rows.join("\n")).unwrap();
    let words =
        "apply --config cdrveil.toml --public p.csv --restricted s.jsonl --rejected x.jsonl calls.csv";
    let applied = deployment.verb(&words.split(' ').collect::<Vec<_>>());
    assert!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );
    let applied = std::fs::read_to_string(deployment.path("p.csv")).unwrap();
    let without_id = |line: &str| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        cells.remove(5);
        cells
    };
    assert_eq!(applied.lines().count(), made.len());
    let by_daemon: BTreeMap<usize, _> = public
        .iter()
        .map(|record| (call_id(record), without_id(&record.text())))
        .collect();
    for (line, cells) in applied.lines().zip(by_daemon.values()) {
        assert_eq!(without_id(line), *cells);
    }
}

/// Runs the daemon until so many records are public, each once; they, as a consumer reads them.
fn run_over(broker: &Broker, deployment: &Deployment, count: usize) -> Vec<Rec> {
    let daemon = deployment.start();
    let public = deployment.await_public(broker, count, PATIENCE);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(totals(&log), [count as u64, count as u64, 0, 0, 0], "{log}");
    let ids: BTreeSet<usize> = public.iter().map(call_id).collect();
    assert_eq!([ids.len(), public.len()], [count, count], "every call once");
    public
}

fn call_id(record: &Rec) -> usize {
    cells_of(record)[0].parse().unwrap()
}

fn cells_of(record: &Rec) -> Vec<String> {
    record.text().split(',').map(str::to_owned).collect()
}

/// The caller's token, by the test's own construction.
fn token((id, _, key): (&str, &str, usize), call: &Call) -> String {
    let epoch = Epoch {
        id,
        key_hex: KEYS[key].0,
        domain: "billing",
    };
    epoch.token("phone", Scope::Domain, &number(call.subscriber))
}

fn an_overlap_is_not_turned_on_or_off_under_a_running_daemon() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(POLICY);
    deployment.keyring(&[OCTOBER, NOVEMBER]);
    let without = std::fs::read_to_string(deployment.path("keyring.toml")).unwrap();
    let with = |length: &str| {
        without.replace(
            "version = 1\n",
            &format!("version = 1\n[epochs]\noverlap = \"{length}\"\n"),
        )
    };
    let write = |text: &str| std::fs::write(deployment.path("keyring.toml"), text).unwrap();
    let call = |id: usize, day: i64| {
        let call = Call {
            id,
            subscriber: id,
            start: BOUNDARY + day * DAY,
            seconds: 60,
        };
        deployment.produce(broker, 1, [call.row().into_bytes()]);
        let found = deployment.await_public(broker, id + 1, PATIENCE);
        cells_of(&found[id])
    };
    let fingerprint = |daemon: &Daemon| {
        let (_, status) = daemon.get("/api/v1/status");
        serde_json::from_str::<Value>(&status).unwrap()["keyring"]["fingerprint"].clone()
    };

    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let plain = fingerprint(&daemon);
    write(&with("7d"));
    daemon.signal(1);
    await_reloads(&daemon, "refused", 1.0);
    let said = "keyring.toml:3:11: [epochs] overlap is turned on: public records would have other columns";
    daemon.await_log(said, PATIENCE);
    daemon.await_log("stop all instances and start them with this file", PATIENCE);
    assert_eq!(fingerprint(&daemon), plain, "the old one stays");
    assert_eq!(call(0, 1).len(), 6, "and no column comes");
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");

    // A start takes it; the length may change while it runs, the columns stay.
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let week = fingerprint(&daemon);
    assert_ne!(week, plain);
    let cells = call(1, 5);
    assert!(cells.len() == 8 && cells[6].starts_with("2026-10."), "{cells:?}");
    write(&with("3d"));
    daemon.signal(1);
    await_reloads(&daemon, "applied", 1.0);
    assert!(![week, plain].contains(&fingerprint(&daemon)));
    let cells = call(2, 5);
    assert!(cells.len() == 8 && cells[6].is_empty(), "{cells:?}");
    assert!(call(3, 2)[6].starts_with("2026-10."));
    write(&without);
    daemon.signal(1);
    await_reloads(&daemon, "refused", 1.0);
    daemon.await_log("keyring.toml: [epochs] overlap is turned off", PATIENCE);
    assert!(call(4, 2)[6].starts_with("2026-10."));
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let told = broker.read_all(&deployment.rejected, Isolation::Committed).len();
    assert_eq!(told, 0, "nothing was rejected");
}

fn await_reloads(daemon: &Daemon, outcome: &str, count: f64) {
    let series = format!("cdrveil_keyring_reloads_total{{outcome=\"{outcome}\"}}");
    let deadline = Instant::now() + PATIENCE;
    while daemon.metric(&series).is_none_or(|seen| seen < count) {
        assert!(Instant::now() < deadline, "{series}:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}
