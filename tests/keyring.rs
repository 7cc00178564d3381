//! Keys, rate deck and lists change while records flow: nothing is lost, the call's own time chooses the key, a bad edit changes nothing.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "keyring/memory.rs"]
mod memory;
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::deployment::{Daemon, Deployment, KEYS, totals};
use support::kafka::{Broker, Input, Isolation, shared};
use support::oracle::{Epoch, Scope};

const PATIENCE: Duration = Duration::from_secs(60);

/// A future of one second, so that a new key may begin soon.
const POLICY: &str = "[input]\nformat = \"csv\"\ncolumns = [\"id\", \"caller\", \"start\"]\nmax_future = \"1s\"\n\
    time = { field = \"start\", format = \"unix\" }\n[numbers]\ncountry = \"GB\"\n[fields]\nid = \"keep\"\n\
    start = \"keep\"\ncaller = { action = \"pseudonymise\", kind = \"phone\" }\n";

fn main() {
    tests![
        edits_under_load_lose_nothing_and_the_call_s_time_chooses_the_key,
        a_bad_edit_is_refused_and_repaired,
        a_late_record_and_a_replay_give_the_same_public_bytes,
        a_destroyed_key_is_gone_from_memory,
        a_kubernetes_secret_is_rotated_by_its_swap_and_a_command_that_fails_changes_nothing,
        scope_finds_the_tokens_of_an_epoch,
        a_changed_deck_prices_what_comes_later_and_a_bad_list_changes_nothing,
    ]
}

fn edits_under_load_lose_nothing_and_the_call_s_time_chooses_the_key() {
    let broker = shared();
    let deployment = Deployment::new(broker, 2);
    deployment.policy(POLICY);
    // Seconds at which the three keys begin; calls of each are only made once its key is loaded.
    let now = jiff::Timestamp::now().as_second();
    let starts = [now - 86_400, now + 120, now + 240];
    let ids = ["first", "second", "third"];
    let times = starts.map(|start| jiff::Timestamp::from_second(start).unwrap().to_string());
    let keys: Vec<(&str, &str, usize)> = (0..3).map(|at| (ids[at], times[at].as_str(), at)).collect();
    deployment.keyring(&keys[..1]);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let known = AtomicUsize::new(1);
    let produced = thread::scope(|scope| {
        let load = scope.spawn(|| produce_while(broker, &deployment.raw, &starts, &known));
        deployment.await_public(broker, 500, PATIENCE);
        deployment.keyring(&keys[..2]);
        daemon.signal(1);
        await_reloads(&daemon, "keyring", "applied", 1.0);
        known.store(2, Ordering::Relaxed);
        // No signal this time: the changed content is noticed.
        deployment.keyring(&keys);
        await_reloads(&daemon, "keyring", "applied", 2.0);
        known.store(3, Ordering::Relaxed);
        let so_far = broker.read_all(&deployment.public, Isolation::Committed).len();
        deployment.await_public(broker, so_far + 1_000, PATIENCE);
        known.store(0, Ordering::Relaxed);
        load.join().unwrap()
    });
    deployment.await_public(broker, produced, PATIENCE);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(totals(&log), [produced as u64, produced as u64, 0, 0, 0], "{log}");

    let public = broker.read_all(&deployment.public, Isolation::Committed);
    let mut seen = vec![0; produced];
    let mut by_epoch = BTreeMap::new();
    for record in &public {
        let text = record.text();
        let cells: Vec<&str> = text.split(',').collect();
        let (id, start): (usize, i64) = (cells[0].parse().unwrap(), cells[2].parse().unwrap());
        seen[id] += 1;
        let at = starts.iter().rposition(|begin| *begin <= start).unwrap();
        assert_eq!(
            cells[1],
            epoch(ids[at], at).token("phone", Scope::Domain, &number(id)),
            "{text}"
        );
        *by_epoch.entry(ids[at]).or_insert(0) += 1;
    }
    assert!(seen.iter().all(|count| *count == 1), "every record once");
    assert!(
        by_epoch.len() == 3 && by_epoch.values().all(|count| *count > 100),
        "{by_epoch:?}"
    );
}

