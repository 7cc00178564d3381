//! One payload in: names, order and seals of what comes out.

use std::convert::Infallible;

use super::*;
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{KeyEntry, Status};
use crate::pseudonym::mac::EpochKey;
use crate::seal::fields;
use crate::seal::opener::Opener;
use crate::settings::Source;

const POLICY: &str = "[input]\nformat = \"csv\"\ncomment = \"#\"\ncolumns = [\"a\", \"b\", \"t\"]\n\
    time = { field = \"t\", format = \"unix\" }\n[fields]\na = \"keep\"\nb = \"restrict\"\nt = \"keep\"\n";
const TIMESTAMP: i64 = 1_793_870_000_000;

struct Bench {
    engine: Engine,
    opener: Opener,
}

fn bench(policy: &str) -> Bench {
    let source = Source {
        path: "policy.toml".into(),
        text: policy.to_owned(),
    };
    let entry = KeyEntry {
        id: "2026-11".parse().unwrap(),
        activate_at: EventTime::from_millis(1_793_491_200_000),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new(vec![7; 32]).ok(),
    };
    let (identity, recipient) = Opener::new_identity();
    let destinations = Destinations {
        domain: "billing".to_owned(),
        restricted: "cdr.restricted".to_owned(),
        rejected: "cdr.rejected".to_owned(),
    };
    let engine = Engine::new(
        Arc::new(Policy::load(&source).unwrap()),
        Arc::new(Keyring::new(vec![entry]).unwrap()),
        &destinations,
        &Recipients::parse(&[recipient]).unwrap(),
    );
    Bench {
        engine: engine.unwrap_or_else(|error| panic!("{error}")),
        opener: Opener::from_identity_file(identity.expose()).unwrap(),
    }
}

impl Bench {
    /// Everything one payload becomes, a line each; seals are opened.
    fn run(&mut self, bytes: Option<&[u8]>) -> Vec<String> {
        let payload = payload(bytes);
        let mut lines = Vec::new();
        let opener = &mut self.opener;
        let done = self.engine.payload(&payload, Duration::ZERO, |output| {
            lines.push(line(opener, &output));
            Ok::<_, Infallible>(())
        });
        assert!(done.is_ok());
        lines
    }
}

fn payload(bytes: Option<&[u8]>) -> Payload<'_> {
    Payload {
        id: b"raw/0/7",
        timestamp: TIMESTAMP,
        bytes,
    }
}

fn line(opener: &mut Opener, output: &Output<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output {
        Output::Skipped(why) => format!("skipped {}", why.as_str()),
        Output::Rejected {
            record_id,
            refusal,
            sealed,
        } => {
            let clear = opener
                .open("cdr.rejected", record_id, sealed, Some("billing"))
                .unwrap();
            let (reason, raw) = clear.plaintext[1..].split_at(usize::from(clear.plaintext[0]));
            assert_eq!(text(reason), refusal.reason.as_str());
            assert_eq!(clear.epoch, "");
            format!("{} {} <{}>", text(record_id), text(reason), text(raw))
        }
        Output::Accepted(accepted) => {
            let fields = accepted.restricted.map_or_else(String::new, |sealed| {
                let clear = opener
                    .open("cdr.restricted", accepted.record_id, sealed, None)
                    .unwrap();
                assert_eq!(clear.epoch, "2026-11");
                let shown = |field: fields::Field<'_>| format!(" {}={}", field.name, text(field.value));
                fields::fields(&clear.plaintext)
                    .map(|field| shown(field.unwrap()))
                    .collect()
            });
            assert_eq!(accepted.key, None);
            format!("{} {}{fields}", text(accepted.record_id), text(accepted.public))
        }
    }
}

#[test]
fn rows_are_numbered_where_there_are_several() {
    let cases: &[(Option<&str>, &[&str])] = &[
        (None, &["skipped tombstone"]),
        (Some("x,y,1793870000"), &["raw/0/7 x,,1793870000,raw/0/7 b=y"]),
        (Some("x,,1793870000\n"), &["raw/0/7 x,,1793870000,raw/0/7"]),
        (
            Some("# c\nx,,1793870000\n"),
            &["skipped comment", "raw/0/7 x,,1793870000,raw/0/7"],
        ),
        (
            Some("x,y,1793870000\n# c\nz\nw,,1793870000"),
            &[
                "skipped comment",
                "raw/0/7/0 x,,1793870000,raw/0/7/0 b=y",
                "raw/0/7/1 columns <z>",
                "raw/0/7/2 w,,1793870000,raw/0/7/2",
            ],
        ),
        (Some("z"), &["raw/0/7 columns <z>"]),
        (Some("x,\"y"), &["raw/0/7 format <x,\"y>"]),
        (Some(""), &["raw/0/7 format <>"]),
        (Some("\n\n"), &["raw/0/7 format <\n\n>"]),
        (Some("# c\n"), &["skipped comment"]),
    ];
    let mut bench = bench(POLICY);
    for (bytes, expected) in cases {
        let mut lines = bench.run(bytes.map(str::as_bytes));
        lines.sort_by_key(|line| !line.starts_with("skipped"));
        assert_eq!(lines, *expected, "{bytes:?}");
    }
}

#[test]
fn nothing_restricted_means_no_restricted_record() {
    let mut bench = bench(&POLICY.replace("restrict", "drop"));
    assert_eq!(
        bench.run(Some(b"x,y,1793870000")),
        ["raw/0/7 x,,1793870000,raw/0/7"]
    );
}

#[test]
fn a_payload_is_refused_unread_with_the_reason_given() {
    let mut bench = bench(POLICY);
    for (bytes, expected) in [
        (
            Some(&b"x,y,1793870000\nz"[..]),
            "raw/0/7 poison <x,y,1793870000\nz>",
        ),
        (None, "raw/0/7 poison <>"),
    ] {
        let mut lines = Vec::new();
        let opener = &mut bench.opener;
        let done = bench
            .engine
            .refuse(&payload(bytes), Reason::Poison, Duration::ZERO, |output| {
                lines.push(line(opener, &output));
                Ok::<_, Infallible>(())
            });
        assert!(done.is_ok());
        assert_eq!(lines, [expected]);
    }
}

#[test]
fn the_taker_can_stop_in_the_middle() {
    let mut bench = bench(POLICY);
    let mut taken = 0;
    let stopped = bench.engine.payload(
        &payload(Some(b"x,,1793870000\nx,,1793870000\nx,,1793870000")),
        Duration::ZERO,
        |_| {
            taken += 1;
            if taken == 2 { Err("full") } else { Ok(()) }
        },
    );
    assert!(matches!(stopped, Err(Stop::Output("full"))));
    assert_eq!(taken, 2);
    assert_eq!(
        bench.run(Some(b"x,,1793870000")),
        ["raw/0/7 x,,1793870000,raw/0/7"]
    );
}

#[test]
fn record_ids_are_topic_partition_offset() {
    let mut id = b"before".to_vec();
    write_record_id("cdr.raw", 3, 18_293, &mut id);
    assert_eq!(id, b"cdr.raw/3/18293");
}

#[test]
fn a_panic_of_the_transform_refuses_its_record_alone() {
    let outcome: Result<(), _> = without_panic(|| panic!("a bug"));
    assert_eq!(outcome.unwrap_err().reason, Reason::Poison);
    assert_eq!(without_panic(|| Ok(1)), Ok(1));
}
