//! What `docs/billing.md` shows is what happens: its commands run, and its files are theirs. `docs/metrics.md` is
//! written from the source, and the status is as `docs/status.md` has it. Links lead somewhere.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cdrveil::cdr::{Reason, Skip};
use cdrveil::telemetry::names::{self, Kind, Values};
use cdrveil::telemetry::{
    DeckFacts, EpochFacts, EpochStatus, KeyringFacts, LaneCounts, LaneState, Now, Setup, Telemetry,
    UnixMillis,
};
use serde_json::Value;

/// The fenced blocks of a page: what stands behind the opening fence, and the text.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(word) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```");
            blocks.push((word, text.flat_map(|line| [line, "\n"]).collect()));
        }
    }
    blocks
}

#[test]
fn the_worked_example_of_billing_works() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let place = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(docs.join("billing")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), place.path().join(entry.file_name())).unwrap();
    }
    let page = fs::read_to_string(docs.join("billing.md")).unwrap();
    let blocks = blocks(&page);
    let program = Path::new(env!("CARGO_BIN_EXE_cdrveil")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let (_, commands) = blocks.iter().find(|(word, _)| *word == "sh").unwrap();
    let ran = Command::new("sh")
        .args(["-ec", commands])
        .current_dir(place.path())
        .env("PATH", format!("{}:{path}", program.display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
    assert!(told.contains("rejected 1: number"), "{told}");

    let mut shown = 0;
    for (word, text) in &blocks {
        if let Some((_, file)) = word.split_once(' ') {
            let made = fs::read_to_string(place.path().join(file)).unwrap();
            assert_eq!(*text, made, "{file}");
            shown += 1;
        }
    }
    assert_eq!(shown, 8, "files shown");
}

#[test]
fn every_link_leads_somewhere() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for folder in [
        house.to_path_buf(),
        house.join("docs"),
        house.join("docs/runbooks"),
    ] {
        for entry in fs::read_dir(&folder).unwrap() {
            let page = entry.unwrap().path();
            if page.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&page).unwrap();
            for rest in text.split("](").skip(1) {
                let target = rest.split(')').next().unwrap().split('#').next().unwrap();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                assert!(folder.join(target).exists(), "{}: {target}", page.display());
                links += 1;
            }
        }
    }
    assert!(links > 10, "{links}");
}

/// Every member of a JSON value by its path: `lanes[].partitions[].lag`.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let dot = if path.is_empty() { "" } else { "." };
                members(value, &format!("{path}{dot}{name}"), found);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                members(value, &format!("{path}[]"), found);
            }
        }
        // A place that may be missing is told by its parts.
        Value::Null if found.iter().any(|member| member.starts_with(&format!("{path}."))) => {}
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_status_is_as_documented() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status.md")).unwrap();
    let rows = page.split("## Members").nth(1).unwrap().lines();
    let documented: BTreeSet<String> = rows
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();

    let now = Now::read();
    let telemetry = Telemetry::new(
        Setup {
            domain: "billing".to_owned(),
            guarantee: "exactly-once".to_owned(),
            lanes: 1,
            raw_topics: vec!["cdr.raw".to_owned()],
            rejection_reasons: &["number"],
            skip_reasons: &["header"],
        },
        now,
    );
    let epoch = |id: &str, activate_at| EpochFacts {
        id: id.to_owned(),
        activate_at: UnixMillis(activate_at),
        until: None,
        kcv: "9fc082d4".to_owned(),
        status: EpochStatus::Enabled,
    };
    let facts = KeyringFacts {
        fingerprint: "aa".to_owned(),
        epochs: vec![epoch("2026-11", 0), epoch("2099-01", 4_070_908_800_000)],
    };
    telemetry.keyring_loaded(facts, now);
    let deck = DeckFacts {
        list: "deck".to_owned(),
        fingerprint: "aa".to_owned(),
        rows: 3,
    };
    telemetry.deck_loaded(vec![deck], 0, now);
    telemetry.deck_refused("deck.csv:3: nope");
    telemetry.assigned(0, &[(0, 0)], now);
    let mut counts = LaneCounts::default();
    counts.message(0, 0, 150, 0);
    counts.read(1);
    counts.rejected("number", 41, 0, 400);
    telemetry.committed(0, &counts, Duration::from_millis(3), now);
    let later = now.plus(Duration::from_secs(5));
    let status = serde_json::to_value(telemetry.status(later)).unwrap();
    let mut answered = BTreeSet::new();
    members(&status, "", &mut answered);
    assert_eq!(answered, documented);

    let words =
        |text: &str| -> BTreeSet<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let doing = words(
        page.split("| `lanes[].state` |")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap(),
    );
    assert_eq!(
        doing,
        LaneState::ALL.map(|state| state.as_str().to_owned()).into()
    );
    let checks = words(
        page.split("| `checks[].name` |")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap(),
    );
    let told = telemetry
        .checks(later)
        .into_iter()
        .map(|check| check.name.to_owned());
    assert_eq!(checks, told.collect());
}

/// `docs/metrics.md` is the table of names. After a change there: `CDRVEIL_UPDATE=1 cargo test --test documents`.
#[test]
fn the_page_of_metrics_is_the_table_of_the_source() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("where the tables begin");
    let (_, tail) = rest.split_once(END).expect("where the tables end");
    let wanted = format!("{head}{BEGIN}{}{END}{tail}", tables());
    if std::env::var_os("CDRVEIL_UPDATE").is_some_and(|value| value == "1") {
        fs::write(&path, &wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "docs/metrics.md is not what src/telemetry/names.rs says: CDRVEIL_UPDATE=1 cargo test --test documents"
        );
    }
}

const BEGIN: &str = "<!-- from src/telemetry/names.rs -->\n";
const END: &str = "<!-- end -->\n";

fn tables() -> String {
    let mut lines = Vec::new();
    for metric in names::ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        lines.push(format!("\n### `{}`\n", metric.name));
        lines.push(format!("{kind}, {}. {}", metric.unit, metric.help));
        for (at, label) in metric.labels.iter().enumerate() {
            let gap = if at == 0 { "\n" } else { "" };
            lines.push(format!("{gap}- `{}`: {}", label.name, values(&label.values)));
        }
        if !metric.buckets.is_empty() {
            let bounds: Vec<_> = metric.buckets.iter().map(ToString::to_string).collect();
            lines.push(format!("\nBuckets: {}.", bounds.join(", ")));
        }
    }
    lines.join("\n") + "\n\n"
}

fn values(values: &Values) -> String {
    let words = |words: &[&str]| {
        let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        quoted.join(", ")
    };
    match values {
        Values::Words(closed) => words(closed),
        Values::Reasons => words(&Reason::ALL.map(Reason::as_str)),
        Values::Skips => words(&Skip::ALL.map(Skip::as_str)),
        Values::Open(what) => (*what).to_owned(),
    }
}