/// Produces numbered calls, mixed over the epochs known so far and hugging their edges, until none is; their count.
fn produce_while(broker: &Broker, topic: &str, starts: &[i64; 3], known: &AtomicUsize) -> usize {
    let mut next = 0;
    loop {
        let known = known.load(Ordering::Relaxed);
        if known == 0 {
            return next;
        }
        let calls = (next..next + 100).map(|id| {
            let at = id % known;
            // The first and the last second of a window, also of those long begun: late calls.
            let last = starts.get(at + 1).filter(|_| at + 1 < known);
            let start = last.filter(|_| id % 2 == 0).map_or(starts[at], |end| end - 1);
            Input {
                partition: (id % 2) as i32,
                value: Some(format!("{id},+{},{start}", number(id)).into_bytes()),
                timestamp: Some(start.max(jiff::Timestamp::now().as_second()) * 1_000),
                ..Input::default()
            }
        });
        broker.produce_all(topic, calls);
        next += 100;
        thread::sleep(Duration::from_millis(5)); // a steady load rather than a flood
    }
}

fn number(id: usize) -> String {
    format!("447700900{:03}", id % 1_000)
}

fn a_bad_edit_is_refused_and_repaired() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(POLICY);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let good = std::fs::read_to_string(deployment.path("keyring.toml")).unwrap();
    let page = |daemon: &Daemon| {
        let (_, status) = daemon.get("/api/v1/status");
        serde_json::from_str::<Value>(&status).unwrap()["keyring"].clone()
    };
    let before = page(&daemon);
    let edits = [
        (good.replace("kcv = \"", "kcv = \"0"), "keyring.toml:6:"),
        (
            good.replace("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
            "keyring.toml:4:15: key ",
        ),
    ];
    for (count, (edit, said)) in edits.iter().enumerate() {
        std::fs::write(deployment.path("keyring.toml"), edit).unwrap();
        if count == 0 {
            daemon.signal(1);
        }
        await_reloads(&daemon, "keyring", "refused", count as f64 + 1.0);
        assert_eq!(daemon.metric("cdrveil_keyring_last_reload_successful"), Some(0.0));
        let refused = page(&daemon);
        assert_eq!(refused["last_reload_ok"], false);
        assert!(
            refused["last_reload_error"].as_str().unwrap().contains(said),
            "{refused}"
        );
        assert_eq!(refused["fingerprint"], before["fingerprint"], "the old one stays");
        let log = daemon.log();
        let line = log
            .lines()
            .rfind(|line| line.contains("keyring refused"))
            .unwrap();
        assert!(
            line.contains("\"level\":\"ERROR\"") && line.contains(said),
            "{line}"
        );
        assert_eq!(daemon.get("/readyz").0, 200, "it goes on with the keys it has");
        deployment.produce(
            broker,
            1,
            [format!("{count},+447700900001,1793870000").into_bytes()],
        );
        deployment.await_public(broker, count + 1, PATIENCE);
    }
    std::fs::write(deployment.path("keyring.toml"), &good).unwrap();
    await_reloads(&daemon, "keyring", "applied", 1.0);
    assert_eq!(daemon.metric("cdrveil_keyring_last_reload_successful"), Some(1.0));
    let repaired = page(&daemon);
    assert_eq!(
        (&repaired["last_reload_ok"], &repaired["last_reload_error"]),
        (&Value::Bool(true), &Value::Null)
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let token = epoch("2026-11", 0).token("phone", Scope::Domain, "447700900001");
    for record in broker.read_all(&deployment.public, Isolation::Committed) {
        assert!(record.text().contains(&token), "{}", record.text());
    }
}

fn a_late_record_and_a_replay_give_the_same_public_bytes() {
    let broker = shared();
    let mut deployment = Deployment::new(broker, 2);
    deployment.policy(POLICY);
    let october = ("2026-10", "2026-10-01T00:00:00+01:00", 1);
    let november = ("2026-11", "2026-11-01T00:00:00Z", 0);
    deployment.keyring(&[october, november]);
    let call = |id: usize, start: &str| {
        let start: jiff::Timestamp = start.parse().unwrap();
        format!("{id},+{},{}", number(id), start.as_second()).into_bytes()
    };
    // The last second of October arrives behind calls of November.
    let calls = [
        call(0, "2026-11-01T00:00:00Z"),
        call(1, "2026-11-05T09:15:00Z"),
        call(2, "2026-10-31T23:59:59Z"),
        call(3, "2026-09-30T23:00:00Z"),
    ];
    deployment.produce(broker, 2, calls);
    let first = replay(broker, &deployment);
    for (text, (epoch_id, _, key)) in first.values().zip([november, november, october, october]) {
        let id = text.split(',').next().unwrap().parse().unwrap();
        let token = epoch(epoch_id, key).token("phone", Scope::Domain, &number(id));
        assert!(text.contains(&token), "{text}");
    }

    // Again from the start: another group, other topics, a keyring that has moved on.
    let later = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 86_400)
        .unwrap()
        .to_string();
    deployment.keyring(&[october, november, ("later", &later, 2)]);
    deployment.group = support::kafka::unique("replay");
    deployment.public = broker.topic("replayed", 2);
    deployment.restricted = broker.topic("replayed-restricted", 2);
    deployment.rejected = broker.topic("replayed-rejected", 2);
    deployment.config("");
    assert_eq!(replay(broker, &deployment), first);
}

/// `keys destroy` while the daemon runs: within seconds it holds neither the key nor anything made of it.
fn a_destroyed_key_is_gone_from_memory() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(POLICY);
    let (gone, kept) = (epoch("2026-08", 1), epoch("2026-11", 0));
    deployment.keyring(&[
        ("2026-08", "2026-08-01T00:00:00Z", 1),
        ("2026-11", "2026-11-01T00:00:00Z", 0),
    ]);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let call = |start: &str| {
        let start: jiff::Timestamp = start.parse().unwrap();
        let call = format!("1,+447700900001,{}", start.as_second()).into_bytes();
        deployment.produce(broker, 1, [call]);
    };
    call("2026-08-05T00:00:00Z");
    call("2026-11-05T00:00:00Z");
    deployment.await_public(broker, 2, PATIENCE);
    let (of_gone, of_kept) = (memory::traces(&gone, "phone"), memory::traces(&kept, "phone"));
    // The search finds what is there: the key, and the keyed states of its sub-key.
    let in_use = ["bytes", "sub-key's inner state", "sub-key's outer state"];
    for traces in [&of_gone, &of_kept] {
        let found = memory::found(daemon.pid(), traces);
        assert!(in_use.iter().all(|name| found.contains(name)), "{found:?}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(),
        ["0", "0"]
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let locked = status
        .lines()
        .any(|line| line.starts_with("VmLck:") && !line.ends_with(" 0 kB"));
    assert!(
        locked || daemon.log().contains("keys may be written to swap"),
        "{}",
        daemon.log()
    );

    let keyring = deployment.path("keyring.toml");
    let destroyed = deployment.verb(&[
        "keys",
        "destroy",
        "2026-08",
        "--yes",
        "--force",
        "--keyring",
        keyring.to_str().unwrap(),
    ]);
    assert!(
        destroyed.status.success(),
        "{}",
        String::from_utf8_lossy(&destroyed.stderr)
    );
    daemon.signal(1);
    await_reloads(&daemon, "keyring", "applied", 1.0);
    call("2026-11-06T00:00:00Z");
    deployment.await_public(broker, 3, PATIENCE);
    let found = memory::found(daemon.pid(), &of_gone);
    assert_eq!(found, [""; 0], "of the destroyed key");
    let found = memory::found(daemon.pid(), &of_kept);
    assert!(in_use.iter().all(|name| found.contains(name)), "{found:?}");
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

/// As kubelet does it: everything behind one link, and the link is swapped.
fn a_kubernetes_secret_is_rotated_by_its_swap_and_a_command_that_fails_changes_nothing() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(POLICY);
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let link = |generation: &str| {
        std::os::unix::fs::symlink(generation, deployment.path("..new")).unwrap();
        std::fs::rename(deployment.path("..new"), deployment.path("..data")).unwrap();
    };
    let generation = |name: &str, keys: &[(&str, &str, usize)]| {
        deployment.keyring(keys);
        std::fs::create_dir(deployment.path(name)).unwrap();
        for (id, ..) in keys {
            let key = format!("{id}.key");
            std::fs::copy(deployment.path(&key), deployment.path(name).join(&key)).unwrap();
            let text = std::fs::read_to_string(deployment.path("keyring.toml")).unwrap();
            std::fs::write(
                deployment.path("keyring.toml"),
                text.replace(&format!("\"{key}\""), &format!("\"..data/{key}\"")),
            )
            .unwrap();
        }
        std::fs::rename(
            deployment.path("keyring.toml"),
            deployment.path(name).join("keyring.toml"),
        )
        .unwrap();
    };
    let november = ("2026-11", "2026-11-01T00:00:00Z", 0);
    let at = later.to_string();
    generation("..1", &[november]);
    generation("..2", &[november, ("next", &at, 1)]);
    link("..1");
    std::os::unix::fs::symlink("..data/keyring.toml", deployment.path("keyring.toml")).unwrap();
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    assert_eq!(daemon.metric("cdrveil_keyring_next_key"), Some(0.0));
    link("..2");
    await_reloads(&daemon, "keyring", "applied", 1.0);
    assert_eq!(daemon.metric("cdrveil_keyring_next_key"), Some(1.0));
    let next = daemon.metric("cdrveil_keyring_next_activation_timestamp_seconds");
    assert!(
        next.is_some_and(|next| (next - later.as_millisecond() as f64 / 1000.0).abs() < 0.01),
        "{next:?}"
    );

    // From files to a command; then one that fails, with words of its own.
    let text = std::fs::read_to_string(deployment.path("..2/keyring.toml")).unwrap();
    let command = |script: &str| {
        text.replace(
            "{ file = \"..data/next.key\" }",
            &format!("{{ exec = [\"sh\", \"-c\", \"{script}\"] }}"),
        )
    };
    std::fs::write(
        deployment.path("..2/keyring.toml"),
        command("cat ..data/next.key"),
    )
    .unwrap();
    await_reloads(&daemon, "keyring", "applied", 2.0);
    std::fs::write(
        deployment.path("..2/keyring.toml"),
        command("echo the vault is sealed >&2; exit 3"),
    )
    .unwrap();
    await_reloads(&daemon, "keyring", "refused", 1.0);
    let (_, status) = daemon.get("/api/v1/status");
    let shown = serde_json::from_str::<Value>(&status).unwrap()["keyring"].clone();
    let error = shown["last_reload_error"].as_str().unwrap();
    assert!(
        error.contains("exec sh failed") && error.contains("the vault is sealed"),
        "{error}"
    );
    assert_eq!(
        (&shown["in_use"], &shown["next"]["id"]),
        (&"2026-11".into(), &"next".into())
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    // At the start there is no keyring to keep.
    let mut refused = deployment.start();
    assert_eq!(refused.wait(PATIENCE).code(), Some(78), "{}", refused.log());
    assert!(refused.log().contains("the vault is sealed"), "{}", refused.log());
}

/// For the report of a breach: every record with a token of the epoch, and no other.
fn scope_finds_the_tokens_of_an_epoch() {
    let broker = shared();
    let deployment = Deployment::new(broker, 3);
    deployment.policy(POLICY);
    deployment.keyring(&[
        ("2026-10", "2026-10-01T00:00:00Z", 1),
        ("2026-11", "2026-11-01T00:00:00Z", 0),
    ]);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    // Partition 0: both epochs; 1: October alone; 2: November, and the former's name in another field.
    let starts = [
        "2026-10-05",
        "2026-10-06",
        "2026-11-05",
        "2026-11-06",
        "2026-10-07",
        "2026-11-07",
    ];
    let calls = starts.iter().enumerate().map(|(at, day)| {
        let start: jiff::Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
        let id = if at == 5 {
            "2026-10.x".to_owned()
        } else {
            at.to_string()
        };
        format!("{id},+{},{}", number(at), start.as_second()).into_bytes()
    });
    deployment.produce(broker, 3, calls);
    let public = deployment.await_public(broker, starts.len(), PATIENCE);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let scope = |words: &[&str]| {
        let config = deployment.path("cdrveil.toml");
        let mut all = vec!["keys", "scope", "--config", config.to_str().unwrap()];
        all.extend(words);
        deployment.verb(&all)
    };
    let ran = scope(&["2026-10", "--json"]);
    assert_eq!(
        ran.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let found: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(
        (&found["records"], &found["calls_until"]),
        (&3.into(), &"2026-11-01T00:00:00Z".into())
    );
    let mut expected: BTreeMap<i32, Vec<_>> = BTreeMap::new();
    for record in public.iter().filter(|record| record.text().contains(",2026-10.")) {
        expected.entry(record.partition).or_default().push(record);
    }
    let parts = found["partitions"].as_array().unwrap();
    assert_eq!(parts.len(), expected.len(), "{found}");
    for (part, (partition, records)) in parts.iter().zip(&expected) {
        let offsets = || records.iter().map(|record| record.offset);
        let times = || records.iter().map(|record| record.timestamp.unwrap());
        let time = |millis: Option<i64>| {
            jiff::Timestamp::from_millisecond(millis.unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(part["topic"], deployment.public.as_str());
        assert_eq!(part["partition"], *partition);
        assert_eq!(part["records"], records.len());
        assert_eq!(part["first_offset"], offsets().min().unwrap());
        assert_eq!(part["last_offset"], offsets().max().unwrap());
        assert_eq!(part["from"], time(times().min()));
        assert_eq!(part["until"], time(times().max()));
    }
    let table = scope(&["2026-11"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.starts_with("TOPIC") && table.lines().count() == 3,
        "{table}"
    );
    let none = scope(&["2025-01"]);
    assert_eq!(
        (
            none.status.code(),
            String::from_utf8_lossy(&none.stdout).lines().count()
        ),
        (Some(0), 1)
    );
    let missing = scope(&["2026-11", "--topic", "no-such-topic"]);
    assert_eq!(
        missing.status.code(),
        Some(78),
        "{}",
        String::from_utf8_lossy(&missing.stderr)
    );
}

/// Deck and lists are swapped under the running lane, as the keyring is.
fn a_changed_deck_prices_what_comes_later_and_a_bad_list_changes_nothing() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    let files = "country = \"GB\"\ndeck = \"deck.csv\"\nown = \"own.txt\"";
    let policy = POLICY.replace("country = \"GB\"", files);
    deployment.policy(&policy.replace("\"phone\"", "\"phone\", derive = [\"destination\"]"));
    let replace = |name: &str, text: &str| {
        std::fs::write(deployment.path("new"), text).unwrap();
        std::fs::rename(deployment.path("new"), deployment.path(name)).unwrap();
    };
    replace("deck.csv", "prefix,zone\n+44,ONE\n");
    replace("own.txt", "");
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let call = |id: usize| {
        let call = format!("{id},+447700900001,1793870000").into_bytes();
        deployment.produce(broker, 1, [call]);
        deployment.await_public(broker, id + 1, PATIENCE);
    };
    call(0);
    // No signal: the change is noticed.
    replace("deck.csv", "prefix,zone\n+44,ONE\n+447,TWO\n");
    await_reloads(&daemon, "deck", "applied", 1.0);
    call(1);
    replace("own.txt", "07700900001\nnobody\n");
    daemon.signal(1);
    await_reloads(&daemon, "deck", "refused", 1.0);
    assert_eq!(daemon.metric("cdrveil_deck_rows{list=\"deck\"}"), Some(2.0));
    call(2);
    replace("own.txt", "07700900001\n");
    daemon.signal(1);
    await_reloads(&daemon, "deck", "applied", 2.0);
    call(3);
    let (_, status) = daemon.get("/api/v1/status");
    let deck = serde_json::from_str::<Value>(&status).unwrap()["deck"].clone();
    assert_eq!(
        (&deck["last_reload_ok"], &deck["lists"][1]["rows"]),
        (&Value::Bool(true), &1.into())
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(
        log.contains("own.txt:2:1: ") && !log.contains("7700900001"),
        "{log}"
    );
    let public = broker.read_all(&deployment.public, Isolation::Committed);
    let destinations: Vec<String> = public
        .iter()
        .map(|record| record.text().split(',').nth(3).unwrap().to_owned())
        .collect();
    assert_eq!(
        destinations,
        ["+44~ONE", "+447~TWO", "+447~TWO", "+447~TWO~ONNET"]
    );
}

/// Runs the daemon until four records are public: value by record id, in the order of the calls' own ids.
fn replay(broker: &Broker, deployment: &Deployment) -> BTreeMap<String, String> {
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let public = deployment.await_public(broker, 4, PATIENCE);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(totals(&log)[..2], [4, 4], "{log}");
    let keyed = |text: String| (text.split(',').next().unwrap().to_owned(), text);
    public.iter().map(|record| keyed(record.text())).collect()
}

fn epoch(id: &str, key: usize) -> Epoch<'_> {
    Epoch {
        id,
        key_hex: KEYS[key].0,
        domain: "billing",
    }
}

fn await_reloads(daemon: &Daemon, what: &str, outcome: &str, count: f64) {
    let series = format!("cdrveil_{what}_reloads_total{{outcome=\"{outcome}\"}}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while daemon.metric(&series) != Some(count) {
        assert!(
            Instant::now() < deadline,
            "no {outcome} {what} reload {count}:\n{}",
            daemon.log()
        );
        thread::sleep(Duration::from_millis(20));
    }
}
